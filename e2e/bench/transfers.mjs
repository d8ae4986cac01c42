// Signed transfers in bulk, and how they get into a chain.
import { developmentAccount, QRY, submit } from '../lib/chain.mjs';
import { rpc } from '../lib/rpc.mjs';
import { SECONDS, inTime } from '../lib/until.mjs';

const GIFT = 1_000n * QRY;
/** Requests in one JSON-RPC batch, and batches under way at once. */
const BATCH = 100;
const AT_ONCE = 4;

/** Accounts with funds, and the nonce that each signs with next. */
export class Senders {
  static async fund(api, count) {
    const accounts = Array.from({ length: count }, (_, index) => developmentAccount(`//bench/${index}`));
    const gifts = accounts.map(({ address }) => api.tx.balances.transferKeepAlive(address, GIFT));
    await submit(api, api.tx.utility.batchAll(gifts), developmentAccount('//Alice'));
    return new Senders(api, accounts);
  }

  constructor(api, accounts) {
    this.api = api;
    this.accounts = accounts.map((account) => ({ account, nonce: 0 }));
    this.turn = 0;
  }

  /** So many signed transfers, from each account in turn to the next one; nothing is asked of the node. */
  sign(count) {
    const { api } = this;
    const { genesisHash, runtimeVersion } = api;
    return Array.from({ length: count }, () => {
      const sender = this.accounts[this.turn];
      this.turn = (this.turn + 1) % this.accounts.length;
      const transfer = api.tx.balances.transferKeepAlive(this.accounts[this.turn].account.address, QRY / 1_000n);
      const immortal = { blockHash: genesisHash, genesisHash, runtimeVersion, nonce: sender.nonce++ };
      return transfer.sign(sender.account, immortal).toHex();
    });
  }
}

/** Puts transactions into a node's pool; each of them must be accepted. */
export async function submitAll(url, transactions) {
  const batches = [];
  for (let start = 0; start < transactions.length; start += BATCH) {
    batches.push(transactions.slice(start, start + BATCH));
  }
  const worker = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) await submitBatch(url, batch);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function submitBatch(url, transactions) {
  const calls = transactions.map((transaction, id) => (
    { jsonrpc: '2.0', id, method: 'author_submitExtrinsic', params: [transaction] }
  ));
  const response = await inTime('the node takes a batch', fetch(url.replace(/^ws/, 'http'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(calls),
  }), 120 * SECONDS);
  const refused = (await response.json()).find(({ error }) => error);
  if (refused) throw new Error(`a transfer was refused: ${JSON.stringify(refused.error)}`);
}

/** How many transactions a block has beside its inherent. */
export async function transactionsIn(url, hash) {
  const { block } = await rpc(url, 'chain_getBlock', hash);
  const INHERENTS = 1;
  return block.extrinsics.length - INHERENTS;
}
