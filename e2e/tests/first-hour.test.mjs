// scripts/dev as a newcomer meets it: from the first line to a shell in a VM, to Ctrl-C, and to what is left then.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { quarryNode } from '../lib/binary.mjs';
import { CGROUPS, isOfALab } from '../lib/cgroups.mjs';
import { connect } from '../lib/chain.mjs';
import { CliUser } from '../lib/cli-user.mjs';
import { endAll } from '../lib/ours.mjs';
import { occupyPort } from '../lib/port.mjs';
import { Process, run } from '../lib/process.mjs';
import { workerProgram } from '../lib/quarry-worker.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

const SCRIPT = join(import.meta.dirname, '..', '..', 'scripts', 'dev');
const NODE = 'dev-1';

const started = [];
after(async () => {
  await Promise.all(started.map((dev) => dev.api?.disconnect()));
  await endAll();
});

const programs = () => ({ QUARRY_NODE: quarryNode(), QUARRY_WORKER: workerProgram() });

/** scripts/dev on any free port, with what it has started. */
class Dev {
  #tree = new Map();

  constructor(...args) {
    this.process = new Process(SCRIPT, ['--rpc-port', '0', ...args], { name: 'dev', env: programs() });
    started.push(this);
  }

  async isUp() {
    const within = 300 * SECONDS;
    [, this.url] = await this.process.waitForLine(/^ {2}RPC +(ws:\S+)/, { within });
    [, this.logs] = await this.process.waitForLine(/^ {2}logs +(\S+)/, { within });
    this.#look();
    [this.run] = this.processes(/main\.mjs/).map(({ command }) => /--run (\S+)/.exec(command)?.[1]).filter(Boolean);
    assert.ok(existsSync(this.run), `the folder ${this.run} of the run`);
    this.api = await connect(this.url);
    return this;
  }

  /** Remembers all its processes: in a sandbox they are all its descendants. */
  #look() {
    const all = processes();
    const below = (pid) => all.filter(({ parent }) => parent === pid).flatMap((child) => [child, ...below(child.pid)]);
    for (const process of below(this.process.pid)) this.#tree.set(process.id, process);
  }

  processes(pattern) {
    this.#look();
    return [...this.#tree.values()].filter(({ command }) => pattern.test(command));
  }

  /** What is there of it, one line each. */
  left() {
    const alive = processes().filter(({ id }) => this.#tree.has(id)).map(({ pid, command }) => `process ${pid}: ${command}`);
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(this.run));
    return [...alive, ...mounts, ...(existsSync(this.run) ? [`folder ${this.run}`] : [])];
  }

  async leavesNothing() {
    await until('nothing is left', (seen) => {
      const left = this.left();
      seen(left.join('\n'));
      return left.length === 0;
    }, { within: 20 * SECONDS });
  }

  /** Of an end that the test brings about, polkadot.js need not tell. */
  async forget() {
    this.#look();
    await this.api.disconnect();
  }

  async ctrlC() {
    await this.forget();
    const begin = Date.now();
    this.process.signal('SIGINT');
    const end = await this.process.ended;
    assert.deepEqual(end, { code: 0, signal: null }, this.process.tail());
    assert.equal(this.process.lines.at(-1), 'dev: stopped');
    return (Date.now() - begin) / SECONDS;
  }
}

function processes() {
  return readdirSync('/proc').map(Number).filter((pid) => pid > 0).flatMap((pid) => {
    try {
      // The command, in brackets, may itself hold spaces and brackets.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid, id: `${pid} since ${fields[19]}`, parent: Number(fields[1]), command }];
    } catch {
      return [];
    }
  });
}

function folders(path) {
  return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
}

/** What scripts/dev might leave on the machine itself. */
function machine() {
  const ip = (...args) => JSON.parse(execFileSync('ip', ['-json', ...args], { encoding: 'utf8' }));
  const list = (path) => (existsSync(path) ? readdirSync(path).sort() : 'none');
  return {
    links: ip('link').map(({ ifname }) => ifname),
    routes: ip('route', 'show', 'table', 'all').map(({ dst, dev }) => `${dst} ${dev}`),
    namespaces: readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(' - nsfs ')),
    libvirt: ['/run/libvirt/qemu', '/etc/libvirt/qemu', '/var/lib/libvirt/qemu', '/var/log/libvirt/qemu'].map(list),
    groups: folders(CGROUPS).filter((group) => !isOfALab(basename(group))).flatMap((group) => [group, ...folders(group)]).filter((group) => /machine|qemu|libvirt/.test(group)),
  };
}

