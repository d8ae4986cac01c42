// What goes wrong while tenants ask, each for a while, and how it is mended.
import { setTimeout as pause } from 'node:timers/promises';
import { SECONDS } from '../lib/until.mjs';
import { RPC, VALIDATORS } from './stage.mjs';

const AN_HOUR = 3_600;

/** By name: which of the stage it may strike, what breaks it, what mends it, and for how many seconds it lasts. */
const FAULTS = {
  'a worker is killed with -9': {
    strikes: ({ hosts }) => hosts, lasts: [0, 12],
    breaks: (host) => host.killWorker(), mends: (host) => host.startWorker(),
  },
  'a libvirtd is killed': {
    strikes: ({ hosts }) => hosts.filter(({ lab }) => !lab.testDriver), lasts: [2, 15],
    breaks: (host) => host.killLibvirtd(), mends: (host) => host.startLibvirtd(),
  },
  'a chain node is killed': {
    strikes: () => VALIDATORS.map((id) => ({ id })), lasts: [2, 15],
    breaks: ({ id }, { chain }) => chain.kill(id), mends: ({ id }, stage) => stage.startNode(id),
  },
  'a host is cut off': {
    strikes: ({ hosts }) => hosts, lasts: [10, 35],
    breaks: (host) => host.cutOff(), mends: (host) => host.rejoin(),
  },
  'the RPC node restarts': {
    strikes: () => [{ id: RPC }], lasts: [0, 10],
    breaks: (node, { chain }) => chain.kill(RPC), mends: (node, stage) => stage.startNode(RPC),
  },
  "a worker's clock jumps by an hour": {
    strikes: ({ hosts }) => hosts.filter(({ hasOwnClock: has }) => has), lasts: [10, 30],
    breaks: (host) => host.jumpClock(AN_HOUR), mends: (host) => host.jumpClock(0),
  },
  'a disk fills': {
    strikes: ({ hosts }) => hosts.filter(({ hasOwnDisk: has }) => has), lasts: [10, 25],
    breaks: (host) => host.fillDisk(), mends: (host) => host.freeDisk(),
  },
};

export class Faults {
  #stage;
  #chance;
  #say;
  /** Each kind of fault, and how often it struck. */
  struck = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]));

  constructor(stage, chance, say) {
    this.#stage = stage;
    this.#chance = chance;
    this.#say = say;
  }

  /** Those that did not strike. */
  get missing() {
    return Object.keys(this.struck).filter((name) => this.struck[name] === 0);
  }

  /**
   * One after another until it is over and each kind struck, each before any comes again. What strikes is mended before
   * this ends.
   */
  async play(isOver) {
    let coming = [];
    while (!this.#stopped && (!isOver() || this.missing.length > 0)) {
      if (coming.length === 0) coming = this.#chance.shuffled(Object.keys(FAULTS));
      // The next may strike before this one is mended, but not the same part.
      await Promise.all([coming.pop(), ...(this.#chance.share() < 0.5 ? [coming.pop()] : [])].filter(Boolean).map((name) => this.#strike(name)));
      await pause(this.#chance.between(0, 3) * SECONDS);
    }
  }

  async #strike(name) {
    const { strikes, breaks, mends, lasts } = FAULTS[name];
    const target = this.#chance.pick(strikes(this.#stage).filter(({ id }) => !this.#struckNow.has(id)));
    if (!target) return;
    const seconds = this.#chance.between(...lasts);
    this.#struckNow.add(target.id);
    this.struck[name] += 1;
    this.#say(`${name}: ${target.id}, for ${seconds} s`);
    await breaks(target, this.#stage);
    await pause(seconds * SECONDS);
    await mends(target, this.#stage);
    this.#struckNow.delete(target.id);
  }

  #struckNow = new Set();
  #stopped = false;

  /** Nothing more strikes. */
  stop() {
    this.#stopped = true;
  }
}
