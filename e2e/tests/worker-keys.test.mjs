// A host's keys change while its VM runs, and then the host leaves: on libvirt's test driver.
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { decodeAddress } from '@polkadot/util-crypto';
import { DispatchFailed, QRY, eventOf, failureIn } from '../lib/chain.mjs';
import { GuestMarket } from '../lib/guest-market.mjs';
import { endAll } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';
import { beatsOn, foldersIn, isOnline, missing, statesOf, testNode } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const UNBONDING = 5;
const NOTICE = 5;

const market = new GuestMarket();

describe('a host', () => {
  const tenant = market.account('tenant');
  const [firstKey, secondKey] = [market.account('first key'), market.account('second key')];
  let node;
  let worker;
  let id;
  let minerKey = firstKey;

  /** The miner is an account without a key of its own, for which others sign. */
  before(async () => {
    node = await testNode('alpha');
    await market.open({ hosts: [], params: { unbonding: UNBONDING, notice_period: NOTICE } });
    const { proxy, balances } = market.api.tx;
    const created = await market.do(firstKey, proxy.createPure('Any', 0, 0));
    const address = eventOf(created, 'proxy.PureCreated').pure.toString();
    node.miner = { address, publicKey: decodeAddress(address) };
    await market.do(firstKey, balances.transferKeepAlive(address, 4_000n * QRY));
    await asMiner(node.registration(market.api));
    const config = { chain: { genesis: market.api.genesisHash.toHex() }, access: { endpoint: node.access.endpoint } };
    worker = await market.startWorker(node, { config });
    await isOnline(market, node);
    id = await market.rent(tenant, { on: node });
    await market.untilStatus(id, 'Running');
  });

  after(async () => {
    await worker?.stop();
    await market.close();
    await endAll();
  });

  async function asMiner(call) {
    const block = await market.do(minerKey, market.api.tx.proxy.proxy(node.miner.address, null, call));
    const { result } = eventOf(block, 'proxy.ProxyExecuted');
    if (result.isErr) throw new Error(failureIn(market.api, result));
  }
  const does = async (...args) => {
    const { code, stdout, stderr } = await worker.run(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  /** What `enroll` tells the miner. */
  const enrolled = async () => JSON.parse(await does('enroll', '--json', '--miner', node.miner.address));
  /** The key that the SSH port shows, as the chain would have it. */
  const shown = async () => {
    const [, host, port] = /^(.+):(\d+)$/.exec(worker.access);
    const { stdout } = await run('ssh-keyscan', ['-T', '30', '-p', port, '-t', 'ed25519', host], { name: 'ssh-keyscan' });
    const blob = Buffer.from(/ssh-ed25519 (\S+)/.exec(stdout)?.[1] ?? '', 'base64');
    return `0x${blob.subarray(-32).toString('hex')}`;
  };
  const runsOn = async () => {
    assert.equal(await market.status(id), 'Running');
    assert.deepEqual(await statesOf(node.libvirtd), ['running']);
  };

  test('tells by enroll what its miner registers', async () => {
    const told = await enrolled();
    assert.deepEqual(
      [told.node_id, told.miner, told.worker, told.genesis],
      [node.id, node.miner.address, node.workerAccount.address, market.api.genesisHash.toHex()],
    );
    assert.equal(told.access.endpoint, node.access.endpoint);
    assert.ok(told.capacity.vcpus > 0 && told.capacity.memory_mib > 0 && told.capacity.disk_gib > 0);
    assert.ok(told.hardware.memory_mb > 0 && told.hardware.disks.length > 0);
  });

  test('signs with its next key as soon as the miner names it', async () => {
    await does('key', 'generate', '--next');
    const told = await enrolled();
    assert.notEqual(told.worker, node.workerAccount.address);
    const { setWorker } = market.api.tx.registry;
    await assert.rejects(asMiner(setWorker(node.id, told.worker, { Sr25519: `0x${'01'.repeat(64)}` })), /InvalidWorkerProof/);
    await asMiner(setWorker(node.id, told.worker, told.worker_proof));
    await until('the worker signs with the key', async () => {
      const status = await worker.status();
      return status.worker === told.worker && status.registered;
    }, { within: 60 * SECONDS });
    await beatsOn(market, node);
    await runsOn();
    await market.do(tenant, market.api.tx.compute.requestComputeReboot(id));
    await market.waitFor('ComputeRebootRequestFulfilled', id);
  });

  test('goes on with that key in the place of the old one', async () => {
    const { file } = JSON.parse(await does('key', 'show', '--json'));
    renameSync(`${file}.next`, file);
    await beatsOn(market, node);
    await worker.restart();
    await worker.isReady();
    await beatsOn(market, node);
    await runsOn();
  });

  test('shows its next SSH host key as soon as the miner names it', async () => {
    const { access: { host_key: own } } = await enrolled();
    await until('the port is open', async () => (await shown()) === own, { within: 30 * SECONDS });
    const { public: next } = JSON.parse(await does('key', 'generate', '--access', '--next', '--json'));
    assert.equal(await shown(), own, 'the chain does not name it yet');
    const { access } = await enrolled();
    assert.equal(access.host_key, next);
    await asMiner(market.api.tx.registry.setAccess(node.id, { endpoint: access.endpoint, hostKey: access.host_key }));
    await until('the port shows the key', async () => (await shown()) === next, { within: 60 * SECONDS });
    await runsOn();
  });

  test('has a miner whose keys may change', async () => {
    const { proxy, registry } = market.api.tx;
    await asMiner(proxy.addProxy(secondKey.address, 'Any', 0));
    minerKey = secondKey;
    await asMiner(proxy.removeProxy(firstKey.address, 'Any', 0));
    minerKey = firstKey;
    await assert.rejects(asMiner(registry.setMinerAccepting(node.id, false)), DispatchFailed);
    minerKey = secondKey;
    await runsOn();
  });

  test('drains, ends its leases, leaves, and has its bond back', async () => {
    const { registry, compute } = market.api.tx;
    assert.ok(Object.values(await market.holds(node.miner)).some((amount) => amount > 0n));
    await asMiner(registry.setMinerAccepting(node.id, false));
    const other = await market.rent(tenant, { on: node });
    await assert.rejects(asMiner(registry.deregisterNode(node.id)), /NodeInUse/);
    await asMiner(compute.endLease(id));
    await market.waitFor('ComputeRequestDeleted', id);
    await until('nothing is left on the host', async () => (
      (await statesOf(node.libvirtd)).length === 0 && foldersIn(worker.dataDir).length === 0
    ), { within: 120 * SECONDS });
    assert.equal(await market.status(other), 'Pending', 'a node that drains takes no more');
    await asMiner(registry.deregisterNode(node.id));
    await assert.rejects(asMiner(registry.withdrawBond(node.id)), /UnbondingNotOver/);
    await market.untilLive(await market.live() + UNBONDING + 1);
    await asMiner(registry.withdrawBond(node.id));
    assert.deepEqual(await market.holds(node.miner), {});
    await until('the worker says that it is not registered', async () => (
      (await missing(worker)).some((what) => /the chain has no node/.test(what))
    ), { within: 60 * SECONDS });
    assert.equal(worker.process.end, undefined, 'and runs on');
  });
});
