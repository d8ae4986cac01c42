import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventOf, freeBalance } from '../lib/chain.mjs';
import {
  Host, MAX_PRICE, Market, PLANS, SSH_KEY, planId, priceOf,
} from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { plain } from '../lib/plain.mjs';
import { stepsOf } from '../lib/steps.mjs';

const market = new Market();
const alpha = new Host('alpha');
const beta = new Host('beta');
const gamma = new Host('gamma');
// Each of these has one test for itself.
const lonely = new Host('lonely');
const drained = new Host('drained');
const delta = new Host('delta');
const hosts = [alpha, beta, gamma, lonely, drained, delta];

const QUEUES = ['Boot', 'Stop', 'Reboot', 'Resize', 'Deletion'];

/** The operation of a request, and the queues that have an entry for it. */
async function queued(host, id) {
  const { query } = market.api;
  const entries = await Promise.all(QUEUES.map((kind) => query.compute[`minerCompute${kind}Requests`](host.id, id)));
  return QUEUES.filter((_, index) => entries[index].isSome);
}

/** Asserts what is asked of a VM, by the request and by the queues. */
async function assertAsked(host, id, kind) {
  const { operation, generation } = await market.request(id);
  assert.equal(operation.unwrap().kind.type, kind);
  const queue = kind === 'Delete' ? 'Deletion' : kind;
  assert.deepEqual(await queued(host, id), [queue]);
  const entry = (await market.api.query.compute[`minerCompute${queue}Requests`](host.id, id)).unwrap();
  assert.equal(entry.generation.toString(), generation.toString());
  assert.equal(entry.userId.toString(), (await market.request(id)).owner.toString());
}

async function assertIdle(host, id, status) {
  const request = await market.request(id);
  assert.equal(request.status.type, status);
  assert.ok(request.operation.isNone, `asked: ${request.operation}`);
  assert.deepEqual(await queued(host, id), []);
}

/** Nothing of a request is left in any map. */
async function assertGone(tenant, host, id) {
  const { compute } = market.api.query;
  const left = await Promise.all([
    compute.computeRequests(tenant.address, id), compute.requestOwner(id), compute.sshKeys(id), compute.leases(id),
    compute.pendingRequests(id), compute.requestTickets(id), compute.ipOf(id), compute.minerComputeRequests(host.id, id),
  ]);
  assert.deepEqual(left.map((entry) => entry.isSome), left.map(() => false));
  assert.deepEqual(await queued(host, id), []);
}

const roomOf = async (host) => plain((await market.nodeRecord(host)).reserved);
const NOTHING = { vcpus: 0, memory_mib: 0, disk_gib: 0 };

