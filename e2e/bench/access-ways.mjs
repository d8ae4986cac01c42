// Three ways to an sshd, and many idle sessions. By itself, in a sandbox, it prints what it found as JSON.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { Process, run } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes, newSshKey } from '../lib/ssh.mjs';
import { LabMachine, SshRelay, jumpConfig } from '../lib/ssh-relay.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const THIS = fileURLToPath(import.meta.url);
const ROOT = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'quarry/bench-sshd');
/** Smaller and fewer for a try. */
const MEBIBYTES = Number(process.env.QUARRY_BENCH_MIB ?? 512);
const ROUNDS = Number(process.env.QUARRY_BENCH_ROUNDS ?? 3);
const RATE = '1gbit';
const PER_VM = 32;
export const SESSIONS = 200;

export async function measureAccess(say) {
  makeRoot(say);
  say('ways to an sshd, and idle sessions');
  const env = { QUARRY_E2E_RUN: undefined };
  const { code, stdout, stderr } = await run(process.execPath, [THIS], { name: 'bench-access', env, within: 1_800 * SECONDS });
  if (code !== 0) throw new Error(`the ways to an sshd: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

/** A Debian with an sshd, which needs its user and its libraries. */
function makeRoot(say) {
  if (existsSync(ROOT)) return;
  say('a Debian with an sshd');
  const half = `${ROOT}.new`;
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { recursive: true });
  execFileSync('mmdebstrap', ['--quiet', '--variant=minbase', '--include=openssh-server', 'bookworm', half], { stdio: ['ignore', 'ignore', 'inherit'] });
  renameSync(half, ROOT);
}

/** An sshd at a machine, which lets a key in. */
async function startSshd(machine, key) {
  const over = tempDir('sshd');
  const [folder, upper, work] = ['root', 'upper', 'work'].map((name) => join(over, name));
  for (const each of [folder, upper, work]) mkdirSync(each);
  execFileSync('mount', ['-t', 'overlay', '-o', `lowerdir=${ROOT},upperdir=${upper},workdir=${work}`, 'overlay', folder]);
  execFileSync('mount', ['--rbind', '/dev', join(folder, 'dev')]);
  mkdirSync(join(folder, 'run/sshd'), { recursive: true, mode: 0o755 });
  mkdirSync(join(folder, 'root/.ssh'), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'root/.ssh/authorized_keys'), `${key.publicKey}\n`, { mode: 0o600 });
  // The idle sessions' connections never log in, and stay.
  const idle = ['LoginGraceTime=0', `MaxStartups=${2 * SESSIONS}`];
  const set = ['PermitRootLogin=yes', 'UsePAM=no', 'UseDNS=no', `ListenAddress=${machine.address}`, ...idle];
  const flags = set.flatMap((option) => ['-o', option]);
  const process_ = new Process('chroot', [folder, '/usr/sbin/sshd', '-D', '-e', ...flags], { name: 'sshd', enter: machine.enter });
  await process_.waitForLine(/Server listening/);
  const hostKey = ed25519Bytes(readFileSync(join(folder, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8'));
  return { hostKey, close: () => execFileSync('umount', ['--recursive', '--lazy', folder]) };
}

async function measure() {
  const lab = new Lab();
  const market = new GuestMarket();
  const machines = [];
  const machine = (name, number) => {
    machines.push(new LabMachine(name, `10.44.0.${number}`));
    return machines.at(-1);
  };
  let worker;
  let relay;
  const daemons = [];
  try {
    const host = await lab.startHost({ name: 'h1' });
    const home = machine('home', 201);
    const far = machine('far', 202);
    const node = new GuestNode('alpha', { host, offer: { capacity: { vcpus: 32, memoryMib: 16_384, diskGib: 400 } } });
    const keyFile = join(host.etc, 'access.key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', keyFile]);
    const nodeKey = ed25519Bytes(readFileSync(`${keyFile}.pub`, 'utf8'));
    node.access = { endpoint: `${host.address}:2222`, hostKey: nodeKey };
    const tenant = market.account('tenant');
    const key = newSshKey('tenant');
    await market.open({ hosts: [node], address: LAB_ADDRESS });
    relay = await new SshRelay({ machine: machine('relay', 200), chain: market.node.url }).start();
    worker = await market.startWorker(node, {
      config: {
        access: { key: keyFile, relay: relay.endpoint, relay_key: relay.key, endpoint: node.access.endpoint, per_source: 64 },
        logs: { format: 'text', filter: 'info' },
      },
    });
    await worker.isReady();
    const ids = await market.rentAll(tenant, ...Array(Math.ceil(SESSIONS / PER_VM)).fill({ on: node, keys: [key.publicKey] }));
    for (const id of ids) await market.untilStatus(id, 'Running');
    await worker.waitForLine(/tenants reach this node by the relay/);

    const between = machine('between', 203);
    for (const each of [far, between]) daemons.push(await startSshd(each, key));
    const [target, openSsh] = daemons.map(({ hostKey }) => ({ user: 'root', hostKey }));
    const byNode = (endpoint) => jumpConfig({ jump: { endpoint, user: ids[0], hostKey: nodeKey }, target: { host: 'vm', ...target }, key });
    const ways = {
      direct: jumpConfig({ target: { host: far.address, ...target }, key }),
      openSsh: jumpConfig({ jump: { endpoint: `${between.address}:22`, ...openSsh }, target: { host: far.address, ...target }, key }),
      node: byNode(node.access.endpoint),
      relay: byNode('10.44.0.200:20000'),
    };
    for (const id of ids) await leadTo(host, worker, id, far.address);
    const memory = await measureMemory({ worker, home, ids, jump: (id) => jumpConfig({ target: { host: host.address, port: 2222, user: id, hostKey: nodeKey }, key }) });
    const loops = { rates: await measureRates(home, ways) };
    for (const { enter } of [...machines, host]) {
      execFileSync(enter[0], [...enter.slice(1), 'tc', 'qdisc', 'add', 'dev', 'uplink', 'root', 'tbf', 'rate', RATE, 'burst', '256k', 'latency', '50ms']);
    }
    const links = { rates: await measureRates(home, ways) };
    return { loops, links, memory, mebibytes: MEBIBYTES, rounds: ROUNDS, rate: '1 Gbit/s' };
  } finally {
    await worker?.stop();
    await relay?.process?.stop();
    await market.close();
    for (const each of daemons) each.close();
    for (const each of machines) each.close();
    await lab.close();
  }
}

/** What goes to the guest's port 22 goes to another machine's: an emulated guest would be what is measured. */
async function leadTo(host, worker, id, address) {
  const manifests = execFileSync('sh', ['-c', `cat ${worker.dataDir}/vms/quarry-${id}-*/vm.json`], { encoding: 'utf8' });
  const { private_address: guest } = JSON.parse(manifests);
  await host.run('iptables', '--table', 'nat', '--insert', 'OUTPUT', '--destination', guest, '--protocol', 'tcp', '--dport', '22', '--jump', 'DNAT', '--to-destination', `${address}:22`);
}

async function measureRates(home, ways) {
  const rates = Object.fromEntries(Object.keys(ways).map((way) => [way, { up: [], down: [] }]));
  const bytes = MEBIBYTES * 2 ** 20;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, config] of Object.entries(ways)) {
      rates[way].up.push(bytes / await timed(home, `head -c ${bytes} /dev/zero | ssh -F ${config} target 'cat >/dev/null'`));
      rates[way].down.push(bytes / await timed(home, `ssh -F ${config} target 'head -c ${bytes} /dev/zero' >/dev/null`));
    }
  }
  return rates;
}

/** Seconds that a command takes, without those of a login. */
async function timed(home, command) {
  const seconds = async (script) => {
    const begun = performance.now();
    const { code, stderr } = await run('bash', ['-o', 'pipefail', '-c', script], { name: 'copy', enter: home.enter, within: 300 * SECONDS });
    if (code !== 0) throw new Error(`${script}: ${stderr}`);
    return (performance.now() - begun) / 1_000;
  };
  const login = await seconds(command.replace(/head -c \d+/, 'head -c 1'));
  return (await seconds(command)) - login;
}

async function measureMemory({ worker, home, ids, jump }) {
  const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${worker.process.pid}/status`, 'utf8'))[1]) * 1_024;
  const sessions = async () => Number(/^quarry_worker_access_sessions(?:\{\})? (\d+)/m.exec(await worker.get('/metrics'))?.[1]);
  const fifo = join(tempDir('fifo'), 'silence');
  execFileSync('mkfifo', [fifo]);
  const configs = new Map(ids.map((id) => [id, jump(id)]));
  const before = resident();
  const open = [];
  for (let at = 0; at < SESSIONS; at++) {
    const args = ['-F', configs.get(ids[at % ids.length]), '-W', 'localhost:22', 'target'];
    open.push(new Process('sh', ['-c', 'exec 3<>"$1"; shift; exec ssh "$@" <&3', 'sh', fifo, ...args], { name: 'idle', enter: home.enter }));
    if (at % 16 === 15) await until('the sessions are there', async () => (await sessions()) > at, { within: 120 * SECONDS });
  }
  await until('all sessions are there', async (seen) => {
    seen(await sessions());
    return (await sessions()) === SESSIONS;
  }, { within: 120 * SECONDS });
  const after = resident();
  await Promise.all(open.map((process_) => process_.kill()));
  return { before, after };
}

if (process.argv[1] === THIS) {
  await inSandbox(THIS, async () => {
    try {
      console.log(JSON.stringify(await measure()));
    } finally {
      await endAll();
    }
  });
}
