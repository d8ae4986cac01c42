// A node's SSH port under a thousand connections that nobody logs in by, from one address and from many, and under a
// tenant that logs in too often.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { sample } from '../bench/footprint.mjs';
import { median } from '../bench/worker-log.mjs';
import { AccessPort, accessKeyOf } from '../lib/access.mjs';
import { ip } from '../lib/ip.mjs';
import { Process } from '../lib/process.mjs';
import { SECONDS, inTime, until } from '../lib/until.mjs';

const MOB = join(import.meta.dirname, 'mob.mjs');
const CONNECTIONS = 1_000;
const ATTACK_SECONDS = 45;
const LOGINS = 6;
/** Between two of them, so that they are spread over the attack. */
const PAUSE = 6 * SECONDS;
/** An honest login may take that many times as long, beside what the processor's other users take. */
const LONGER = 10;
/** So many tries an honest tenant may need, each of a moment. */
const TRIES = 3;
/** Connections of one VM, as the worker bounds them. */
const PER_VM = 32;
const MEBIBYTE = 2 ** 20;
const MANY = 250;

export async function attackByPort(scene, findings) {
  const { market, host, alpha } = scene;
  const mob = scene.machine('mob', '10.44.0.150');
  const vm = await scene.running('honest');
  const line = await host.run('ssh-keyscan', '-T', '5', '-p', '2222', '-t', 'ed25519', '127.0.0.1');
  const hostKey = Buffer.from(/ssh-ed25519 (\S+)/.exec(line)[1], 'base64').subarray(-32);
  await market.do(alpha.miner, market.api.tx.registry.setAccess(alpha.id, { endpoint: `${host.address}:2222`, hostKey }));
  const port = new AccessPort({ address: host.address, hostKey: await accessKeyOf(market.api, alpha.id) });

  const calm = await logIn(scene, port, vm.id);
  await findings.holds('an honest tenant logs in while nobody attacks', () => assert.ok(calm.every(({ tries }) => tries === 1)));
  const many = addressesOf(mob, MANY);
  for (const [from, sources] of [['one address', [mob.address]], [`${MANY} addresses`, many]]) {
    await findings.holds(`an honest tenant gets in within ${TRIES} tries while ${CONNECTIONS} connections from ${from} never log in`, async () => {
      const { logins, attack, worker } = await besiege(scene, mob, sources, () => logIn(scene, port, vm.id));
      findings.figure(`connections from ${from}: opened, and held at most at once`, `${attack.opened} in ${attack.seconds.toFixed(0)} s, ${attack.most}`);
      findings.figure(`what a thousand of them cost the worker, and the machine that they come from`, `${perThousand(worker.cpu, attack)} and ${perThousand(attack.cpu, attack)} seconds of a processor`);
      findings.figure(`the worker’s memory grew by, with connections from ${from}`, `${(worker.memory / MEBIBYTE).toFixed(1)} MiB`);
      findings.figure(`an honest login, in the calm and beside connections from ${from}`, `${time(calm)} ms, ${time(logins)} ms; tries: ${logins.map(({ tries }) => tries)}`);
      assert.ok(logins.every(({ tries }) => tries <= TRIES), `tries: ${logins.map(({ tries }) => tries)}`);
      assert.ok(time(logins) <= LONGER * time(calm), `${time(logins)} ms in place of ${time(calm)} ms`);
    });
  }
  await sessions(scene, findings, port, vm);
  await vm.ask('Delete');
  await vm.isGone();
}

const perThousand = (cpu, { opened }) => (cpu / opened * 1_000).toFixed(2);
const time = (logins) => median(logins.map(({ milliseconds }) => milliseconds));

/** Gives a machine so many addresses, which the lab routes to it. */
function addressesOf(machine, count) {
  ip('-n', machine.name, 'route', 'add', 'local', '10.46.0.0/16', 'dev', 'lo');
  ip('-n', machine.name, 'route', 'add', 'default', 'via', '10.44.0.1');
  ip('route', 'add', '10.46.0.0/16', 'via', machine.address);
  return Array.from({ length: count }, (_, number) => `10.46.0.${number + 1}`);
}

/** Logs in so many times, one after the other: milliseconds and tries of each. */
async function logIn({ key }, port, id) {
  const logins = [];
  for (let number = 0; number < LOGINS; number++) {
    if (number > 0) await pause(PAUSE);
    let tries = 0;
    let begun;
    await until('an honest tenant gets in', async (seen) => {
      tries += 1;
      begun = performance.now();
      const { code, stderr } = await port.session(id, key, 'stats --json');
      seen(`${tries} tries: ${stderr.trim()}`);
      return code === 0 || tries > TRIES;
    }, { within: 300 * SECONDS, every: 500 });
    logins.push({ milliseconds: Math.round(performance.now() - begun), tries });
    if (tries > TRIES) break;
  }
  return logins;
}

async function besiege({ host, worker }, mob, sources, meanwhile) {
  const before = sample(worker.process.pid);
  const attacker = new Process(process.execPath, [MOB, host.address, '2222', String(CONNECTIONS), String(ATTACK_SECONDS), ...sources], { name: 'mob', enter: mob.enter });
  await attacker.waitForLine(/^open$/);
  const logins = await meanwhile().catch(async (error) => {
    await attacker.kill();
    throw error;
  });
  const during = sample(worker.process.pid);
  const { code } = await inTime('the end of the mob', attacker.ended, (ATTACK_SECONDS + 60) * SECONDS);
  if (code !== 0) throw new Error(attacker.tail());
  const after = sample(worker.process.pid);
  return {
    logins, attack: JSON.parse(attacker.stdout.trim().split('\n').at(-1)),
    worker: { cpu: after.cpu - before.cpu, memory: Math.max(during.rss, after.rss) - before.rss },
  };
}

/** A tenant with the right key opens more sessions to its VM than a node gives one. */
async function sessions({ key }, findings, port, vm) {
  const open = [];
  await findings.holds(`one VM has ${PER_VM} connections at most, and those that it has stay`, async () => {
    while (open.length < PER_VM) {
      const session = port.open(vm.id, key, 'stats --json --follow');
      await session.waitForLine(/running/);
      open.push(session);
    }
    for (let number = 0; number < 3; number++) {
      const { code, stderr } = await port.session(vm.id, key, 'stats');
      assert.equal(code, 255);
      assert.match(stderr, /too many connections/);
    }
    assert.deepEqual(open.filter(({ end }) => end), []);
  });
  await Promise.all(open.map((session) => session.kill()));
}
