// Writes the metadata of a chain node's own runtime to a file, as client/metadata.scale has it: metadata-of.mjs NODE FILE
import { writeFileSync } from 'node:fs';
import { startChainNode } from '../lib/chain-node.mjs';
import { endAll } from '../lib/ours.mjs';
import { rpc } from '../lib/rpc.mjs';

/** The newest that the worker's bindings are made of. */
const VERSION = '0x10000000';
/** Some, and how long the compact number before the bytes is. */
const LENGTHS = [1, 2, 4];

const [program, file] = process.argv.slice(2);
process.env.QUARRY_NODE = program;
try {
  const node = await startChainNode({ name: 'metadata' });
  const answer = Buffer.from((await rpc(node.url, 'state_call', 'Metadata_metadata_at_version', VERSION)).slice(2), 'hex');
  if (answer[0] !== 1) throw new Error(`${program} has no metadata of version 16`);
  writeFileSync(file, answer.subarray(1 + LENGTHS[answer[1] & 3]));
} finally {
  await endAll();
}
