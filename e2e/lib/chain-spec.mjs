import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runChainNode } from './chain-node.mjs';
import { tempDir } from './ours.mjs';

/** The file of a chain spec like a built-in one, with what `change` does to its genesis and to the rest. */
export async function chainLike(builtIn, change) {
  const { code, stdout, stderr } = await runChainNode(['export-chain-spec', '--chain', builtIn]);
  if (code !== 0) throw new Error(`no chain spec: ${stderr}`);
  const spec = JSON.parse(stdout);
  const { patch, config = patch } = spec.genesis.runtimeGenesis;
  change(config, spec);
  const path = join(tempDir('spec'), 'chain.json');
  writeFileSync(path, JSON.stringify(spec));
  return path;
}
