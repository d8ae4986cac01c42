import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventOf } from '../lib/chain.mjs';
import { Host, MAX_PRICE, Market, planId, priceOf } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { Hopeless, SECONDS, until } from '../lib/until.mjs';

const WAITS = {
  launch_timeout: 6,
  operation_timeout: 4,
  delete_timeout: 4,
  evict_after: 2,
  grace_period: 10,
  min_lease: 5,
  notice_period: 4,
  unbonding: 3,
  retention: 5,
};
const LEAST_PREPAID = WAITS.grace_period + WAITS.min_lease;

const market = new Market();
const steady = new Host('steady');
const other = new Host('other');
// Each of these has one test for itself.
const unsteady = new Host('unsteady');
const ending = new Host('ending');
const leaving = new Host('leaving');
const hosts = [steady, other, unsteady, ending, leaving];

/** Waits until the node counts so many more served blocks than the lease has paid. */
function owes(id, host, blocks) {
  return until(`request ${id} owes ${blocks} blocks`, async (seen) => {
    const [{ mark }, { served }] = await Promise.all([market.lease(id), market.nodeRecord(host)]);
    const owed = served.toNumber() - mark.unwrap().toNumber();
    seen(`${owed} blocks`);
    return owed >= blocks;
  }, { within: 120 * SECONDS });
}

