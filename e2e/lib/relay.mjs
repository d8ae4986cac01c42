// A TCP relay between two parts, so that a test can cut them from each other.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * `close` ends all connections and takes no new ones, as a process that died. `swallow` keeps all open, takes
 * new ones too, and lets nothing through, as a cable that was pulled; what was swallowed arrives after `heal`.
 */
export class Relay {
  #target;
  #server = createServer({ pauseOnConnect: true }, (socket) => this.#pass(socket));
  #pairs = new Set();
  #state = 'open';
  /** How many connections came in. */
  taken = 0;

  constructor(target) {
    this.#target = new URL(target);
  }

  async listen(address = '127.0.0.1') {
    this.#server.listen({ host: address, port: 0 });
    await once(this.#server, 'listening');
    const { port } = this.#server.address();
    this.url = `${this.#target.protocol}//${address}:${port}`;
    return this;
  }

  close() {
    this.#state = 'closed';
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far?.destroy();
    }
  }

  swallow() {
    this.#state = 'silent';
    for (const { near, far } of this.#pairs) {
      near.pause();
      far?.pause();
    }
  }

  heal() {
    this.#state = 'open';
    for (const pair of this.#pairs) this.#flow(pair);
  }

  async end() {
    this.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(near) {
    if (this.#state === 'closed') return near.destroy();
    this.taken += 1;
    const pair = { near };
    this.#pairs.add(pair);
    near.on('error', () => {});
    near.on('close', () => {
      this.#pairs.delete(pair);
      pair.far?.destroy();
    });
    if (this.#state === 'open') this.#flow(pair);
    return undefined;
  }

  #flow(pair) {
    pair.far ??= this.#dial(pair.near);
    pair.near.resume();
    pair.far.resume();
  }

  #dial(near) {
    const far = connect({ host: this.#target.hostname, port: Number(this.#target.port) });
    near.on('data', (bytes) => far.write(bytes) || near.pause());
    far.on('drain', () => this.#state === 'open' && near.resume());
    far.on('data', (bytes) => near.write(bytes) || far.pause());
    near.on('drain', () => this.#state === 'open' && far.resume());
    far.on('error', () => near.destroy());
    far.on('close', () => near.destroy());
    near.on('end', () => far.end());
    return far;
  }
}

export function startRelay(target) {
  return new Relay(target).listen();
}
