#!/usr/bin/env node
// The worker's figures, for one run on one machine; writes its section of docs/benchmarks.md.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endAll } from '../lib/ours.mjs';
import { table, writeSection } from './report.mjs';
import { measureLaunches } from './worker-launch.mjs';
import { median, quantile } from './worker-log.mjs';
import { VMS, measureMarket } from './worker-market.mjs';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

const say = (text) => console.error(`bench: ${text}`);

function buildBareLoop() {
  const args = ['build', '--release', '--locked', '--quiet', '--package', 'quarry-hypervisor', '--example', 'bare-loop'];
  execFileSync('cargo', args, { cwd: REPOSITORY, stdio: 'inherit' });
}

const each = (values, digits) => values.map((value) => value.toFixed(digits)).join(', ');
const thousand = VMS.toLocaleString('en');

function launchRows({ bare, launches, inMemory }) {
  const loop = median(bare.map(({ seconds }) => seconds));
  const times = (seconds) => `${(seconds / loop).toFixed(2)} ×`;
  const typical = median(launches.map(({ seconds }) => seconds));
  const processor = (of) => `${median(launches.map((run) => run[of])).toFixed(2)} s`;
  return [
    [`bare loop: ${thousand} domains defined and started`, `${loop.toFixed(2)} s, the median of ${each(bare.map(({ seconds }) => seconds), 2)}`, ''],
    [`worker: ${thousand} launches, from its first look at the finalized state to the last start`, `${typical.toFixed(2)} s, the median of ${each(launches.map(({ seconds }) => seconds), 2)}`, ''],
    ['worker : bare loop', times(typical), '1.3 ×'],
    ['the same with the VMs\' files in memory', `${inMemory.seconds.toFixed(2)} s, ${times(inMemory.seconds)}`, ''],
    ['of that time, reading the work from the chain', `${each(launches.map(({ reading }) => reading * 1_000), 0)} ms`, ''],
    ['processor time until the last start: worker, its libvirtd', `${processor('worker')}, ${processor('libvirtd')}`, ''],
    ['processor time of the bare loop\'s libvirtd', `${median(bare.map(({ libvirtd }) => libvirtd)).toFixed(2)} s`, ''],
    ['blocks from the last start to the block with the last report', each([...launches, inMemory].map(({ blocks }) => blocks), 0), '3'],
  ];
}

function callRow(calls) {
  const [middle, most] = [quantile(calls, 0.95), Math.max(...calls)].map((value) => value.toFixed(0));
  return [
    `finalized block to first call to libvirt, ${calls.length} operations on ${thousand} VMs`,
    `${middle} ms at the 95th percentile; median ${median(calls).toFixed(0)} ms, longest ${most} ms`,
    '100 ms',
  ];
}

function realRows(rounds) {
  const of = (name) => rounds.map((round) => round[name]);
  const more = median(of('worker')) - median(of('virsh'));
  return [
    ['real launch by the worker, image in the store: from the finalized block to the domain\'s start', `${median(of('worker')).toFixed(0)} ms, the median of ${each(of('worker'), 0)}`, ''],
    ['`virsh define` and `virsh start` of the same XML', `${median(of('virsh')).toFixed(0)} ms, the median of ${each(of('virsh'), 0)}`, ''],
    ['the worker takes more', `${more.toFixed(0)} ms`, '300 ms'],
  ];
}

function idleRows({ seconds, cpuShare, rss }) {
  return [
    [`${thousand} VMs running and nothing asked: resident memory`, `${(rss / 1e6).toFixed(0)} MB`, '100 MB'],
    [`the same: processor time, over ${seconds.toFixed(0)} s`, `${(100 * cpuShare).toFixed(2)} % of one core`, '2 %'],
  ];
}

try {
  buildBareLoop();
  const market = await measureMarket(say);
  say('launches of real guests');
  const rounds = await measureLaunches();
  const section = writeSection('worker', 'The worker', [
    ...table(['what', 'figure', 'bound'], [
      ...launchRows(market), callRow(market.calls), ...realRows(rounds), ...idleRows(market.idle),
    ]),
    '',
    `The ${thousand} domains are on libvirt's test driver in a libvirtd of their own, the chain node is on the same`,
    'machine, and the worker has the settings that it is shipped with. It is stopped while the requests are',
    'placed, and sees all of them in its first finalized state. Moments are those of its log; the durations',
    'of first calls are also its histogram `quarry_worker_first_call_seconds`. Real guests are busybox under',
    'emulation, on a libvirt and QEMU in namespaces of their own; disk and seed of those that virsh starts',
    'are there before.',
    '',
    'The worker is above the bound of 1.3 × on this disk: for each VM it makes a disk, a seed, a host key and a',
    'manifest, and syncs them before it starts the guest, so that a loss of power leaves no guest without what it',
    'ran from. The bare loop writes nothing. With the files in memory what is left is the worker\'s own part.',
  ]);
  console.log(section);
} finally {
  await endAll();
}
