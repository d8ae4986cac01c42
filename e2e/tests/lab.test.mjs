// The lab on which the worker is tested: its parts do what those tests rely on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { deedsIn } from '../drills/stage-host.mjs';
import { CGROUPS, groupOf, sweepCgroups } from '../lib/cgroups.mjs';
import { guestImage, startGuest } from '../lib/guests.mjs';
import { rawCid, startImageServer } from '../lib/image-server.mjs';
import { LAB_ADDRESS, Lab, PRIVATE_NETWORK, PUBLIC_NETWORK } from '../lib/lab.mjs';
import { startTestLibvirtd } from '../lib/libvirtd.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { Process } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { LabMachine } from '../lib/ssh-relay.mjs';
import { ed25519Bytes, newSshKey, sshInto } from '../lib/ssh.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('two hypervisor hosts with guests', { timeout: patient(15 * 60 * SECONDS) }, twoHosts);
  test('a Debian guest', { timeout: patient(15 * 60 * SECONDS) }, debianGuest);
  test('a lab leaves its names to the next', { timeout: patient(5 * 60 * SECONDS) }, labAfterLab);
  test('a group of a killed run goes once nothing is in it', { timeout: patient(60 * SECONDS) }, groupOfAKilledRun);
  test('a libvirtd with the test driver', { timeout: patient(5 * 60 * SECONDS) }, testLibvirtd);
  test('the image server', { timeout: patient(5 * 60 * SECONDS) }, imageServer);
});

const libvirtLogs = (lab) => () => lab.hosts.map(({ libvirtd }) => libvirtd?.tail()).join('\n');

