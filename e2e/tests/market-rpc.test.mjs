import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Host, MAX_PRICE, Market, PLANS, SSH_KEY, planId, priceOf } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { plain, snakeCase } from '../lib/plain.mjs';
import { RpcRefused, rpcWith } from '../lib/rpc.mjs';

const METRICS = {
  minerId: 'alpha',
  geolocation: 'Göteborg',
  cpuModel: 'AMD EPYC 7443P',
  cpuCores: 24,
  cpuLoadPermille: 130,
  memoryMb: 131_072,
  freeMemoryMb: 98_304,
  disks: [{
    name: 'nvme0n1', diskType: 'nvme', totalSpaceMb: 1_920_000, freeSpaceMb: 1_500_000, readMbS: 3_100, writeMbS: 1_900,
  }],
  primaryNetworkInterface: { name: 'eth0', macAddress: '52:54:00:12:34:56', uplinkMb: 81_244, downlinkMb: 120_991 },
  bandwidthMbps: 1_000,
  vmCount: 1,
  uptimeMinutes: 20_160,
  isSevEnabled: false,
  gpuName: null,
  gpuMemoryMb: 0,
  hypervisor: 'QEMU 10.0.2',
  workerVersion: '0.1.0',
};

const market = new Market();
const alpha = new Host('alpha', { globalIps: true }, { metrics: METRICS });
const beta = new Host('beta', { country: 'IS' });
const gamma = new Host('gamma', { maxVms: 1 });
const tenant = market.account('tenant');
/** What `system.lastRuntimeUpgrade` has where version 0 was the last. */
const OF_ANOTHER_RUNTIME = '0x0018717561727279';
const NOBODY = market.account('nobody').address;
const FILTER = { resources: PLANS.small, country: 'SE', maxPrice: MAX_PRICE, ip: 'Prefer' };
const FILTER_IN_JSON = { resources: PLANS.small, country: 'SE', max_price: String(MAX_PRICE), ip: 'prefer' };

const ids = {};
/** The block that all questions are about, and the runtime's API at it. */
let at;
let api;

/** A VM that runs and is asked to reboot, one that was cancelled, one that waits for a node, one that stopped. */
async function rent() {
  const { compute } = market.api.tx;
  const created = await market.createAll(tenant,
    { name: 'web', node: alpha.id, ip: 'Require' }, { country: 'NZ' }, { country: 'NZ' }, { node: beta.id, country: 'IS' });
  [ids.running, ids.cancelled, ids.pending, ids.stopped] = created.ids;
  await Promise.all([alpha.worker.serve(ids.running), beta.worker.serve(ids.stopped)]);
  await market.do(tenant, compute.requestComputeStop(ids.stopped));
  await beta.worker.serve(ids.stopped);
  const { hash } = await market.do(tenant,
    compute.requestComputeReboot(ids.running), compute.cancelComputeRequest(ids.cancelled));
  at = hash;
  api = (await market.api.at(at)).call.computeApi;
}

const ask = (method, ...params) => market.node.view.call(`compute_${method}`, ...params);

/** Asserts that both ways answer the same, and answers that. */
async function same(method, answer, ...params) {
  const inJson = await ask(method, ...params, at);
  assert.deepEqual(inJson, plain(await answer));
  return inJson;
}

/** Asserts that the method refuses so, in a way that programs can rely on. */
async function refused(name, code, ...question) {
  await assert.rejects(ask(...question), (error) => {
    assert.ok(error instanceof RpcRefused, error.stack);
    assert.deepEqual([error.code, error.data.name], [code, name]);
    return true;
  });
}

/** All rows of a list, asked for one by one. */
async function pages(question) {
  const rows = [];
  let cursor = null;
  do {
    const page = await question(cursor);
    assert.ok(page.rows.length <= 1);
    rows.push(...page.rows);
    cursor = page.next;
  } while (cursor !== null);
  return rows;
}

before(async () => {
  await market.open({ hosts: [alpha, beta, gamma] });
  await rent();
});

after(async () => {
  await market.close();
  await endAll();
});

