// What a drill draws by its seed, so that it can be played again.
import { randomInt } from 'node:crypto';

const RANGE = 2 ** 32;

export const anySeed = () => randomInt(2 ** 31);

export class Chance {
  #state;

  /** `purpose` keeps apart what draws at the same time from one seed. */
  constructor(seed, purpose = '') {
    this.#state = [...`${seed} ${purpose}`].reduce((state, letter) => Math.imul(state ^ letter.codePointAt(0), 0x01000193), 0x811c9dc5);
  }

  /** From 0 up to below 1: the generator mulberry32. */
  share() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / RANGE;
  }

  /** A whole number, both ends included. */
  between(least, most) {
    return least + Math.floor(this.share() * (most - least + 1));
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  /** One of the names, each as often as its weight says. */
  weighed(weights) {
    const entries = Object.entries(weights);
    let left = this.share() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    return (entries.find(([, weight]) => (left -= weight) < 0) ?? entries.at(-1))[0];
  }

  shuffled(list) {
    const rest = [...list];
    return list.map(() => rest.splice(this.between(0, rest.length - 1), 1)[0]);
  }
}
