// The control groups of a lab's hosts: the one thing of a sandbox that outlives it.
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

export const CGROUPS = '/sys/fs/cgroup';
export const CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'blkio', 'devices', 'pids'];
const PREFIX = 'quarry-e2e-';

export const isOfALab = (name) => name.startsWith(PREFIX);

/** The group of a host of this run. */
export const groupOf = (host) => `${PREFIX}${process.env.QUARRY_E2E_RUN}-${host}`;

/**
 * Removes the groups of runs that were killed. In a host's group its first process is in "keeper" as long as it is there:
 * that is of another sandbox, so it cannot be seen from here. A group in which others have yet to end, as those of a host
 * that is just being closed, is left to the next sweep.
 */
export function sweepCgroups() {
  for (const tree of trees()) {
    for (const name of readdirSync(tree).filter(isOfALab)) {
      const group = join(tree, name);
      if (isRemoved(join(group, 'keeper'))) isRemoved(group);
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

/** Removes a group; false if processes are in it. */
function isRemoved(group) {
  try {
    removeGroup(group);
  } catch (error) {
    if (error.code !== 'EBUSY') throw error;
    return false;
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
