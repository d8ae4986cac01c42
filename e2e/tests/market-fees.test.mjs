import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DispatchFailed, QRY, eventOf, freeBalance, submit } from '../lib/chain.mjs';
import { Host, Market, planId } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { Hopeless, SECONDS, until } from '../lib/until.mjs';

const TRANSFERS_PER_BATCH = 600;
/** Enough for several full blocks. */
const BATCHES = 80;
const TIP = QRY;

const market = new Market();
// Each test has those that it names for itself, so that nobody else uses their nonces.
const [free, forged, beating, claiming, flooding, spammed] = ['free', 'forged', 'beating', 'claiming', 'flooding', 'spammed']
  .map((name) => new Host(name));
const hosts = [free, forged, beating, claiming, flooding, spammed];
const [tenant, victim, stranger, donor, open, spammer] = ['tenant', 'victim', 'stranger', 'donor', 'open', 'spammer']
  .map((name) => market.account(name));

const UNPAID = /Inability to pay some fees/;

/** Asserts that the pool takes no such transaction of this worker, which has no funds. */
async function assertNotTaken(worker, call, why = UNPAID) {
  const signed = await worker.sign(call);
  await assert.rejects(market.node.view.call('author_submitExtrinsic', signed.toHex()), why);
}

/** What the signer paid for a transaction; it must have failed with this error. */
async function assertFailsAndPays(call, signer, error) {
  const was = await freeBalance(market.api, signer.address);
  await assert.rejects(submit(market.api, call, signer), (failure) => {
    assert.ok(failure instanceof DispatchFailed, failure.stack);
    assert.equal(failure.errorName, error);
    const { who, actualFee } = eventOf(failure.block, 'transactionPayment.TransactionFeePaid');
    assert.equal(who.toString(), signer.address);
    assert.ok(actualFee.toBigInt() > 0n);
    return true;
  });
  assert.ok((await freeBalance(market.api, signer.address)) < was);
}

function assertFree(block, worker) {
  const names = block.events.map(({ section, method }) => `${section}.${method}`);
  assert.ok(!names.includes('transactionPayment.TransactionFeePaid'), names.join(', '));
  const { origin } = eventOf(block, 'skipFeelessPayment.FeeSkipped');
  assert.match(origin.toString(), new RegExp(worker.account.address));
}

async function heartbeatDue(host) {
  const { lastHeartbeat } = await market.nodeRecord(host);
  await market.untilLive(lastHeartbeat.unwrap().toNumber() + market.api.consts.registry.heartbeatEvery.toNumber());
}

