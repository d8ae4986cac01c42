import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { QRY, eventOf, failureIn, submit } from '../lib/chain.mjs';
import { Host, MIN_PREPAID, Market, imageOf, planId, priceOf } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { plain } from '../lib/plain.mjs';
import { workerProof } from '../lib/worker.mjs';

const market = new Market();
// Each but the first has one test for itself.
const shared = new Host('shared');
const faulty = new Host('faulty');
const pooled = new Host('pooled', { globalIps: true });
const routing = new Host('routing', { globalIps: true });
const bare = new Host('bare');
const hosts = [shared, faulty, pooled, routing, bare];

const account = (name) => market.account(name);
const [owner, operator, spender] = ['owner', 'operator', 'spender'].map(account);
const [tenant, neighbour, clumsy] = ['tenant', 'neighbour', 'clumsy'].map(account);
const [housed, outsider] = ['housed', 'outsider'].map(account);

const CALL_FILTERED = 'system.CallFiltered';

/** Sends a proxied call and answers how it ended: undefined, or the error's name. */
async function proxied(delegate, real, calls) {
  const first = (await market.api.rpc.system.accountNextIndex(delegate.address)).toNumber();
  return Promise.all(calls.map(async (call, index) => {
    const proxy = market.api.tx.proxy.proxy(real.address, null, call);
    const block = await submit(market.api, proxy, delegate, { nonce: first + index });
    return failureIn(market.api, eventOf(block, 'proxy.ProxyExecuted').result);
  }));
}

const ip = (last) => ({ V4: [10, 7, 0, last] });

