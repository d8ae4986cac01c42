import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export function targetDir() {
  return process.env.CARGO_TARGET_DIR ?? join(homedir(), '.cache', 'quarry', 'target');
}

/** The chain node's program: QUARRY_NODE, or what scripts/dev built. */
export function quarryNode() {
  const path = process.env.QUARRY_NODE ?? join(targetDir(), 'release', 'quarry-node');
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Error(
      `no chain node at ${path}: build it with "cargo build --release -p quarry-node", or set QUARRY_NODE to where it is`,
    );
  }
  return path;
}
