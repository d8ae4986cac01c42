// What is read off the chain while it is under load.
import { setTimeout as pause } from 'node:timers/promises';
import { sample } from '../bench/footprint.mjs';
import { errorName } from '../lib/chain.mjs';
import { SECONDS, inTime } from '../lib/until.mjs';

const ROWS = 100;
const EVERY = 2 * SECONDS;

export class Gauges {
  counts = [];
  weights = [];
  lengths = [];
  intervals = [];
  lags = [];
  inclusions = [];
  waits = [];
  answers = { find_nodes: [], work_for: [] };
  /** Calls that are in a block and failed. */
  failed = [];
  #stage;
  #node;
  #residents = [];
  #running = true;
  #unsubscribe;
  #work = [];

  #say;

  constructor(stage, node, say) {
    this.#stage = stage;
    this.#node = node;
    this.#say = say;
  }

  async start() {
    const { api } = this.#stage.market;
    this.#unsubscribe = await api.rpc.chain.subscribeNewHeads((header) => this.#watch(this.#block(header)));
    this.#watch(this.#ask());
    this.#watch(this.#call());
  }

  /** The first that fails ends the drill when its time is up. */
  #watch(work) {
    this.#work.push(work.catch((error) => {
      this.#say(`from here on something is not measured: ${error.message}`);
      this.failure ??= error;
    }));
  }

  async stop() {
    this.#running = false;
    // The last call waits for a block.
    await Promise.all(this.#work);
    this.#unsubscribe();
    await Promise.all(this.#work);
    if (this.failure) throw this.failure;
  }

  /** Resident bytes of the node that is asked: at first, at the end, at most. */
  memory() {
    return [this.#residents[0], this.#residents.at(-1), Math.max(...this.#residents)];
  }

  /** How full a block is, as a share of what ordinary calls may take of it. */
  async #block(header) {
    const { api, node, admin } = this.#stage.market;
    const at = await api.at(header.hash);
    const { account, blockWeight, events: eventsOf } = at.query.system;
    const [{ nonce }, weight, now, events, { block }, final] = await Promise.all([
      account(admin.address), blockWeight(), at.query.timestamp.now(), eventsOf(), node.view.call('chain_getBlock', header.hash.toHex()), node.view.finalized(),
    ]);
    this.#onBlock(header.number.toNumber(), nonce.toNumber());
    this.#countFailures(header.number, block, events);
    const { blockWeights, blockLength } = api.consts.system;
    this.weights.push(weight.normal.refTime.toNumber() / blockWeights.perClass.normal.maxTotal.unwrap().refTime.toNumber());
    this.lengths.push(block.extrinsics.reduce((sum, extrinsic) => sum + extrinsic.length / 2 - 1, 0) / blockLength.max.normal.toNumber());
    this.counts.push(block.extrinsics.length - 1);
    this.lags.push(Math.max(0, header.number.toNumber() - final));
    if (this.last) this.intervals.push((now.toNumber() - this.last) / SECONDS);
    this.last = now.toNumber();
    this.#residents.push(sample(node.process.pid).rss);
  }

  #countFailures(number, { extrinsics }, events) {
    const { registry } = this.#stage.market.api;
    for (const { phase, event: { section, method: name, data } } of events) {
      if (section !== 'system' || name !== 'ExtrinsicFailed') continue;
      const { signer, method } = registry.createType('Extrinsic', extrinsics[phase.asApplyExtrinsic.toNumber()]);
      const failure = `${method.section}.${method.method} of ${signer} in block ${number}: ${errorName(registry, data.dispatchError)}`;
      this.#say(failure);
      this.failed.push(failure);
    }
  }

  async #ask() {
    const { node } = this.#stage.market;
    const filter = { resources: { vcpus: 1, memory_mib: 512, disk_gib: 5 } };
    while (this.#running) {
      for (const [method, params] of [['find_nodes', [filter, null, ROWS]], ['work_for', [this.#node.id, null, ROWS]]]) {
        const begun = performance.now();
        await node.view.call(`compute_${method}`, ...params);
        this.answers[method].push(performance.now() - begun);
      }
      await pause(EVERY);
    }
  }

  /**
   * A stranger's small transactions, one after another. Each is in a block when the account's nonce says so: a chain node
   * that has much to do forgets now and then to tell who watches a transaction.
   */
  async #call() {
    const { api, admin, node } = this.#stage.market;
    let nonce = (await api.rpc.system.accountNextIndex(admin.address)).toNumber();
    while (this.#running) {
      const before = (await api.rpc.chain.getHeader()).number.toNumber();
      const begun = performance.now();
      const transaction = await api.tx.system.remark('0x00').signAsync(admin, { nonce, era: 0 });
      nonce += 1;
      const included = new Promise((resolve) => (this.#onBlock = (number, next) => next >= nonce && resolve(number)));
      await node.view.call('author_submitExtrinsic', transaction.toHex());
      const number = await inTime("a stranger's call is in a block", included, 90 * SECONDS);
      this.inclusions.push(performance.now() - begun);
      this.waits.push(number - before);
    }
  }

  #onBlock = () => {};
}
