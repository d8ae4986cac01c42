// Nodes with a thousand VMs each, on libvirt's test driver: how soon the worker has started them, how soon it does
// what is asked next, and what it takes when nothing is asked. The bare loop does without a worker.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { targetDir } from '../lib/binary.mjs';
import { QRY, submit } from '../lib/chain.mjs';
import { GUEST_PLANS, GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { startTestLibvirtd } from '../lib/libvirtd.mjs';
import { tempDir } from '../lib/ours.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { sample } from './footprint.mjs';
import { place } from './worker-requests.mjs';
import { done, firstCalls, readings } from './worker-log.mjs';

export const VMS = 1_000;
const TENANTS = 10;
const RUNS_ON_DISK = 3;
const MEMORY = '/dev/shm';
const BARE_RUNS = 5;
/** How many VMs are asked to do each; those that boot are those that stopped. */
const OPERATIONS = { stop: 11, reboot: 10, boot: 11, remove: 4 };
const IDLE_SECONDS = 120;
const SETTLING = 10 * SECONDS;
const PLAN = 'tiny';

/** Room for the VMs, and for the one by which the image comes into the store. */
const OFFER = { capacity: roomFor(VMS + 10), maxVms: VMS + 10 };
/** More than the bond for that. */
const GIFT = 7_000n * QRY;

/** As an operator has it, but for addresses for so many, and for the log's lines that are measured by. */
const AS_SHIPPED = {
  operations: { shutdown_grace: '90s', resync: '30s', orphan_disk_delay: '1day' },
  network: { private: { user: true, gateway: '10.130.0.1/20' } },
  logs: { format: 'text', filter: 'info,quarry_worker::engine=debug' },
};

function roomFor(count) {
  const { vcpus, memory_mib: memory, disk_gib: disk } = GUEST_PLANS[PLAN];
  return { vcpus: count * vcpus, memoryMib: count * memory, diskGib: count * disk };
}

/** A node whose worker has a libvirtd of its own, and its files on the disk or in memory. */
class Site {
  constructor(name, { inMemory = false } = {}) {
    this.name = name;
    this.inMemory = inMemory;
  }

  async open() {
    this.libvirtd = await startTestLibvirtd();
    this.node = new GuestNode(this.name, { uri: this.libvirtd.uri });
    if (!this.inMemory) return this;
    this.folder = mkdtempSync(join(MEMORY, 'quarry-bench-'));
    process.on('exit', () => rmSync(this.folder, { recursive: true, force: true }));
    return this;
  }

  /** Starts its worker: anew, or once more on what it has. */
  async start(market) {
    if (this.worker) return this.worker.restart();
    const log = join(process.env.QUARRY_E2E_LOGS ?? tempDir('log'), `bench-${this.name}.log`);
    this.worker = await market.startWorker(this.node, { config: AS_SHIPPED, log, folder: this.folder });
    return this.worker;
  }

  get log() {
    return this.worker.log;
  }

  /** Processor seconds so far. */
  processorTime() {
    return { worker: sample(this.worker.process.pid).cpu, libvirtd: sample(this.libvirtd.process.pid).cpu };
  }

  async stop() {
    await this.worker?.stop();
    await this.libvirtd?.stop();
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function measureMarket(say) {
  const market = new GuestMarket();
  const tenants = Array.from({ length: TENANTS }, (_, number) => market.account(`tenant ${number}`));
  const onDisk = Array.from({ length: RUNS_ON_DISK }, (_, number) => new Site(`disk-${number}`));
  const sites = [new Site('memory', { inMemory: true }), ...onDisk];
  await Promise.all(sites.map((site) => site.open()));
  try {
    say('opening a market');
    await market.open({ hosts: sites.map(({ node }) => node), params: { launch_timeout: 150 } });
    await hush(market);
    await enlarge(market, sites);
    await warm(market, sites, tenants[0]);
    say(`placing ${sites.length} × ${VMS} requests`);
    await place(market, sites.map(({ node }) => node), tenants, { count: VMS, wishFor });
    say('the bare loop');
    const bare = await bareLoops();
    const launches = [];
    for (const site of sites) {
      say(`${VMS} launches, files ${site.inMemory ? 'in memory' : 'on disk'}`);
      launches.push(await launchAll(market, site));
      if (site !== sites.at(-1)) await site.stop();
    }
    const last = sites.at(-1);
    const idle = await measureIdle(last, say);
    const calls = await operate(market, last, tenants, say);
    const [inMemory, ...others] = launches;
    return { bare, launches: others, inMemory, idle, calls };
  } finally {
    await Promise.all(sites.map((site) => site.stop()));
    await market.close();
  }
}

/** Nobody reads along: decoding a block of so many events takes a core for seconds. */
async function hush(market) {
  await market.chronicle.close();
  market.chronicle = undefined;
}

/** Capacity for so many, whose bond is above what a test's miner has. */
async function enlarge(market, sites) {
  const { tx } = market.api;
  const gifts = sites.map(({ node }) => tx.balances.transferKeepAlive(node.miner.address, GIFT));
  await submit(market.api, tx.utility.batchAll(gifts), market.admin);
  await Promise.all(sites.map(({ node }) => (
    submit(market.api, tx.registry.updateOffer(node.id, { ...node.offer, ...OFFER }), node.miner)
  )));
}

/** Each worker launches one VM, and so has the image and knows its disk. */
async function warm(market, sites, tenant) {
  await Promise.all(sites.map(async (site) => {
    const worker = await site.start(market);
    await worker.isReady();
    await until(`${site.name} is online`, async () => {
      const record = await market.nodeRecord(site.node);
      return record.lastHeartbeat.isSome && record.workerAccepting.isTrue;
    }, { within: 90 * SECONDS });
  }));
  const { ids } = await market.createAll(tenant, ...sites.map(({ node }) => wishFor(node)));
  for (const id of ids) await market.untilStatus(id, 'Running');
  await Promise.all(sites.map(({ worker }) => worker.stop()));
}

const wishFor = ({ id }) => ({ node: id, plan: PLAN, image: 'busybox' });

/** The same domains without a worker, each time in a libvirtd of its own. */
async function bareLoops() {
  const program = join(targetDir(), 'release', 'examples', 'bare-loop');
  const runs = [];
  for (let run = 0; run < BARE_RUNS; run++) {
    const libvirtd = await startTestLibvirtd();
    const before = sample(libvirtd.process.pid).cpu;
    const seconds = Number(execFileSync(program, [libvirtd.uri, String(VMS)], { encoding: 'utf8' }));
    runs.push({ seconds, libvirtd: sample(libvirtd.process.pid).cpu - before });
    await libvirtd.stop();
  }
  return runs;
}

/**
 * A worker finds them all in the first finalized state that it sees: seconds from there to the last start, the
 * processor seconds until then, and the blocks from there to the last report.
 */
async function launchAll(market, site) {
  const since = Date.now();
  const before = sample(site.libvirtd.process.pid).cpu;
  await site.start(market);
  await until(`${VMS} VMs run`, (seen) => {
    const starts = startsIn(site.log) - 1;
    seen(`${starts} run`);
    return starts === VMS;
  }, { within: 120 * SECONDS, every: 200 });
  const cpu = site.processorTime();
  const reading = readings(site.log).find(({ at }) => at > since);
  if (reading.vms !== VMS + 1) throw new Error(`it saw ${reading.vms} VMs at first`);
  const steps = Object.fromEntries(['make-folder', 'define', 'start'].map((action) => (
    [action, done(site.log, action).filter(({ at }) => at > since)]
  )));
  const lastStart = Math.max(...steps.start.map(({ at }) => at));
  return {
    reading: (reading.at - reading.begun) / SECONDS,
    seconds: (lastStart - reading.begun) / SECONDS,
    worker: cpu.worker,
    libvirtd: cpu.libvirtd - before,
    blocks: await blocksToLastReport(market, site.node, reading.number, lastStart),
  };
}

/** Counted by a program that takes little, since the worker needs the processor now. */
function startsIn(log) {
  return Number(spawnSync('grep', ['--count', 'done action="start"', log], { encoding: 'utf8' }).stdout);
}

async function blocksToLastReport({ api, node: { view } }, node, from, lastStart) {
  let [block, reports, atStart] = [from, 0, from];
  while (reports < VMS) {
    const hash = await until(`block ${block + 1}`, () => view.hashAt(block + 1), { within: 60 * SECONDS });
    block += 1;
    const at = await api.at(hash);
    if ((await at.query.timestamp.now()).toNumber() <= lastStart) atStart = block;
    for (const { event } of await at.query.system.events()) {
      const isReport = api.events.compute.ComputeRequestFulfilled.is(event);
      if (isReport && event.data.nodeId.eq(node.id)) reports += 1;
    }
    if (block > from + 50) throw new Error(`${reports} reports in ${block - from} blocks`);
  }
  return block - atStart;
}

/** All of its VMs run, and nobody asks for anything. */
async function measureIdle(site, say) {
  await until('its reports are finalized', async () => {
    return /^quarry_worker_reports_under_way 0$/m.test(await site.worker.get('/metrics'));
  }, { within: 60 * SECONDS });
  say(`watching an idle worker for ${IDLE_SECONDS} s`);
  await pause(SETTLING);
  const begin = sample(site.worker.process.pid);
  await pause(IDLE_SECONDS * SECONDS);
  const end = sample(site.worker.process.pid);
  return { seconds: end.at - begin.at, cpuShare: (end.cpu - begin.cpu) / (end.at - begin.at), rss: end.rss };
}

/** One operation in each block, on a VM each: milliseconds from the finalized block to the first call to libvirt. */
async function operate(market, site, tenants, say) {
  const { api } = market;
  const ofNode = new Set((await api.query.compute.minerComputeRequests.keys(site.node.id)).map(({ args }) => args[1].toString()));
  const requests = (await api.query.compute.computeRequests.keys()).map(({ args: [owner, id] }) => ({ owner: owner.toString(), id }));
  const queue = asked(requests.filter(({ id }) => ofNode.has(id.toString())));
  const accountOf = new Map(tenants.map((account) => [account.address, account]));
  say(`${queue.length} operations, one in each block`);
  const since = Date.now();
  for (const { call, vm } of queue) await market.do(accountOf.get(vm.owner), api.tx.compute[call](vm.id));
  return until('the worker did them', (seen) => {
    const calls = firstCalls(site.log).filter(({ at }) => at > since);
    seen(`${calls.length} of ${queue.length}`);
    return calls.length >= queue.length && calls.map(({ after }) => after);
  }, { within: 60 * SECONDS });
}

/** What is asked of which VM, in this order. */
function asked(vms) {
  const { stop, reboot, boot, remove } = OPERATIONS;
  const from = (start, count, call) => vms.slice(start, start + count).map((vm) => ({ call, vm }));
  return [
    ...from(0, stop, 'requestComputeStop'),
    ...from(stop, reboot, 'requestComputeReboot'),
    ...from(0, boot, 'requestComputeBoot'),
    ...from(stop + reboot, remove, 'requestComputeDelete'),
  ];
}
