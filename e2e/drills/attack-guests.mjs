// Guests that do harm: one that scans and takes its neighbour's address, and one that writes without end, to its console
// and to its disk.
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sample } from '../bench/footprint.mjs';
import { median } from '../bench/worker-log.mjs';
import { GUEST_PLANS } from '../lib/guest-market.mjs';
import { linkLocalOf, scan, theft } from '../lib/hostile-guest.mjs';
import { ip } from '../lib/ip.mjs';
import { LAB_ADDRESS, PRIVATE_NETWORK } from '../lib/lab.mjs';
import { NameServer, OPEN_PORTS, listen, openPorts } from '../lib/lures.mjs';
import { SECONDS, until } from '../lib/until.mjs';

// On the internet, as far as guests can tell, and on the metadata service's address.
const INTERNET = '198.51.100.1';
const METADATA = '169.254.169.254';
const WORKER_STATUS = 9645;
const MIB = 2 ** 20;
/** virtlogd keeps four files of 2 MiB of what a guest says. */
const CONSOLE_LIMIT = 4 * 2 * MIB;
/** What a qcow2 file has beside its guest's bytes. */
const BOOKKEEPING = 4 * MIB;
/** As much as the guest must have said for the limit to show. */
const CHATTER = 1.25 * CONSOLE_LIMIT;

export async function attackByGuests(scene, findings) {
  const [neighbour, thief, glutton] = await Promise.all([
    scene.running('honest', { ip: 'Require' }), scene.running('thief', { ip: 'Require' }), scene.running('glutton'),
  ]);
  await byNetwork(scene, findings, { neighbour, thief, glutton });
  await byWriting(scene, findings, { neighbour, glutton });
  await findings.holds('none of this ended a guest', async () => {
    for (const vm of [neighbour, thief, glutton]) {
      assert.deepEqual([await vm.status(), (await vm.domain()).state, (await vm.state()).boots], ['Running', 'running', '1']);
    }
  });
  await Promise.all([neighbour, thief, glutton].map((vm) => vm.ask('Delete')));
  await Promise.all([neighbour, thief, glutton].map((vm) => vm.isGone()));
}

async function byNetwork({ host }, findings, { neighbour, thief, glutton }) {
  const names = new NameServer();
  const servers = [];
  try {
    for (const address of [INTERNET, METADATA]) ip('address', 'add', `${address}/32`, 'dev', 'lab');
    servers.push(...await Promise.all(OPEN_PORTS.map(listen)));
    await names.listen();
    await openPorts(host);
    const bridge = linkLocalOf(host, 'virbr-public');
    const everything = [...OPEN_PORTS, WORKER_STATUS, 2222, 'ping'];
    const forbidden = [
      ...[host.address, METADATA, LAB_ADDRESS].flatMap((address) => everything.map((port) => [address, port])),
      ...[host.publicGateway, PRIVATE_NETWORK.gateway].flatMap((address) => everything.filter((port) => port !== 'ping').map((port) => [address, port])),
      ...[neighbour, glutton].flatMap(({ address }) => [22, 7777, 'ping'].map((port) => [address, port])),
      [bridge, 22], [bridge, 'ping'],
    ];
    const allowed = [[INTERNET, 22], [INTERNET, 'ping']];

    await findings.holds('what a scan must not find is there to be found', async () => {
      for (const [address, port] of [[host.address, 2222], [LAB_ADDRESS, 22], [METADATA, 80], [neighbour.address, 22]]) {
        assert.ok(await host.reachable(address, port), `${address} ${port}`);
      }
    });
    await findings.holds('a guest that scans finds the internet, and neither its host, nor its neighbours, nor the miner’s network', async () => {
      assert.deepEqual(await scan(thief, [...forbidden, ...allowed]), allowed.map(String));
      findings.figure('places that a guest scanned in vain', forbidden.length);
    });
    await findings.holds('a guest that takes its neighbour’s address and card reaches nobody with them, and the neighbour stays where it was', async () => {
      const begun = performance.now();
      await theft({ thief, victim: neighbour, names, gateway: host.publicGateway, server: INTERNET, bridge: 'virbr-public', prefixLen: 24 });
      findings.figure('for as long a guest claimed its neighbour’s address in vain', `${Math.round((performance.now() - begun) / SECONDS)} s`);
    });
  } finally {
    await names.close();
    for (const server of servers) server.close();
    for (const address of [INTERNET, METADATA]) ip('address', 'del', `${address}/32`, 'dev', 'lab');
  }
}

async function byWriting({ worker, stage }, findings, { neighbour, glutton }) {
  const calm = await answers(neighbour);
  const before = sample(worker.process.pid);
  const logging = sample(stage.hosts[0].lab.virtlogd.pid);

  await findings.holds(`a guest that never stops talking takes ${CONSOLE_LIMIT / MIB} MiB of its host’s disk`, async () => {
    const begun = performance.now();
    await glutton.run('yes "this goes on and on" >/dev/ttyS0 2>/dev/null </dev/null & echo');
    let most = 0;
    await until('it has said more than the limit', async (seen) => {
      most = Math.max(most, consoleBytes(glutton));
      assert.ok(most <= CONSOLE_LIMIT, `${most} bytes on the disk`);
      const said = await spoken(glutton);
      seen(`${said} bytes said, ${most} on the disk`);
      return said > CHATTER;
    }, { within: 600 * SECONDS, every: 1 * SECONDS });
    const seconds = (performance.now() - begun) / SECONDS;
    findings.figure('a console without an end: said, and at most on the disk', `${(await spoken(glutton) / MIB).toFixed(1)} MiB in ${seconds.toFixed(0)} s, ${(most / MIB).toFixed(1)} MiB`);
    findings.figure('processor time that it took of virtlogd', `${((sample(stage.hosts[0].lab.virtlogd.pid).cpu - logging.cpu) / seconds * 100).toFixed(0)} % of one`);
  });
  await glutton.run('killall yes');

  await findings.holds('a guest that fills its disk takes what its plan has, and then finds no more', async () => {
    await glutton.begin('yes "all of it" | dd of=/dev/vda bs=1M seek=200 conv=fsync; echo "it says: full"');
    await glutton.says(/No space left on device[^]*it says: full/);
    const limit = GUEST_PLANS.tiny.disk_gib * 1_024 * MIB + BOOKKEEPING;
    const { blocks, size } = statSync(glutton.disk);
    findings.figure('what a full disk of 2 GiB takes of the host', `${(blocks * 512 / MIB).toFixed(1)} MiB`);
    assert.ok(size <= limit && blocks * 512 <= limit, `${size} bytes, ${blocks * 512} of them there`);
  });
  const stormy = await answers(neighbour);
  findings.figure('a neighbour’s web server answers, before and after', `${median(calm)} and ${median(stormy)} ms`);
  findings.figure('the worker’s memory grew meanwhile by', `${((sample(worker.process.pid).rss - before.rss) / MIB).toFixed(1)} MiB`);
}

/** What is on the disk of what a guest said. */
function consoleBytes({ folder }) {
  return readdirSync(folder).filter((name) => name.startsWith('serial.log')).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

/** What a guest said, by its own count. */
async function spoken(vm) {
  return Number(/^0: .*\btx:(\d+)/m.exec(await vm.run('cat /proc/tty/driver/serial'))[1]);
}

async function answers(vm) {
  const seen = [];
  for (let number = 0; number < 5; number++) {
    const begun = performance.now();
    await vm.state();
    seen.push(Math.round(performance.now() - begun));
  }
  return seen;
}
