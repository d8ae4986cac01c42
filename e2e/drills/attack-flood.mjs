// A flood of feeless calls that are not valid, and what an honest tenant and an honest worker feel of it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sample } from '../bench/footprint.mjs';
import { Signer } from '../bench/market-load.mjs';
import { median } from '../bench/worker-log.mjs';
import { submit } from '../lib/chain.mjs';
import { tempDir } from '../lib/ours.mjs';
import { Process } from '../lib/process.mjs';
import { SECONDS, inTime } from '../lib/until.mjs';

const SENDER = join(import.meta.dirname, 'flood-sender.mjs');
const SENDERS = 2;
const FORGED = 2_000;
const MEBIBYTE = 2 ** 20;
/** An honest call may come that many times as late. */
const LATER = 2;

export async function attackByFlood(scene, findings, { short }) {
  const { market, alpha } = scene;
  const vm = await scene.running('honest');
  const samples = short ? 4 : 8;
  const forged = await forge(scene, vm.id, findings);
  const calm = await watch(scene, vm, samples);
  const before = { node: await market.nodeRecord(alpha), process: sample(market.node.process.pid) };
  const senders = forged.map((file, number) => new Process(process.execPath, [SENDER, market.node.url, file, String((samples + 2) * 6), alpha.id], { name: `flood-${number}` }));
  const stormy = await watch(scene, vm, samples);
  const sent = await Promise.all(senders.map(resultOf));
  const after = { node: await market.nodeRecord(alpha), process: sample(market.node.process.pid) };
  tell(findings, { calm, stormy, sent, before, after });

  await findings.holds('a flood of feeless calls that are not valid: none of them gets into the pool', async () => {
    const taken = sent.flatMap(({ answers }) => Object.keys(answers)).filter((words) => !/Inability to pay|bad signature|temporarily banned|Verification Error/i.test(words));
    assert.deepEqual(taken, []);
    // Reports of another's, signatures that are none, and what is no call.
    for (const kind of [/Inability to pay/, /bad signature/i, /Verification Error/]) {
      assert.ok(sent.every(({ answers }) => Object.keys(answers).some((words) => kind.test(words))), `nobody sent what is refused with ${kind}: ${JSON.stringify(sent[0].answers)}`);
    }
    const waiting = (await market.api.rpc.author.pendingExtrinsics()).filter(({ signer }) => signer.toString() === scene.evil.workerAccount.address);
    assert.equal(waiting.length, 0);
  });
  await findings.holds(`meanwhile an honest tenant’s calls come no more than ${LATER} times as late`, () => {
    const ratio = median(stormy.inclusion) / median(calm.inclusion);
    assert.ok(ratio <= LATER, `${ratio.toFixed(2)} times as late: ${stormy.inclusion} ms`);
  });
  await findings.holds('and an honest worker’s heartbeats go on, so that its node stays Online', () => {
    assert.equal(after.node.downtime.toNumber(), before.node.downtime.toNumber());
    assert.ok(after.node.heartbeatCount.toNumber() > before.node.heartbeatCount.toNumber());
  });
  await vm.ask('Delete');
  await vm.isGone();
}

/** Files of well signed reports on a VM, by a key that is another node's, no two the same. */
async function forge({ market: { api }, alpha, evil }, id, findings) {
  const nonce = (await api.rpc.system.accountNextIndex(evil.workerAccount.address)).toNumber();
  const begun = performance.now();
  const files = Array.from({ length: SENDERS }, (_, sender) => {
    const lines = Array.from({ length: FORGED }, (__, number) => (
      new Signer(api, evil.workerAccount, nonce).sign(api.tx.compute.submitComputeDeletionRequest(alpha.id, id, sender * FORGED + number))
    ));
    const file = join(tempDir('flood'), 'forged');
    writeFileSync(file, lines.join('\n'));
    return file;
  });
  findings.figure('an attacker’s time to sign a forged report (in JavaScript)', `${((performance.now() - begun) / SENDERS / FORGED).toFixed(2)} ms`);
  return files;
}

/** Milliseconds until calls of a tenant are in a block, and until the RPC answers, so many times. */
async function watch({ market, tenants, key }, vm, count) {
  const { api, node } = market;
  const seen = { inclusion: [], answers: [] };
  for (let number = 0; number < count; number++) {
    await nextBlock(api);
    const begun = performance.now();
    await submit(api, api.tx.compute.setSshKeys(vm.id, [key.publicKey]), tenants.honest);
    seen.inclusion.push(Math.round(performance.now() - begun));
    const asked = performance.now();
    await node.view.call('compute_get_vm', String(vm.id));
    seen.answers.push(Math.round(performance.now() - asked));
  }
  return seen;
}

function nextBlock(api) {
  return inTime('a block', new Promise((resolve, reject) => {
    let first = true;
    const subscribed = api.rpc.chain.subscribeNewHeads(() => {
      if (!first) subscribed.then((unsubscribe) => unsubscribe()).then(resolve);
      first = false;
    });
    subscribed.catch(reject);
  }), 60 * SECONDS);
}

async function resultOf(sender) {
  const { code } = await inTime(`the end of ${sender.name}`, sender.ended, 300 * SECONDS);
  if (code !== 0) throw new Error(sender.tail());
  return JSON.parse(sender.stdout);
}

function tell(findings, { calm, stormy, sent, before, after }) {
  const sum = (of) => sent.reduce((total, sender) => total + of(sender), 0);
  const total = sum((sender) => sender.sent);
  const cpu = after.process.cpu - before.process.cpu;
  const list = (values) => `${median(values)} ms (at most ${Math.max(...values)} ms)`;
  findings.figure('a flood of calls that are not valid', `${total} in ${sent[0].seconds.toFixed(0)} s, ${Math.round(total / sent[0].seconds)} a second`);
  findings.figure('what a thousand of them cost the node, and their senders beside the signing', `${(cpu / total * 1e3).toFixed(2)} and ${(sum((sender) => sender.cpu) / total * 1e3).toFixed(2)} seconds of a processor`);
  findings.figure('an honest call in a block, in the calm', list(calm.inclusion));
  findings.figure('in the flood', list(stormy.inclusion));
  findings.figure('the ratio of both', (median(stormy.inclusion) / median(calm.inclusion)).toFixed(2));
  findings.figure('compute_get_vm answers, in the calm and in the flood', `${list(calm.answers)}, ${list(stormy.answers)}`);
  findings.figure('the chain node’s memory grew by', `${((after.process.rss - before.process.rss) / MEBIBYTE).toFixed(0)} MiB`);
}
