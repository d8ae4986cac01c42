#!/usr/bin/env node
// What `quarry` takes, for one run on one machine; writes its section of docs/benchmarks.md.
import { startChainNode } from '../lib/chain-node.mjs';
import { chainLike } from '../lib/chain-spec.mjs';
import { connect, developmentAccount } from '../lib/chain.mjs';
import { CliUser } from '../lib/cli-user.mjs';
import { endAll } from '../lib/ours.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { measureRent } from './cli-rent.mjs';
import { Signer, register } from './market-load.mjs';
import { table, writeSection } from './report.mjs';
import { included } from './throughput.mjs';
import { submitAll } from './transfers.mjs';
import { quantile } from './worker-log.mjs';

const NODES = 10_000;
const MINERS = ['//Alice', '//Bob', '//Charlie', '//Dave'];
const RUNS = 30;
/** A block that ends a session carries no transactions; here none does. */
const SESSION_LENGTH = 100_000;
const AUTHOR = ['--alice', '--force-authoring', '--tmp', '--node-key', '11'.repeat(32)];
const WIDE_POOL = ['--pool-limit', '40000', '--pool-kbytes', '102400'];

const say = (text) => console.error(`bench: ${text}`);

/** Milliseconds from the start of the process to its first byte, and to its end. */
async function timed(user, args) {
  const begun = performance.now();
  const running = user.open(args);
  await running.waitForLine(/./);
  const first = performance.now() - begun;
  const { code } = await running.ended;
  if (code !== 0) throw new Error(`quarry ${args.join(' ')}: ${running.stderr}`);
  return { first, all: performance.now() - begun, stdout: running.stdout };
}

async function many(user, args) {
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push(await timed(user, args));
  const of = (what, part) => quantile(runs.map((run) => run[what]), part);
  return { first: of('first', 0.5), firstSlow: of('first', 0.95), all: of('all', 0.5), allSlow: of('all', 0.95), stdout: runs[0].stdout };
}

/** Sends heartbeats, and waits until all are finalized, which is what a tenant sees. */
async function beat(node, beats) {
  const start = await node.view.best();
  await submitAll(node.url, beats);
  await included(node, start, beats.length);
  const last = await node.view.best();
  await until('the heartbeats are finalized', async () => await node.view.finalized() >= last, { within: 120 * SECONDS, every: 100 });
}

async function measureReads() {
  const chain = await chainLike('dev', ({ validators }) => (validators.sessionLength = SESSION_LENGTH));
  const node = await startChainNode({ args: ['--chain', chain, ...AUTHOR, ...WIDE_POOL] });
  const api = await connect(node.url);
  try {
    const user = new CliUser('reader', { url: node.url, uri: '//Alice' });
    say('quarry plans');
    const plans = await many(user, ['plans']);
    say(`registering ${NODES} nodes`);
    const hosts = await register(node, api, MINERS.map((uri) => new Signer(api, developmentAccount(uri))), NODES);
    await beat(node, hosts.map(({ id, worker }) => worker.sign(api.tx.registry.submitNodeMetrics(id, true, null))));
    say('quarry nodes');
    // Those of the first of these blocks may be offline by now, and those of the last one soon: the most counts.
    const runs = [];
    for (let run = 0; run < RUNS; run++) {
      const { all, stdout } = await timed(user, ['nodes', '--plan', 'nano']);
      const [, more = 0] = /(\d+) more:/.exec(stdout) ?? [];
      runs.push({ all, found: (stdout.match(/^bench-/gm)?.length ?? 0) + Number(more) });
    }
    const ofRuns = (part) => quantile(runs.map(({ all }) => all), part);
    return { plans, nodes: { all: ofRuns(0.5), allSlow: ofRuns(0.95), found: Math.max(...runs.map(({ found }) => found)) } };
  } finally {
    await api.disconnect();
    await node.stop();
  }
}

const milliseconds = (figure) => `${figure.toFixed(0)} ms`;
const seconds = (figure) => `${figure.toFixed(1)} s`;

try {
  const { plans, nodes } = await measureReads();
  const { steps } = await measureRent(say);
  const at = Object.fromEntries(steps.map(({ step, seconds: when }) => [step, when]));
  console.log(writeSection('cli', 'The command line', [
    ...table(['what', 'figure', 'bound'], [
      ['`quarry plans`, process start to first byte, median', `${milliseconds(plans.first)}, 95th percentile ${milliseconds(plans.firstSlow)}`, '150 ms'],
      [`\`quarry nodes\` over ${NODES.toLocaleString('en')} registered nodes, median`, `${seconds(nodes.all / 1_000)}, 95th percentile ${seconds(nodes.allSlow / 1_000)}, up to ${nodes.found} of them online`, '2 s'],
      ['`quarry rent --yes` to a shell in a cached Debian guest, under emulation', seconds(at.ready), ''],
      ['of that: the chain, until the request is finalized', seconds(at.accepted), ''],
      ['the worker, until it has made the VM and the chain has finalized its two reports', seconds(at.booting - at.accepted), ''],
      ['the guest, from there until ssh lets in', seconds(at.ready - at.booting), ''],
    ]),
    '',
    `The first two are of ${RUNS} runs each, with a dev chain node on the same machine; a tenant of this chain reads finalized state.`,
  ]));
} finally {
  await endAll();
}