describe('what the market costs', () => {
  before(() => market.open({ hosts }));

  after(async () => {
    await market.close();
    await endAll();
  });

  describe('a report', { concurrency: true }, () => {
    test('a worker without a balance reports for free, and is refused whatever is not valid', async () => {
      const { api } = market;
      const { worker } = free;
      const { ids: [id, other] } = await market.createAll(tenant, { node: free.id }, { node: claiming.id });
      const { generation } = await market.request(id);

      await assertNotTaken(worker, worker.launched(id, generation.addn(1)));
      await assertNotTaken(worker, worker.launched(other, generation));
      await assertNotTaken(worker, worker.done('Stop', id, generation));
      await assertNotTaken(worker, api.tx.compute.markComputeRequestFulfilled(claiming.id, other, generation, {
        jobId: 'forged', hypervisorIp: null, vncPort: null, sshHostKey: null,
      }));
      await assertNotTaken(worker, api.tx.system.remark('0x00'));

      const block = await worker.send(worker.launched(id, generation));
      assertFree(block, worker);
      await market.do(tenant, api.tx.compute.requestComputeStop(id));
      assertFree(await worker.serve(id), worker);
      assert.equal(await market.status(id), 'Stopped');
      const { providers, data } = await api.query.system.account(worker.account.address);
      assert.deepEqual([providers.toNumber(), data.free.toBigInt(), data.reserved.toBigInt()], [1, 0n, 0n]);
    });

    test('a forged report fails, and pays', async () => {
      const { api } = market;
      const { compute, registry } = api.tx;
      const { id } = await market.create(victim, { node: forged.id });
      const { generation } = await market.request(id);
      const { worker } = forged;
      await Promise.all([
        assertFailsAndPays(worker.launched(id, generation.subn(1)), forged.miner, 'compute.StaleGeneration'),
        assertFailsAndPays(worker.launched(id, generation), stranger, 'compute.InvalidSignature'),
        assertFailsAndPays(claiming.worker.launched(id, generation), claiming.miner, 'compute.ComputeRequestNotFound'),
        assertFailsAndPays(registry.submitNodeMetrics(claiming.id, true, null), victim, 'registry.InvalidSignature'),
      ]);
      const nowhere = compute.markComputeRequestFulfilled('nowhere', id, generation, {
        jobId: 'forged', hypervisorIp: null, vncPort: null, sshHostKey: null,
      });
      await assertFailsAndPays(nowhere, stranger, 'compute.NodeNotFound');
      // A miner's own report is as good as its worker's.
      const own = await submit(api, worker.launched(id, generation), forged.miner);
      eventOf(own, 'compute.ComputeRequestFulfilled');
      eventOf(own, 'skipFeelessPayment.FeeSkipped');
    });

    test('a heartbeat is free when it is due, and the endpoint moves for free once in a while', async () => {
      const { api } = market;
      const { worker } = beating;
      await worker.silence();
      const beat = api.tx.registry.submitNodeMetrics(beating.id, true, null);
      await heartbeatDue(beating);
      assertFree(await worker.send(beat), worker);
      await assertNotTaken(worker, beat);

      const move = api.tx.registry.setAccess(beating.id, { ...beating.access, endpoint: 'elsewhere.example:2222' });
      const transfer = api.tx.balances.transferKeepAlive(worker.account.address, QRY);
      const [moved] = await Promise.all([worker.send(move), submit(api, transfer, donor)]);
      assertFree(moved, worker);
      assert.equal((await market.nodeRecord(beating)).access.endpoint.toUtf8(), 'elsewhere.example:2222');

      // With funds it may do both sooner, for a fee.
      const isPaid = async (call) => {
        const { events } = await worker.send(call);
        return events.some(({ method, data }) => method === 'TransactionFeePaid' && data.who.eq(worker.account.address));
      };
      assert.ok(await isPaid(move));
      // One that comes late is due again, and free; the next one is not.
      await until('a heartbeat that is not due is paid for', () => isPaid(beat), { within: 60 * SECONDS });
    });

    test('a claim is free for a worker when it succeeds', async () => {
      const { api } = market;
      const { id } = await market.create(open);
      const request = await market.request(id);
      const { worker } = claiming;
      const claim = (plan) => api.tx.compute.submitComputeRequestAssignment(claiming.id, planId(plan), id, open.address);
      await assertNotTaken(worker, claim('small'));
      assertFree(await worker.claim(request), worker);
      await assertNotTaken(worker, claim('nano'));
    });
  });

  test('the pool keeps one heartbeat of a node, so that its worker cannot throw out what others sent', async () => {
    const { worker: { account }, id } = flooding;
    await flooding.worker.silence();
    const send = (beat) => market.node.view.call('author_submitExtrinsic', beat.toHex());
    const refusal = async () => {
      const nonce = (await market.api.rpc.system.accountNextIndex(account.address)).toNumber();
      const beats = await Promise.all([true, false].map((accepting, index) =>
        market.api.tx.registry.submitNodeMetrics(id, accepting, null).signAsync(account, { nonce: nonce + index })));
      await heartbeatDue(flooding);
      await send(beats[0]);
      return send(beats[1]).then(() => 'none', ({ message }) => message);
    };
    await until('two heartbeats were there at once', async () => {
      const told = await refusal();
      // A block took the first one meanwhile.
      if (UNPAID.test(told)) return false;
      if (!/Priority is too low/.test(told)) throw new Hopeless(`refused for: ${told}`);
      return true;
    }, { within: 60 * SECONDS });
  });

  test('a heartbeat goes before spam with any tip', async (t) => {
    const { api } = market;
    const { worker } = spammed;
    await worker.silence();
    const { address } = spammer;
    const batch = api.tx.utility.batchAll(
      Array.from({ length: TRANSFERS_PER_BATCH }, () => api.tx.balances.transferKeepAlive(market.admin.address, 1n)),
    );
    const first = (await api.rpc.system.accountNextIndex(address)).toNumber();
    const spam = await Promise.all(Array.from({ length: BATCHES }, async (_, index) => {
      const signed = await api.tx(batch.method).signAsync(spammer, { nonce: first + index, tip: TIP });
      return signed.toHex();
    }));
    await heartbeatDue(spammed);
    await Promise.all(spam.map((signed) => market.node.view.call('author_submitExtrinsic', signed)));
    const sentAt = (await api.rpc.chain.getHeader()).number.toNumber();
    const block = await worker.heartbeat();
    assertFree(block, worker);

    assert.ok(block.number <= sentAt + 4, `sent after block ${sentAt}, included in ${block.number}`);
    const { extrinsics } = (await api.rpc.chain.getBlock(block.hash)).block;
    const isSpam = ({ signer }) => signer?.toString() === address;
    assert.ok(!extrinsics.slice(0, block.index).some(isSpam), 'spam came before the heartbeat');
    const beside = extrinsics.filter(isSpam).length;
    const waiting = (await api.rpc.author.pendingExtrinsics()).length;
    assert.ok(beside > 0 && waiting > 0, `${beside} batches of spam beside it, ${waiting} after it`);
    t.diagnostic(`sent after block ${sentAt}, in block ${block.number} with ${beside} batches of spam; ${waiting} more waited`);
  });
});
