import { SECONDS, until } from './until.mjs';

/** All events of a chain from a block on: for what no transaction of ours brings about. */
export class Chronicle {
  #api;
  #last;
  #reading = Promise.resolve();
  #unsubscribe;
  entries = [];

  static async of(api) {
    const chronicle = new Chronicle();
    chronicle.#api = api;
    chronicle.#last = (await api.rpc.chain.getHeader()).number.toNumber();
    chronicle.#unsubscribe = await api.rpc.chain.subscribeNewHeads((header) => {
      chronicle.#reading = chronicle.#reading.then(() => chronicle.#readTo(header.number.toNumber()));
    });
    return chronicle;
  }

  async close() {
    this.#unsubscribe();
    await this.#reading;
  }

  async #readTo(number) {
    while (this.#last < number) {
      const hash = await this.#api.rpc.chain.getBlockHash(this.#last + 1);
      const events = await (await this.#api.at(hash)).query.system.events();
      this.#last += 1;
      for (const { event } of events) {
        this.entries.push({ block: this.#last, name: `${event.section}.${event.method}`, data: event.data });
      }
    }
  }

  /** The events of that name, as `pallet.Event`, that fit. */
  all(name, fits = () => true) {
    return this.entries.filter((entry) => entry.name === name && fits(entry.data));
  }

  /** The first event of that name, past or coming, that fits. */
  waitFor(name, fits = () => true, { within = 180 * SECONDS } = {}) {
    return until(`${name} happens`, () => this.all(name, fits)[0], { within });
  }
}
