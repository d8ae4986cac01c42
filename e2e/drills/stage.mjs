// The whole market in one sandbox (lib/sandbox.mjs), real parts only, each with handles to break it by:
//
//   alice, bob ═╪═ charlie, rpc      three validators and an RPC node, 10.42.0.n, on the two sides of a link to cut
//        rpc ─── the drill ─── h1, h2, h3      miners' hosts in a lab (lib/lab.mjs), whose workers dial the RPC node
//
// Every chain node and host has a network namespace of its own; every host its own libvirt, run, state and image
// folders. Where numbers matter a host has libvirt's test driver, where guests matter QEMU under emulation.
import { stringToHex } from '@polkadot/util';
import { connect } from '../lib/chain.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { isOnline } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { History } from './history.mjs';
import { Sender } from './sender.mjs';
import { RPC, StageChain, StageMarket } from './stage-chain.mjs';
import { StageHost } from './stage-host.mjs';

export { RPC, VALIDATORS } from './stage-chain.mjs';

/** On the test driver; it is not what a machine has, and its bond is within a test miner's funds. */
const ROOM = {
  test: { capacity: { vcpus: 200, memoryMib: 32_768, diskGib: 600 }, maxVms: 200 },
  qemu: { capacity: { vcpus: 16, memoryMib: 8_192, diskGib: 100 }, maxVms: 20 },
};
const ADDRESSES = { test: 200, qemu: 8 };
/** Waits that a drill can wait for, and that a busy machine keeps. */
const OPERATIONS = { shutdown_grace: '12s', resync: '5s', orphan_disk_delay: '0s' };
/** The mistake that the parts are to make (planted-faults.mjs): workers see it in their environment, as this process does. */
const PLANTED = process.env.QUARRY_FAULT;

export class Stage {
  #senders = new Map();
  hosts = [];

  /**
   * Opens it, with everything online. `hosts` are `{ name, driver: 'qemu' | 'test', offer, addresses, dataMib, config,
   * endpoints, env, ownClock }`, all of which have a default; `tenants` are names or how many; `params` are the market's;
   * `sessionLength` in blocks; `sides`, `programs` and `flags` are of chain nodes, by name; `guests` are test guests whose
   * images are on the market.
   */
  static async open(options = {}) {
    const stage = new Stage();
    try {
      await stage.#open(options);
      return stage;
    } catch (error) {
      await stage.close().catch(() => {});
      throw error;
    }
  }