async function twoHosts(t) {
  const lab = new Lab();
  const step = stepsOf(t, libvirtLogs(lab));
  const guests = [];
  let publicGuest;
  try {
    await step('they have a libvirt each, and nothing else', async () => {
      await Promise.all([lab.startHost({ name: 'h1' }), lab.startHost({ name: 'h2' })]);
      for (const host of lab.hosts) {
        assert.deepEqual(await host.leftovers(), []);
        assert.match(await host.virsh('net-list'), /public[^]*quarry/);
      }
    });

    const [left, right] = lab.hosts;
    await step('guests of the same name and address run on both', async () => {
      const image = await guestImage('busybox');
      const place = { network: PRIVATE_NETWORK.name, ...PRIVATE_NETWORK, address: '10.130.0.5' };
      guests.push(...await Promise.all(lab.hosts.map((host) => startGuest(host, { ...place, name: 'vm', image }))));
      for (const guest of guests) {
        await guest.says(/quarry-guest: ready/);
        assert.ok(await guest.host.reachable(guest.address, 22));
        assert.match(await guest.host.fetch(`http://${guest.address}/cgi-bin/state`), /^boots 1$/m);
        assert.deepEqual((await guest.host.domains()).map(({ name, state }) => [name, state]), [['vm', 'running']]);
      }
    });

    await step('a guest of the routed network is reached from outside its host, by both families', async () => {
      const image = await guestImage('busybox');
      const userData = '#!/bin/sh\necho "it says: hello"\n';
      publicGuest = await startGuest(left, {
        name: 'public-vm', image, userData, network: PUBLIC_NETWORK, address: left.publicAddress(1),
        prefixLen: left.publicPrefixLen, gateway: left.publicGateway,
        v6: { address: left.publicAddressV6(1), prefixLen: 64, gateway: left.publicGatewayV6 },
      });
      await publicGuest.says(/it says: hello/);
      assert.equal(publicGuest.address, '10.131.1.10');
      const answer = await fetch(`http://${publicGuest.address}/cgi-bin/state`);
      assert.match(await answer.text(), /^hostname public-vm$/m);
      assert.equal((await fetch(`http://[${left.publicAddressV6(1)}]/cgi-bin/state`)).status, 200);
      assert.ok(await right.reachable(publicGuest.address, 22), 'not from the other host');
    });

    await step('its disk outlives its reboot, and grows under it', async () => {
      await left.virsh('reboot', 'public-vm', '--mode', 'acpi');
      await publicGuest.says(/quarry-guest: boot 2[^]*quarry-guest: ready/);
      await left.virsh('blockresize', 'public-vm', 'vda', '3GiB');
      await publicGuest.says(/quarry-guest: disk 3221225472/);
    });

    await step('guests do what their user-data says', async () => {
      const image = await guestImage('busybox');
      const script = (name, number, ...lines) => startGuest(right, {
        name, image, network: PUBLIC_NETWORK, address: right.publicAddress(number), prefixLen: right.publicPrefixLen,
        gateway: right.publicGateway, userData: ['#!/bin/sh', ...lines, ''].join('\n'),
      });
      const [stubborn, restless, thief] = await Promise.all([
        script('stubborn', 1, 'touch /run/ignore-acpi'),
        script('restless', 2, 'if [ "$(cat /data/boots)" = 1 ]; then reboot; else poweroff; fi'),
        script('thief', 3, `ip address add ${right.publicAddress(7)}/24 dev eth0`, 'echo c >/proc/sysrq-trigger'),
      ]);
      await restless.says(/boot 1[^]*quarry-guest: reboot[^]*boot 2[^]*quarry-guest: poweroff/);
      await until('it is off', async () => (await stateOf(right, 'restless')) === 'shut off', { within: 60 * SECONDS });
      await thief.says(/Kernel panic/);
      await stubborn.says(/user-data ended with 0/);
      await right.virsh('shutdown', 'stubborn');
      await stubborn.says(/power button ignored/);
      assert.equal(await stateOf(right, 'stubborn'), 'running');
      for (const guest of [stubborn, restless, thief]) await guest.remove();
    });

    await step('guests run on while libvirtd is killed', async () => {
      const pid = await pidOf(left, 'vm');
      await left.killLibvirtd();
      await assert.rejects(left.virsh('list'), /Failed to connect/);
      assert.ok(await left.reachable('10.130.0.5', 22));
      await left.restartLibvirtd();
      assert.equal(await stateOf(left, 'vm'), 'running');
      assert.equal(await pidOf(left, 'vm'), pid);
    });

    await step('a start that the end of libvirtd cut off is undone by the next one, which says so', async () => {
      const log = async () => (await left.run('cat', '/var/log/libvirt/qemu/vm.log')).split('\n');
      const before = deedsIn(await log());
      assert.equal(before.lost, 0);
      await until('libvirtd dies between a start of QEMU and its own note of it', async () => {
        if (await stateOf(left, 'vm') === 'running') await left.virsh('destroy', 'vm');
        // Of a start that nobody knows of, it is still there.
        await left.run('rm', '-f', '/run/libvirt/qemu/vm.pid');
        const start = left.virsh('start', 'vm').catch(() => {});
        await until('QEMU runs', () => left.run('cat', '/run/libvirt/qemu/vm.pid'), { within: 60 * SECONDS, every: 10 });
        await left.killLibvirtd();
        await left.restartLibvirtd();
        await start;
        return (await log()).some((line) => /: shutting down, reason=(crashed|daemon)$/.test(line));
      }, { within: 120 * SECONDS });
      // libvirtd says that it ends QEMU before QEMU has ended.
      await until('it is off', async () => (await stateOf(left, 'vm')) === 'shut off', { within: 60 * SECONDS });
      await left.virsh('start', 'vm');
      const { Started, lost, forgotten } = deedsIn(await log());
      assert.ok(lost >= 1 && Started - lost - forgotten > before.Started, `${Started} starts, ${lost} lost, ${forgotten} forgotten`);
    });

    await step('a start of which the next libvirtd knows nothing is told by the one after it', async () => {
      const [start, end] = ['starting up libvirt version: 11.3.0', 'shutting down, reason=destroyed'].map((words) => `2026-11-23 09:00:00.000+0000: ${words}`);
      assert.deepEqual(deedsIn([start, end, start, end]), { Started: 2, lost: 0, forgotten: 0 });
      assert.deepEqual(deedsIn([start, 'QEMU says something', start, end]), { Started: 2, lost: 0, forgotten: 1 });
    });

    await step('a host that is cut off reaches nobody, and the other does', async () => {
      const server = await startImageServer({ address: LAB_ADDRESS });
      try {
        const cid = server.addBlock('hello');
        assert.equal(await left.fetch(`${server.url}/ipfs/${cid}?format=raw`), 'hello');
        left.cutChain();
        await assert.rejects(left.fetch(`${server.url}/ipfs/${cid}`));
        assert.equal(await right.fetch(`${server.url}/ipfs/${cid}`), 'hello');
        left.healChain();
        assert.equal(await left.fetch(`${server.url}/ipfs/${cid}`), 'hello');
      } finally {
        await server.close();
      }
    });

    await step('what guests leave is seen, until they are gone', async () => {
      const kinds = (await left.leftovers()).map((line) => line.replace(/ .*/, ''));
      for (const kind of ['domain', 'link', 'process', 'file']) assert.ok(kinds.includes(kind), `no ${kind} in ${kinds}`);
      for (const guest of [...guests, publicGuest]) await guest.remove();
      for (const host of lab.hosts) assert.deepEqual(await host.leftovers(), []);
    });
  } finally {
    await lab.close();
  }
}

