// One node whose worker is ended at named points, and what there has to be afterwards, on the chain and on the host,
// as if it had not been.
import assert from 'node:assert/strict';
import { open as openFile } from 'node:fs/promises';
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { GUEST_PLANS } from './guest-market.mjs';
import { planId } from './market.mjs';
import { run } from './process.mjs';
import { foldersIn, isOnline, manifestIn, vmOf, vmsOf } from './test-nodes.mjs';
import { SECONDS, until } from './until.mjs';

/** Instead of a point: it is ended from outside when the report is in a block that is not final yet. */
export const WHEN_REPORTED = 'when the report is in a block';
/** Live blocks after which a node that fell silent may be left, beside those after which it counts as offline. */
export const EVICT_AFTER = 1;
export const FALSE_IMAGE = 'false';

/** What tells of a report that landed. */
const REPORTS = [
  'ComputeRequestFulfilled', 'ComputeRequestFailed', 'ComputeBootRequestRemoved', 'ComputeStopRequestRemoved',
  'ComputeRebootRequestFulfilled', 'ComputeResizeRequestFulfilled', 'ComputeDeletionRequestRemoved', 'OperationFailed',
];
const LIFECYCLE = /^event 'lifecycle' for domain 'quarry-(\d+)-[^']*': (Defined Added|Started|Suspended|Resumed|Stopped|Undefined)/;
const FILES = ['disk.qcow2', 'host_key', 'seed.img', 'vm.json'];
/** Drafts that a crash at these points leaves. */
const DRAFTS_AT = { 'in-make-folder': 1, 'in-remove-folder': 1 };
const GIB = 2 ** 30;
const QCOW2_MAGIC = Buffer.from('QFI\xfb', 'latin1');

const ask = (call, ...args) => (site, vm) => site.market.do(site.tenant, site.market.api.tx.compute[call](vm.id, ...args));
const asMiner = (call, ...args) => (site, vm) => site.market.do(site.node.miner, site.market.api.tx.compute[call](vm.id, ...args));
const virsh = (command) => async (site, vm) => site.node.libvirtd.virsh(command, (await vmOf(site.node.libvirtd, vm.id)).name);
const rent = (wish) => async (site, vm) => {
  await isOnline(site.market, site.node);
  vm.id = await site.market.rent(site.tenant, { on: site.node, ...wish });
};
const gone = (more) => ({ state }) => ({
  state: undefined, ...more,
  lifecycle: { ...(state === 'running' && { Stopped: 1 }), Undefined: 1, ...more.lifecycle },
});

/**
 * What may be asked of a VM. `ask` goes to the chain while the worker runs, `meddle` to the host while it does not;
 * `meanwhile` goes to the chain after the crash. `end` is how it ends: what changes of what there is to see of the
 * VM, the report that lands, and what libvirt does once for it. `mend` undoes what was done for it alone.
 */
const OPERATIONS = {
  launch: {
    ask: rent({}),
    end: () => ({ status: 'Running', state: 'running', report: 'ComputeRequestFulfilled', lifecycle: { 'Defined Added': 1, Started: 1 } }),
  },
  'launch of a false image': {
    ask: rent({ image: FALSE_IMAGE }),
    end: () => ({ status: 'Failed', report: 'ComputeRequestFailed' }),
  },
  'launch that is given up meanwhile': {
    ask: rent({}),
    meanwhile: ask('requestComputeDelete'),
    end: () => ({ status: 'gone', report: 'ComputeDeletionRequestRemoved' }),
  },
  stop: {
    ask: ask('requestComputeStop'),
    end: () => ({ status: 'Stopped', state: 'shut off', report: 'ComputeStopRequestRemoved', lifecycle: { Stopped: 1 } }),
  },
  boot: {
    ask: ask('requestComputeBoot'),
    end: () => ({ status: 'Running', state: 'running', report: 'ComputeBootRequestRemoved', lifecycle: { Started: 1 } }),
  },
  reboot: {
    ask: ask('requestComputeReboot'),
    end: () => ({ report: 'ComputeRebootRequestFulfilled', lifecycle: { Stopped: 1, Started: 1 } }),
  },
  resize: {
    ask: ask('requestComputeResize', planId('tiny-grown')),
    end: () => ({ plan: 'tiny-grown', report: 'ComputeResizeRequestFulfilled' }),
  },
  'resize of a damaged disk': {
    ask: ask('requestComputeResize', planId('tiny-grown')),
    meddle: (site, vm) => site.overwriteDisk(vm, Buffer.from('oops')),
    end: () => ({ report: 'OperationFailed' }),
    mend: (site, vm) => site.overwriteDisk(vm, QCOW2_MAGIC),
  },
  'first address': {
    ask: asMiner('assignIpToVm', { V4: [192, 0, 2, 10] }),
    end: ({ seeds }) => ({ address: '192.0.2.10', seeds: seeds + 1 }),
  },
  'other address': {
    ask: asMiner('assignIpToVm', { V4: [192, 0, 2, 11] }),
    end: ({ seeds }) => ({ address: '192.0.2.11', seeds: seeds + 1 }),
  },
  'no address': {
    ask: asMiner('releaseIpFromVm'),
    end: ({ seeds }) => ({ address: null, seeds: seeds + 1 }),
  },
  'death of the guest': {
    meddle: virsh('destroy'),
    end: () => ({ lifecycle: { Stopped: 1, Started: 1 } }),
  },
  'pause from outside': {
    meddle: virsh('suspend'),
    end: () => ({ lifecycle: { Suspended: 1, Resumed: 1 } }),
  },
  'loss of the disk': {
    meddle: (site, vm) => rmSync(join(site.folderOf(vm), 'disk.qcow2')),
    end: gone({ status: 'Failed', report: 'ComputeRequestFailed' }),
  },
  delete: {
    ask: ask('requestComputeDelete'),
    end: gone({ status: 'gone', report: 'ComputeDeletionRequestRemoved' }),
  },
  evacuation: {
    meddle: async (site, vm) => {
      await site.isGivenUp();
      await ask('evacuate')(site, vm);
    },
    end: gone({ status: 'Pending' }),
  },
  'closure by the admin': {
    ask: (site, vm) => site.market.asAdmin(site.market.api.tx.compute.forceClose(vm.id)),
    end: gone({ status: 'gone' }),
  },
};