  async #open({
    hosts = [{}, {}, {}], tenants = 1, params = {}, sessionLength = 50, guests = ['busybox'],
    sides, programs, flags, say = () => {},
  }) {
    say('chain nodes and hosts start');
    this.lab = new Lab();
    this.chain = new StageChain({ sides, programs, flags });
    this.market = new StageMarket(this.chain, { sessionLength });
    const names = Array.isArray(tenants) ? tenants : Array.from({ length: tenants }, (_, index) => `tenant-${index + 1}`);
    this.tenants = names.map((name) => this.market.account(name));
    this.hosts = await Promise.all(hosts.map((host, index) => this.#addHost({ name: `h${index + 1}`, driver: 'qemu', ...host })));
    await this.market.open({ hosts: this.hosts.map(({ node }) => node), params, guests, address: LAB_ADDRESS });
    // It ends with the RPC node; history goes on.
    await this.market.chronicle.close();
    this.market.chronicle = undefined;
    this.history = new History(this.market.api);
    say('workers start');
    await Promise.all(this.hosts.map((host) => host.startWorker()));
    await this.isReady();
    if (PLANTED) await this.#tellChain(PLANTED);
    say('all nodes are online');
  }

  /** Which mistake it is to make. */
  #tellChain(planted) {
    const item = [':planted-fault', planted].map((text) => stringToHex(text));
    return this.asAdmin(this.market.api.tx.system.setStorage([item]));
  }

  async #addHost({ driver, dataMib, name, offer, ...rest }) {
    const lab = await this.lab.startHost({ name, dataMib, testDriver: driver === 'test' });
    const config = { ...rest.config, operations: { ...OPERATIONS, ...rest.config?.operations } };
    const host = new StageHost(this, lab, {
      addresses: ADDRESSES[driver], endpoints: [RPC], ...rest, name, config, ownDisk: dataMib !== undefined, offer: { ...ROOM[driver], ...offer },
    });
    await host.watch();
    return host;
  }

  /** All workers answer, and the chain gives VMs to all nodes. */
  async isReady() {
    await Promise.all(this.hosts.map((host) => host.isReady({ within: 300 * SECONDS })));
    await isOnline(this.market, ...this.hosts.map(({ node }) => node));
  }

  host(id) {
    return this.hosts.find((host) => host.id === id);
  }

  /** Sends a call until it is final, whichever chain nodes die meanwhile: its block. Throws with `errorName` if it failed. */
  send(account, call, options) {
    if (!this.#senders.has(account)) this.#senders.set(account, new Sender(this, account));
    return this.#senders.get(account).send(call, options);
  }

  /** As the admin, while the RPC node is there. */
  asAdmin(...calls) {
    return this.market.asAdmin(...calls);
  }

  /** Rents a VM, by `send`, and returns the request's number. `on` names a host, `ip` whether it has an address of its own. */
  async rent(tenant, { on, plan = 'tiny', image = 'busybox', userData, ...wish } = {}) {
    const cloudInit = userData === undefined ? null : this.market.images.addBlock(userData);
    const call = this.market.creation({ node: on?.id ?? null, plan, image, cloudInit, ...wish });
    const { events } = await this.send(tenant, call);
    return events.find((event) => this.market.api.events.compute.ComputeRequestCreated.is(event)).data.requestId;
  }

  /** Asks something of a VM, by `send`: `Stop`, `Boot`, `Reboot`, `Resize`, `Delete`. */
  ask(tenant, id, operation, ...args) {
    return this.send(tenant, this.market.api.tx.compute[`requestCompute${operation}`](id, ...args));
  }

  /** The RPC node is killed and starts again on what it had; connections open again by themselves. */
  async restartRpc({ down = 0 } = {}) {
    await this.chain.kill(RPC);
    await new Promise((resolve) => setTimeout(resolve, down));
    await this.startNode(RPC);
  }

  /** After a runtime upgrade: polkadot.js mixes the words of two runtimes where it lives through one. */
  async reconnect() {
    const { api, node } = this.market;
    this.market.api = await connect(node.url);
    this.history.readBy(this.market.api);
    await api.disconnect();
  }

  /** Starts a chain node that was killed or stopped. */
  async startNode(name) {
    const node = await this.chain.start(name);
    if (name === RPC) this.market.node = node;
    return node;
  }

  /** What finalized state has under way, one line each. */
  async underWay() {
    const { api } = this.market;
    const at = await api.at(await api.rpc.chain.getFinalizedHead());
    const requests = await at.query.compute.computeRequests.entries();
    return requests.map(([, request]) => request.unwrap())
      .filter(({ status, operation }) => status.isPending || status.isInProgress || operation.isSome)
      .map(({ requestId, status, operation }) => `${requestId} ${status.type}${operation.isSome ? `, asked: ${operation.unwrap().kind.type}` : ''}`);
  }

  /**
   * Waits until, in finalized state, nothing is under way and nobody waits for a node. Not for heartbeats: where finality
   * lags, one of them always is.
   */
  async isDone(options) {
    await this.#hasNothingUnderWay(options);
    await this.#readsOn();
  }

  /** The same, and until no report or heartbeat of a worker is on its way. */
  async isQuiet(options) {
    await this.#hasNothingUnderWay(options);
    await Promise.all(this.hosts.filter(({ worker }) => worker && !worker.process.end).map((host) => host.hasReported()));
    // What the last reports did is final with them.
    await this.#readsOn();
  }

  #hasNothingUnderWay({ within = 600 * SECONDS } = {}) {
    return until('nothing is under way', async (seen) => {
      const left = await this.underWay();
      seen(left.join('; '));
      return left.length === 0;
    }, { within, every: 1 * SECONDS });
  }

  async #readsOn() {
    await this.history.isFinal(await this.chain.finalizes());
  }

  /** The end of each process's log, for whoever reads of a failure. */
  describe() {
    const workers = this.hosts.map(({ worker }) => worker?.process).filter(Boolean);
    return [...workers, ...Object.values(this.chain?.nodes ?? {}).map(({ process }) => process)].map((process) => process.tail(15)).join('\n');
  }

  async close() {
    const ended = [
      ...await Promise.allSettled(this.hosts.map(({ worker }) => worker?.stop())),
      await settled(this.market?.close()),
      await settled(this.chain?.close()),
      await settled(this.lab?.close()),
    ];
    const failed = ended.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
  }
}

const settled = async (promise) => (await Promise.allSettled([promise]))[0];