// Together, so that their transactions share blocks.
describe('on a market', { concurrency: true }, () => {
  before(() => market.open({ hosts }));

  after(async () => {
    await market.close();
    await endAll();
  });

  const lifer = market.account('lifer');

  test('a VM on a named node lives from creation to deletion', async (t) => {
    const { api } = market;
    const { compute } = api.tx;
    const step = stepsOf(t, () => market.node.process.tail());
    const totalOf = async ({ address }) => {
      const { free, reserved } = (await api.query.system.account(address)).data;
      return free.toBigInt() + reserved.toBigInt();
    };
    const host = lonely;
    const was = await totalOf(lifer);
    let id;

    await step('created, its node has it at once', async () => {
      const { block, id: created } = await market.create(lifer, { node: host.id, prepaid: 1_000 });
      id = created;
      const submitted = eventOf(block, 'compute.ComputeRequestSubmitted');
      assert.deepEqual(
        [submitted.nodeId.toUtf8(), submitted.owner.toString(), submitted.claimed.isTrue],
        [host.id, lifer.address, false],
      );
      const request = await market.request(id);
      assert.equal(request.status.type, 'InProgress');
      assert.equal(request.operation.unwrap().kind.type, 'Launch');
      assert.equal(request.planId.toHex(), planId('nano'));
      assert.equal(request.selectedImage.name.toUtf8(), 'debian-12');
      assert.deepEqual(await roomOf(host), PLANS.nano);
      const { 'Compute.Lease': held, 'Compute.StorageDeposit': deposit } = await market.holds(lifer);
      assert.equal(held, MAX_PRICE * 1_000n);
      assert.ok(deposit > 0n);
      const lease = await market.lease(id);
      assert.equal(lease.price.toBigInt(), priceOf('nano'));
      assert.ok(lease.mark.isNone, 'rent runs before the VM does');
    });

    await step('launched', async () => {
      const block = await host.worker.serve(id);
      eventOf(block, 'compute.ComputeRequestFulfilled');
      await assertIdle(host, id, 'Running');
      const assignment = (await api.query.compute.minerComputeRequests(host.id, id)).unwrap();
      assert.equal(assignment.jobId.unwrap().toUtf8(), `launch-${id}`);
      assert.equal(assignment.vncPort.unwrap().toNumber(), 5901);
      assert.ok(assignment.fullfilled.isTrue);
      assert.ok((await market.lease(id)).mark.isSome, 'rent does not run');
    });

    const operations = [
      ['stopped', compute.requestComputeStop, 'Stop', 'ComputeStopRequested', 'ComputeStopRequestRemoved', 'Stopped'],
      ['booted', compute.requestComputeBoot, 'Boot', 'ComputeBootRequested', 'ComputeBootRequestRemoved', 'Running'],
      ['rebooted', compute.requestComputeReboot, 'Reboot', 'ComputeRebootRequested', 'ComputeRebootRequestFulfilled', 'Running'],
    ];
    for (const [what, call, kind, requested, fulfilled, status] of operations) {
      await step(what, async () => {
        const { generation } = await market.request(id);
        const asked = eventOf(await market.do(lifer, call(id)), `compute.${requested}`);
        assert.ok(asked.generation.gt(generation), 'the generation did not rise');
        await assertAsked(host, id, kind);
        const done = eventOf(await host.worker.serve(id), `compute.${fulfilled}`);
        assert.deepEqual([done.nodeId.toUtf8(), done.owner.toString()], [host.id, lifer.address]);
        await assertIdle(host, id, status);
      });
    }

    await step('resized', async () => {
      const version = await workVersion(host);
      eventOf(await market.do(lifer, compute.requestComputeResize(id, planId('small'))), 'compute.ComputeResizeRequested');
      await assertAsked(host, id, 'Resize');
      assert.deepEqual(await roomOf(host), PLANS.small, 'the larger of both is not reserved');
      assert.equal((await market.lease(id)).price.toBigInt(), priceOf('nano'), 'the price changed too early');
      assert.ok((await workVersion(host)) > version, 'the worker is not told');
      eventOf(await host.worker.serve(id), 'compute.ComputeResizeRequestFulfilled');
      await assertIdle(host, id, 'Running');
      assert.equal((await market.request(id)).planId.toHex(), planId('small'));
      assert.equal((await market.lease(id)).price.toBigInt(), priceOf('small'));
    });

    await step('topped up, settled, and with other keys', async () => {
      const keys = [SSH_KEY, SSH_KEY.replace('e2e', 'laptop')];
      const block = await market.do(lifer, compute.topUp(id, 100), compute.settle(id), compute.setSshKeys(id, keys));
      const topped = eventOf(block, 'compute.LeaseToppedUp');
      assert.equal(topped.amount.toBigInt(), 100n * priceOf('small'));
      eventOf(block, 'compute.SshKeysSet');
      assert.deepEqual((await api.query.compute.sshKeys(id)).unwrap().map((key) => key.toUtf8()), keys);
      assert.equal((await market.lease(id)).held.toString(), topped.held.toString());
    });

    await step('deleted', async () => {
      const block = await market.do(lifer, compute.requestComputeDelete(id));
      eventOf(block, 'compute.ComputeDeleteRequested');
      eventOf(block, 'compute.LeaseClosed');
      await assertAsked(host, id, 'Delete');
      assert.deepEqual(Object.keys(await market.holds(lifer)), ['Compute.StorageDeposit']);
      const gone = await host.worker.serve(id);
      eventOf(gone, 'compute.ComputeDeletionRequestRemoved');
      eventOf(gone, 'compute.ComputeRequestDeleted');
      await assertGone(lifer, host, id);
      assert.deepEqual(await market.holds(lifer), {});
      assert.deepEqual(await roomOf(host), NOTHING);
      assert.equal((await market.nodeRecord(host)).counts.launched.toNumber(), 1);
    });

    await step('every coin is accounted for', async () => {
      const { chronicle } = market;
      const sum = (numbers) => numbers.reduce((total, number) => total + number, 0n);
      const ofRequest = (data) => data.requestId.eq(id);
      const rents = chronicle.all('compute.LeaseSettled', ofRequest).map(({ data }) => data);
      const fees = chronicle.all('transactionPayment.TransactionFeePaid', ({ who }) => who.eq(lifer.address));
      const rent = sum(rents.map(({ minerShare, treasuryShare }) => minerShare.toBigInt() + treasuryShare.toBigInt()));
      assert.equal(was - await totalOf(lifer), rent + sum(fees.map(({ data }) => data.actualFee.toBigInt())));
      const [{ data: topUp }] = chronicle.all('compute.LeaseToppedUp', ofRequest);
      const [{ data: closed }] = chronicle.all('compute.LeaseClosed', ofRequest);
      assert.equal(MAX_PRICE * 1_000n + topUp.amount.toBigInt(), rent + closed.refunded.toBigInt());
      for (const { blocks, minerShare, treasuryShare } of rents) {
        const whole = minerShare.toBigInt() + treasuryShare.toBigInt();
        assert.equal(treasuryShare.toBigInt(), (whole + 19n) / 20n, 'the treasury gets 5 %, rounded up');
        assert.ok([priceOf('nano'), priceOf('small')].includes(whole / blocks.toBigInt()));
      }
      const billed = sum(rents.map(({ blocks }) => blocks.toBigInt()));
      const ran = (await market.nodeRecord(host)).served.toBigInt();
      const least = api.consts.compute.minBilled.toBigInt();
      assert.ok(billed === least || (billed > least && billed <= ran), `${billed} blocks were billed, ${ran} served`);
      t.diagnostic(`${billed} blocks billed in ${rents.length} settlements`);
    });
  });

  const claimed = market.account('claimed');

  test('an open request is claimed by a worker; a VM that is lost is Failed, and its record goes by deletion', async () => {
    const { api } = market;
    const { block, id } = await market.create(claimed, { country: 'SE' });
    assert.ok(eventOf(block, 'compute.ComputeRequestCreated').nodeId.isNone);
    assert.equal(await market.status(id), 'Pending');
    assert.ok((await api.query.compute.pendingRequests(id)).isSome);
    const { rows } = await api.call.computeApi.openFor(beta.id, null, 100);
    const open = rows.find(({ requestId }) => requestId.eq(id));
    assert.equal(open.price.toBigInt(), priceOf('nano'));

    const submitted = eventOf(await beta.worker.claim(open), 'compute.ComputeRequestSubmitted');
    assert.ok(submitted.claimed.isTrue);
    assert.equal(submitted.nodeId.toUtf8(), beta.id);
    await beta.worker.serve(id);
    await assertIdle(beta, id, 'Running');

    const lost = eventOf(await beta.worker.fail(id, 'Terminal', 'the disk broke'), 'compute.ComputeRequestFailed');
    assert.equal(lost.reason.toUtf8(), 'the disk broke');
    assert.ok(lost.pending.isFalse);
    assert.equal(await market.status(id), 'Failed');
    assert.deepEqual(Object.keys(await market.holds(claimed)), ['Compute.StorageDeposit']);
    await market.do(claimed, api.tx.compute.requestComputeDelete(id));
    await assertGone(claimed, beta, id);
    assert.deepEqual(await market.holds(claimed), {});
  });

  const assigner = market.account('assigner');

  test('a tenant assigns an open request; a deletion replaces the launch, and another the stop', async () => {
    const { compute } = market.api.tx;
    const { ids: [first, second] } = await market.createAll(assigner, {}, {});
    const assign = (id) => compute.submitComputeRequestAssignment(alpha.id, planId('nano'), id, assigner.address);
    const block = await market.do(assigner, assign(first), assign(second));
    const claims = block.events.filter(({ method }) => method === 'ComputeRequestSubmitted');
    assert.deepEqual(claims.map(({ data }) => data.claimed.isTrue), [false, false]);
    await alpha.worker.serve(second);

    await market.do(assigner,
      compute.requestComputeDelete(first), compute.requestComputeStop(second), compute.requestComputeDelete(second));
    await Promise.all([first, second].map((id) => assertAsked(alpha, id, 'Delete')));
    await Promise.all([first, second].map((id) => alpha.worker.serve(id)));
    await Promise.all([first, second].map((id) => assertGone(assigner, alpha, id)));
    const closed = (id) => market.waitFor('LeaseClosed', id);
    assert.equal((await closed(first)).data.refunded.toBigInt(), MAX_PRICE * 1_000n, 'a VM that never ran was paid for');
    assert.ok((await closed(second)).data.refunded.toBigInt() < MAX_PRICE * 1_000n);
  });

  const canceller = market.account('canceller');

  test('a pending request is cancelled, and all is refunded', async () => {
    const { api } = market;
    const { id } = await market.create(canceller, { country: 'NZ' });
    const { nodes, takers, reasons } = (await api.call.computeApi.whyPending(id, null, 100)).asOk;
    assert.deepEqual([nodes.toNumber(), takers.toNumber()], [hosts.length, 0]);
    assert.ok(reasons.some(([why]) => why.type === 'WrongCountry'));
    const free = await freeBalance(api, canceller.address);
    const block = await market.do(canceller, api.tx.compute.cancelComputeRequest(id));
    eventOf(block, 'compute.ComputeRequestCancelled');
    assert.equal(eventOf(block, 'compute.LeaseClosed').refunded.toBigInt(), MAX_PRICE * 1_000n);
    const fee = eventOf(block, 'transactionPayment.TransactionFeePaid').actualFee.toBigInt();
    assert.equal(await freeBalance(api, canceller.address), free + MAX_PRICE * 1_000n - fee);
    assert.equal(await market.status(id), 'Cancelled');
    assert.ok((await market.request(id)).keptUntil.isSome);
    await market.do(canceller, api.tx.compute.requestComputeDelete(id));
    await assertGone(canceller, alpha, id);
  });

  const retrier = market.account('retrier');

  test('a launch that fails goes to another miner, and the claimer answers for it', async () => {
    const { api } = market;
    const { id } = await market.create(retrier, { country: 'SE' });
    const bond = (await market.nodeRecord(beta)).bond.toBigInt();
    await beta.worker.claim(await market.request(id));
    const { generation } = await market.request(id);
    const block = await beta.worker.fail(id, 'Retryable', 'no room on the disk');
    assert.ok(eventOf(block, 'compute.ComputeRequestFailed').pending.isTrue);
    const penalty = eventOf(block, 'compute.ClaimPenalized').amount.toBigInt();
    const { claimPenalty, leastPenalty } = api.consts.compute;
    // A VM as cheap as this one costs less in the hour.
    assert.ok(priceOf('nano') * claimPenalty.toBigInt() < leastPenalty.toBigInt());
    assert.equal(penalty, leastPenalty.toBigInt());
    assert.equal(eventOf(block, 'registry.BondSlashed').amount.toBigInt(), penalty);
    assert.ok((await market.nodeRecord(beta)).bond.toBigInt() < bond);

    const pending = await market.request(id);
    assert.equal(pending.status.type, 'Pending');
    assert.ok(pending.generation.gt(generation));
    assert.deepEqual(pending.excluded.map(String), [beta.miner.address]);
    assert.equal(pending.lastFailure.unwrap().toUtf8(), 'no room on the disk');
    assert.equal((await market.holds(retrier))['Compute.Lease'], MAX_PRICE * 1_000n);

    await alpha.worker.claim(pending);
    await alpha.worker.serve(id);
    const running = await market.request(id);
    assert.equal(running.status.type, 'Running');
    assert.equal(running.minerId.unwrap().toUtf8(), alpha.id);
    assert.equal(running.attempts.toNumber(), 1);
    await market.do(retrier, api.tx.compute.requestComputeDelete(id));
    await alpha.worker.serve(id);
    await assertGone(retrier, alpha, id);
  });

  const hopeless = market.account('hopeless');

  test('a launch fails for good when two miners call it hopeless, or on a node that was named', async () => {
    const { ids: [open, named] } = await market.createAll(hopeless, {}, { node: alpha.id });
    await gamma.worker.claim(await market.request(open));
    await Promise.all([
      gamma.worker.fail(open, 'Terminal', 'the image is broken'),
      alpha.worker.fail(named, 'Retryable', 'the host is ill'),
    ]);
    assert.equal(await market.status(open), 'Pending');
    assert.equal(await market.status(named), 'Failed');
    await delta.worker.claim(await market.request(open));
    await delta.worker.fail(open, 'Terminal', 'the image is broken');
    const failed = await market.request(open);
    assert.equal(failed.status.type, 'Failed');
    assert.equal(failed.terminalFailures.toNumber(), 2);
    assert.equal(failed.lastFailure.unwrap().toUtf8(), 'the image is broken');
    assert.deepEqual(Object.keys(await market.holds(hopeless)), ['Compute.StorageDeposit']);
  });

  const resizer = market.account('resizer');

  test('a resize that fails gives back what it reserved, and its reason stays', async () => {
    const { compute } = market.api.tx;
    const id = await market.running(resizer, alpha);
    await market.do(resizer, compute.requestComputeResize(id, planId('medium')));
    const { generation } = await market.request(id);
    const failed = eventOf(await alpha.worker.failOperation(id, 'Retryable', 'the disk is full'), 'compute.OperationFailed');
    assert.deepEqual([failed.operation.type, failed.reason.toUtf8()], ['Resize', 'the disk is full']);
    await assertIdle(alpha, id, 'Running');
    const request = await market.request(id);
    assert.deepEqual(plain(request.resources), PLANS.nano);
    assert.equal(request.lastFailure.unwrap().toUtf8(), 'the disk is full');
    assert.ok(request.generation.gt(generation));
    assert.equal((await market.lease(id)).price.toBigInt(), priceOf('nano'));
    await market.do(resizer, compute.requestComputeDelete(id));
    await alpha.worker.serve(id);
    await assertGone(resizer, alpha, id);
  });

  const drainee = market.account('drainee');

  test('a node that its miner drains takes no new VM until the miner lets it again', async () => {
    const { api } = market;
    const host = drained;
    await market.do(host.miner, api.tx.registry.setMinerAccepting(host.id, false));
    const { id } = await market.create(drainee, { node: host.id });
    assert.equal(await market.status(id), 'Pending');
    const { takers, reasons } = (await api.call.computeApi.whyPending(id, null, 100)).asOk;
    assert.equal(takers.toNumber(), 0);
    assert.ok(reasons.some(([why, nodes]) => why.type === 'NotAccepting' && nodes.eq(1)));
    await market.do(host.miner, api.tx.registry.setMinerAccepting(host.id, true));
    const submitted = eventOf(await host.worker.claim(await market.request(id)), 'compute.ComputeRequestSubmitted');
    assert.ok(submitted.claimed.isFalse, 'the tenant named the node, so that it is no claim');
  });
});

async function workVersion(host) {
  return (await market.nodeRecord(host)).workVersion.toBigInt();
}