export class CrashSite {
  /** What there has to be of each VM, by the test's name for it. */
  #vms = new Map();
  /** What the worker may start from: that block has to be final. */
  #since = 0;

  constructor({ market, node, tenant }) {
    Object.assign(this, { market, node, tenant });
  }

  async open() {
    const { compute } = this.market.api.tx;
    const pool = { Node: this.node.id };
    const gateway = { V4: [192, 0, 2, 1] };
    await this.market.do(this.node.miner,
      compute.setIpPool(pool, { prefixLen: 24, gateway, dns: gateway }), compute.addIps(pool, { V4: [192, 0, 2, 10] }, 2));
    this.worker = await this.market.startWorker(this.node, {
      // Whoever is left waiting by one node is nothing to another.
      config: { claims: { enabled: false }, network: { own: { user: true } } },
    });
    await this.worker.isReady();
  }

  /**
   * Asks something of a VM, ends the worker at each of these points one after another, and waits until all is as if
   * it had not been ended.
   */
  async endure(operation, name, points) {
    const { ask: asked, meddle, meanwhile, end, mend } = OPERATIONS[operation];
    const vm = this.#vms.get(name) ?? { plan: 'tiny', seeds: 1, address: null, reports: {}, lifecycle: {} };
    this.#vms.set(name, vm);
    await asked?.(this, vm);
    // What was reported before is not final yet, and would be done again.
    await this.worker.stop();
    await meddle?.(this, vm);
    await this.#isFinal(this.#since);
    expect(vm, end(vm));
    for (const point of points) await (point === WHEN_REPORTED ? this.#endWhenReported() : this.#endAt(point));
    if (meanwhile) await this.#isFinal((await meanwhile(this, vm)).number);
    this.worker.start();
    await this.#isAsExpectedOnChain();
    if (mend) {
      // What is not final would be done again, and then succeed.
      await this.#isFinal(await this.#bestNumber());
      await mend(this, vm);
    }
    await this.isAsExpected();
    this.#since = await this.#bestNumber();
  }

  async #bestNumber() {
    return (await this.market.api.rpc.chain.getHeader()).number.toNumber();
  }

  async #endAt(point) {
    this.worker.start({ QUARRY_CRASH_AT: point });
    const { signal } = await this.worker.crashed();
    assert.equal(signal, 'SIGABRT');
    assert.equal(this.#drafts().length, DRAFTS_AT[point] ?? 0, `drafts after ${point}`);
    this.#remember();
  }

  async #endWhenReported() {
    this.worker.start();
    await until('the report is in a block', () => this.#chainIsAsExpected(), { within: 120 * SECONDS, every: 100 });
    await this.worker.kill9();
    const final = await this.#finalNumber();
    const last = this.market.chronicle.entries.at(-1).block;
    assert.ok(final < last, `block ${last} with the report is final, as ${final} is`);
  }

