// Sends an account's transactions until each is final, whatever happens to chain nodes meanwhile.
import { DispatchFailed } from '../lib/chain.mjs';
import { rpc } from '../lib/rpc.mjs';
import { Hopeless, SECONDS, until } from '../lib/until.mjs';

const AGAIN_AFTER = 15 * SECONDS;

export class Sender {
  #stage;
  #account;
  #nonce;
  #turn = Promise.resolve();

  constructor(stage, account) {
    this.#stage = stage;
    this.#account = account;
  }

  /** One at a time: each waits for those before it. Throws `DispatchFailed` as the call failed. */
  send(call, options) {
    const sent = this.#turn.then(() => this.#send(call, options));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  async #send(call, { within = 600 * SECONDS } = {}) {
    const { api } = this.#stage.market;
    this.#nonce ??= await this.#firstNonce(within);
    const { genesisHash, runtimeVersion } = api;
    // It outlives any outage: nothing else ever has its nonce.
    const immortal = { blockHash: genesisHash, genesisHash, runtimeVersion, nonce: this.#nonce, era: '0x00' };
    const transaction = call.sign(this.#account, immortal);
    this.#nonce += 1;
    let sentAt = 0;
    return until(`${call.method.section}.${call.method.method} is final`, async (seen) => {
      if (Date.now() - sentAt > AGAIN_AFTER) {
        sentAt = Date.now();
        seen(await this.#submit(transaction));
      }
      await this.#stage.history.readOn();
      return outcome(this.#stage.history, transaction);
    }, { within, every: 500 });
  }

  /** As soon as the chain node can be asked for it. */
  async #firstNonce(within) {
    const { address } = this.#account;
    const account = await until(`the nonce of ${address} is known`, () => this.#stage.market.api.query.system.account(address), { within, every: 500 });
    return account.nonce.toNumber();
  }

  /** To all chain nodes that are there: one that dies takes its pool with it. */
  async #submit(transaction) {
    const nodes = Object.values(this.#stage.chain.nodes).filter((node) => !node.process.end);
    const answers = await Promise.all(nodes.map(({ name, url }) => (
      rpc(url, 'author_submitExtrinsic', transaction.toHex()).then(() => `${name}: taken`, (error) => `${name}: ${error.message}`)
    )));
    return answers.join('; ');
  }
}

function outcome(history, transaction) {
  try {
    return history.outcomeOf(transaction);
  } catch (error) {
    if (error instanceof DispatchFailed) throw Object.assign(new Hopeless(error.message), { errorName: error.errorName, block: error.block });
    throw error;
  }
}
