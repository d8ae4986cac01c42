// Requests for VMs in bulk, for nodes whose workers are away.
import { SECONDS, until } from '../lib/until.mjs';
import { submitAll } from './transfers.mjs';

/** Requests in one transaction. */
const BATCH = 50;

/** So many requests for each node, by all tenants, until all of them are finalized. */
export async function place(market, nodes, tenants, { count, wishFor }) {
  const { api } = market;
  const first = (await api.query.compute.nextRequestId()).toNumber();
  const signers = await Promise.all(tenants.map((account) => Signer.of(api, account)));
  const wishes = nodes.flatMap((node) => Array(count).fill(wishFor(node)));
  const batches = Array.from({ length: Math.ceil(wishes.length / BATCH) }, (_, number) => {
    const calls = wishes.slice(number * BATCH, (number + 1) * BATCH).map((wish) => market.creation(wish));
    return signers[number % signers.length].sign(api.tx.utility.batchAll(calls));
  });
  const before = await Promise.all(nodes.map(({ id }) => assigned(api, id)));
  const hearts = await Promise.all(nodes.map((node) => Heart.of(api, node)));
  await submitAll(market.node.url, batches);
  await until('all requests are finalized', async (seen) => {
    for (const heart of hearts) await heart.beatIfDue();
    const at = await api.at(await api.rpc.chain.getFinalizedHead());
    const placed = (await at.query.compute.nextRequestId()).toNumber() - first;
    seen(`${placed} requests`);
    return placed === wishes.length;
  }, { within: 300 * SECONDS, every: 1_000 });
  for (const [index, { id }] of nodes.entries()) {
    const got = (await assigned(api, id)) - before[index];
    if (got !== count) throw new Error(`${id} got ${got} requests`);
  }
}

const assigned = async (api, nodeId) => (await api.query.compute.minerComputeRequests.keys(nodeId)).length;

/** Signs for one account, counting its transactions. */
class Signer {
  static async of(api, account) {
    return new Signer(api, account, (await api.rpc.system.accountNextIndex(account.address)).toNumber());
  }

  constructor(api, account, nonce) {
    Object.assign(this, { api, account, nonce });
  }

  sign(call) {
    const { genesisHash, runtimeVersion } = this.api;
    const immortal = { blockHash: genesisHash, genesisHash, runtimeVersion, nonce: this.nonce++ };
    return call.sign(this.account, immortal).toHex();
  }
}

/** Keeps a node online while its worker is away. */
class Heart {
  static async of(api, node) {
    return new Heart(api, node, await Signer.of(api, node.workerAccount));
  }

  constructor(api, node, signer) {
    Object.assign(this, { api, node, signer });
  }

  async beatIfDue() {
    const { query, tx, rpc, consts } = this.api;
    const [live, record] = await Promise.all([query.liveBlocks.count(), query.registry.nodes(this.node.id)]);
    const last = record.unwrap().lastHeartbeat.unwrap().toNumber();
    const isDue = live.toNumber() >= last + consts.registry.heartbeatEvery.toNumber();
    if (!isDue || last === this.answered) return;
    this.answered = last;
    await rpc.author.submitExtrinsic(this.signer.sign(tx.registry.submitNodeMetrics(this.node.id, true, null)));
  }
}
