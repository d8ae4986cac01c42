// A miner's host loses its disk: restored from a backup made by the runbook's words, and then without one.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freeBalance } from '../lib/chain.mjs';
import { inQry } from '../lib/example.mjs';
import { GuestVm, shellAfter } from '../lib/guest-vm.mjs';
import { tempDir } from '../lib/ours.mjs';
import { quarry } from '../lib/quarry-cli.mjs';
import { isOnline } from '../lib/test-nodes.mjs';
import { SECONDS } from '../lib/until.mjs';
import { audit } from './audit.mjs';
import { since } from './sight.mjs';
import { Stage } from './stage.mjs';

/** Where the first host of a lab has its SSH port. */
const ENDPOINT = '10.44.0.11:2222';
const TENANTS = ['kept', 'off', 'gone', 'late', 'next'];

export async function backupsOfHosts(findings, say) {
  const stage = await Stage.open({ hosts: [{ name: 'h1', config: { access: { endpoint: ENDPOINT } } }], tenants: TENANTS, say });
  const tenants = Object.fromEntries(TENANTS.map((name, index) => [name, stage.tenants[index]]));
  const scene = {
    stage, tenants, market: stage.market, host: stage.hosts[0], say,
    rent: async (name) => {
      const vm = await GuestVm.rent(stage.market, tenants[name], stage.hosts[0].node, { name, userData: shellAfter() });
      await vm.untilStatus('Running');
      return vm.isUp();
    },
  };
  try {
    await withBackup(scene, findings);
    await withoutBackup(scene, findings);
    findings.differences.push(...await audit(stage));
  } catch (error) {
    say(stage.describe());
    throw error;
  } finally {
    await stage.close();
  }
}

/** What a tenant left on the disk of its VM. */
const note = (vm, text) => vm.run(`echo "${text}" >/data/${text}; sync`);
const notes = async (vm) => (await vm.run('ls /data')).split('\n').filter((name) => /^(before|after)$/.test(name));

/** As the runbook has it: the worker stopped, VMs paused, both folders copied with owners and modes, VMs resumed. */
async function backUp({ host: { lab, worker, dataDir } }) {
  const place = tempDir('backup');
  await worker.stop();
  const running = (await lab.domains()).filter(({ state }) => state === 'running').map(({ name }) => name);
  for (const name of running) await lab.virsh('suspend', name);
  await lab.run('cp', '-a', '--sparse=always', lab.etc, join(place, 'etc'));
  await lab.run('cp', '-a', '--sparse=always', dataDir, join(place, 'data'));
  for (const name of running) await lab.virsh('resume', name);
  worker.start();
  await worker.isReady();
  return place;
}

/** The same way back. */
async function restore({ host: { lab, dataDir } }, place) {
  await lab.run('cp', '-a', '--sparse=always', `${join(place, 'etc')}/.`, lab.etc);
  await lab.run('cp', '-a', '--sparse=always', join(place, 'data'), dataDir);
}

async function loseDisk({ host }) {
  const { lab } = host;
  await host.replaceDisk();
  assert.deepEqual([...readdirSync(lab.etc), ...readdirSync(lab.folder), ...await lab.domains()], []);
}

/** What the miner does, on another machine. */
async function asMiner({ market, host: { node } }, call, ...args) {
  const { code, stderr } = await quarry(['miner', call, node.id, ...args, '--url', market.node.url, '--uri', `//miner/${node.id}`, '--yes']);
  assert.equal(code, 0, stderr);
}

