import { SECONDS, until } from '../lib/until.mjs';
import { Senders, submitAll, transactionsIn } from './transfers.mjs';

const SLOT_SECONDS = 6;
const SENDERS = 100;

/** Transfers that one node includes, out of so many signed beforehand, and what a block may hold. */
export async function measureThroughput(node, api, count, say) {
  const senders = await Senders.fund(api, SENDERS);
  say(`signing ${count} transfers`);
  const signing = Date.now();
  const transfers = senders.sign(count);
  const signingSeconds = (Date.now() - signing) / SECONDS;
  const limit = await blockLimit(node, api, transfers[0]);

  say('submitting them');
  const last = await node.view.best();
  const submitting = Date.now();
  await submitAll(node.url, transfers);
  const submittingSeconds = (Date.now() - submitting) / SECONDS;

  const perBlock = await included(node, last, count);
  return { count, perBlock, limit, signingSeconds, submittingSeconds, slotSeconds: SLOT_SECONDS };
}

/** The number of transfers in each block, from the first that has some to the one that completes them. */
export async function included(node, after, count) {
  const perBlock = [];
  let next = after + 1;
  let sum = 0;
  await until(`${count} transfers are included`, async (seen) => {
    for (const best = await node.view.best(); next <= best; next++) {
      const transactions = await transactionsIn(node.url, await node.view.hashAt(next));
      sum += transactions;
      if (sum > 0) perBlock.push(transactions);
    }
    seen(`${sum} in ${perBlock.length} blocks`);
    return sum >= count;
  }, { within: 300 * SECONDS });
  return perBlock;
}

/** How many such transactions fit one block, by weight and by length. */
export async function blockLimit(node, api, transaction) {
  const { maxTotal, baseExtrinsic } = api.consts.system.blockWeights.perClass.normal;
  const { weight } = await node.view.call('payment_queryInfo', transaction);
  const length = transaction.length / 2 - 1;
  const room = maxTotal.unwrap();
  const time = weight.ref_time + baseExtrinsic.refTime.toNumber();
  const proof = weight.proof_size + baseExtrinsic.proofSize.toNumber();
  return {
    byWeight: Math.floor(Math.min(room.refTime.toNumber() / time, Number(room.proofSize.toBigInt()) / proof)),
    byLength: Math.floor(api.consts.system.blockLength.max.normal.toNumber() / length),
    microsecondsEach: time / 1e6,
    bytesEach: length,
  };
}
