// A worker and the whole life of a VM, on libvirt's test driver.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { planId } from '../lib/market.mjs';
import { startTestLibvirtd } from '../lib/libvirtd.mjs';
import { endAll } from '../lib/ours.mjs';
import { foldersIn, statesOf, vmsOf } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const market = new GuestMarket();

describe('a worker on the test driver', () => {
  const tenant = market.account('tenant');
  let libvirtd;
  let node;
  let worker;
  let id;

  before(async () => {
    libvirtd = await startTestLibvirtd();
    node = new GuestNode('alpha', { uri: libvirtd.uri });
    await market.open({ hosts: [node] });
    worker = await market.startWorker(node);
    await worker.isReady();
  });

  after(async () => {
    await worker?.stop();
    await market.close();
    await endAll();
  });

  const ask = (call, ...args) => market.do(tenant, market.api.tx.compute[call](id, ...args));
  const folders = () => foldersIn(worker.dataDir);
  const started = async () => readFileSync(join(worker.dataDir, 'vms', folders()[0], 'vm.json'), 'utf8');

  test('heartbeats make the node online', async () => {
    await until('the node is online', async () => {
      const record = await market.nodeRecord(node);
      return record.lastHeartbeat.isSome && record.workerAccepting.isTrue;
    }, { within: 60 * SECONDS });
  });

  test('what is rented is launched and reported', async () => {
    id = await market.rent(tenant, { on: node });
    await market.untilStatus(id, 'Running');
    assert.deepEqual(await statesOf(libvirtd), ['running']);
    assert.equal(folders().length, 1);
    assert.ok(JSON.parse(await started()).started);
    const assignment = (await market.api.query.compute.minerComputeRequests(node.id, id)).unwrap();
    assert.ok(assignment.sshHostKey.isSome);
    assert.match(assignment.jobId.unwrap().toHuman(), /^[0-9a-f-]{36}$/);
  });

  test('the status shows it', async () => {
    await until('the status shows the VM', async () => {
      const { vms } = await worker.status();
      return vms.length === 1 && vms[0].observed === 'running' && vms[0].desired === 'running';
    }, { within: 30 * SECONDS });
    const { code, stdout } = await worker.run('status');
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^${id} +.*running +running`, 'm'));
  });

  test('a stop and a boot are done', async () => {
    await ask('requestComputeStop');
    await market.untilStatus(id, 'Stopped');
    assert.deepEqual(await statesOf(libvirtd), ['shut off']);
    await ask('requestComputeBoot');
    await market.untilStatus(id, 'Running');
    assert.deepEqual(await statesOf(libvirtd), ['running']);
  });

  test('a reboot is done', async () => {
    await ask('requestComputeReboot');
    await market.untilStatus(id, 'Running');
    assert.deepEqual(await statesOf(libvirtd), ['running']);
  });

  test('a VM that died by itself is booted again', async () => {
    const [{ name }] = await vmsOf(libvirtd);
    const runOf = async () => (await libvirtd.virsh('domid', name)).trim();
    const before = await runOf();
    await libvirtd.virsh('destroy', name);
    await until('it runs again', async () => {
      const now = await runOf();
      return now !== '-' && now !== before;
    }, { within: 60 * SECONDS });
    assert.equal(await market.status(id), 'Running');
  });

  test('a resize is in the config', async () => {
    await ask('requestComputeStop');
    await market.untilStatus(id, 'Stopped');
    await ask('requestComputeResize', planId('tiny-grown'));
    await market.untilStatus(id, 'Stopped');
    const [{ name }] = await vmsOf(libvirtd);
    assert.match((await libvirtd.virsh('dumpxml', name)), /<vcpu[^>]*>2<\/vcpu>/);
  });

  test('a deletion leaves nothing', async () => {
    await ask('requestComputeDelete');
    await until('the request is gone', async () => (await market.api.query.compute.requestOwner(id)).isNone, { within: 120 * SECONDS });
    assert.deepEqual(await statesOf(libvirtd), []);
    assert.deepEqual(folders(), []);
    assert.ok(existsSync(join(worker.dataDir, 'images')));
  });
});