async function withBackup(scene, findings) {
  const { host, market, tenants, say } = scene;
  const [kept, off, gone] = await Promise.all(['kept', 'off', 'gone'].map(scene.rent));
  await off.ask('Stop');
  await off.untilStatus('Stopped');
  await note(kept, 'before');
  const began = Date.now();
  const place = await backUp(scene);
  findings.figure('a backup of a host with three VMs: the worker was away for', since(began));
  await note(kept, 'after');
  const late = await scene.rent('late');
  await gone.ask('Delete');
  await gone.isGone();
  say('the host loses its disk');
  const free = await freeBalance(market.api, tenants.late.address);
  await loseDisk(scene);
  const lost = Date.now();
  await restore(scene, place);
  host.worker.start();

  await findings.holds('restored from its backup, a host starts its VMs with the disks that they had then', async () => {
    await host.worker.isReady();
    await kept.isUp({ boots: 2 });
    assert.deepEqual(await notes(kept), ['before']);
    assert.equal(await kept.status(), 'Running');
    findings.figure('from the loss of a host’s disk until a VM of its backup ran', since(lost));
  });
  await findings.holds('what was stopped stays stopped, and starts when its tenant asks', async () => {
    assert.equal(await off.status(), 'Stopped');
    assert.equal((await off.domain()).state, 'shut off');
    await off.ask('Boot');
    await off.untilStatus('Running');
    await off.isUp({ boots: 2 });
  });
  await findings.holds('a VM that came after the backup is told to be lost, and its tenant has the rest of its money', async () => {
    await late.untilStatus('Failed');
    assert.match(await late.failure(), /disk is gone|lost/);
    const back = await freeBalance(market.api, tenants.late.address) - free;
    assert.ok(back > 0n);
    findings.figure('given back to the tenant of a VM that was lost', inQry(back));
    assert.equal((await market.holds(tenants.late))['Compute.Lease'] ?? 0n, 0n);
    await late.isGone();
  });
  await findings.holds('a VM that was deleted after the backup does not come back', () => gone.isGone());
  Object.assign(scene, { kept, off });
}

/** No backup at all, or one that nobody can read: new keys, and the loss is said. */
async function withoutBackup(scene, findings) {
  const { host, market, tenants, kept, off, say } = scene;
  const { worker, node, lab } = host;
  const settings = readFileSync(worker.config);
  say('the host loses its disk, and its backup');
  await loseDisk(scene);
  const lost = Date.now();
  // Written by hand once more.
  writeFileSync(worker.config, settings);
  mkdirSync(host.dataDir, { mode: 0o755 });
  const does = async (...args) => {
    const { code, stdout, stderr } = await worker.run(...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  await findings.holds('without its key a worker does not start, and says what to do', async () => {
    worker.start();
    assert.equal((await worker.process.ended).code, 78);
    assert.match(worker.process.tail(), /there is no key file/);
  });
  await findings.holds('with new keys that the miner names, it concludes nothing from its empty folder', async () => {
    await does('key', 'generate');
    const file = join(lab.etc, 'node.json');
    await does('enroll', '--miner', node.miner.address, '--out', file);
    await asMiner(scene, 'rotate-worker', '--from', file);
    worker.start();
    await worker.waitForLine(/the data folder is new, and the chain has VMs that ran here/, { within: 120 * SECONDS });
    await asMiner(scene, 'set-access', '--from', file);
    assert.deepEqual([await kept.status(), await off.status()], ['Running', 'Running']);
    assert.equal(kept.folder, undefined);
  });
  await findings.holds('told that they are lost, it says so; their tenants have the rest of their money', async () => {
    await worker.stop();
    worker.args = ['--accept-loss'];
    worker.start();
    await Promise.all([kept, off].map((vm) => vm.untilStatus('Failed')));
    for (const name of ['kept', 'off']) assert.equal((await market.holds(tenants[name]))['Compute.Lease'] ?? 0n, 0n);
    await worker.stop();
    worker.args = [];
    worker.start();
    await worker.isReady();
    findings.figure('from the loss of disk and backup until all of it was told', since(lost));
  });
  await findings.holds('and the node takes new VMs', async () => {
    await isOnline(market, node);
    const next = await scene.rent('next');
    await next.ask('Delete');
    await next.isGone();
    findings.figure('until the node had run a new VM', since(lost));
  });
}
