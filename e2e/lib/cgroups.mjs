// The control groups of a lab's hosts: the one thing of a sandbox that outlives it.
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

export const CGROUPS = '/sys/fs/cgroup';
export const CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'blkio', 'devices', 'pids'];
const PREFIX = 'quarry-e2e-';

export const isOfALab = (name) => name.startsWith(PREFIX);

/** The group of a host of this run. */
export const groupOf = (host) => `${PREFIX}${process.env.QUARRY_E2E_RUN}-${host}`;

/** Removes the groups of runs that were killed. */
export function sweepCgroups() {
  for (const tree of trees()) {
    for (const name of readdirSync(tree)) {
      const group = join(tree, name);
      if (isOfALab(name) && isUnused(join(group, 'keeper'))) removeGroup(group);
    }
  }
}

export function removeCgroups(name) {
  for (const tree of trees()) if (existsSync(join(tree, name))) removeGroup(join(tree, name));
}

/** One for each controller, or a single one on systems of today. */
function trees() {
  if (existsSync(join(CGROUPS, 'cgroup.controllers'))) return [CGROUPS];
  return CONTROLLERS.map((controller) => join(CGROUPS, controller)).filter((tree) => existsSync(tree));
}

/**
 * Whether a host's group, in whose "keeper" its first process is as long as it is there, could be removed. That
 * process is of another sandbox, so it cannot be seen from here.
 */
function isUnused(keeper) {
  try {
    rmdirSync(keeper);
  } catch (error) {
    if (error.code === 'EBUSY') return false;
    if (error.code !== 'ENOENT') throw error;
  }
  return true;
}

/** Another run may be sweeping at the same time. */
function removeGroup(folder) {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeGroup(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
