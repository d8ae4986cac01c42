// The control groups of a lab's hosts: the one thing of a sandbox that outlives it.
import { existsSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

export const CGROUPS = '/sys/fs/cgroup';
export const CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'blkio', 'devices', 'pids'];
const PREFIX = 'quarry-e2e-';

/** The group of a host of this run. */
export const groupOf = (host) => `${PREFIX}${process.env.QUARRY_E2E_RUN}-${host}`;

/** Removes the groups of runs that were killed. One in use has its host's first process in "keeper". */
export function sweepCgroups() {
  for (const tree of trees()) {
    for (const name of readdirSync(tree)) {
      const group = join(tree, name);
      if (name.startsWith(PREFIX) && existsSync(join(group, 'keeper')) && isEmpty(join(group, 'keeper'))) removeGroup(group);
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

const isEmpty = (group) => readFileSync(join(group, 'cgroup.procs'), 'utf8') === '';

function removeGroup(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(folder, entry.name));
  }
  rmdirSync(folder);
}
