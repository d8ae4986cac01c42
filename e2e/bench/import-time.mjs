import { startChainNode } from '../lib/chain-node.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { Senders, submitAll, transactionsIn } from './transfers.mjs';

const SENDERS = 100;
const REPEATS = 3;
const ATTEMPTS = 4 * REPEATS;

/**
 * Milliseconds that a second node takes to verify, execute and store blocks of so many transfers.
 *
 * Each block's time is what the follower's own metric, substrate_block_verification_and_import_time,
 * grew by when it imported that block alone: no start-up, network or polling time is in it.
 */
export async function measureImport(node, api, chain, sizes, say) {
  const follower = await followerOf(node, chain);
  try {
    const senders = await Senders.fund(api, SENDERS);
    const rows = [];
    for (const size of sizes) {
      say(`importing blocks of ${size} transfers`);
      const times = [];
      for (let attempt = 0; times.length < REPEATS; attempt++) {
        if (attempt === ATTEMPTS) throw new Error(`no ${REPEATS} blocks of ${size} transfers in ${ATTEMPTS} attempts`);
        const sample = await oneBlock(node, follower, senders.sign(size));
        if (sample) times.push(sample);
      }
      rows.push({ size, milliseconds: times.sort((a, b) => a - b) });
    }
    return rows;
  } finally {
    await follower.node.stop();
  }
}

async function followerOf(author, chain) {
  const [address] = (await author.view.call('system_localListenAddresses')).filter((text) => /\/ip4\/127\.0\.0\.1\/tcp\//.test(text));
  const node = await startChainNode({
    name: 'follower',
    args: ['--chain', chain, '--tmp', '--bootnodes', address],
    ports: ['--rpc-port', '0', '--port', '0', '--prometheus-port', '0', '--no-telemetry', '--no-mdns'],
  });
  const [, metrics] = await node.process.waitForLine(/Prometheus exporter started at (\S+)/);
  const follower = { node, metrics: `http://${metrics}/metrics` };
  await until('the follower has caught up', async () => (await node.view.best()) >= (await author.view.best()), { within: 60 * SECONDS });
  return follower;
}

/** The import time of the block that holds exactly these, or nothing if they were spread over two. */
async function oneBlock(author, follower, transactions) {
  const start = await nextBlock(follower, await follower.node.view.best());
  await submitAll(author.url, transactions);
  const end = await nextBlock(follower, start.number);
  const clean = end.number === start.number + 1 && end.count === start.count + 1;
  const alone = (await transactionsIn(author.url, await author.view.hashAt(end.number))) === transactions.length;
  if (!alone) await drained(author);
  return clean && alone ? (end.seconds - start.seconds) * 1_000 : undefined;
}

function nextBlock(follower, number) {
  return until(`the follower imports block ${number + 1}`, async () => {
    const best = await follower.node.view.best();
    return best > number && { number: best, ...(await importMetric(follower)) };
  }, { within: 60 * SECONDS, every: 20 });
}

function drained(author) {
  return until('the pool is empty', async () => {
    return (await author.view.call('author_pendingExtrinsics')).length === 0;
  }, { within: 120 * SECONDS });
}

async function importMetric({ metrics }) {
  const text = await (await fetch(metrics)).text();
  const value = (suffix) => {
    const match = new RegExp(`^substrate_block_verification_and_import_time_${suffix}(?:{[^}]*})? (\\S+)$`, 'm').exec(text);
    return match ? Number(match[1]) : 0;
  };
  return { seconds: value('sum'), count: value('count') };
}