  /** Waits until chain and host have what they should, and nothing else. */
  async isAsExpected() {
    await this.#isAsExpectedOnChain();
    await until('the host is as without the crash', async () => {
      const [domains, expected] = [await vmsOf(this.node.libvirtd), this.#expectedOnHost()];
      this.#remember();
      assert.deepEqual({ domains: byId(domains), ...this.#seenOnHost() }, expected);
      return true;
    }, { within: 60 * SECONDS, every: 1 * SECONDS });
    await Promise.all(this.#there().map((vm) => this.#assertSound(vm)));
  }

  #isAsExpectedOnChain() {
    return until('the chain is as without the crash', () => this.#chainIsAsExpected(), { within: 180 * SECONDS });
  }

  /** Waits until the node has been silent for so long that its VMs may be taken from it. */
  async isGivenUp() {
    const { lastSeen } = await this.market.nodeRecord(this.node);
    const offlineAfter = this.market.api.consts.registry.offlineAfter.toNumber();
    await this.market.untilLive(lastSeen.unwrap().toNumber() + offlineAfter + EVICT_AFTER + 1);
  }

  /** Writes over the beginning of a disk, which stays the same file. */
  async overwriteDisk(vm, bytes) {
    const disk = await openFile(join(this.folderOf(vm), 'disk.qcow2'), 'r+');
    await disk.write(bytes, 0, bytes.length, 0);
    await disk.close();
  }

  folderOf(vm) {
    const [name] = this.#folders().filter((name) => idIn(name) === String(vm.id));
    return join(this.worker.dataDir, 'vms', name);
  }

  /** For whoever reads of a failure. */
  describe() {
    return [...this.#vms].map(([name, { id }]) => `VM ${name} is request ${id}`).concat(this.worker?.process.tail(60) ?? []).join('\n');
  }

  async #chainIsAsExpected() {
    const statuses = await Promise.all(this.#all().map((vm) => this.#statusOf(vm)));
    const seen = this.#all().map((vm, index) => [String(vm.id), statuses[index], this.#reportsOn(vm)]);
    assert.deepEqual(seen, this.#all().map((vm) => [String(vm.id), vm.status, vm.reports]));
    return true;
  }

  async #statusOf(vm) {
    if ((await this.market.api.query.compute.requestOwner(vm.id)).isNone) return 'gone';
    const { status, operation } = await this.market.request(vm.id);
    return operation.isNone ? status.type : `${status.type}, asked: ${operation.unwrap().kind.type}`;
  }

  /** How often each kind of report on a VM landed. */
  #reportsOn(vm) {
    const names = REPORTS.filter((name) => this.#countOf(name, vm) > 0);
    assert.ok(this.#countOf('ComputeRequestStarted', vm) <= 1, 'a launch is told to be under way once at most');
    assert.equal(this.#countOf('DeadlineExpired', vm), 0, 'nothing took too long');
    return Object.fromEntries(names.map((name) => [name, this.#countOf(name, vm)]));
  }

  #countOf(name, vm) {
    return this.market.chronicle.all(`compute.${name}`, (data) => data.requestId.eq(vm.id)).length;
  }

  #expectedOnHost() {
    const there = this.#there().toSorted((a, b) => Number(a.id) - Number(b.id));
    return {
      domains: there.map(({ id, state }) => [String(id), state]),
      folders: there.map(({ id, seeds, address, plan, kept }) => ({
        id: String(id), files: FILES, started: true, orphan: null, seeds, address, kept,
        defined: { ...GUEST_PLANS[plan], address }, disk_gib: GUEST_PLANS[plan].disk_gib,
      })),
      lifecycle: Object.fromEntries(this.#all().filter(({ lifecycle }) => Object.keys(lifecycle).length > 0)
        .map(({ id, lifecycle }) => [String(id), lifecycle])),
      drafts: [],
      downloads: [],
      twice: [],
    };
  }

  #seenOnHost() {
    const manifests = this.#folders().map((name) => ({ name, ...manifestIn(this.worker.dataDir, name) }));
    const addresses = manifests.map((manifest) => manifest.private_address ?? manifest.shape.address);
    const folders = manifests.map(({ name, ...manifest }) => ({
      id: idIn(name),
      files: readdirSync(join(this.worker.dataDir, 'vms', name)).sort(),
      started: manifest.started,
      orphan: manifest.orphan_since,
      seeds: manifest.seeds,
      address: manifest.shape.address,
      kept: identityOf(join(this.worker.dataDir, 'vms', name)),
      defined: manifest.defined,
      disk_gib: manifest.shape.disk_gib,
    }));
    return {
      folders: folders.toSorted((a, b) => Number(a.id) - Number(b.id)),
      lifecycle: this.#lifecycle(),
      drafts: this.#drafts(),
      downloads: readdirSync(join(this.worker.dataDir, 'images', 'partial')),
      twice: addresses.filter((address, index) => addresses.indexOf(address) !== index),
    };
  }

  /** What libvirt did, and how often, by request. */
  #lifecycle() {
    const counts = {};
    for (const line of this.node.libvirtd.holder.lines) {
      const [, id, what] = LIFECYCLE.exec(line) ?? [];
      if (!id) continue;
      counts[id] ??= {};
      counts[id][what] = (counts[id][what] ?? 0) + 1;
    }
    return counts;
  }

  /** The size of the domain and of the disk, and the names and the key that the chain has of them. */
  async #assertSound(vm) {
    const { vcpus, memory_mib: memory, disk_gib: disk } = GUEST_PLANS[vm.plan];
    const { name, uuid } = await vmOf(this.node.libvirtd, vm.id);
    const xml = await this.node.libvirtd.virsh('dumpxml', '--inactive', name);
    assert.match(xml, new RegExp(`<vcpu[^>]*>${vcpus}</vcpu>`));
    assert.match(xml, new RegExp(`<memory [^>]*unit='KiB'>${memory * 1_024}</memory>`));
    const { jobId } = (await this.market.api.query.compute.minerComputeRequests(this.node.id, vm.id)).unwrap();
    assert.equal(jobId.unwrap().toHuman(), uuid);
    const { stdout } = await run('qemu-img', ['info', '--output=json', join(this.folderOf(vm), 'disk.qcow2')], { name: 'qemu-img' });
    assert.equal(JSON.parse(stdout)['virtual-size'], disk * GIB);
    const key = await run('ssh-keygen', ['-y', '-f', join(this.folderOf(vm), 'host_key')], { name: 'ssh-keygen' });
    const KEY_BYTES = 32;
    const ofFolder = Buffer.from(key.stdout.split(' ')[1], 'base64').subarray(-KEY_BYTES);
    assert.equal(Buffer.from(await this.market.hostKeyOf(this.node, vm.id)).toString('hex'), ofFolder.toString('hex'));
  }

  /** From the moment that it is there a VM's disk stays the same file. */
  #remember() {
    for (const vm of this.#all()) {
      const name = this.#folders().find((folder) => idIn(folder) === String(vm.id));
      if (name) vm.kept ??= identityOf(join(this.worker.dataDir, 'vms', name));
    }
  }

  #all() {
    return [...this.#vms.values()];
  }

  #there() {
    return this.#all().filter(({ state }) => state);
  }

  #folders() {
    return foldersIn(this.worker.dataDir).filter((name) => !name.startsWith('.'));
  }

  #drafts() {
    return foldersIn(this.worker.dataDir).filter((name) => name.startsWith('.'));
  }

  #isFinal(number) {
    return until(`block ${number} is final`, async () => await this.#finalNumber() >= number, { within: 120 * SECONDS });
  }

  async #finalNumber() {
    const { rpc } = this.market.api;
    return (await rpc.chain.getHeader(await rpc.chain.getFinalizedHead())).number.toNumber();
  }
}