async function stateOf(host, domain) {
  return (await host.domains()).find(({ name }) => name === domain).state;
}

async function pidOf(host, domain) {
  const line = (await host.leftovers()).find((line) => /^process/.test(line) && line.includes(`guest=${domain},`));
  return /^process (\d+)/.exec(line)[1];
}

async function debianGuest(t) {
  const lab = new Lab();
  const step = stepsOf(t, libvirtLogs(lab));
  try {
    await step('lets in by key, with the host key that its seed gave it', async (t) => {
      const host = await lab.startHost({ name: 'h1' });
      const key = newSshKey('tenant');
      const hostKey = newSshKey('host');
      const started = Date.now();
      const address = host.publicAddress(1);
      await startGuest(host, {
        name: 'debian', image: await guestImage('debian'), memoryMib: 1024, vcpus: 2, diskGib: 4,
        network: PUBLIC_NETWORK, address, prefixLen: host.publicPrefixLen, gateway: host.publicGateway,
        userData: cloudConfig(key, hostKey),
      });
      const login = { address, key, hostKey: ed25519Bytes(hostKey.publicKey) };
      const disk = await sshInto({ ...login, command: 'cat /sys/class/block/vda/size; sudo df --output=size -B1 / | tail -1; hostname' });
      t.diagnostic(`SSH ${((Date.now() - started) / SECONDS).toFixed(0)} s after its start`);
      const [sectors, root, name] = disk.trim().split(/\s+/);
      assert.equal(Number(sectors) * 512, 4 * 1024 ** 3);
      assert.ok(Number(root) > 3.5e9, `the root file system has ${root} bytes`);
      assert.equal(name, 'debian');
      await until('its agent answers', () => host.virsh('qemu-agent-command', 'debian', '{"execute":"guest-ping"}'), { within: 60 * SECONDS });
    });

    await step('takes no other host key, and powers off when asked to', async () => {
      const [host] = lab.hosts;
      const other = ed25519Bytes(newSshKey('other').publicKey);
      const login = { address: host.publicAddress(1), key: newSshKey('stranger'), hostKey: other, command: 'true' };
      await assert.rejects(sshInto({ ...login, within: 1 }), /Host key verification failed/);
      await host.virsh('shutdown', 'debian');
      await until('it is off', async () => (await stateOf(host, 'debian')) === 'shut off', { within: 120 * SECONDS });
    });
  } finally {
    await lab.close();
  }
}

function cloudConfig(key, hostKey) {
  const config = {
    users: [{ name: 'quarry', sudo: 'ALL=(ALL) NOPASSWD:ALL', shell: '/bin/bash', ssh_authorized_keys: [key.publicKey] }],
    ssh_keys: { ed25519_private: readFileSync(hostKey.file, 'utf8'), ed25519_public: hostKey.publicKey },
  };
  return `#cloud-config\n${JSON.stringify(config)}`;
}

/** Also where something still holds the namespaces of the first, so that they do not end with their names. */
async function labAfterLab() {
  for (let round = 0; round < 2; round++) {
    const lab = new Lab();
    const machine = new LabMachine('elsewhere', '10.44.0.99');
    try {
      await lab.startHost({ name: 'h1', testDriver: true });
      const holder = new Process('sh', ['-c', 'exec 3</run/netns/h1 4</run/netns/elsewhere; echo held; exec sleep 600']);
      await holder.waitForLine(/^held$/);
    } finally {
      machine.close();
      await lab.close();
    }
  }
}

