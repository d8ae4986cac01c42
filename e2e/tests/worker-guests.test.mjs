// Trouble with guests, disks and images, and with libvirt and the host under them. Busybox guests on real QEMU.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { GuestVm, shellAfter } from '../lib/guest-vm.mjs';
import { isRefusedForGood, publish, qcow2File, stored } from '../lib/hostile-images.mjs';
import { digestOfCid } from '../lib/image-server.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { isOnline } from '../lib/test-nodes.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

const MIB = 2 ** 20;
const ROOM = { capacity: { vcpus: 32, memoryMib: 32_768, diskGib: 200 } };
const TENANTS = [
  'stubborn', 'restless', 'wiped', 'wipedOff', 'watched', 'backing', 'dataFile', 'otherDigest', 'liar', 'steady', 'leaving', 'off',
  'writer', 'late',
];

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('guests, disks and images that give trouble', { timeout: patient(15 * 60 * SECONDS), concurrency: true }, trouble);
});

async function trouble(t) {
  const lab = new Lab();
  const market = new GuestMarket();
  const tenants = Object.fromEntries(TENANTS.map((name) => [name, market.account(name)]));
  let workers = [];
  try {
    // One for guests and images, one with little room, and one that goes down.
    const hosts = await Promise.all([{}, { dataMib: 160 }, {}].map((options, index) => lab.startHost({ name: `h${index + 1}`, ...options })));
    const nodes = hosts.map((host, index) => new GuestNode(['alpha', 'beta', 'gamma'][index], { host, offer: ROOM }));
    await market.open({ hosts: nodes, address: LAB_ADDRESS });
    workers = await Promise.all(nodes.map((node) => market.startWorker(node)));
    await Promise.all(workers.map((worker) => worker.isReady()));
    await isOnline(market, ...nodes);
    const [scene, narrow, shaky] = nodes.map((node, index) => ({
      market, host: hosts[index], worker: workers[index],
      rent: (name, wish = {}) => GuestVm.rent(market, tenants[name], node, { name, ...wish }),
    }));

    await Promise.all([
      t.test('a guest that ignores the power button', (t) => stubborn(t, scene)),
      t.test('a guest that powers off, panics, reboots, or whose QEMU dies', (t) => restless(t, scene)),
      t.test('a running VM whose disk is removed is lost, and not replaced', () => wiped(scene)),
      t.test('so is one that is off', () => wipedOff(scene)),
      t.test('a VM’s screen and console are for root and QEMU alone, and go with it', () => watched(scene)),
      t.test('an image that leans on a file of the host is refused for good', () => (
        hostile(scene, 'backing', ['-b', '/etc/passwd', '-F', 'raw'], /names a backing file/)
      )),
      t.test('so is one whose data are in another file', () => (
        hostile(scene, 'dataFile', ['-o', `data_file=${join(tempDir('data'), 'secret')},data_file_raw=on`], /names an external data file/)
      )),
      t.test('so is one with another digest than the chain says', () => otherDigest(scene)),
      t.test('a gateway that changes an image makes a launch fail, and nothing is kept', () => liar(scene)),
      t.test('a disk that is full', (t) => full(t, narrow)),
      t.test('libvirtd and the host go down and come up', (t) => downs(t, shaky)),
    ]);
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await market.close();
    await lab.close();
  }
}

const running = async (vm) => {
  await vm.untilStatus('Running');
  return vm.isUp();
};

async function stubborn(t, { rent }) {
  const step = stepsOf(t, () => vm?.console());
  let vm;
  const ignored = () => vm.console().match(/power button ignored/g)?.length ?? 0;

  await step('is asked twice, loses its power at the deadline, and counts as stopped', async () => {
    vm = await running(await rent('stubborn', { userData: shellAfter('touch /run/ignore-acpi') }));
    await vm.ask('Stop');
    await vm.untilStatus('Stopped');
    assert.equal(ignored(), 2);
    const { name } = await vm.domain();
    assert.match(await vm.host.virsh('domstate', name, '--reason'), /^shut off \(destroyed\)$/);
  });

  await step('is rebooted all the same', async () => {
    await vm.ask('Boot');
    await vm.untilStatus('Running');
    await vm.isUp({ boots: 2 });
    const { id: before } = await vm.domain();
    await vm.ask('Reboot');
    await vm.untilStatus('Running');
    await vm.isUp({ boots: 3 });
    const { id, state } = await vm.domain();
    assert.equal(state, 'running');
    assert.notEqual(id, before);
    assert.equal(ignored(), 4);
  });
}

