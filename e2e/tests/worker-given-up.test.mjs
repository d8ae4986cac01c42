// A resize that the chain gave up, of which the worker had done a part and noted nothing: the VM is what the chain says.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { GUEST_PLANS, GuestMarket } from '../lib/guest-market.mjs';
import { planId } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { isOnline, testNode, vmOf } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const OPERATION_TIMEOUT = 5;

const market = new GuestMarket();
const tenant = market.account('tenant');

describe('a resize that is given up in its middle', () => {
  let node;
  let worker;

  before(async () => {
    node = await testNode('alpha');
    await market.open({ hosts: [node], params: { operation_timeout: OPERATION_TIMEOUT } });
    worker = await market.startWorker(node);
    await isOnline(market, node);
  });

  after(async () => {
    await worker?.stop();
    await market.close();
    await endAll();
  });

  const vcpusOf = async (id) => {
    const { name } = await vmOf(node.libvirtd, id);
    return Number(/<vcpu[^>]*>(\d+)</.exec(await node.libvirtd.virsh('dumpxml', '--inactive', name))[1]);
  };

  test('leaves the config as the chain has the VM', async () => {
    const [before, grown] = [GUEST_PLANS.tiny.vcpus, GUEST_PLANS['tiny-grown'].vcpus];
    const id = await market.rent(tenant, { on: node });
    await market.untilStatus(id, 'Running');
    assert.equal(await vcpusOf(id), before);

    await worker.restart({ QUARRY_CRASH_AT: 'in-define' });
    await market.do(tenant, market.api.tx.compute.requestComputeResize(id, planId('tiny-grown')));
    await worker.crashed();
    assert.equal(await vcpusOf(id), grown);
    await market.waitFor('DeadlineExpired', id);
    // The worker goes by finalized blocks: what is asked there still, it would do again.
    await market.untilLive(await market.live() + OPERATION_TIMEOUT);
    worker.start();
    await until('the config is as before', async () => await vcpusOf(id) === before, { within: 60 * SECONDS });
    await market.untilStatus(id, 'Running');
  });
});
