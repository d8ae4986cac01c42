// Compares, at a finalized block, the chain with itself, with libvirt and the files of each host, with what was
// asked, done and paid, and says every difference in a sentence.
import { setTimeout as pause } from 'node:timers/promises';
import { patient, SECONDS } from '../lib/until.mjs';
import { chainDifferences, readChain } from './audit-chain.mjs';
import { deedDifferences, readDeeds } from './audit-deeds.mjs';
import { hostDifferences, readHost } from './audit-hosts.mjs';
import { livesOf } from './audit-lives.mjs';
import { moneyDifferences, readMoney } from './audit-money.mjs';
import { wishDifferences } from './audit-wishes.mjs';

const LOOKS_ON_THE_WAY = 10;

/**
 * Every difference, of a stage on which nothing is asked any more. Hosts follow finalized blocks, and so a little
 * later: it looks again until nothing differs, or until time is up.
 */
export async function audit(stage, { within = 120 * SECONDS } = {}) {
  const deadline = Date.now() + patient(within);
  for (;;) {
    const differences = await auditOnce(stage).catch((error) => [`not read: ${error.stack}`]);
    if (differences.length === 0 || Date.now() >= deadline) return differences;
    await pause(3 * SECONDS);
  }
}

export async function auditOnce(stage) {
  return differencesIn(await readAll(stage));
}

/**
 * What of the chain's own differs in blocks on the way, which the RPC node still has: at rest nobody sees what was wrong
 * while something was under way.
 */
export async function auditOnTheWay(stage, blocks = spread(stage.history.last, LOOKS_ON_THE_WAY)) {
  const { api } = stage.market;
  const differences = [];
  for (const block of blocks) {
    const chain = await readChain(await api.at(await api.rpc.chain.getBlockHash(block)));
    differences.push(...chainDifferences(chain).map((difference) => `at block ${block}: ${difference}`));
  }
  return differences;
}

const spread = (last, count) => Array.from({ length: count }, (_, index) => Math.ceil(((index + 1) * last) / (count + 1)));

/** All that is compared, as plain data. */
export async function readAll(stage) {
  const { api } = stage.market;
  const disagreement = [];
  const { number, hash } = await stage.chain.agreed().catch(async (error) => {
    disagreement.push(error.message);
    const final = await api.rpc.chain.getFinalizedHead();
    return { number: (await api.rpc.chain.getHeader(final)).number.toNumber(), hash: final };
  });
  await stage.history.isFinal(number);
  const events = stage.history.entries.filter(({ block }) => block <= number);
  const chain = await readChain(await api.at(hash));
  const lives = await livesOf(api, events);
  return {
    disagreement, number, chain, lives,
    hosts: await Promise.all(stage.hosts.map((host) => readHost(host))),
    deeds: await Promise.all(stage.hosts.map((host) => readDeeds(host))),
    money: await readMoney(api, hash, events),
  };
}

/** What differs in that. */
export function differencesIn({ disagreement, number, chain, lives, hosts, deeds, money }) {
  return [
    ...disagreement,
    ...chainDifferences(chain),
    ...hostDifferences(chain, lives, hosts),
    ...wishDifferences(chain, lives),
    ...deeds.flatMap((host) => deedDifferences(lives, host)),
    ...moneyDifferences(chain, lives, money, number),
  ];
}