describe('the market answers the same over the runtime API and over JSON-RPC', { concurrency: true }, () => {
  test('get_node_metrics', async () => {
    const metrics = await same('get_node_metrics', api.getNodeMetrics('alpha'), 'alpha');
    const expected = Object.entries(METRICS).map(([key, value]) => [snakeCase(key), value]);
    for (const [key, value] of expected.filter(([, value]) => typeof value !== 'object')) assert.equal(metrics[key], value);
    assert.equal(metrics.disks[0].free_space_mb, 1_500_000);
    assert.equal(metrics.primary_network_interface.mac_address, '52:54:00:12:34:56');
    assert.equal(await same('get_node_metrics', api.getNodeMetrics('beta'), 'beta'), null);
  });

  test('get_node', async () => {
    const view = await same('get_node', api.getNode('alpha'), 'alpha');
    assert.deepEqual([view.node.owner, view.node.worker], [alpha.miner.address, alpha.workerAccount.address]);
    assert.deepEqual([view.online, view.takes_vms, view.node.vms], [true, true, 1]);
    assert.deepEqual(view.node.reserved, PLANS.nano);
    assert.equal(view.room.vcpus, view.node.offer.capacity.vcpus - 1);
    assert.equal(view.node.offer.country, 'SE');
    assert.equal(await same('get_node', api.getNode('nowhere'), 'nowhere'), null);
  });

  test('find_nodes', async () => {
    const question = (cursor, limit) =>
      same('find_nodes', api.findNodes(FILTER, cursor, limit), FILTER_IN_JSON, cursor, limit);
    const { rows, next } = await question(null, 100);
    assert.deepEqual(rows.map(({ node }) => node.node_id).sort(), ['alpha', 'gamma']);
    assert.equal(next, null);
    const found = rows.find(({ node }) => node.node_id === 'alpha');
    assert.equal(found.ip_pool, 'global');
    assert.equal(BigInt(found.price), priceOf('small') + 2_500_000n);
    assert.deepEqual(await pages((cursor) => question(cursor, 1)), rows);
  });

  test('get_user_vms', async () => {
    const { address } = tenant;
    const question = (cursor, limit) =>
      same('get_user_vms', api.getUserVms(address, cursor, limit), address, cursor, limit);
    const { rows } = await question(null, 100);
    assert.deepEqual(rows.map(({ request }) => request.request_id).sort(), Object.values(ids).map(String).sort());
    assert.deepEqual(await pages((cursor) => question(cursor, 1)), rows);
    assert.deepEqual(await same('get_user_vms', api.getUserVms(NOBODY, null, 100), NOBODY, null, 100), { rows: [], next: null });
  });

  test('get_vm', async () => {
    const running = await same('get_vm', api.getVm(ids.running), String(ids.running));
    assert.equal(running.request.name, 'web');
    assert.equal(running.request.status, 'running');
    assert.equal(running.request.operation.kind, 'reboot');
    assert.equal(running.assignment.miner_node_id, 'alpha');
    assert.deepEqual(running.ssh_keys, [SSH_KEY]);
    assert.equal(running.access.endpoint, 'alpha.example:2222');
    assert.equal(running.address.pool, 'global');
    assert.equal(running.address.address, running.assignment.ip_assigned);
    assert.equal(running.request.max_price, String(MAX_PRICE));
    const cancelled = await same('get_vm', api.getVm(ids.cancelled), String(ids.cancelled));
    assert.deepEqual([cancelled.request.status, cancelled.lease, cancelled.assignment], ['cancelled', null, null]);
    assert.equal((await same('get_vm', api.getVm(ids.stopped), Number(ids.stopped))).request.status, 'stopped');
    assert.equal(await same('get_vm', api.getVm(999), '999'), null);
  });

  test('quote', async () => {
    const quote = await ask('quote', planId('nano'), 'alpha', at);
    assert.deepEqual(quote, plain((await api.quote(planId('nano'), 'alpha')).asOk));
    assert.equal(BigInt(quote.price), priceOf('nano'));
    assert.equal(quote.ip_price, '2500000');
    assert.equal(quote.min_prepaid_blocks, 20);
    assert.equal(quote.unfit, null);
    const without = await ask('quote', planId('nano'), 'beta', at);
    assert.deepEqual(without, plain((await api.quote(planId('nano'), 'beta')).asOk));
    assert.equal(without.ip_price, null);
    assert.equal((await api.quote(planId('gigantic'), 'alpha')).asErr.type, 'PlanNotFound');
    await refused('plan_not_found', 7003, 'quote', planId('gigantic'), 'alpha');
    assert.equal((await api.quote(planId('nano'), 'nowhere')).asErr.type, 'NodeNotFound');
    await refused('node_not_found', 7001, 'quote', planId('nano'), 'nowhere');
  });

  test('why_pending', async () => {
    const question = (cursor, limit) => ask('why_pending', String(ids.pending), cursor, limit, at);
    const why = await question(null, 100);
    const known = (await api.whyPending(ids.pending, null, 100)).asOk;
    assert.deepEqual([why.nodes, why.takers, why.next], [3, 0, null]);
    assert.deepEqual(why.reasons, [{ reason: 'wrong_country', nodes: 3, words: 'the node stands in another country' }]);
    assert.deepEqual(known.reasons.map(([reason, nodes]) => [snakeCase(reason.type), nodes.toNumber()]), [['wrong_country', 3]]);
    const first = await question(null, 2);
    const rest = await question(first.next, 2);
    assert.deepEqual([first.nodes, rest.nodes, rest.next], [2, 1, null]);
    assert.equal((await api.whyPending(ids.running, null, 100)).asErr.type, 'NotPending');
    await refused('not_pending', 7004, 'why_pending', String(ids.running));
    await refused('request_not_found', 7002, 'why_pending', '999');
  });

  test('work_for', async () => {
    const { rows: [item] } = await same('work_for', api.workFor('alpha', null, 100), 'alpha', null, 100);
    assert.deepEqual([item.desired, item.operation.kind, item.launched], ['running', 'reboot', true]);
    assert.equal(item.request_id, String(ids.running));
    assert.ok(item.generation > item.assigned_generation);
    assert.equal(item.image.name, 'debian-12');
    const { rows: [stopped] } = await same('work_for', api.workFor('beta', null, 100), 'beta', null, 100);
    assert.deepEqual([stopped.desired, stopped.operation], ['stopped', null]);
    assert.deepEqual(await same('work_for', api.workFor('nowhere', null, 1), 'nowhere', null, 1), { rows: [], next: null });
  });

  test('open_for', async () => {
    const { id } = await market.create(tenant, { country: 'IS' });
    const newest = (await market.api.rpc.chain.getBlockHash()).toHex();
    const { openFor } = (await market.api.at(newest)).call.computeApi;
    const inJson = await ask('open_for', 'beta', null, 100, newest);
    assert.deepEqual(inJson, plain(await openFor('beta', null, 100)));
    assert.deepEqual(inJson.rows.map(({ request_id: open, price }) => [open, BigInt(price)]), [[String(id), priceOf('nano')]]);
    assert.deepEqual(await ask('open_for', 'alpha', null, 100, newest), plain(await openFor('alpha', null, 100)));
  });

  test('parameters come by name as well, and what is wrong with them is said', async () => {
    const { url } = market.node;
    const named = (method, params) => rpcWith(url, `compute_${method}`, params);
    const [id, account] = [String(ids.running), tenant.address];
    assert.deepEqual(await named('get_vm', { request_id: id, at }), await ask('get_vm', id, at));
    assert.deepEqual(await named('get_user_vms', { account, at }), await ask('get_user_vms', account, null, 100, at));
    await refused('invalid_limit', 7010, 'work_for', 'alpha', null, 101);
    await refused('invalid_limit', 7010, 'work_for', 'alpha', null, 0);
    await refused('invalid_account', 7011, 'get_user_vms', 'alice');
    await refused('unknown_block', 7012, 'get_vm', '0', `0x${'11'.repeat(32)}`);
    await refused('invalid_params', -32602, 'get_vm', 'first');
    await refused('invalid_params', -32602, 'get_vm');
    await refused('invalid_params', -32602, 'find_nodes', { resources: { vcpus: 1 } });
  });
});

// Alone: of that block nothing is told to anybody.
test('a state that a migration has yet to move is not told, and those before and after it are', async () => {
  const { query, tx } = market.api;
  // As the block that brings a new runtime: the next one runs its migrations.
  const due = await market.asAdmin(tx.system.setStorage([[query.system.lastRuntimeUpgrade.key(), OF_ANOTHER_RUNTIME]]));
  await refused('migrating', 7014, 'get_node', 'alpha', due.hash);
  await refused('migrating', 7014, 'get_vm', String(ids.running), due.hash);
  assert.equal((await ask('get_node', 'alpha', due.parent)).node_id, 'alpha');
  const { hash } = await market.do(tenant, tx.system.remark('0x'));
  assert.equal((await ask('get_node', 'alpha', hash)).node_id, 'alpha');
});