describe('a market whose waits are short', { concurrency: true }, () => {
  before(() => market.open({ hosts, params: WAITS }));

  after(async () => {
    await market.close();
    await endAll();
  });

  const waiter = market.account('waiter');

  test('a launch out of time goes to another node, and the worker has its time anew once', async () => {
    const { api } = market;
    const { id } = await market.create(waiter);
    await other.worker.claim(await market.request(id));
    const { generation, operation } = await market.request(id);
    await other.worker.send(other.worker.started(id, generation));
    const { deadline } = (await market.request(id)).operation.unwrap();
    assert.ok(deadline.gt(operation.unwrap().deadline), 'the deadline did not move');
    await market.assertRefuses(other.miner, [['compute.AlreadyStarted', other.worker.started(id, generation)]]);

    const expired = await market.waitFor('DeadlineExpired', id);
    assert.equal(expired.block, deadline.toNumber());
    assert.equal(expired.data.kind.type, 'Launch');
    await market.waitFor('ClaimPenalized', id);
    const pending = await market.request(id);
    assert.equal(pending.status.type, 'Pending');
    assert.deepEqual(pending.excluded.map(String), [other.miner.address]);
    assert.match(pending.lastFailure.unwrap().toUtf8(), /too long/);
    await market.assertRefuses(other.miner, [['compute.ComputeRequestNotFound', other.worker.launched(id, generation)]]);
    await steady.worker.claim(pending);
    await steady.worker.serve(id);
    assert.equal(await market.status(id), 'Running');
  });

  const idler = market.account('idler');

  test('an operation out of time is dropped, and a late report is stale', async () => {
    const { api } = market;
    const id = await market.running(idler, steady);
    await market.do(idler, api.tx.compute.requestComputeStop(id));
    const { generation } = await market.request(id);
    const { data } = await market.waitFor('DeadlineExpired', id);
    assert.equal(data.kind.type, 'Operation');
    const request = await market.request(id);
    assert.equal(request.status.type, 'Running');
    assert.ok(request.operation.isNone);
    assert.match(request.lastFailure.unwrap().toUtf8(), /in time/);
    const late = steady.worker.done('Stop', id, generation);
    await market.assertRefuses(steady.miner, [['compute.StaleGeneration', late]]);

    await market.do(idler, api.tx.compute.requestComputeStop(id));
    await steady.worker.serve(id);
    assert.equal(await market.status(id), 'Stopped');
  });

  const deleter = market.account('deleter');

  test('a deletion that no worker does, or fails, is finished by the chain', async () => {
    const { api } = market;
    const id = await market.running(deleter, steady);
    await market.do(deleter, api.tx.compute.requestComputeDelete(id));
    const { generation } = await market.request(id);
    const failed = await steady.worker.failOperation(id, 'Retryable', 'the disk is busy');
    assert.equal(eventOf(failed, 'compute.OperationFailed').operation.type, 'Delete');
    const still = await market.request(id);
    assert.equal(still.operation.unwrap().kind.type, 'Delete');
    assert.equal(still.generation.toString(), generation.toString(), 'the deletion is another now');
    const expired = await market.waitFor('DeadlineExpired', id);
    assert.equal(expired.data.kind.type, 'Deletion');
    const gone = await market.waitFor('ComputeRequestDeleted', id);
    assert.equal(gone.block, expired.block);
    assert.equal(gone.data.nodeId.unwrap().toUtf8(), steady.id);
    assert.ok((await api.query.compute.minerComputeRequests(steady.id, id)).isNone);
    assert.deepEqual(await market.holds(deleter), {});
  });

  const saver = market.account('saver');
  const settler = market.account('settler');

  test('a VM whose hold is down to the reserve is stopped, and a top-up boots it', async () => {
    const { compute } = market.api.tx;
    const id = await market.running(saver, steady, { maxPrice: priceOf('nano'), prepaid: LEAST_PREPAID });
    await owes(id, steady, WAITS.min_lease);
    // Anyone may settle; the chain would look by itself a little later.
    const settled = await market.do(settler, compute.settle(id));
    eventOf(settled, 'compute.LeaseSettled');
    eventOf(settled, 'compute.LeaseExhausted');
    eventOf(settled, 'compute.ComputeStopRequested');
    assert.ok((await market.lease(id)).exhausted.isTrue);
    await steady.worker.serve(id);
    assert.equal(await market.status(id), 'Stopped');
    await market.assertRefuses(saver, [
      ['compute.LeaseExhausted', compute.requestComputeBoot(id)],
      ['compute.LeaseExhausted', compute.requestComputeResize(id, planId('small'))],
    ]);
    const revived = await market.do(saver, compute.topUp(id, 100));
    eventOf(revived, 'compute.LeaseToppedUp');
    eventOf(revived, 'compute.ComputeBootRequested');
    assert.ok((await market.lease(id)).exhausted.isFalse);
    await steady.worker.serve(id);
    assert.equal(await market.status(id), 'Running');
  });

  const pauper = market.account('pauper');

  test('a VM that is not paid for is stopped, and at last deleted, by the chain', async () => {
    const id = await market.running(pauper, steady, { maxPrice: priceOf('nano'), prepaid: LEAST_PREPAID });
    await market.waitFor('LeaseExhausted', id);
    await steady.worker.serve(id);
    const { data: closed } = await market.waitFor('LeaseClosed', id, undefined, { within: 300 * SECONDS });
    assert.equal(closed.refunded.toBigInt(), 0n);
    await market.waitFor('ComputeDeleteRequested', id);
    await steady.worker.serve(id);
    await market.waitFor('ComputeRequestDeleted', id);
    assert.deepEqual(await market.holds(pauper), {});
    const rents = market.chronicle.all('compute.LeaseSettled', (data) => data.requestId.eq(id)).map(({ data }) => data);
    const paid = rents.reduce((sum, { minerShare, treasuryShare }) => sum + minerShare.toBigInt() + treasuryShare.toBigInt(), 0n);
    assert.equal(paid, priceOf('nano') * BigInt(LEAST_PREPAID));
  });

  const evacuee = market.account('evacuee');

  test('from a node that is gone VMs are taken elsewhere or deleted at once, and its downtime costs nothing', async () => {
    const { api } = market;
    const { compute } = api.tx;
    const wish = { node: unsteady.id };
    const { ids } = await market.createAll(evacuee, wish, wish, { ...wish, prepaid: LEAST_PREPAID });
    await Promise.all(ids.map((id) => unsteady.worker.serve(id)));
    const [moved, dropped, short] = ids;
    await owes(short, unsteady, 1);
    await unsteady.worker.silence();
    await market.assertRefuses(evacuee, [['compute.NodeNotGone', compute.evacuate(moved)]]);
    const { lastSeen, served } = await market.nodeRecord(unsteady);
    const offlineAfter = api.consts.registry.offlineAfter.toNumber();
    await market.untilLive(lastSeen.unwrap().toNumber() + offlineAfter + WAITS.evict_after);

    const old = await market.request(moved);
    await market.assertRefuses(evacuee, [['compute.LeaseTooShort', compute.evacuate(short)]]);
    const block = await market.do(evacuee, compute.evacuate(moved), compute.requestComputeDelete(dropped));
    eventOf(block, 'compute.ComputeRequestEvacuated');
    const finished = block.events.filter(({ method }) => method === 'ComputeDeletionRequestRemoved');
    assert.deepEqual(finished.map(({ data }) => data.requestId.toString()), [dropped.toString()]);
    const pending = await market.request(moved);
    assert.equal(pending.status.type, 'Pending');
    assert.ok(pending.minerId.isNone);
    assert.ok(pending.generation.gt(old.generation));
    await market.waitFor('ComputeRequestEvacuated', moved);
    const billed = market.chronicle.all('compute.LeaseSettled', (data) => data.requestId.eq(moved))
      .reduce((sum, { data }) => sum + data.blocks.toNumber(), 0);
    assert.ok(billed <= served.toNumber(), `${billed} blocks were billed, ${served} served`);
    assert.equal((await market.lease(moved)).held.toBigInt(), 1_000n * MAX_PRICE - BigInt(billed) * priceOf('nano'));

    await steady.worker.claim(pending);
    await steady.worker.serve(moved);
    assert.equal((await market.request(moved)).minerId.unwrap().toUtf8(), steady.id);

    const back = await unsteady.worker.heartbeat();
    const { downtime } = eventOf(back, 'registry.NodeReturned');
    assert.ok(downtime.toNumber() > offlineAfter);
    assert.equal((await market.nodeRecord(unsteady)).served.toString(), served.toString());
    const { rows } = await api.call.computeApi.workFor(unsteady.id, null, 100);
    assert.deepEqual(rows.map(({ requestId }) => requestId.toString()), [short.toString()]);
    const history = (await api.query.registry.statusHistory(unsteady.id)).map(({ to, reason }) => `${to} ${reason}`);
    assert.deepEqual(history, ['Online Joined', 'Offline Silent', 'Online Returned']);
  });

  const noticed = market.account('noticed');

  test('a miner ends a lease after its notice', async () => {
    const { compute } = market.api.tx;
    const id = await market.running(noticed, ending);
    await market.assertRefuses(noticed, [['compute.InvalidSignature', compute.endLease(id)]]);
    eventOf(await market.do(ending.miner, compute.endLease(id)), 'compute.LeaseEnding');
    const { endsAt } = await market.lease(id);
    await market.assertRefuses(noticed, [['compute.LeaseIsEnding', compute.topUp(id, 1)]]);
    const asked = await market.waitFor('ComputeDeleteRequested', id);
    assert.equal(asked.block, endsAt.unwrap().toNumber());
    assert.ok((await market.waitFor('LeaseClosed', id)).data.refunded.toBigInt() > 0n);
    await ending.worker.serve(id);
    await market.waitFor('ComputeRequestDeleted', id);
  });

  const forgetful = market.account('forgetful');
  const cleaner = market.account('cleaner');

  test('the record of an ended request goes after a while, or by `expire` in the very block', async () => {
    const { compute } = market.api.tx;
    const ended = async () => {
      const { id } = await market.create(forgetful, { country: 'NZ' });
      await market.do(forgetful, compute.cancelComputeRequest(id));
      return id;
    };
    const first = await ended();
    await market.assertRefuses(forgetful, [['compute.NothingToExpire', compute.expire(first)]]);
    const block = await until('`expire` comes in time', async () => {
      const id = await ended();
      await market.untilLive((await market.request(id)).keptUntil.unwrap().toNumber() - 1);
      // Transactions come before what the chain does by itself at the end of the block.
      return market.do(cleaner, compute.expire(id)).catch((error) => {
        if (error.errorName !== 'compute.ComputeRequestNotFound') throw new Hopeless(error.message);
      });
    }, { within: 300 * SECONDS });
    assert.equal(eventOf(block, 'compute.DeadlineExpired').kind.type, 'Retention');
    eventOf(block, 'compute.ComputeRequestDeleted');
    const { data } = await market.waitFor('DeadlineExpired', first);
    assert.equal(data.kind.type, 'Retention');
    await market.waitFor('ComputeRequestDeleted', first);
    assert.deepEqual(await market.holds(forgetful), {});
  });

  const lodger = market.account('lodger');
  const friend = market.account('friend');

  test('a node without VMs leaves, and its bond goes back after the unbonding time', async () => {
    const { api } = market;
    const { registry, compute } = api.tx;
    const { miner, worker, id: node } = leaving;
    const { id } = await market.create(lodger, { node });
    await market.assertRefuses(miner, [['registry.NodeInUse', registry.deregisterNode(node)]]);
    await market.do(lodger, compute.requestComputeDelete(id));
    await worker.serve(id);
    await market.assertRefuses(miner, [['registry.NodeNotLeaving', registry.withdrawBond(node)]]);
    await worker.silence();
    const { bond } = await market.nodeRecord(leaving);
    const { leavesAt } = eventOf(await market.do(miner, registry.deregisterNode(node)), 'registry.NodeDeregistered');
    assert.ok((await api.query.registry.nodeOfWorker(worker.account.address)).isNone, 'the key is not free');
    await market.assertRefuses(friend, [['registry.UnbondingNotOver', registry.withdrawBond(node)]]);
    assert.equal((await market.holds(miner))['Registry.NodeBond'], bond.toBigInt());
    await market.untilLive(leavesAt.toNumber());
    eventOf(await market.do(friend, registry.withdrawBond(node)), 'registry.BondWithdrawn');
    assert.deepEqual(await market.holds(miner), {});
    assert.ok((await api.query.registry.nodes(node)).isNone);
  });
});