async function restless(t, { rent, worker }) {
  const step = stepsOf(t, () => `${vm?.console()}\n${worker.process.tail()}`);
  let vm;
  let first;
  const isStartedAgain = (times) => until(`the worker started it ${times} times`, async (seen) => {
    const starts = startsOf(worker, vm);
    seen(String(starts));
    return starts.length === times && vm.pid();
  }, { within: 180 * SECONDS, every: 200 });

  await step('one that reboots by itself, after a panic too, is left alone', async () => {
    vm = await running(await rent('restless'));
    ({ id: first } = await vm.domain());
    await vm.begin('reboot');
    await vm.isUp({ boots: 2 });
    await vm.begin('echo 1 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger');
    await vm.says(/Kernel panic/);
    await vm.isUp({ boots: 3 });
    assert.deepEqual([(await vm.domain()).id, await vm.status()], [first, 'Running']);
    assert.equal(startsOf(worker, vm).length, 1);
  });

  await step('one that powers itself off is started again, and so is one whose QEMU was killed', async () => {
    await vm.begin('poweroff');
    for (const times of [2, 3]) process.kill(await isStartedAgain(times), 'SIGKILL');
    await isStartedAgain(4);
    await vm.says(/quarry-guest: poweroff[^]*quarry-guest: user-data ended/);
    const { id, state } = await vm.domain();
    assert.deepEqual([state, await vm.status()], ['running', 'Running']);
    assert.notEqual(id, first);
  });

  await step('later each time', async () => {
    const starts = startsOf(worker, vm);
    const waits = starts.slice(1).map((time, index) => (time - starts[index]) / SECONDS);
    assert.equal(waits.length, 3);
    // By the ends of the starts, which the worker's own clock is a little ahead of; slowness makes any longer.
    assert.ok(waits[1] > 9 && waits[2] > 19, `after ${waits} seconds`);
  });
}

/** When a worker started a VM's domain, by its log. */
function startsOf(worker, { id }) {
  const lines = worker.process.lines.filter((line) => new RegExp(`request=${id}\\b`).test(line) && / action="?start"?\b/.test(line) && /done/.test(line));
  return lines.map((line) => Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line)[0]));
}

async function wiped(scene) {
  const vm = await running(await scene.rent('wiped'));
  await lose(vm);
}

async function wipedOff(scene) {
  const vm = await running(await scene.rent('wipedOff'));
  await vm.ask('Stop');
  await vm.untilStatus('Stopped');
  await lose(vm);
}

/** Removes a VM's disk, as a careless operator does; no other one may appear in its place. */
async function lose(vm) {
  const { disk } = vm;
  rmSync(disk);
  await until('the chain knows that it is lost', async (seen) => {
    assert.ok(!existsSync(disk), 'there is a disk again');
    const status = await vm.status();
    seen(status);
    return status === 'Failed';
  }, { within: 180 * SECONDS, every: 100 });
  assert.match(await vm.failure(), /disk is gone/);
  await vm.isGone();
}

const CONNECT = 'require("node:net").connect(process.argv[1]).on("data", (said) => { console.log(String(said)); process.exit(); }).on("error", ({ code }) => { console.log(code); process.exit(); })';
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

