// What makes a chain a market with one host: images, a worker, and its node's registration.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, openSync, readFileSync, readSync, closeSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { developmentAccount, failureIn, eventOf, submit } from '../lib/chain.mjs';
import { rpc } from '../lib/rpc.mjs';
import { SECONDS, until } from '../lib/until.mjs';

export const NODE_ID = 'dev-1';
const GIB = 2 ** 30;
const MINER = 'Bob';
const REGISTER = join(import.meta.dirname, '..', 'examples', 'register.mjs');

/** What plan "small" takes a few times of, on a machine that has less too: disks and memory fill as guests use them. */
const LEAST = { vcpus: 8, memory_mib: 8_192, disk_gib: 200 };

/** The test guests, under the names that tenants ask for. */
export const guestImages = () => [{ name: 'debian-12', file: 'debian.qcow2' }, { name: 'busybox', file: 'busybox.qcow2' }];

/** An image for the test driver, on which nothing is. */
export function emptyImage(folder) {
  mkdirSync(folder);
  const file = 'empty.raw';
  writeFileSync(join(folder, file), '');
  truncateSync(join(folder, file), 2 ** 20);
  return [{ name: 'debian-12', file }];
}

/** The admin puts images on the chain, by their names in the worker's folder. */
export async function addImages(api, folder, images) {
  const calls = await Promise.all(images.map(async (image) => api.tx.compute.addImage(await onChain(folder, image))));
  const block = await submit(api, api.tx.sudo.sudo(api.tx.utility.batchAll(calls)), developmentAccount('//Alice'));
  const failure = failureIn(api, eventOf(block, 'sudo.Sudid').sudoResult);
  if (failure) throw new Error(`the images cannot be put on the chain: ${failure}`);
}

async function onChain(folder, { name, file }) {
  const path = join(folder, file);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const virtualSizeGib = Math.ceil(virtualSize(path) / GIB);
  const format = file.endsWith('.qcow2') ? 'Qcow2' : 'Raw';
  return { name, imageUrl: `file:///${file}`, digest: hash.digest(), format, virtualSizeGib, supersedes: null, enabled: true };
}

/** In bytes: of a qcow2 as its header has it. */
function virtualSize(path) {
  if (!path.endsWith('.qcow2')) return statSync(path).size;
  const header = Buffer.alloc(32);
  const file = openSync(path);
  readSync(file, header, 0, header.length, 0);
  closeSync(file);
  return Number(header.readBigUInt64BE(24));
}

export class Worker {
  #parts;
  #program;
  #host;
  #chain;
  #config;
  #settings;

  constructor(parts, { program, host, rpcPort, images, run }) {
    this.#parts = parts;
    this.#program = program;
    this.#host = host;
    this.#chain = `ws://127.0.0.1:${rpcPort}`;
    this.#config = join(run, 'worker.toml');
    this.nodeFile = join(run, 'node.json');
    this.#settings = `node_id = "${NODE_ID}"
data_dir = "${host.dataDir}"

[chain]
endpoints = ["ws://${host.machine}:${rpcPort}"]

[http]
listen = "127.0.0.1:0"

[images]
local_dir = "${images}"

# A small machine that boots a guest is busy, and takes another all the same.
[thresholds]
cpu_percent = 100
memory_percent = 100
storage_percent = 100
${host.sections}`;
    writeFileSync(this.#config, this.#settings);
  }

  #command(name, ...args) {
    return [`worker-${name}`, this.#program, [name, '--config', this.#config, ...args], { enter: this.#host.enter }];
  }

  /** Has its host measured, and registered by the miner. */
  async register() {
    await this.#parts.run(...this.#command('enroll', '--miner', developmentAccount(`//${MINER}`).address, '--out', this.nodeFile));
    const { capacity } = JSON.parse(readFileSync(this.nodeFile, 'utf8'));
    const offer = Object.entries(LEAST).flatMap(([what, least]) => [`--${what.replace('_', '-')}`, String(Math.max(least, capacity[what]))]);
    const args = [REGISTER, this.nodeFile, '--endpoint', this.#chain, '--dev', MINER, ...offer];
    return (await this.#parts.run('register', process.execPath, args)).trim();
  }

  /** There is KVM that libvirt offers and that runs no guest, as within some clouds' machines: then it goes without. */
  async avoidBrokenKvm() {
    if (!existsSync('/dev/kvm')) return false;
    const [name, program, args, options] = this.#command('check', '--json');
    const { checks } = JSON.parse(await this.#parts.run(name, program, args, { ...options, codes: [0, 1] }));
    const isBroken = checks.find(({ check }) => check === 'guests')?.verdict === 'failure';
    if (isBroken) writeFileSync(this.#config, `${this.#settings}\n[hypervisor]\naccelerator = "emulation"\n`);
    return isBroken;
  }

  /** Starts it, and waits until the chain gives new VMs to its node, in what is finalized: tenants go by that. */
  async start() {
    const [, program, args, options] = this.#command('run');
    const worker = this.#parts.start('worker', program, args, options);
    await until(`the node is online (the worker's log: ${worker.log})`, async (seen) => {
      const finalized = await rpc(this.#chain, 'chain_getFinalizedHead');
      const node = await rpc(this.#chain, 'compute_get_node', NODE_ID, finalized);
      seen(node ? `online: ${node.online}, takes VMs: ${node.takes_vms}` : 'not yet finalized');
      return node?.takes_vms;
    }, { within: 180 * SECONDS, every: 500 });
  }
}