/** Brings what there has to be of a VM up to date. */
function expect(vm, { report, lifecycle = {}, ...changes }) {
  Object.assign(vm, changes);
  if (report) add(vm.reports, report);
  for (const [what, times] of Object.entries(lifecycle)) add(vm.lifecycle, what, times);
}

function add(counts, name, times = 1) {
  counts[name] = (counts[name] ?? 0) + times;
}

const idIn = (name) => /^quarry-(\d+)-/.exec(name)?.[1];

const byId = (domains) => domains.map(({ name, state }) => [idIn(name), state]).toSorted(([a], [b]) => Number(a) - Number(b));

/** Of files that are never made anew; an inode's number alone may be given again. */
function identityOf(folder) {
  return ['disk.qcow2', 'host_key'].map((file) => {
    const path = join(folder, file);
    if (!existsSync(path)) return `${file} is missing`;
    const { ino, birthtimeNs } = statSync(path, { bigint: true });
    return `${file}: ${ino} of ${birthtimeNs}`;
  });
}

/** All points of the worker's sources: before and after each action, and those that stand alone. */
export function pointsOf(sources) {
  const files = readdirSync(sources, { recursive: true }).filter((name) => name.endsWith('.rs') && name !== 'crash.rs');
  const texts = files.map((name) => readFileSync(join(sources, name), 'utf8'));
  const names = /fn name\(action: &Action\)[^{]*\{(.*?)\n\}/s.exec(readFileSync(join(sources, 'engine', 'lane.rs'), 'utf8'))[1];
  const actions = [...names.matchAll(/=> "([^"]+)"/g)].map(([, name]) => name);
  const around = ['before', 'after'].flatMap((when) => actions.map((name) => `${when}-${name}`));
  const alone = texts.flatMap((text) => [...text.matchAll(/crash::point\(([^)]*)\)/g)]).flatMap(([call, args]) => {
    const [, when, what] = /^\s*"([^"]+)",\s*("[^"]+"|\w+),?\s*$/.exec(args) ?? assert.fail(`not understood: ${call}`);
    if (what.startsWith('"')) return `${when}-${what.slice(1, -1)}`;
    return actions.map((name) => `${when}-${name}`);
  });
  return [...new Set([...around, ...alone])].sort();
}
