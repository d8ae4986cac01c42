#!/usr/bin/env node
// What a tenant's way through the node's port costs, for one run on one machine; writes its section of
// docs/benchmarks.md.
import { endAll } from '../lib/ours.mjs';
import { SESSIONS, measureAccess } from './access-ways.mjs';
import { table, writeSection } from './report.mjs';
import { median } from './worker-log.mjs';

const BOUNDS = { direct: '', openSsh: '', node: '0.7 ×', relay: '0.5 ×' };
const NAMES = { direct: 'direct ssh', openSsh: 'through a jump host of OpenSSH’s', node: 'through the node’s port', relay: 'through relay and node' };
const MOST_MEMORY = '60 MB';

const say = (text) => console.error(`bench: ${text}`);
const speed = (rates) => median(rates) / 1e6;

function rows({ rates }, link) {
  return Object.keys(NAMES).flatMap((way) => ['up', 'down'].map((direction) => {
    const [own, direct] = [speed(rates[way][direction]), speed(rates.direct[direction])];
    const share = way === 'direct' ? '' : `, ${(own / direct).toFixed(2)} ×`;
    return [`${NAMES[way]}, ${direction}, ${link}`, `${own.toFixed(0)} MB/s${share}`, BOUNDS[way]];
  }));
}

try {
  const { loops, links, memory, mebibytes, rate, rounds } = await measureAccess(say);
  const section = writeSection('access', 'Access', [
    ...table(['what', 'figure', 'bound'], [
      ...rows(links, `links of ${rate}`), ...rows(loops, 'links without a limit'),
      [`${SESSIONS} idle sessions, each with an open connection to its VM: the worker takes more`, `${((memory.after - memory.before) / 1e6).toFixed(0)} MB, ${(memory.before / 1e6).toFixed(0)} MB before`, MOST_MEMORY],
    ]),
    '',
    `A file of ${mebibytes} MiB by OpenSSH to and from an sshd, each on a machine (a network namespace) of its own, the`,
    `median of ${rounds} rounds. The tenant's ssh, the jump's, the relay, the worker and the sshd share this machine's cores:`,
    'where links have no limit it is the processor that is measured, and a way with twice as many ends to encrypt at has',
    'half of it, as OpenSSH’s own jump host shows.',
    'The idle sessions are `ssh -W` to VMs whose port 22 leads to that sshd, too.',
  ]);
  console.log(section);
} finally {
  await endAll();
}
