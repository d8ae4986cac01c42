// What a chain node takes when nothing happens, and what its runtime weighs.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { targetDir } from '../lib/binary.mjs';

const SETTLED_AT_BLOCK = 5;
const SLOT_SECONDS = 6;

/** Memory, and the share of one core, of a node that makes empty blocks. */
export async function measureIdle(node, seconds, say) {
  await node.produced(SETTLED_AT_BLOCK);
  say(`watching an idle node for ${seconds} s`);
  const first = await node.view.best();
  const begin = sample(node.process.pid);
  await node.produced(first + Math.ceil(seconds / SLOT_SECONDS));
  const end = sample(node.process.pid);
  return {
    seconds: end.at - begin.at,
    cpuShare: (end.cpu - begin.cpu) / (end.at - begin.at),
    rss: end.rss,
    anonymous: end.anonymous,
  };
}

const ticksPerSecond = () => Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** What a process has taken so far: processor time, and memory by kind. */
export function sample(pid) {
  // The command, in brackets, may itself hold spaces; user and system time are fields 14 and 15.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)[1]) * 1024;
  return {
    at: performance.now() / 1_000,
    cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond(),
    rss: bytes('Rss'),
    anonymous: bytes('Anonymous'),
  };
}

/** The size of the runtime on chain, and of the same one before it was compressed. */
export async function measureRuntime(node) {
  const CODE = '0x3a636f6465';
  const onChain = Buffer.from((await node.view.call('state_getStorage', CODE)).slice(2), 'hex');
  const built = (suffix) => readFileSync(join(targetDir(), 'release', 'wbuild', 'quarry-runtime', `quarry_runtime.compact${suffix}`));
  const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
  if (hash(built('.compressed.wasm')) !== hash(onChain)) {
    throw new Error(`the runtime in ${targetDir()} is not the one that the node runs: build the node again`);
  }
  return { compressed: onChain.length, uncompressed: built('.wasm').length };
}
