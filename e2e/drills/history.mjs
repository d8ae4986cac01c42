// What finalized blocks say, read once for all who wait for it, whatever happens to the chain node meanwhile.
import { DispatchFailed, errorName } from '../lib/chain.mjs';
import { inTime, SECONDS, until } from '../lib/until.mjs';

const AN_ANSWER = 20 * SECONDS;

export class History {
  #api;
  #last = 0;
  #reading;
  #outcomes = new Map();
  /** Every event: block, name as `pallet.Event`, data. */
  entries = [];

  constructor(api) {
    this.#api = api;
  }

  /** Goes on by another connection. */
  readBy(api) {
    this.#api = api;
    this.#reading = undefined;
  }

  /** The last block that was read. */
  get last() {
    return this.#last;
  }

  /** Reads on to the finalized block; fails where the chain node does not answer, and goes on there the next time. */
  async readOn() {
    // Asked all the same, polkadot.js would complain aloud each time.
    if (!this.#api.isConnected) throw new Error('the chain node is not connected');
    this.#reading ??= inTime('the chain node tells of finalized blocks', this.#read(), AN_ANSWER).finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #read() {
    const { chain } = this.#api.rpc;
    const head = (await chain.getHeader(await chain.getFinalizedHead())).number.toNumber();
    while (this.#last < head) await this.#readBlock(this.#last + 1);
    return this.#last;
  }

  async #readBlock(number) {
    const hash = await this.#api.rpc.chain.getBlockHash(number);
    const [{ block }, events] = await Promise.all([
      this.#api.rpc.chain.getBlock(hash), this.#api.at(hash).then((at) => at.query.system.events()),
    ]);
    // Another reading, whose answer was given up, may have been faster.
    if (this.#last >= number) return;
    this.#last = number;
    for (const { phase, event } of events) {
      const transaction = phase.isApplyExtrinsic ? phase.asApplyExtrinsic.toNumber() : undefined;
      this.entries.push({ block: number, transaction, name: `${event.section}.${event.method}`, data: event.data });
    }
    for (const [index, extrinsic] of block.extrinsics.entries()) {
      const own = events.filter(({ phase }) => phase.isApplyExtrinsic && phase.asApplyExtrinsic.eq(index)).map(({ event }) => event);
      this.#outcomes.set(extrinsic.hash.toHex(), { number, hash: hash.toHex(), index, events: own });
    }
  }

  /** The events of that name that fit. */
  all(name, fits = () => true) {
    return this.entries.filter((entry) => entry.name === name && fits(entry.data));
  }

  /** The market's events on a request, in their order. */
  of(id) {
    return this.entries.filter(({ name, data }) => name.startsWith('compute.') && data.requestId?.eq(id));
  }

  /** The first event of that name, past or coming, that fits. */
  waitFor(name, fits = () => true, { within = 300 * SECONDS } = {}) {
    return this.#find(`${name} is finalized`, () => this.all(name, fits)[0], within);
  }

  /** Waits until a block is final. */
  isFinal(number, { within = 300 * SECONDS } = {}) {
    return this.#find(`block ${number} is final`, () => this.#last >= number, within);
  }

  /** The block of a transaction, with its events; undefined while it is in no finalized one. Fails as its call did. */
  outcomeOf(transaction) {
    const block = this.#outcomes.get(transaction.hash.toHex());
    const failure = block?.events.find(({ section, method }) => section === 'system' && method === 'ExtrinsicFailed');
    if (!failure) return block;
    const { section, method } = transaction.method;
    throw new DispatchFailed(`${section}.${method}`, errorName(transaction.registry, failure.data.dispatchError), block);
  }

  #find(what, look, within) {
    return until(what, async (seen) => {
      await this.readOn();
      seen(`block ${this.#last} is final`);
      return look();
    }, { within, every: 500 });
  }
}
