import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Every file under a path with its size and the time of its last change; empty where there is nothing. */
export function stateOf(path, { except } = {}) {
  const entries = {};
  const visit = (relative) => {
    const full = join(path, relative);
    const kind = lstatSync(full, { throwIfNoEntry: false, bigint: true });
    if (!kind) return;
    if (!kind.isDirectory()) {
      entries[relative] = `${kind.size} bytes, ${kind.mtimeNs}`;
      return;
    }
    entries[`${relative}/`] = 'folder';
    for (const name of readdirSync(full).sort()) if (name !== except) visit(join(relative, name));
  };
  visit('.');
  return entries;
}

/** Copies a chain node's state. Its index files are mostly holes, which stay holes. */
export function copyState(from, to) {
  execFileSync('cp', ['--archive', '--sparse=always', from, to]);
}
