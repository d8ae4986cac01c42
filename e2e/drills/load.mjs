// Two thousand nodes and ten thousand VMs from one driver, which plays their workers and tenants; real chain nodes.
import assert from 'node:assert/strict';
import { Signer, register } from '../bench/market-load.mjs';
import { median, quantile } from '../bench/worker-log.mjs';
import { RATES } from '../lib/market.mjs';
import { SECONDS } from '../lib/until.mjs';
import { Findings } from './findings.mjs';
import { Gauges } from './load-gauges.mjs';
import { LoadDriver } from './load-driver.mjs';
import { Stage } from './stage.mjs';

export const drill = {
  name: 'load',
  about: '2,000 nodes with heartbeats and 10,000 VMs on real chain nodes: blocks, finality, latencies, memory',
  run,
};

const NODES = 2_000;
const REQUESTS = 10_000;
const TENANTS = 40;
const MINUTES = 5;
const OFFER = { capacity: { vcpus: 5, memoryMib: 2_560, diskGib: 25 }, rates: RATES, country: 'SE', maxVms: 5, globalIps: false };
const MEBIBYTE = 2 ** 20;
/** Blocks that finality may lag behind, and that a call may wait; seconds that a question may take. */
const BOUNDS = { lag: 8, inclusion: 4, answer: 2 };

async function run({ short, minutes = short ? 1 : MINUTES, say }) {
  const findings = new Findings(say);
  const size = short ? { nodes: 200, requests: 1_000 } : { nodes: NODES, requests: REQUESTS };
  // What is on trial is not how soon a launch that nobody makes is given up.
  const stage = await Stage.open({ hosts: [], tenants: TENANTS, params: { launch_timeout: 150 }, sessionLength: 600, say });
  try {
    const { api, node, admin } = stage.market;
    const miner = new Signer(api, admin, (await api.rpc.system.accountNextIndex(admin.address)).toNumber());
    say(`registering ${size.nodes} nodes`);
    const nodes = await register(node, api, [miner], size.nodes, OFFER);
    const driver = new LoadDriver(stage, nodes, { requests: size.requests, seconds: minutes * 60, say });
    const gauges = new Gauges(stage, nodes[0], say);
    await driver.everybodyBeats();
    await gauges.start();
    say(`load for ${minutes} minutes`);
    await driver.run().finally(() => gauges.stop());
    await judge(findings, { driver, gauges, size, api });
  } catch (error) {
    say(stage.describe());
    throw error;
  } finally {
    await stage.close();
  }
  return findings;
}

async function judge(findings, { driver, gauges, size, api }) {
  const list = (values, unit) => `${median(values).toFixed(0)} ${unit}, 95 % within ${quantile(values, 0.95).toFixed(0)}, all within ${Math.max(...values).toFixed(0)}`;
  const percent = (shares) => list(shares.map((share) => share * 100), '%');
  await findings.holds(`${size.requests} VMs run, none failed and none is left`, async () => {
    const requests = await api.query.compute.computeRequests.entries();
    const running = requests.filter(([, request]) => request.unwrap().status.isRunning).length;
    assert.equal(running, size.requests);
  });
  await findings.holds(`all ${size.nodes} nodes stayed Online`, async () => {
    const records = (await api.query.registry.nodes.entries()).map(([, record]) => record.unwrap());
    assert.equal(records.length, size.nodes);
    const offlineAfter = api.consts.registry.offlineAfter.toNumber();
    const away = records.filter(({ downtime }) => downtime.toNumber() > 0).map(({ downtime }) => downtime.toNumber());
    const silent = records.filter(({ lastSeen }) => lastSeen.unwrap().toNumber() + offlineAfter < driver.endedAt).length;
    assert.deepEqual([away, silent], [[], 0], `${away.length} nodes were Offline, for ${away.join(', ')} blocks, and ${silent} at the end`);
    findings.figure('heartbeats in blocks', records.reduce((sum, { heartbeatCount }) => sum + heartbeatCount.toNumber(), 0));
  });
  await findings.holds('every call that came into a block did what it says', () => assert.deepEqual(gauges.failed, []));
  await findings.holds(`finality is never more than ${BOUNDS.lag} blocks behind`, () => {
    assert.ok(Math.max(...gauges.lags) <= BOUNDS.lag, `${gauges.lags}`);
  });
  await findings.holds(`an honest call is in a block within ${BOUNDS.inclusion} blocks`, () => {
    assert.ok(Math.max(...gauges.waits) <= BOUNDS.inclusion, `${gauges.waits}`);
  });
  await findings.holds(`find_nodes and work_for answer within ${BOUNDS.answer} s, but for one in twenty`, () => {
    for (const times of Object.values(gauges.answers)) assert.ok(quantile(times, 0.95) <= BOUNDS.answer * SECONDS, list(times, 'ms'));
  });
  findings.figure('heartbeats that the pool took, VMs asked for, and launches reported', `${driver.beats}, ${driver.rents}, ${driver.reports}`);
  findings.figure('transactions in a block', list(gauges.counts, ''));
  findings.figure('of a block’s time for ordinary calls', percent(gauges.weights));
  findings.figure('of a block’s bytes for ordinary calls', percent(gauges.lengths));
  findings.figure('seconds between blocks', list(gauges.intervals, 's'));
  findings.figure('finality behind the best block', list(gauges.lags, 'blocks'));
  findings.figure('an honest call until it is in a block', `${list(gauges.inclusions, 'ms')}; blocks: ${list(gauges.waits, '')}`);
  for (const [method, times] of Object.entries(gauges.answers)) findings.figure(`${method}, a page of 100 rows`, list(times, 'ms'));
  findings.figure('memory of the RPC node: at first, at the end, at most', gauges.memory().map((bytes) => `${(bytes / MEBIBYTE).toFixed(0)} MiB`).join(', '));
  findings.figure('what was refused and sent again', JSON.stringify(driver.refusals));
}