async function groupOfAKilledRun() {
  const tree = [CGROUPS, join(CGROUPS, 'pids')].find((folder) => existsSync(join(folder, 'cgroup.procs')));
  const group = join(tree, groupOf('killed'));
  const emulator = join(group, 'machine/emulator');
  const guest = new Process('sleep', ['infinity']);
  // Sweeps of other runs may be before ours, here and below.
  await until('it is in the group', () => {
    mkdirSync(emulator, { recursive: true });
    writeFileSync(join(emulator, 'cgroup.procs'), `${guest.pid}`);
    return true;
  }, { within: 10 * SECONDS, every: 10 });
  sweepCgroups();
  assert.ok(existsSync(emulator));
  await guest.kill();
  await until('it is gone', () => {
    sweepCgroups();
    return !existsSync(group);
  }, { within: 20 * SECONDS });
}

const TEST_DOMAIN = '<domain type="test"><name>mine</name><memory unit="MiB">64</memory><os><type>hvm</type></os></domain>';

async function testLibvirtd() {
  const libvirtd = await startTestLibvirtd();
  const file = join(tempDir('domain'), 'mine.xml');
  writeFileSync(file, TEST_DOMAIN);
  await libvirtd.virsh('define', file);
  await libvirtd.virsh('start', 'mine');
  const names = (domains) => domains.map(({ name, state }) => `${name}: ${state}`).sort();
  assert.deepEqual(names(await libvirtd.domains()), ['mine: running', 'test: running']);
  await libvirtd.kill();
  await assert.rejects(libvirtd.virsh('list'), /Failed to connect/);
  await libvirtd.restart();
  assert.deepEqual(names(await libvirtd.domains()), ['test: running']);
  await libvirtd.stop();
}

async function imageServer(t) {
  const folder = tempDir('images');
  const image = randomBytes(300_000);
  writeFileSync(join(folder, 'image.raw'), image);
  const server = await startImageServer({ folder });
  const url = server.urlOf('image.raw');
  const get = async (headers = {}) => {
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(10 * SECONDS) });
    return { status: answer.status, etag: answer.headers.get('etag'), body: Buffer.from(await answer.arrayBuffer()) };
  };
  after(() => server.close());

  await t.test('gives a file, and a part of it', async () => {
    const { status, etag, body } = await get();
    assert.equal(status, 200);
    assert.deepEqual(body, image);
    const part = await get({ range: 'bytes=100-', 'if-range': etag });
    assert.equal(part.status, 206);
    assert.deepEqual(part.body, image.subarray(100));
    assert.equal((await get({ range: 'bytes=100-', 'if-range': '"other"' })).status, 200);
    assert.equal((await get({ range: 'bytes=300000-' })).status, 416);
    assert.deepEqual(server.requestsOf('/image.raw').map(({ range, sent }) => [range, sent]), [
      [undefined, 300_000], ['bytes=100-', 299_900], ['bytes=100-', 300_000], ['bytes=300000-', 0],
    ]);
    assert.equal((await fetch(server.urlOf('none'))).status, 404);
  });

  await t.test('fails in the ways it is told to, as often as it is told', async () => {
    server.fail('/image.raw', { breakAfter: 100_000, times: 1 });
    await assert.rejects(get());
    assert.equal(server.requests.at(-1).sent, 100_000);
    assert.deepEqual((await get()).body, image);

    server.fail('/image.raw', { status: 503, times: 2 });
    assert.deepEqual([(await get()).status, (await get()).status, (await get()).status], [503, 503, 200]);

    server.fail('/image.raw', { wrongByteAt: 200_000 });
    const { body } = await get();
    assert.deepEqual(body.findIndex((byte, index) => byte !== image[index]), 200_000);
    assert.equal((await get({ range: 'bytes=200000-200000' })).body[0], body[200_000]);

    server.fail('/image.raw', { ignoresRange: true });
    assert.equal((await get({ range: 'bytes=5-' })).status, 200);

    server.fail('/image.raw', { stallAfter: 100_000 });
    await assert.rejects(get(), /timeout/);
    assert.equal(server.requests.at(-1).sent, 100_000);
    server.heal('/image.raw');
    assert.deepEqual((await get()).body, image);
  });

  await t.test('gives raw blocks by their CID', async () => {
    // As `ipfs add --cid-version 1 --raw-leaves` names it.
    assert.equal(rawCid('hello world\n'), 'bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4');
    const cid = server.addBlock(image.subarray(0, 10));
    const answer = await fetch(`${server.url}/ipfs/${cid}?format=raw`);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), image.subarray(0, 10));
    assert.equal(server.requests.at(-1).query, 'format=raw');
  });
}
