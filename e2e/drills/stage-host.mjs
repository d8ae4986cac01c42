// A miner's host on the stage: its libvirt, its worker, and what a drill does to them.
import { closeSync, existsSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GuestNode } from '../lib/guest-market.mjs';
import { Process } from '../lib/process.mjs';
import { SECONDS, until } from '../lib/until.mjs';

/** On the test driver addresses are but words, and there are enough for every VM. */
const WITHOUT_A_NETWORK = { own: { user: true }, private: { user: true, gateway: '10.130.0.1/20' } };
const FILLER = 'filler';
const QEMU_LOGS = '/var/log/libvirt/qemu';

export class StageHost {
  #settings;
  #witness;
  #said = [];
  #logged = {};
  /** How often the plug was pulled: each time the worker starts again what should run. */
  reboots = 0;

  /** With an own clock and an own disk a drill may make the one jump and the other fill. */
  constructor(stage, lab, { name, offer, addresses, config = {}, endpoints, env = {}, ownClock = false, ownDisk = false }) {
    this.stage = stage;
    this.hasOwnClock = ownClock;
    this.hasOwnDisk = ownDisk;
    this.lab = lab;
    const uri = lab.testDriver ? lab.uri : undefined;
    this.node = new GuestNode(name, { host: lab, uri, offer, addresses });
    this.#settings = { config: lab.testDriver ? { ...config, network: { ...WITHOUT_A_NETWORK, ...config.network } } : config, endpoints, env: ownClock ? { ...this.#ownClock(), ...env } : env };
  }

  /** The node's name on the chain. */
  get id() {
    return this.node.id;
  }

  get dataDir() {
    return join(this.lab.folder, 'worker');
  }

