#!/usr/bin/env node
// Rents a VM on a development chain, with the worker's part played by this script: no machine starts.
import { developmentAccount, eventOf, freeBalance, submit } from '../lib/chain.mjs';
import { inQry, runExample } from '../lib/example.mjs';
import { IMAGE, MAX_PRICE, Host, imageOf, planId } from '../lib/market.mjs';

const USAGE = `Usage: node e2e/examples/rent.mjs [ENDPOINT]

Rents a VM on the development chain at ENDPOINT (ws://127.0.0.1:9944) and deletes it after a few blocks.
Alice, the admin, adds an image; Bob, a miner, registers a node; Charlie, a tenant, rents on it. The node's
worker is played by this script, so no machine starts. Takes about a minute and a half.`;

const PREPAID_BLOCKS = 1_000;
const BLOCKS_TO_PAY = 6;

class Rent {
  alice = developmentAccount('//Alice');
  charlie = developmentAccount('//Charlie');
  host = Object.assign(new Host('bob-1', { globalIps: true }), {
    miner: developmentAccount('//Bob'),
    workerAccount: developmentAccount('//Bob//worker'),
  });

  constructor(api) {
    this.api = api;
  }

  async run() {
    await this.openMarket();
    const id = await this.create();
    await this.launch(id);
    await this.serve(BLOCKS_TO_PAY);
    await this.remove(id);
  }

  /** What is there from an earlier run stays. */
  async openMarket() {
    const { api, host } = this;
    if ((await api.query.compute.images(IMAGE)).isNone) {
      await submit(api, api.tx.sudo.sudo(api.tx.compute.addImage(imageOf(IMAGE))), this.alice);
      say('image', `${IMAGE}, added by Alice`);
    }
    if ((await api.query.registry.nodes(host.id)).isNone) {
      const block = await submit(api, host.registration(api), host.miner);
      const { bond } = eventOf(block, 'registry.NodeRegistered');
      say('node', `${host.id}, registered by Bob; bond ${inQry(bond.toBigInt())}`);
    }
    await this.heartbeat();
    say('worker', `${host.id} is online; its reports cost nothing`);
  }

  heartbeat() {
    return submit(this.api, this.api.tx.registry.submitNodeMetrics(this.host.id, true, null), this.host.workerAccount);
  }

  async create() {
    const { api, host } = this;
    const placement = { minerId: host.id, country: null };
    const block = await submit(api, api.tx.compute.createComputeRequest(
      'my first VM', planId('nano'), IMAGE, [], null, placement, MAX_PRICE, PREPAID_BLOCKS, 'Prefer',
    ), this.charlie);
    const id = eventOf(block, 'compute.ComputeRequestCreated').requestId;
    const { price } = (await api.query.compute.leases(id)).unwrap();
    say('request', `${id}, plan nano on ${host.id}: ${inQry(price.toBigInt())} per block`);
    return id;
  }

  async launch(id) {
    const { api, host } = this;
    const { rows } = await api.call.computeApi.workFor(host.id, null, 100);
    const { generation, address } = rows.find(({ requestId }) => requestId.eq(id));
    const access = { jobId: `job-${id}`, hypervisorIp: null, vncPort: null, sshHostKey: null };
    const report = api.tx.compute.markComputeRequestFulfilled(host.id, id, generation, access);
    await submit(api, report, host.workerAccount);
    const ip = address.isSome ? `, address ${address.unwrap().address.value.toU8a().join('.')}` : '';
    say('running', `as the worker reported, free of charge${ip}`);
  }

  /** Rent runs in the blocks between two reports of the worker. */
  async serve(blocks) {
    const every = this.api.consts.registry.heartbeatEvery.toNumber();
    for (let served = 0; served < blocks; served += every) {
      await new Promise((resolve) => setTimeout(resolve, every * 6_000));
      await this.heartbeat();
    }
  }

  async remove(id) {
    const { api, host } = this;
    const block = await submit(api, api.tx.compute.requestComputeDelete(id), this.charlie);
    const closed = eventOf(block, 'compute.LeaseClosed');
    const paid = block.events.filter((event) => api.events.compute.LeaseSettled.is(event)).map(({ data }) => data);
    const sum = (share) => inQry(paid.reduce((total, event) => total + event[share].toBigInt(), 0n));
    say('deleted', `Bob got ${sum('minerShare')}, the treasury ${sum('treasuryShare')}, `
      + `Charlie ${inQry(closed.refunded.toBigInt())} back`);
    const { generation } = eventOf(block, 'compute.ComputeDeleteRequested');
    await submit(api, api.tx.compute.submitComputeDeletionRequest(host.id, id, generation), host.workerAccount);
    say('gone', `the worker confirmed; Charlie has ${inQry(await freeBalance(api, this.charlie.address))}`);
  }
}

function say(what, text) {
  console.log(`  ${what.padEnd(8)} ${text}`);
}

await runExample({
  name: 'rent',
  usage: USAGE,
  headline: 'Charlie rents a VM of Bob',
  run: (api) => new Rent(api).run(),
});
