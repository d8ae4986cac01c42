// Three validators and an RPC node, each in a namespace of its own.
import { GuestMarket } from '../lib/guest-market.mjs';
import { Network } from '../lib/network.mjs';
import { tempDir } from '../lib/ours.mjs';
import { RPC_PORT } from '../lib/port.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { startOnHost } from '../lib/validators.mjs';

/** Where the hypervisor hosts are. */
const LAB = '10.44.0.0/24';
export const RPC = 'rpc';
export const VALIDATORS = ['alice', 'bob', 'charlie'];
/** On which side of the network that a drill cuts each is. */
const SIDES = { alice: 'left', bob: 'left', charlie: 'right', [RPC]: 'right' };

/**
 * All of three must vote: GRANDPA finalizes nothing while one of them is gone. History is kept, so that it can be read
 * at the end.
 */
export class StageChain {
  #network = new Network();
  #hosts;
  #folders;
  #programs;
  #flags;
  /** Those that were started, by name. */
  nodes = {};

  /** `programs` are chain nodes other than the one under test, by name; `flags` are more flags by name. */
  constructor({ sides = {}, programs = {}, flags = {} } = {}) {
    this.#hosts = Object.fromEntries(Object.entries({ ...SIDES, ...sides }).map(([name, side]) => [name, this.#network.addHost(name, side)]));
    for (const host of Object.values(this.#hosts)) this.#network.letIn(host, LAB);
    this.#folders = Object.fromEntries(this.names.map((name) => [name, tempDir(name)]));
    this.#programs = { ...programs };
    this.#flags = flags;
  }

  get names() {
    return Object.keys(this.#hosts);
  }

  folderOf(name) {
    return this.#folders[name];
  }

  /** Where a node's RPC is, whether it runs or not. */
  urlOf(name) {
    return `ws://${this.#hosts[name].management}:${RPC_PORT}`;
  }

  /** Starts one, anew or on what it had. */
  async start(name) {
    const peers = Object.values(this.#hosts).filter((host) => host.name !== name);
    const role = name === RPC ? [] : [`--${name}`];
    this.nodes[name] = await startOnHost(this.#hosts[name], {
      chain: this.spec, basePath: this.#folders[name], peers, program: this.#programs[name],
      flags: [...role, '--state-pruning', 'archive', ...(this.#flags[name] ?? [])],
    });
    return this.nodes[name];
  }

  startAll() {
    return Promise.all(this.names.map((name) => this.start(name)));
  }

  /** As a crash; all validators are needed for finality. */
  kill(name) {
    return this.nodes[name].kill();
  }

  async stop(name) {
    return this.nodes[name].stop();
  }

  /** Everything ends. */
  async close() {
    const ended = await Promise.allSettled(Object.values(this.nodes).map((node) => node.stop()));
    this.#network.close();
    const failed = ended.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Replaces its program: from its next start on it is that one. */
  update(name, program) {
    this.#programs[name] = program;
  }

  /** Parts left from right. */
  cut() {
    this.#network.cut();
  }

  heal() {
    this.#network.heal();
  }

  /** Takes one from the others; its RPC still answers. */
  cutOff(name) {
    this.#network.cutOff(this.#hosts[name]);
  }

  rejoin(name) {
    this.#network.rejoin(this.#hosts[name]);
  }

  get living() {
    return Object.values(this.nodes).filter(({ process }) => !process.end);
  }

  /** Waits until all that live have finalized so many blocks more than the first of them has now. */
  async finalizes(more = 2, { within = 300 * SECONDS } = {}) {
    const goal = Math.max(...await until('the chain nodes answer', () => this.finalized(), { within })) + more;
    return until(`block ${goal} is final everywhere`, async (seen) => {
      const numbers = await this.finalized();
      seen(this.living.map(({ name }, index) => `${name}: ${numbers[index]}`).join(', '));
      return numbers.every((number) => number >= goal) && goal;
    }, { within, every: 500 });
  }

  finalized() {
    return Promise.all(this.living.map(({ view }) => view.finalized()));
  }

  /** The last block that is final for all that live, by number and hash; fails where they do not agree. */
  async agreed() {
    const number = Math.min(...await this.finalized());
    const hashes = await Promise.all(this.living.map(({ view }) => view.hashAt(number)));
    if (new Set(hashes).size !== 1) {
      throw new Error(`block ${number} is final and differs: ${this.living.map(({ name }, index) => `${name}: ${hashes[index]}`).join(', ')}`);
    }
    return { number, hash: hashes[0] };
  }
}

/** A market on that chain; it reads by the RPC node. */
export class StageMarket extends GuestMarket {
  #chain;
  #sessionLength;

  constructor(chain, { sessionLength }) {
    super();
    this.#chain = chain;
    this.#sessionLength = sessionLength;
  }

  async chainSpec(options) {
    this.#chain.spec = await super.chainSpec({
      ...options, like: 'local', chainType: 'Local',
      change: ({ validators, session }) => {
        validators.validators = validators.validators.slice(0, VALIDATORS.length);
        session.keys = session.keys.slice(0, VALIDATORS.length);
        validators.sessionLength = this.#sessionLength;
      },
    });
    return this.#chain.spec;
  }

  async startNode() {
    await this.#chain.startAll();
    await this.#chain.finalizes();
    this.node = this.#chain.nodes[RPC];
  }
}
