#!/usr/bin/env node
// The chain's figures, for one run on one machine; writes its section of docs/benchmarks.md.
import { startChainNode } from '../lib/chain-node.mjs';
import { connect } from '../lib/chain.mjs';
import { chainLike } from '../lib/chain-spec.mjs';
import { endAll } from '../lib/ours.mjs';
import { measureIdle, measureRuntime } from './footprint.mjs';
import { measureImport } from './import-time.mjs';
import { mebibytes, table, writeSection } from './report.mjs';
import { measureThroughput } from './throughput.mjs';

const TRANSFERS = 10_000;
const BLOCK_SIZES = [0, 100, 500, 1_000, 2_000, 3_000];
const IDLE_SECONDS = 120;

/** Room for all transfers at once. */
const WIDE_POOL = ['--pool-limit', '40000', '--pool-kbytes', '102400'];

const say = (text) => console.error(`bench: ${text}`);

/** A block that ends a session carries no transfers; here none does while a measurement runs. */
const SESSION_LENGTH = 100_000;
const AUTHOR = ['--alice', '--force-authoring', '--tmp', '--node-key', '11'.repeat(32)];

async function withNode(args, measure) {
  const node = await startChainNode({ args });
  const api = await connect(node.url);
  try {
    return await measure(node, api);
  } finally {
    await api.disconnect();
    await node.stop();
  }
}

const perSecond = (count, { slotSeconds }, blocks = 1) => (count / (blocks * slotSeconds)).toFixed(0);

function throughputRows(result) {
  const { count, perBlock, limit } = result;
  const fullest = Math.max(...perBlock);
  const bound = Math.min(limit.byWeight, limit.byLength);
  return [
    [`transfers included, of ${count} signed beforehand`, `${perSecond(count, result, perBlock.length)} per second, in ${perBlock.length} blocks of ${perBlock.join(', ')}`],
    ['fullest block', `${fullest} transfers, ${perSecond(fullest, result)} per second`],
    ['a block\'s weight limit allows', `${limit.byWeight} transfers of ${limit.microsecondsEach.toFixed(0)} µs, ${perSecond(limit.byWeight, result)} per second`],
    ['a block\'s length limit allows', `${limit.byLength} transfers of ${limit.bytesEach} bytes, ${perSecond(limit.byLength, result)} per second`],
    ['the fullest block used', `${((100 * fullest) / bound).toFixed(0)} % of what the limits allow`],
    ['the node\'s pool took in', `${(count / result.submittingSeconds).toFixed(0)} transfers per second`],
  ];
}

function footprintRows(runtime, idle) {
  return [
    ['runtime wasm, compressed as on chain', mebibytes(runtime.compressed)],
    ['runtime wasm, uncompressed', mebibytes(runtime.uncompressed)],
    ['idle `--dev` node, resident memory', `${mebibytes(idle.rss)}, ${mebibytes(idle.anonymous)} of it its own`],
    ['idle `--dev` node, processor time', `${(100 * idle.cpuShare).toFixed(1)} % of one core, over ${idle.seconds.toFixed(0)} s`],
  ];
}

function importRows(rows) {
  return rows.map(({ size, milliseconds }) => {
    const median = milliseconds[Math.floor(milliseconds.length / 2)];
    const range = `${milliseconds[0].toFixed(1)} – ${milliseconds.at(-1).toFixed(1)}`;
    return [size, median.toFixed(1), range, size ? `${((1_000 * median) / size).toFixed(0)}` : ''];
  });
}

try {
  const [runtime, idle] = await withNode(['--dev'], async (node) => [
    await measureRuntime(node),
    await measureIdle(node, IDLE_SECONDS, say),
  ]);
  const chain = await chainLike('dev', ({ validators }) => (validators.sessionLength = SESSION_LENGTH));
  const author = ['--chain', chain, ...AUTHOR, ...WIDE_POOL];
  const throughput = await withNode(author, (node, api) => measureThroughput(node, api, TRANSFERS, say));
  const imports = await withNode(author, (node, api) => measureImport(node, api, chain, BLOCK_SIZES, say));
  const section = writeSection('chain', 'The chain', [
    ...table(['what', 'figure'], [...throughputRows(throughput), ...footprintRows(runtime, idle)]),
    '',
    'Block import, by a second node on the same machine; each time is what that node\'s own metric',
    '`substrate_block_verification_and_import_time` grew by with that block alone.',
    '',
    ...table(['transfers in the block', 'median, ms', 'range, ms', 'µs per transfer'], importRows(imports)),
  ]);
  console.log(section);
} finally {
  await endAll();
}
