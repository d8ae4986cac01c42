// Who gets a VM: claims of open requests, and the last of a node's capacity, on libvirt's test driver.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { DispatchFailed } from '../lib/chain.mjs';
import { GUEST_PLANS, GuestMarket } from '../lib/guest-market.mjs';
import { rawCid } from '../lib/image-server.mjs';
import { endAll } from '../lib/ours.mjs';
import { foldersIn, isOnline, statesOf, testNode, vmOf, vmsOf } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const MIB = 1024 * 1024;
const CLAIM_WITHIN = 300 * SECONDS;

const market = new GuestMarket();
// Each test has tenants of its own: what one of them sends at the same time would have one nonce.
const [patient, careless, many, shunned, filler, first, second] =
  ['patient', 'careless', 'many', 'shunned', 'filler', 'first', 'second'].map((name) => market.account(name));

// Each country is a market of its own: a request is open to the nodes of its country.
const offers = {
  full: { country: 'SE', capacity: { vcpus: 8, memoryMib: GUEST_PLANS.tiny.memory_mib * 2, diskGib: 100 } },
  alone: { country: 'NO' },
  rival: { country: 'DK' },
  'other-rival': { country: 'DK' },
  shy: { country: 'FI' },
};

describe('an open request', { concurrency: true }, () => {
  const nodes = {};
  const workers = {};

  before(async () => {
    await Promise.all(Object.entries(offers).map(async ([id, offer]) => (nodes[id] = await testNode(id, offer))));
    await market.open({ hosts: Object.values(nodes) });
    await Promise.all(Object.values(nodes).map(async (node) => {
      const claims = { enabled: node.id !== 'shy' };
      workers[node.id] = await market.startWorker(node, { config: { claims } });
    }));
    await isOnline(market, ...Object.values(nodes));
  });

  after(async () => {
    await Promise.all(Object.values(workers).map((worker) => worker.stop()));
    await market.close();
    await endAll();
  });

  const claimsOf = (id) => market.chronicle.all('compute.ComputeRequestSubmitted', (data) => data.requestId.eq(id));
  const assertOnHosts = async (expected) => {
    for (const [id, count] of Object.entries(expected)) {
      assert.equal((await vmsOf(nodes[id].libvirtd)).length, count, `VMs of ${id}`);
      assert.equal(foldersIn(workers[id].dataDir).length, count, `folders of ${id}`);
    }
  };

  test('is claimed once, and only when its image is in the store', async () => {
    const { name, path } = await market.addRandomImage('held-back', MIB);
    market.images.fail(path, { status: 503 });
    const id = await market.rent(patient, { image: name, country: 'NO' });
    await until('the worker tries to fetch the image', () => market.images.requestsOf(path).length > 1, { within: 120 * SECONDS });
    assert.equal(await market.status(id), 'Pending');
    assert.deepEqual(claimsOf(id), []);
    market.images.heal(path);
    await market.untilStatus(id, 'Running', { within: CLAIM_WITHIN });
    const [claim, ...others] = claimsOf(id);
    assert.deepEqual([claim.data.nodeId.toUtf8(), claim.data.claimed.isTrue, others], ['alone', true, []]);
    assert.equal((await vmOf(nodes.alone.libvirtd, id)).state, 'running');
    const whole = market.images.requestsOf(path).filter(({ sent }) => sent > 0);
    assert.equal(whole.length, 1, 'the image was fetched again for the launch');
  });

  test('whose user-data nobody serves is left alone', async () => {
    const unserved = rawCid(randomBytes(64));
    const { id } = await market.create(careless, { plan: 'tiny', image: 'busybox', cloudInit: unserved, country: 'NO' });
    const refusal = new RegExp(`not claimed.*request=${id}|request=${id}.*not claimed`);
    await workers.alone.waitForLine(refusal, { within: CLAIM_WITHIN });
    assert.ok(market.images.requestsOf(`/ipfs/${unserved}`).length > 0, 'its user-data was never asked for');
    assert.equal(await market.status(id), 'Pending');
    assert.deepEqual(claimsOf(id), []);
    assert.equal(await vmOf(nodes.alone.libvirtd, id), undefined);
  });

  test('that two nodes want is launched by one of them', async () => {
    const ids = await market.rentAll(many, ...Array.from({ length: 4 }, () => ({ country: 'DK' })));
    await Promise.all(ids.map((id) => market.untilStatus(id, 'Running', { within: CLAIM_WITHIN })));
    const rivals = [nodes.rival, nodes['other-rival']];
    for (const id of ids) {
      const [claim, ...others] = claimsOf(id);
      assert.deepEqual(others, []);
      const winner = claim.data.nodeId.toUtf8();
      for (const node of rivals) {
        assert.equal((await vmOf(node.libvirtd, id))?.state, node.id === winner ? 'running' : undefined, `${id} on ${node.id}`);
      }
    }
    const all = await Promise.all(rivals.map(({ libvirtd }) => statesOf(libvirtd)));
    assert.deepEqual(all.flat(), ['running', 'running', 'running', 'running']);
    const failed = market.chronicle.all('compute.ComputeRequestFailed', (data) => ids.some((id) => data.requestId.eq(id)));
    assert.deepEqual(failed, [], 'who lost reported a failure');
  });

  test('is not claimed by a node that claims nothing, which launches what is named for it', async () => {
    const { name, path } = await market.addRandomImage('shunned', MIB);
    const open = await market.rent(shunned, { image: name, country: 'FI' });
    const named = await market.rent(shunned, { on: nodes.shy });
    await market.untilStatus(named, 'Running');
    // Longer than the longest wait before a claim.
    await market.untilLive(await market.live() + 5);
    assert.equal(await market.status(open), 'Pending');
    assert.deepEqual([claimsOf(open), market.images.requestsOf(path)], [[], []]);
    assert.deepEqual(await statesOf(nodes.shy.libvirtd), ['running']);

    const accepts = (yes) => market.do(nodes.shy.miner, market.api.tx.registry.setMinerAccepting('shy', yes));
    await accepts(false);
    const waits = await market.rent(shunned, { on: nodes.shy });
    assert.equal(await market.status(waits), 'Pending');
    await accepts(true);
    await market.untilStatus(waits, 'Running', { within: CLAIM_WITHIN });
    assert.equal(await market.status(open), 'Pending');
  });

  test('for what another one took is claimed when that is given back', async () => {
    const { libvirtd } = nodes.full;
    const before = await market.rent(filler, { on: nodes.full });
    await market.untilStatus(before, 'Running');
    // The second of both tenants' calls finds no room: it waits for it, or is refused by name.
    const wishes = [first, second].map((tenant) => market.rent(tenant, { on: nodes.full }));
    const outcomes = await Promise.allSettled(wishes);
    const refused = outcomes.filter(({ status }) => status === 'rejected').map(({ reason }) => reason);
    for (const reason of refused) assert.ok(reason instanceof DispatchFailed, reason.stack);
    const ids = outcomes.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    const placed = await until('one of them runs', async () => {
      const statuses = await Promise.all(ids.map((id) => market.status(id)));
      return ids.find((_, index) => statuses[index] === 'Running');
    }, { within: 180 * SECONDS });
    const others = ids.filter((id) => id !== placed);
    assert.equal(refused.length + others.length, 1);
    for (const id of others) assert.equal(await market.status(id), 'Pending');
    await market.untilLive(await market.live() + 3);
    assert.deepEqual(await statesOf(libvirtd), ['running', 'running']);
    await assertOnHosts({ full: 2 });
    const [waiting] = others;
    assert.ok(waiting !== undefined, `refused: ${refused}`);
    await market.do(filler, market.api.tx.compute.requestComputeDelete(before));
    await market.untilStatus(waiting, 'Running', { within: CLAIM_WITHIN });
    assert.deepEqual(await statesOf(libvirtd), ['running', 'running']);
    assert.equal(await vmOf(libvirtd, before), undefined);
    await assertOnHosts({ full: 2 });
  });
});
