// The next release, which scripts/next-release builds, and how its runtime gets on the chain.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { blake2AsHex } from '@polkadot/util-crypto';
import { submit } from '../lib/chain.mjs';
import { rpc, RpcRefused } from '../lib/rpc.mjs';
import { SECONDS } from '../lib/until.mjs';

const FOLDER = process.env.QUARRY_NEXT_RELEASE ?? join(homedir(), '.cache', 'quarry', 'next-release');
export const NEXT = { node: join(FOLDER, 'quarry-node'), worker: join(FOLDER, 'quarry-worker'), runtime: join(FOLDER, 'runtime.wasm') };
const VERSION = 2;
const MIGRATING = '7014 migrating';
const OTHER_RELEASE = '7016 other_release';

export class Release {
  #stage;
  #anybody;
  #code = readFileSync(NEXT.runtime);
  #applied;

  constructor(stage, anybody) {
    this.#stage = stage;
    this.#anybody = anybody;
  }

  get #api() {
    return this.#stage.market.api;
  }

  /** The numbers of all requests, however they are stored. */
  async requests() {
    const keys = await this.#api.query.compute.computeRequests.keys();
    return keys.map(({ args: [, id] }) => id.toString()).sort();
  }

  authorize() {
    return this.#stage.asAdmin(this.#api.tx.system.authorizeUpgrade(blake2AsHex(this.#code)));
  }

  /** The block from whose successor on the next runtime is in force, and when that was. */
  async apply() {
    const call = this.#api.tx.system.applyAuthorizedUpgrade(`0x${this.#code.toString('hex')}`);
    const { number } = await submit(this.#api, call, this.#anybody);
    this.#applied = number;
    return { number, at: Date.now() };
  }

  /** Waits until the state is moved and that is final: how many blocks it took, and whether live blocks stood still. */
  async isMoved() {
    const { history } = this.#stage;
    const { block } = await history.waitFor('migrations.UpgradeCompleted', undefined, { within: 600 * SECONDS });
    // In the first of them the state is moved already where that takes no more than a block.
    const [before, after] = await Promise.all([this.#applied, block].map((number) => this.#liveAt(number)));
    return { block, blocks: block - this.#applied, stoodStill: before === after || `live block ${before} became ${after}` };
  }

  async #liveAt(number) {
    const at = await this.#api.at(await this.#api.rpc.chain.getBlockHash(number));
    return (await at.query.liveBlocks.count()).toNumber();
  }

  /**
   * Whether `compute_*` of a chain node of before tells of a market node in the block before the upgrade, of nothing while
   * the state is moved, and of nothing after that, as it would misread it.
   */
  isToldByOneOfBefore(chainNode, node, moved) {
    return this.#isTold(chainNode, node, moved, { before: node, after: OTHER_RELEASE });
  }

  /** Whether that of a chain node of after does, the other way round. */
  isToldByOneOfAfter(chainNode, node, moved) {
    return this.#isTold(chainNode, node, moved, { before: OTHER_RELEASE, after: node });
  }

  async #isTold({ url }, node, moved, { before, after }) {
    const wrong = [];
    for (let number = this.#applied - 1; number <= moved; number++) {
      const expected = number < this.#applied ? before : number === moved ? after : MIGRATING;
      const told = await this.#told(url, node, number);
      if (told !== expected) wrong.push(`block ${number}: ${told}`);
    }
    return wrong.length === 0 || wrong.join('; ');
  }

  /** The market node's name, or by which code and name it is refused to tell of it. */
  async #told(url, node, number) {
    const hash = await rpc(url, 'chain_getBlockHash', number);
    try {
      return (await rpc(url, 'compute_get_node', node, hash))?.node_id;
    } catch (error) {
      if (!(error instanceof RpcRefused)) throw error;
      return `${error.code} ${error.data?.name}`;
    }
  }

  async isEverywhere() {
    const { chain } = this.#stage;
    const versions = await Promise.all(chain.living.map(({ url }) => rpc(url, 'state_getRuntimeVersion')));
    const found = versions.map(({ specVersion }) => specVersion);
    return found.every((version) => version === VERSION) || `versions ${found.join(', ')}`;
  }

  /** Whether the requests there were are there in that block, and each can be read as it is stored then. */
  async hasMoved(before, block) {
    const at = await this.#api.at(await this.#api.rpc.chain.getBlockHash(block));
    const entries = await at.query.compute.computeRequests.entries();
    if (entries.some(([, request]) => !('resizedAt' in request.unwrap()))) return 'they are read in the words of before';
    const after = new Set(entries.map(([{ args: [, id] }]) => id.toString()));
    const gone = before.filter((id) => !after.has(id));
    return gone.length === 0 || `requests ${gone.join(', ')} are gone`;
  }
}
