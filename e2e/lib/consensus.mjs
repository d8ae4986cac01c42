// What several chain nodes agree on: blocks, finality, and who authors.
import assert from 'node:assert/strict';
import { SECONDS, until } from './until.mjs';
import { auraKeys, authorOf } from './validators.mjs';

export const ask = (nodes, question) => Promise.all(nodes.map((node) => node.view[question]()));

function reach(nodes, question, number, { within = 60 * SECONDS } = {}) {
  const names = nodes.map((node) => node.name).join(', ');
  return until(`${question} >= ${number} on ${names}`, async (seen) => {
    const answers = await ask(nodes, question);
    seen(answers.join(', '));
    return answers.every((answer) => answer >= number);
  }, { within, every: 500 });
}

export const havePeers = (nodes, count, options) => reach(nodes, 'peers', count, options);
export const made = (nodes, number, options) => reach(nodes, 'best', number, options);
export const finalized = (nodes, number, options) => reach(nodes, 'finalized', number, options);

/** The hash of a block that must be the same on all these nodes. */
export async function agreeOn(nodes, number) {
  const hashes = await Promise.all(nodes.map((node) => node.view.hashAt(number)));
  const sights = nodes.map((node, index) => `${node.name}: ${hashes[index]}`);
  assert.equal(new Set(hashes).size, 1, `block ${number} differs:\n${sights.join('\n')}`);
  return hashes[0];
}

/** Waits for a block, `from` or above, by the holder of this Aura key. */
export function authors(api, node, key, { from, within }) {
  let next = from;
  return until(`a block above ${from - 1} by ${key}`, async (seen) => {
    for (const best = await node.view.best(); next <= best; next++) {
      if ((await authorOf(api, node.view, await node.view.hashAt(next))) === key) return next;
      seen(`none up to block ${next}`);
    }
    return false;
  }, { within });
}

/** The block from whose state on the Aura set has, or lacks, this key. */
export function changed(api, node, key, present, { within }) {
  return until(`the Aura set ${present ? 'has' : 'lacks'} ${key}`, async (seen) => {
    const { number, parentHash } = await node.view.header();
    const keys = await auraKeys(api, parentHash);
    seen(`${keys.length} keys before block ${Number(number)}`);
    return keys.includes(key) === present && Number(number) - 1;
  }, { within, every: 500 });
}