async function watched({ rent }) {
  const vm = await running(await rent('watched'));
  const { host } = vm;
  const ask = (who, path) => host.run(...who, process.execPath, '-e', CONNECT, path);
  const socket = /<listen type='socket' socket='([^']+)'/.exec(await vm.xml())[1];
  assert.match(await ask(['setpriv'], socket), /^RFB 003/);
  assert.equal(await ask(NOBODY, socket), 'EACCES\n');
  assert.doesNotMatch(await vm.xml(), /type='vnc' port='[1-9]/);

  const { consoleLog, folder } = vm;
  assert.match(vm.console(), /quarry-guest: ready/);
  for (const path of [consoleLog, vm.disk, join(folder, 'seed.img'), join(folder, 'host_key')]) {
    const { code, stderr } = await run(...asNobody('cat', path), { name: 'cat', enter: host.enter });
    assert.notEqual(code, 0, path);
    assert.match(stderr, /Permission denied/);
  }
  await assert.rejects(host.run(...NOBODY, 'ls', dirname(folder)), /Permission denied/);
  await vm.ask('Delete');
  await vm.isGone();
  for (const path of [socket, folder]) await assert.rejects(host.run('ls', path), /No such file/);
}

const asNobody = (...command) => [NOBODY[0], [...NOBODY.slice(1), ...command]];

async function hostile(scene, name, options, reason) {
  const { digest } = await publish(scene.market, name, qcow2File(name, options));
  await isRefusedForGood(scene, await scene.rent(name, { image: name }), reason, digest);
}

async function otherDigest({ market, worker, rent }) {
  const wrong = randomBytes(32);
  const { cid } = await publish(market, 'otherDigest', qcow2File('otherDigest', []), { digest: wrong });
  const vm = await rent('otherDigest', { image: 'otherDigest' });
  await vm.untilStatus('Failed');
  assert.match(await vm.failure(), /^ipfs:.* has another content than the chain says/);
  assert.equal((await market.request(vm.id)).terminalFailures.toNumber(), 1);
  await vm.isGone();
  const names = [wrong, digestOfCid(cid)].map((digest) => Buffer.from(digest).toString('hex'));
  assert.ok(!stored(worker).some((file) => names.some((name) => file.startsWith(name))), `the store has ${stored(worker)}`);
}

async function liar({ market, worker, rent }) {
  const { cid, digest } = await publish(market, 'liar', qcow2File('liar', []));
  market.images.fail(`/ipfs/${cid}`, { wrongByteAt: 1_000 });
  const vm = await rent('liar', { image: 'liar' });
  await vm.untilStatus('Failed');
  assert.match(await vm.failure(), /another content than the chain says/);
  // It may well work elsewhere, by another gateway.
  assert.equal((await market.request(vm.id)).terminalFailures.toNumber(), 0);
  await vm.isGone();
  assert.ok(!stored(worker).some((file) => file.startsWith(digest)), `the store has ${stored(worker)}`);
  market.images.heal(`/ipfs/${cid}`);
  const again = await rent('liar', { image: 'liar' });
  await again.untilStatus('Running');
  assert.ok(stored(worker).includes(digest));
}