/** Somebody with `quarry` and no settings, who is taken for Alice here. */
const tenantOf = ({ url }) => new CliUser('tenant', { url, uri: '//Alice' });

describe('scripts/dev', { concurrency: false }, () => {
  test('the first hour: a shell in a real guest, and nothing left after Ctrl-C', { timeout: patient(20 * 60 * SECONDS) }, async () => {
    const before = machine();
    const dev = await new Dev().isUp();
    const tenant = tenantOf(dev);
    const vm = await tenant.json(['rent', '--yes', '--name', 'first'], { within: 600 * SECONDS });
    assert.deepEqual(vm.steps.map(({ step }) => step), ['accepted', 'image', 'booting', 'ready']);
    assert.deepEqual([vm.plan, vm.image, vm.node, vm.connect], ['small', 'debian-12', NODE, `quarry ssh ${vm.id}`]);
    const { code, stdout, stderr } = await tenant.quarry(['ssh', vm.id, '--', 'uname', '-a;', 'id', '-un']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Linux first .*\nquarry\n$/);
    await dev.process.waitForLine(new RegExp(`^ +VM ${vm.id} +first +debian-12 .* running since`));
    assert.equal(dev.processes(/qemu-system/).length, 1);
    assert.equal((await tenant.json(['delete', vm.id, '--yes'])).status, null);
    await dev.process.waitForLine(new RegExp(`^ +VM ${vm.id} +gone`));
    const second = await tenant.json(['rent', '--yes', '--until', 'running'], { within: 300 * SECONDS });
    assert.equal(dev.processes(/qemu-system.*quarry-1-/).length, 1, `the guest of ${second.id} runs when the plug is pulled`);
    const seconds = await dev.ctrlC();
    assert.ok(seconds < patient(15), `it took ${seconds} s to stop`);
    assert.deepEqual(dev.left(), []);
    assert.deepEqual(machine(), before);
  });

  test('two at the same time, of which one’s heart and the other’s head are killed', { timeout: patient(15 * 60 * SECONDS) }, async () => {
    const before = machine();
    const [one, two] = await Promise.all([new Dev().isUp(), new Dev().isUp()]);
    const endpointOf = async ({ api }) => (await api.query.registry.nodes(NODE)).unwrap().access.endpoint.toUtf8();
    assert.notEqual(await endpointOf(one), await endpointOf(two));

    await one.forget();
    const [{ pid }] = one.processes(/^\S*node \S+main\.mjs/);
    process.kill(pid, 'SIGKILL');
    assert.equal((await one.process.ended).code, 1, one.process.tail());
    await one.leavesNothing();

    await two.forget();
    await two.process.kill();
    await two.leavesNothing();
    assert.deepEqual(machine(), before);
  });

  test('a part that ends by itself ends the rest, and it says which', { timeout: patient(10 * 60 * SECONDS) }, async () => {
    const dev = await new Dev('--test-driver').isUp();
    await dev.forget();
    const [{ pid }] = dev.processes(/quarry-worker run/);
    process.kill(pid, 'SIGKILL');
    assert.equal((await dev.process.ended).code, 1);
    assert.match(dev.process.stderr, /worker: ended by itself, by SIGKILL\. The last lines of \S+\/worker\.log:\n +\| /);
    assert.deepEqual(dev.left(), []);
  });

  test('on the test driver VMs run in name only', { timeout: patient(10 * 60 * SECONDS) }, async () => {
    const dev = await new Dev('--test-driver').isUp();
    const tenant = tenantOf(dev);
    const { id } = await tenant.json(['rent', '--yes', '--until', 'running'], { within: 300 * SECONDS });
    assert.equal((await tenant.json(['delete', id, '--yes'])).status, null);
    await dev.ctrlC();
    assert.deepEqual(dev.left(), []);
  });

  test('with --chain-only there is a chain, with the options that were given to it', { timeout: patient(5 * 60 * SECONDS) }, async () => {
    const dev = await new Dev('--chain-only', '--log', '--', '--name', 'mine').isUp();
    assert.equal((await dev.api.query.registry.nodes(NODE)).isNone, true);
    await dev.process.waitForLine(/Node name: mine/);
    await dev.ctrlC();
    assert.deepEqual(dev.left(), []);
  });

  test('it says which port is taken', async () => {
    const { port, release } = await occupyPort('127.0.0.1');
    const { code, stderr } = await run(SCRIPT, ['--chain-only', '--rpc-port', String(port)], { name: 'dev', env: programs() });
    await release();
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`port ${port} is taken.*--rpc-port`));
  });
});
