// Workers whose chain node dies, falls silent or begins another chain, on libvirt's test driver.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { GuestMarket } from '../lib/guest-market.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { RPC_PORT, ownLoopback } from '../lib/port.mjs';
import { startRelay } from '../lib/relay.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { beatsOn, foldersIn, isOnline, missing, statesOf, testNode, vmOf, vmsOf } from '../lib/test-nodes.mjs';
import { Hopeless, SECONDS, until } from '../lib/until.mjs';

/** Longer than a heartbeat may be late, so that the chain takes the nodes for offline meanwhile. */
const CUT_BLOCKS = 10;
/** More than a worker takes for final together by chance: its chain node caught up. */
const OLD_BLOCKS = 16;

describe('a worker', { concurrency: true }, () => {
  after(endAll);

  describe('that a cut keeps from its chain nodes', { concurrency: true }, () => {
    const market = new GuestMarket();
    const setUp = {};

    before(async () => {
      const names = ['silent', 'closed', 'two-ways'];
      const tenants = names.map((name) => market.account(name));
      const nodes = await Promise.all(names.map((name) => testNode(name)));
      await market.open({ hosts: nodes });
      for (const [index, count] of [1, 1, 2].entries()) {
        const relays = await Promise.all(Array.from({ length: count }, () => startRelay(market.node.url)));
        const node = nodes[index];
        const worker = await market.startWorker(node, { chain: relays.map(({ url }) => url) });
        setUp[node.id] = { tenant: tenants[index], node, worker, relays, libvirtd: node.libvirtd };
      }
      await isOnline(market, ...nodes);
    });

    after(async () => {
      await Promise.all(Object.values(setUp).map(({ worker }) => worker.stop()));
      await Promise.all(Object.values(setUp).flatMap(({ relays }) => relays.map((relay) => relay.end())));
      await market.close();
    });

    const ask = (tenant, id, call) => market.do(tenant, market.api.tx.compute[call](id));
    const settled = async (id, status, state, libvirtd) => {
      await market.untilStatus(id, status);
      assert.equal((await vmOf(libvirtd, id)).state, state);
    };

    for (const [name, cut] of [['silent', 'swallow'], ['closed', 'close']]) {
      test(`of its only one, ${name}: nothing is concluded from that`, async (t) => {
        const { tenant, node, worker, relays: [relay], libvirtd } = setUp[name];
        const step = stepsOf(t, () => worker.process.tail(60));
        let ids;
        let before;

        await step('two VMs run', async () => {
          ids = await market.rentAll(tenant, { on: node }, { on: node });
          await Promise.all(ids.map((id) => market.untilStatus(id, 'Running')));
          before = await vmsOf(libvirtd);
          assert.deepEqual(before.map(({ state }) => state), ['running', 'running']);
        });

        await step('while the chain cannot be reached, and wants one of them stopped, both run on', async () => {
          relay[cut]();
          await ask(tenant, ids[0], 'requestComputeStop');
          await market.untilLive(await market.live() + CUT_BLOCKS);
          assert.match((await missing(worker)).join(), /no chain endpoint answers|no block was finalized for/);
          assert.match(await worker.get('/livez'), /alive/);
          assert.deepEqual(await vmsOf(libvirtd), before);
          assert.equal(foldersIn(worker.dataDir).length, 2);
        });

        await step('healed, it stops what should be stopped, and nothing was reported failed', async () => {
          relay.heal();
          await settled(ids[0], 'Stopped', 'shut off', libvirtd);
          await settled(ids[1], 'Running', 'running', libvirtd);
          await worker.isReady();
          assert.deepEqual(await missing(worker), []);
          const ours = (data) => ids.some((id) => data.requestId?.eq(id));
          for (const event of ['ComputeRequestFailed', 'OperationFailed', 'DeadlineExpired']) {
            assert.deepEqual(market.chronicle.all(`compute.${event}`, ours), [], event);
          }
          const [kept] = before.filter(({ name }) => name.startsWith(`quarry-${ids[1]}-`));
          assert.deepEqual(await vmOf(libvirtd, ids[1]), kept, 'the other one was started anew');
        });
      });
    }

    test('of one of two: it goes on by the other', async (t) => {
      const { tenant, node, worker, relays: [first, second], libvirtd } = setUp['two-ways'];
      const step = stepsOf(t, () => worker.process.tail(60));
      const uses = (relay) => until(`the worker uses ${relay.url}`, async (seen) => {
        const { chain } = await worker.status();
        seen(`${chain.endpoint}, connected: ${chain.connected}`);
        return chain.connected && chain.endpoint === relay.url;
      }, { within: 180 * SECONDS });
      let id;

      await step('the first falls silent', async () => {
        id = await market.rent(tenant, { on: node });
        await settled(id, 'Running', 'running', libvirtd);
        await uses(first);
        first.swallow();
        await ask(tenant, id, 'requestComputeStop');
        await uses(second);
        await settled(id, 'Stopped', 'shut off', libvirtd);
        await worker.isReady();
      });

      await step('the first heals, and the second closes', async () => {
        first.heal();
        second.close();
        await ask(tenant, id, 'requestComputeBoot');
        await uses(first);
        await settled(id, 'Running', 'running', libvirtd);
        assert.deepEqual(await statesOf(libvirtd), ['running']);
        await beatsOn(market, node);
      });
    });
  });

  describe('whose chain nodes come back from a power cut without a network', { concurrency: 1 }, () => {
    const market = new GuestMarket();
    const tenant = market.account('tenant');
    // The second is one more of the miner's, a peer that is as old; the third is new.
    const basePaths = [tempDir('follower'), tempDir('sibling'), tempDir('blank')];
    const rpcs = basePaths.map(() => `${ownLoopback()}:${RPC_PORT}`);
    let node;
    let peer;
    let follower;
    let sibling;
    let worker;

    const start = (index, peers) => market.startFollower({ basePath: basePaths[index], rpc: rpcs[index], peers });

    before(async () => {
      node = await testNode('powerless');
      await market.open({ hosts: [node] });
      peer = await market.peerAddress();
      [follower, sibling] = await Promise.all([0, 1].map((index) => start(index, [peer])));
      worker = await market.startWorker(node, { chain: follower.url });
      await isOnline(market, node);
    });

    after(async () => {
      await worker?.stop();
      await Promise.all([follower, sibling].map((chainNode) => chainNode?.stop()));
      await market.close();
    });

    test('no guest is started by its word, as it may be gone from here, and none is lost', async (t) => {
      const { libvirtd } = node;
      const step = stepsOf(t, () => worker.process.tail(60));
      const nobody = peer.replace(/\/tcp\/\d+\//, '/tcp/1/');
      let id;
      let kept;

      await step('two VMs run, and then the power is gone', async () => {
        [id, kept] = await market.rentAll(tenant, { on: node }, { on: node });
        await Promise.all([id, kept].map((vm) => market.untilStatus(vm, 'Running')));
        await Promise.all([worker.kill9(), follower.kill(), sibling.kill()]);
        for (const vm of [id, kept]) await libvirtd.virsh('destroy', (await vmOf(libvirtd, vm)).name);
      });

      await step('one is deleted meanwhile, without its node', async () => {
        await market.untilLive(await market.live() + OLD_BLOCKS);
        const { number } = await market.do(tenant, market.api.tx.compute.requestComputeDelete(id));
        assert.ok((await market.api.query.compute.requestOwner(id)).isNone);
        await until('that is final', async () => await market.node.view.finalized() >= number, { within: 60 * SECONDS });
      });

      await step('a disk that is not mounted is no loss because a new chain node knows of no VMs at first', async () => {
        let blank = await start(2, [nobody]);
        const unmounted = await market.startWorker(node, { name: 'unmounted', chain: blank.url });
        try {
          await unmounted.waitForLine(/waiting for finality to go on/);
          await blank.stop();
          blank = await start(2, [peer]);
          await unmounted.waitForLine(/the data folder is new, and the chain has VMs that ran here/, { within: 120 * SECONDS });
          await beatsOn(market, node);
          assert.equal(await market.status(kept), 'Running');
        } finally {
          await unmounted.stop();
          await blank.stop();
        }
      });

      await step('a chain node that knows nothing of that, like its peer, is no reason to start one', async () => {
        follower = await start(0, [nobody]);
        sibling = await start(1, [await market.peerAddress(follower)]);
        await until('the two know each other', async () => {
          const { peers, isSyncing } = await follower.view.call('system_health');
          return peers === 1 && !isSyncing;
        }, { within: 60 * SECONDS });
        await worker.restart();
        await worker.waitForLine(/waiting for finality to go on: until then no guest is started/);
        // It looks at everything again every five seconds.
        await pause(12 * SECONDS);
        assert.deepEqual(await statesOf(libvirtd), ['shut off', 'shut off']);
      });

      await step('with a network again, the one is removed and the other runs', async () => {
        await follower.stop();
        follower = await start(0, [peer]);
        await until('nothing is left of it', async () => {
          const left = await vmOf(libvirtd, id);
          if (left && left.state !== 'shut off') throw new Hopeless(`it is ${left.state}`);
          return !left && foldersIn(worker.dataDir).length === 1;
        }, { within: 120 * SECONDS });
        await until('the other runs', async () => (await vmOf(libvirtd, kept)).state === 'running', { within: 60 * SECONDS });
        await beatsOn(market, node);
      });
    });
  });

  describe('whose chain node dies, and then begins another chain', { concurrency: 1 }, () => {
    const market = new GuestMarket();
    const tenant = market.account('tenant');
    let node;
    let libvirtd;
    let worker;
    let ids;
    let old;

    before(async () => {
      node = await testNode('struck');
      ({ libvirtd } = node);
      await market.open({ hosts: [node] });
      worker = await market.startWorker(node);
      await isOnline(market, node);
    });

    after(async () => {
      await worker?.stop();
      await market.close();
    });

    const launched = async (count) => {
      const ids = await market.rentAll(tenant, ...Array.from({ length: count }, () => ({ on: node })));
      await Promise.all(ids.map((id) => market.untilStatus(id, 'Running')));
      return ids;
    };
    const isOld = ({ name }) => old.some((vm) => vm.name === name);

    test('a chain node that starts again with an empty pool is sent the reports that it lost', async (t) => {
      const step = stepsOf(t, () => worker.process.tail(60));

      await step('killed as soon as a report is sent', async () => {
        ids = await launched(2);
        await market.do(tenant, market.api.tx.compute.requestComputeStop(ids[0]));
        await worker.waitForLine(/report="?report-done/);
        await market.restartNode();
        await market.untilStatus(ids[0], 'Stopped');
        assert.equal((await vmOf(libvirtd, ids[0])).state, 'shut off');
      });

      await step('heartbeats go on, and so do operations', async () => {
        await market.do(tenant, market.api.tx.compute.requestComputeBoot(ids[0]));
        const [[id]] = await Promise.all([launched(1), beatsOn(market, node), market.untilStatus(ids[0], 'Running')]);
        ids.push(id);
        assert.deepEqual(await statesOf(libvirtd), ['running', 'running', 'running']);
        assert.equal(foldersIn(worker.dataDir).length, 3);
      });
    });

    test('a chain that began anew is served, and nothing is destroyed by its word', async (t) => {
      const step = stepsOf(t, () => worker.process.tail(60));
      const finalized = async () => (await worker.status()).chain.finalized;
      let highest;

      await step('the worker says that it is another chain', async () => {
        old = await vmsOf(libvirtd);
        // What comes next must end before the new chain is as high.
        await market.untilLive(24);
        highest = await finalized();
        await market.reset();
        await worker.waitForLine(/was reset: nothing is stopped or removed by its word/);
      });

      await step('what is rented there is launched beside what was there', async () => {
        await beatsOn(market, node, { since: -1 });
        await isOnline(market, node);
        // As many as before: the numbers of the old ones are given anew, and are those of no VM here.
        ids = await launched(4);
        assert.equal((await vmsOf(libvirtd)).length, 7);
        assert.deepEqual((await vmsOf(libvirtd)).filter(isOld), old);
        assert.equal(foldersIn(worker.dataDir).length, 7);
      });

      await step('a worker that starts now knows that the chain was higher', async () => {
        await worker.restart();
        await worker.waitForLine(/was reset: nothing is stopped or removed by its word/);
        await worker.isReady();
        const [id] = await launched(1);
        assert.equal((await vmOf(libvirtd, id)).state, 'running');
        assert.deepEqual((await vmsOf(libvirtd)).filter(isOld), old);
        assert.ok(await finalized() < highest, `block ${await finalized()} is no test: it must be below ${highest}`);
      });
    });
  });
});