async function downs(t, { worker, rent, host, market }) {
  const step = stepsOf(t, () => worker.process.tail());
  let steady;
  let leaving;
  let off;
  const missing = async () => JSON.parse(await host.run('curl', '--silent', '--max-time', '5', `http://${worker.listen}/readyz`)).missing;

  await step('guests run on while libvirtd is dead, and the worker says so', async () => {
    [steady, leaving, off] = await Promise.all(['steady', 'leaving', 'off'].map(async (name) => running(await rent(name))));
    await off.ask('Stop');
    await off.untilStatus('Stopped');
    const before = { ...await steady.domain(), pid: await steady.pid() };
    await host.killLibvirtd();
    await until('the worker is not ready', async () => (await missing()).some((reason) => /libvirt at qemu:\/\/\/system does not answer/.test(reason)), { within: 60 * SECONDS });
    await leaving.ask('Stop');
    await untilItKnows(worker, leaving, 'stopped');
    assert.equal((await leaving.state()).boots, '1');
    assert.equal((await market.request(leaving.id)).operation.unwrap().kind.type, 'Stop');

    await host.restartLibvirtd();
    await worker.isReady();
    await leaving.untilStatus('Stopped');
    assert.equal((await leaving.domain()).state, 'shut off');
    assert.deepEqual({ ...await steady.domain(), pid: await steady.pid() }, before);
    assert.equal((await steady.state()).boots, '1');
    assert.equal(await steady.status(), 'Running');
  });

  await step('after a reboot of the host runs what the chain wants to run, and nothing else', async () => {
    await worker.kill9();
    await host.reboot();
    assert.deepEqual((await host.domains()).filter(({ state }) => state !== 'shut off'), []);
    await worker.start().isReady();
    await steady.isUp({ boots: 2 });
    assert.equal((await steady.state()).boots, '2');
    await until('the worker has nothing to do', async () => (await worker.status()).vms.every(({ desired, observed }) => (desired === 'running' ? 'running' : 'off') === observed), { within: 120 * SECONDS });
    for (const vm of [leaving, off]) assert.deepEqual([(await vm.domain()).state, await vm.status()], ['shut off', 'Stopped']);
    assert.equal(await steady.status(), 'Running');
  });

  await step('and it can be stopped and deleted as ever', async () => {
    await Promise.all([steady, off].map((vm) => vm.ask('Delete')));
    await Promise.all([steady, off].map((vm) => vm.isGone()));
  });
}

function untilItKnows(worker, vm, desired) {
  return until(`the worker knows that request ${vm.id} is to be ${desired}`, async (seen) => {
    const { vms } = await worker.status();
    seen(JSON.stringify(vms));
    return vms.find(({ request_id: id }) => id === String(vm.id))?.desired === desired;
  }, { within: 120 * SECONDS });
}

/** What is written beyond the guest's partitions, and read again from there. */
const WRITE = 'dd if=/run/data of=/dev/vda bs=1M seek=200 conv=fsync 2>/dev/null && echo "it says: written"';
const READ = 'echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M skip=200 count=16 2>/dev/null | sha256sum | cut -c-64';

async function full(t, { market, worker, rent, host }) {
  const step = stepsOf(t, () => `${worker.process.tail()}\n${host.libvirtd.tail()}`);
  const ballast = join(host.folder, 'ballast');
  let writer;
  let sum;
  const reason = async () => host.virsh('domstate', (await writer.domain()).name, '--reason');

  await step('a guest that writes stands still, and a launch fails by the name of the reason', async () => {
    writer = await running(await rent('writer'));
    sum = (await writer.run('dd if=/dev/urandom of=/run/data bs=1M count=16 2>/dev/null; sha256sum /run/data | cut -c-64')).trim();
    fill(ballast);
    await writer.begin(WRITE);
    await until('the guest stands still', async (seen) => {
      const now = await reason();
      seen(now);
      return now === 'paused (I/O error)';
    }, { within: 120 * SECONDS });
    await until('the worker sees it', async () => (await worker.status()).vms.some(({ observed }) => observed === 'paused'), { within: 60 * SECONDS });
    const late = await rent('late');
    await late.untilStatus('Failed');
    assert.match(await late.failure(), /No space left on device/);
    assert.equal((await market.request(late.id)).terminalFailures.toNumber(), 0);
    await late.isGone();
    assert.deepEqual(readdirSync(join(worker.dataDir, 'vms')).filter((name) => name.startsWith('.new-')), []);
    assert.equal(await writer.status(), 'Running');
  });

  await step('with room again it goes on, and has all that it wrote', async () => {
    const { id: before } = await writer.domain();
    rmSync(ballast);
    await writer.says(/it says: written/);
    assert.equal(await reason().then((text) => text.replace(/ .*/, '')), 'running');
    assert.equal((await writer.run(READ)).trim(), sum);
    assert.deepEqual([(await writer.domain()).id, await writer.status(), (await writer.state()).boots], [before, 'Running', '1']);
    const again = await rent('late');
    await running(again);
  });
}

/** Takes all the room there is. */
function fill(path) {
  const chunk = Buffer.alloc(MIB);
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, chunk);
  } catch (error) {
    if (error.code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}
