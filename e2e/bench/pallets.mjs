#!/usr/bin/env node
// What the market's calls cost, for one run on one machine; writes its section of docs/benchmarks.md.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startChainNode } from '../lib/chain-node.mjs';
import { connect } from '../lib/chain.mjs';
import { chainLike } from '../lib/chain-spec.mjs';
import { endAll } from '../lib/ours.mjs';
import { measureMarket } from './market-load.mjs';
import { table, writeSection } from './report.mjs';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** A block that ends a session carries no transactions; here none does. */
const SESSION_LENGTH = 100_000;
const AUTHOR = ['--alice', '--force-authoring', '--tmp', '--node-key', '11'.repeat(32)];
const WIDE_POOL = ['--pool-limit', '40000', '--pool-kbytes', '102400'];

const say = (text) => console.error(`bench: ${text}`);

/** The Rust bench: each call in the native runtime, on states of different sizes. */
function measureCalls() {
  const args = ['bench', '--locked', '--quiet', '--workspace', '--bench', 'pallets'];
  const stdio = ['ignore', 'pipe', 'inherit'];
  return JSON.parse(execFileSync('cargo', args, { cwd: REPOSITORY, stdio, maxBuffer: 2 ** 26 }));
}

async function measureOnNode() {
  const chain = await chainLike('dev', ({ validators }) => (validators.sessionLength = SESSION_LENGTH));
  const node = await startChainNode({ args: ['--chain', chain, ...AUTHOR, ...WIDE_POOL] });
  const api = await connect(node.url);
  try {
    return await measureMarket(node, api, say);
  } finally {
    await api.disconnect();
    await node.stop();
  }
}

function onNodeRows({ limits, beatsPerBlock, lives, slotSeconds }) {
  const { transfer, beat, report, life } = limits;
  const room = beat.byWeight * beat.microsecondsEach;
  const micros = ({ microsecondsEach }) => `${microsecondsEach.toFixed(0)} µs`;
  const times = ({ microsecondsEach }) => (microsecondsEach / transfer.microsecondsEach).toFixed(2);
  const perSecond = (count, blocks) => (count / (blocks * slotSeconds)).toFixed(0);
  const beats = beatsPerBlock.reduce((sum, count) => sum + count, 0);
  return [
    ['`balances.transfer_keep_alive`, by weight', micros(transfer)],
    ['a heartbeat, by weight', `${micros(beat)}, ${times(beat)} × the transfer`],
    ['a report that a VM runs, by weight', `${micros(report)}, ${times(report)} × the transfer`],
    [`a VM's life of ${life.transactions} transactions, by weight`, `${(life.microseconds / 1_000).toFixed(1)} ms`],
    ['heartbeats in a block, by weight', `${beat.byWeight}, ${perSecond(beat.byWeight, 1)} per second`],
    ['lives in a block, by weight', `${Math.floor(room / life.microseconds)}, ${perSecond(room / life.microseconds, 1)} per second`],
    [`heartbeats that a dev node included, of ${beats} from as many nodes`, `${perSecond(beats, beatsPerBlock.length)} per second, in blocks of ${beatsPerBlock.join(', ')}`],
    [`lives that a dev node included, ${lives.count} at a time, stage by stage`, `${perSecond(lives.count, lives.blocks)} per second: ${lives.transactions} transactions in ${lives.blocks} blocks`],
  ];
}

const ratio = (costs) => (costs.at(-1) / costs[0]).toFixed(2);
const whole = (cost) => cost.toFixed(cost < 10 ? 1 : 0);
const columns = ({ sizes }) => sizes.map(({ chain, node }) => `${chain.toLocaleString('en')}, ${node.toLocaleString('en')}`);

function callRows({ ours }) {
  return ours.map(({ name, microseconds }) => {
    const costs = microseconds.map(({ call }) => call);
    const withRoot = microseconds.map(({ with_root: cost }) => cost);
    return [`\`${name}\``, ...costs.map(whole), ratio(costs), whole(withRoot.at(-1)), ratio(withRoot)];
  });
}

function plainRows({ ours, plain }) {
  return plain.map(({ name, microseconds }) => {
    const costs = microseconds.map(({ call }) => call);
    const own = ours.find((call) => call.name === name).microseconds.at(-1).call;
    return [`\`${name}\``, ...costs.map(whole), ratio(costs), whole(own), (costs.at(-1) / own).toFixed(0)];
  });
}

try {
  const calls = measureCalls();
  const onNode = await measureOnNode();
  const sizes = columns(calls);
  const section = writeSection('pallets', 'The market', [
    ...table(['what', 'figure'], onNodeRows(onNode)),
    '',
    'A transaction\'s weight has what a block counts for it: the call, the signature and the other checks.',
    '',
    'Each call by how many VMs there are: on the chain, and of them on the node and with the tenant that',
    'the call is on. Microseconds in the native runtime over a state in a trie in memory, feeless check',
    'included, the median of 150 runs. The last two columns add what the state\'s new root takes after that',
    'call alone; its paths grow with the whole state, whatever a pallet does.',
    '',
    ...table(['call', ...sizes, 'last : first', 'with root', 'last : first'], callRows(calls)),
    '',
    'The same in the shape that others use: all requests of an account and all of a node in a `Vec` each,',
    'under one key, found by going through it and written back; only that, without any of the checks,',
    'payments and deadlines of ours.',
    '',
    ...table(['instead of', ...sizes, 'last : first', 'ours, last', 'times ours'], plainRows(calls)),
  ]);
  console.log(section);
} finally {
  await endAll();
}