describe('what is allowed on a market', { concurrency: true }, () => {
  before(() => market.open({ hosts }));

  after(async () => {
    await market.close();
    await endAll();
  });

  test('a proxy of type ComputeOperator operates, and one of type Compute rents; neither moves funds', async () => {
    const { api } = market;
    const { balances, compute, proxy, utility } = api.tx;
    const transfer = balances.transferKeepAlive(outsider.address, 1n);
    await market.do(owner,
      proxy.addProxy(operator.address, 'ComputeOperator', 0),
      proxy.addProxy(spender.address, 'Compute', 0));
    const id = await market.running(owner, shared);

    assert.deepEqual(await proxied(operator, owner, [
      compute.requestComputeReboot(id),
      compute.requestComputeDelete(id),
      compute.topUp(id, 1),
      compute.requestComputeResize(id, planId('small')),
      compute.setSshKeys(id, []),
      market.creation(),
      transfer,
      utility.batchAll([transfer]),
    ]), [undefined, ...Array(7).fill(CALL_FILTERED)]);
    await shared.worker.serve(id);
    assert.deepEqual(await proxied(operator, owner, [utility.batchAll([compute.requestComputeStop(id)])]), [undefined]);
    await shared.worker.serve(id);
    assert.deepEqual(await proxied(operator, owner, [compute.requestComputeBoot(id)]), [undefined]);
    await shared.worker.serve(id);
    assert.equal(await market.status(id), 'Running');

    assert.deepEqual(await proxied(spender, owner, [
      market.creation({ node: shared.id }),
      compute.topUp(id, 1),
      compute.requestComputeDelete(id),
      transfer,
      balances.transferAll(spender.address, false),
      utility.batchAll([transfer]),
      api.tx.registry.withdrawBond(shared.id),
      compute.endLease(id),
    ]), [undefined, undefined, undefined, ...Array(5).fill(CALL_FILTERED)]);
    const rented = await api.call.computeApi.getUserVms(owner.address, null, 100);
    assert.equal(rented.rows.length, 2);
  });

  test('what a tenant asks for wrongly is refused by name, and nothing is held', async () => {
    const { api } = market;
    const { compute } = api.tx;
    await market.asAdmin(
      compute.addImage(imageOf('huge', { virtualSizeGib: 6 })),
      compute.addImage(imageOf('old')), compute.setImageEnabled('old', false),
      compute.addPlan('retired', '1 vCPU', { vcpus: 1, memoryMib: 512, diskGib: 5 }),
      compute.setPlanEnabled(planId('retired'), false),
    );
    const creation = (wish) => market.creation(wish);
    await market.assertRefuses(clumsy, [
      ['compute.InvalidVmName', creation({ name: '' })],
      ['compute.InvalidVmName', creation({ name: 'a\nb' })],
      ['compute.InvalidSshKey', creation({ keys: ['ssh-dss AAAA'] })],
      ['compute.InvalidCloudInitCid', creation({ cloudInit: 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG' })],
      ['compute.InvalidCountry', creation({ country: 'se' })],
      ['compute.InvalidMaxPrice', creation({ maxPrice: 0n })],
      ['compute.PlanNotFound', creation({ plan: 'gigantic' })],
      ['compute.PlanDisabled', creation({ plan: 'retired' })],
      ['compute.ImageNotFound', creation({ image: 'none' })],
      ['compute.ImageDisabled', creation({ image: 'old' })],
      ['compute.ImageTooLarge', creation({ image: 'huge' })],
      ['compute.PrepaidTooShort', creation({ prepaid: MIN_PREPAID - 1 })],
      ['compute.PrepaidTooLong', creation({ prepaid: 1_000_000 })],
      ['compute.PriceOverflow', creation({ maxPrice: 2n ** 128n - 1n })],
      ['Token.FundsUnavailable', creation({ maxPrice: 10n * QRY })],
      ['compute.NodeNotFound', creation({ node: 'nowhere' })],
      ['compute.WrongCountry', creation({ node: shared.id, country: 'IS' })],
      ['compute.PriceAboveMax', creation({ node: shared.id, maxPrice: priceOf('nano') - 1n })],
      ['compute.ComputeRequestNotFound', compute.requestComputeStop(999)],
      ['compute.NoCredit', compute.claimCredit(clumsy.address)],
      ['BadOrigin', compute.addPlan('mine', '', { vcpus: 1, memoryMib: 1, diskGib: 1 })],
      ['BadOrigin', compute.setParams(await api.query.compute.params())],
      ['BadOrigin', compute.addIps('Global', ip(9), 1)],
    ]);
    assert.deepEqual(await market.holds(clumsy), {});
    const { rows } = await api.call.computeApi.getUserVms(clumsy.address, null, 100);
    assert.equal(rows.length, 0);
  });

  test('what does not fit a VM is refused by name', async () => {
    const { compute } = market.api.tx;
    const { ids: [id, ended] } = await market.createAll(tenant, { node: faulty.id }, {});
    await market.assertRefuses(tenant, [
      ['compute.OperationPending', compute.requestComputeStop(id)],
      ['compute.OperationPending', compute.requestComputeBoot(id)],
      ['compute.NotPending', compute.cancelComputeRequest(id)],
      ['compute.InvalidBlocks', compute.topUp(id, 0)],
    ]);
    await faulty.worker.serve(id);
    await market.assertRefuses(tenant, [
      ['compute.NotStopped', compute.requestComputeBoot(id)],
      ['compute.SamePlan', compute.requestComputeResize(id, planId('nano'))],
      ['compute.NodeNotGone', compute.evacuate(id)],
      ['compute.NothingToExpire', compute.expire(id)],
      ['compute.InvalidSignature', compute.endLease(id)],
    ]);
    await market.do(tenant, compute.requestComputeStop(id), compute.cancelComputeRequest(ended));
    const { generation } = await market.request(id);
    await Promise.all([
      market.assertRefuses(neighbour, [
        ['compute.ComputeRequestNotFound', compute.requestComputeBoot(id)],
        ['compute.ComputeRequestNotFound', compute.requestComputeDelete(id)],
        ['compute.ComputeRequestNotFound', compute.topUp(id, 1)],
        ['compute.ComputeRequestNotFound', compute.setSshKeys(id, [])],
      ]),
      market.assertRefuses(tenant, [
        ['compute.ComputeStopRequestAlreadyExists', compute.requestComputeStop(id)],
        ['compute.OperationPending', compute.requestComputeReboot(id)],
      ]),
      market.assertRefuses(faulty.miner, [
        ['compute.ComputeBootRequestNotFound', faulty.worker.done('Boot', id, generation)],
        ['compute.ComputeRebootRequestNotFound', faulty.worker.done('Reboot', id, generation)],
        ['compute.ComputeResizeRequestNotFound', faulty.worker.done('Resize', id, generation)],
        ['compute.ComputeDeletionRequestNotFound', faulty.worker.done('Delete', id, generation)],
        ['compute.ComputeLaunchRequestNotFound', faulty.worker.launched(id, generation)],
        ['compute.StaleGeneration', faulty.worker.done('Stop', id, generation.addn(1))],
        ['compute.LeaseClosed', compute.settle(ended)],
      ]),
    ]);
    await faulty.worker.serve(id);
    await market.assertRefuses(tenant, [
      ['compute.NotRunning', compute.requestComputeStop(id)],
      ['compute.NotRunning', compute.requestComputeReboot(id)],
      ['compute.RequestEnded', compute.setSshKeys(ended, [])],
      ['compute.LeaseClosed', compute.topUp(ended, 1)],
    ]);
  });

  test('what a miner offers wrongly, or another would take, is refused by name', async () => {
    const { api } = market;
    const { registry } = api.tx;
    const { miner } = faulty;
    const mallory = outsider;
    const fresh = new Host('fresh');
    const proof = workerProof(api, fresh.workerAccount, fresh.id, mallory);
    const registration = ({ id = fresh.id, offer = {}, access = {}, worker = fresh.workerAccount.address, signed = proof }) =>
      registry.registerNode(id, { ...fresh.offer, ...offer }, { ...fresh.access, ...access }, worker, signed);
    const stolen = workerProof(api, fresh.workerAccount, fresh.id, miner);
    await market.assertRefuses(mallory, [
      ['registry.InvalidNodeId', registration({ id: '' })],
      ['registry.NodeAlreadyRegistered', registration({ id: shared.id })],
      ['registry.InvalidCapacity', registration({ offer: { capacity: { vcpus: 0, memoryMib: 1, diskGib: 1 } } })],
      ['registry.InvalidCountry', registration({ offer: { country: 's1' } })],
      ['registry.InvalidMaxVms', registration({ offer: { maxVms: 0 } })],
      ['registry.InvalidEndpoint', registration({ access: { endpoint: 'nowhere' } })],
      ['registry.InvalidHostKey', registration({ access: { hostKey: new Uint8Array(32) } })],
      ['registry.InvalidWorkerProof', registration({ signed: stolen })],
      ['registry.WorkerTaken', registration({ worker: shared.workerAccount.address })],
      ['registry.WorkerIsMiner', registration({ worker: mallory.address })],
      ['Token.FundsUnavailable', registration({ offer: { capacity: { vcpus: 65_535, memoryMib: 1, diskGib: 1 } } })],
      ['registry.NotNodeOwner', registry.setMinerAccepting(shared.id, false)],
      ['registry.NotNodeOwner', registry.deregisterNode(shared.id)],
      ['registry.NotNodeOwner', registry.updateOffer(shared.id, fresh.offer)],
      ['registry.InvalidSignature', registry.setAccess(shared.id, fresh.access)],
      ['registry.NodeNotLeaving', registry.withdrawBond(shared.id)],
      ['registry.NodeNotFound', registry.withdrawBond('nowhere')],
      ['compute.InvalidSignature', api.tx.compute.addIps({ Node: shared.id }, ip(9), 1)],
    ]);
    assert.deepEqual(await market.holds(mallory), {});
  });

  test('a VM has an address of its node, or of the global pool, which rests when it is given back', async () => {
    const { api } = market;
    const { compute } = api.tx;
    const pool = { Node: pooled.id };
    const network = { prefixLen: 24, gateway: ip(1), dns: ip(1) };
    await market.do(pooled.miner, compute.setIpPool(pool, network), compute.addIps(pool, ip(10), 3));
    const { ids: [own, global, none] } = await market.createAll(housed,
      { node: pooled.id, ip: 'Require' }, { node: routing.id, ip: 'Prefer' }, { node: bare.id, ip: 'Require' });
    assert.equal(await market.status(none), 'Pending');
    const { reasons } = (await api.call.computeApi.whyPending(none, null, 100)).asOk;
    assert.ok(reasons.some(([why]) => why.type === 'NoAddress'));

    const addressOf = async (id) => plain((await api.call.computeApi.getVm(id)).unwrap().address);
    const first = await addressOf(own);
    assert.deepEqual(first.pool, { node: pooled.id });
    assert.match(first.address, /^10\.7\.0\.1[012]$/);
    const paid = await addressOf(global);
    assert.equal(paid.pool, 'global');
    const lease = await market.lease(global);
    assert.equal(lease.ipFee.toBigInt(), (await api.query.compute.params()).globalIpPrice.toBigInt());
    assert.equal(lease.price.toBigInt(), priceOf('nano') + lease.ipFee.toBigInt());
    assert.equal((await market.lease(own)).price.toBigInt(), priceOf('nano') + pooled.offer.rates.ip);

    await Promise.all([pooled.worker.serve(own), routing.worker.serve(global)]);
    await Promise.all([
      market.do(housed, compute.requestComputeStop(own), compute.requestComputeStop(global)),
      market.assertRefuses(pooled.miner, [
        ['compute.NotStopped', compute.releaseIpFromVm(own)],
        ['compute.IpInUse', compute.removeIps(pool, ip(10), 3)],
        ['compute.IpAlreadyExists', compute.addIps(pool, ip(12), 2)],
        ['compute.InvalidIp', compute.addIps(pool, { V4: [10, 8, 0, 1] }, 1)],
        ['compute.InvalidIpCount', compute.addIps(pool, ip(20), 257)],
        ['compute.IpPoolInUse', compute.setIpPool(pool, { ...network, gateway: ip(2) })],
        ['registry.NodeInUse', api.tx.registry.deregisterNode(pooled.id)],
      ]),
    ]);
    await Promise.all([pooled.worker.serve(own), routing.worker.serve(global)]);

    const last = Number(first.address.split('.').at(-1));
    const free = [10, 11, 12].find((number) => number !== last);
    const [released] = await Promise.all([
      market.do(pooled.miner, compute.releaseIpFromVm(own)),
      market.assertRefuses(routing.miner, [['compute.InvalidSignature', compute.releaseIpFromVm(global)]]),
    ]);
    eventOf(released, 'compute.IpReturned');
    const [byAdmin] = await Promise.all([
      market.asAdmin(compute.releaseIpFromVm(global)),
      market.assertRefuses(pooled.miner, [
        ['compute.VmHasNoIp', compute.releaseIpFromVm(own)],
        ['compute.IpQuarantined', compute.assignIpToVm(own, ip(last))],
        ['compute.IpNotFound', compute.assignIpToVm(own, ip(99))],
        ['compute.IpQuarantined', compute.removeIps(pool, ip(last), 1)],
      ]),
    ]);
    eventOf(byAdmin, 'compute.IpReturned');
    assert.equal((await market.lease(global)).ipFee.toBigInt(), 0n);
    const resting = { V4: paid.address.split('.').map(Number) };
    assert.equal((await api.query.compute.ips('Global', resting)).unwrap().type, 'Quarantined');

    const more = [compute.addIps(pool, ip(20), 200), compute.removeIps(pool, ip(20), 200)];
    await market.do(pooled.miner, compute.assignIpToVm(own, ip(free)), ...more);
    assert.equal((await addressOf(own)).address, `10.7.0.${free}`);
    assert.equal(plain((await pooled.worker.workOn(own)).address).address, `10.7.0.${free}`);
    assert.equal((await api.query.compute.ipPools(pool)).unwrap().total.toNumber(), 3);
  });
});