  async startWorker(env = {}) {
    const all = { ...this.#settings.env, ...env };
    if (this.worker) this.worker.start(all);
    else {
      const { config, endpoints } = this.#settings;
      const chain = endpoints.map((name) => this.stage.chain.urlOf(name));
      this.worker = await this.stage.market.startWorker(this.node, { chain, config, env: all });
    }
    return this.worker;
  }

  /** Ends the worker as a crash does. */
  killWorker() {
    return this.worker.kill9();
  }

  stopWorker() {
    return this.worker.stop();
  }

  /** Guests run on; not for the test driver, whose state dies with its daemon. */
  killLibvirtd() {
    if (this.lab.testDriver) throw new Error(`${this.id}: the test driver would forget its domains`);
    return this.lab.killLibvirtd();
  }

  async startLibvirtd() {
    await this.lab.restartLibvirtd();
    await this.watch();
  }

  async reboot() {
    await this.powerOff();
    await this.powerOn();
  }

  /** Pulls the plug: only disks stay. */
  async powerOff() {
    await this.killWorker();
    await this.lab.powerOff();
  }

  /** What should run is the worker's to start. */
  async powerOn() {
    await this.lab.powerOn();
    this.reboots += 1;
    await this.watch();
    await this.startWorker();
  }

  /** Pulls the plug, and puts in a new disk, on which there is only a libvirt that was set up anew; the worker is not started. */
  async replaceDisk() {
    await this.killWorker();
    this.#logged = await this.#qemuLogs();
    await this.lab.replaceDisk();
    this.reboots += 1;
    await this.watch();
  }

  /** From here on nothing gets to the chain nodes, the image server, or anywhere, nor comes from there. */
  cutOff() {
    this.lab.cutChain();
  }

  rejoin() {
    this.lab.healChain();
  }

  /** Fills the disk of the worker's files, which must be one of its own. The worker may write meanwhile. */
  fillDisk() {
    const zeros = Buffer.alloc(1 << 20);
    const filler = openSync(join(this.lab.folder, FILLER), 'a');
    try {
      for (let size = zeros.length; size > 0; size >>= 1) while (isWritten(filler, zeros, size));
    } finally {
      closeSync(filler);
    }
  }

  freeDisk() {
    rmSync(join(this.lab.folder, FILLER), { force: true });
  }

  /** Makes the clock of a worker that was given one of its own differ from the machine's by so much, from now on. */
  jumpClock(seconds) {
    writeFileSync(this.#clock, `${seconds >= 0 ? '+' : ''}${seconds}\n`);
  }

  get #clock() {
    return join(this.lab.etc, 'clock');
  }

  /** What a clock is for: the time of day. Waits go by another, which does not jump. */
  #ownClock() {
    this.jumpClock(0);
    return { LD_PRELOAD: faketime(), FAKETIME_TIMESTAMP_FILE: this.#clock, FAKETIME_CACHE_DURATION: '1', DONT_FAKE_MONOTONIC: '1' };
  }

  virsh(...args) {
    return this.lab.virsh(...args);
  }

  domains() {
    return this.lab.domains();
  }

  /** From here on libvirt's own words are kept on what it does: they are a witness beside the worker's. */
  async watch() {
    if (this.lab.testDriver) return;
    this.#said = this.libvirtSaid();
    this.#witness = new Process('virsh', ['--connect', this.lab.uri, 'event', '--all', '--loop'], { name: `${this.id}-witness`, enter: this.lab.enter });
  }

  /** Whether somebody listens. */
  get hears() {
    return this.lab.testDriver || this.#witness !== undefined && !this.#witness.end;
  }

  /** Lines of `virsh event`; while libvirtd is down nobody tells. */
  libvirtSaid() {
    if (this.lab.testDriver) return this.lab.libvirtd.holder.lines;
    return [...this.#said, ...(this.#witness?.lines ?? [])];
  }

  /** How often QEMU was started for a domain. */
  async qemuStarts(name) {
    return (await this.qemuDeeds())[name]?.Started ?? 0;
  }

  /** How often QEMU was started, and lost, by domain: of libvirt's logs, which outlive everything but the disk. */
  async qemuDeeds() {
    return Object.fromEntries(Object.entries(await this.#qemuLogs()).map(([name, lines]) => [name, deedsIn(lines)]));
  }

  /** Also what they said before the disk was replaced. */
  async #qemuLogs() {
    const said = await this.lab.run('sh', '-c', `grep -sH '' ${QEMU_LOGS}/quarry-*.log || true`);
    const logs = { ...this.#logged };
    for (const [, name, line] of said.matchAll(/^\S*\/(quarry-[^/:]*)\.log:(.*)$/gm)) logs[name] = [...(logs[name] ?? []), line];
    return logs;
  }

  /** The serial console of a VM, by its folder's name. */
  consoleOf(name) {
    return readFileSync(join(this.dataDir, 'vms', name, 'serial.log'), 'utf8');
  }

  isReady({ within = 120 * SECONDS } = {}) {
    return this.worker.isReady({ within });
  }

  /** Waits until none of the worker's reports is under way. */
  hasReported({ within = 120 * SECONDS } = {}) {
    return until(`${this.id} has reported everything`, async () => (
      /^quarry_worker_reports_under_way 0$/m.test(await this.worker.get('/metrics'))
    ), { within });
  }
}

/**
 * What libvirt's log of a domain says. QEMU is lost where it dies by itself, and where libvirtd dies while it starts it:
 * the next libvirtd ends such a one. Of one that libvirtd had not noted yet nobody says an end, as after a power cut.
 */
export function deedsIn(lines) {
  const deeds = { Started: 0, lost: 0, forgotten: 0 };
  let isOpen = false;
  for (const line of lines) {
    const isStart = /: starting up libvirt version/.test(line);
    const end = /: shutting down, reason=(\w+)$/.exec(line)?.[1];
    if (isStart) deeds.Started += 1;
    if (isStart && isOpen) deeds.forgotten += 1;
    if (['crashed', 'daemon'].includes(end)) deeds.lost += 1;
    if (isStart || end) isOpen = isStart;
  }
  return deeds;
}

/** Whether there was room for all of it. */
function isWritten(file, bytes, size) {
  try {
    return writeSync(file, bytes, 0, size) === size;
  } catch (error) {
    if (error.code === 'ENOSPC') return false;
    throw error;
  }
}

function faketime() {
  const libraries = readdirSync('/usr/lib').map((folder) => join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'));
  const found = libraries.find((path) => existsSync(path));
  if (!found) throw new Error('libfaketime is not installed: scripts/setup --for-tests installs it');
  return found;
}
