// As many heartbeats, and as many whole lives of VMs, as one chain node includes. The workers' part is
// played here; their accounts have no funds.
import { QRY, developmentAccount, submit } from '../lib/chain.mjs';
import { MAX_PRICE, RATES, SSH_KEY, imageOf, planId } from '../lib/market.mjs';
import { workerProof } from '../lib/worker.mjs';
import { blockLimit, included } from './throughput.mjs';
import { submitAll } from './transfers.mjs';

const SLOT_SECONDS = 6;
const HOSTS = 3_000;
const LIVES = 1_000;
/** Registrations in one transaction. */
const BATCH = 50;
const PREPAID = 1_000;
const OFFER = {
  capacity: { vcpus: 1, memoryMib: 512, diskGib: 5 }, rates: RATES, country: 'SE', maxVms: 1, globalIps: false,
};

/** Signs for one account, counting its transactions; nothing is asked of the node. */
export class Signer {
  constructor(api, account, nonce = 0) {
    Object.assign(this, { api, account, nonce });
  }

  sign(call) {
    const { genesisHash, runtimeVersion } = this.api;
    const immortal = { blockHash: genesisHash, genesisHash, runtimeVersion, nonce: this.nonce++ };
    return call.sign(this.account, immortal).toHex();
  }
}

/** One after another; the signer of each, its name, and the call on the life of that number. */
function stages({ tx }, tenant) {
  const access = { jobId: 'launch-1', hypervisorIp: null, vncPort: 5_901, sshHostKey: `0x${'07'.repeat(32)}` };
  const { compute } = tx;
  const placement = { minerId: null, country: null };
  return [
    ['tenant', () => compute.createComputeRequest('web', planId('nano'), 'debian-12', [SSH_KEY], null, placement, MAX_PRICE, PREPAID, 'None')],
    ['worker', (id, host) => compute.submitComputeRequestAssignment(host.id, planId('nano'), id, tenant.address)],
    ['worker', (id, host) => compute.updateMinerComputeRequest(host.id, id, 1, 'launch-1')],
    ['worker', (id, host) => compute.markComputeRequestFulfilled(host.id, id, 1, access)],
    ['tenant', (id) => compute.requestComputeStop(id)],
    ['worker', (id, host) => compute.markMinerComputeStopRequestFulfilled(host.id, id, 2)],
    ['tenant', (id) => compute.requestComputeBoot(id)],
    ['worker', (id, host) => compute.submitComputeBootRequestFulfillment(host.id, id, 3)],
    ['tenant', (id) => compute.requestComputeDelete(id)],
    ['worker', (id, host) => compute.submitComputeDeletionRequest(host.id, id, 4)],
  ];
}

export async function measureMarket(node, api, say) {
  const alice = developmentAccount('//Alice');
  await submit(api, api.tx.sudo.sudo(api.tx.compute.addImage(imageOf('debian-12'))), alice);
  const tenant = new Signer(api, alice, (await api.rpc.system.accountNextIndex(alice.address)).toNumber());

  say(`registering ${HOSTS} nodes`);
  const hosts = await register(node, api, [tenant], HOSTS);
  say('signing');
  const beats = hosts.map(({ id, worker }) => worker.sign(api.tx.registry.submitNodeMetrics(id, true, null)));
  const lives = stages(api, alice).map(([by, call]) => hosts.slice(0, LIVES).map((host, id) => (
    (by === 'tenant' ? tenant : host.worker).sign(call(id, host))
  )));
  const limits = await blockLimits(node, api, { beat: beats[0], life: lives.map(([first]) => first), tenant });

  say(`submitting ${beats.length} heartbeats`);
  const start = await node.view.best();
  await submitAll(node.url, beats);
  const beatsPerBlock = await included(node, start, beats.length);
  return { limits, beatsPerBlock, lives: await live(node, api, lives, say), slotSeconds: SLOT_SECONDS };
}

/** Registers so many nodes, small ones unless told, shared between the miners, each with the signer of its worker. */
export async function register(node, api, miners, count, offer = OFFER) {
  const hosts = Array.from({ length: count }, (_, number) => (
    { id: `bench-${number}`, worker: new Signer(api, developmentAccount(`//bench/worker/${number}`)) }
  ));
  const batches = [];
  for (let first = 0; first < count; first += BATCH) {
    const miner = miners[batches.length % miners.length];
    const calls = hosts.slice(first, first + BATCH).map(({ id, worker }) => {
      const access = { endpoint: 'node.example:2222', hostKey: new Uint8Array(32).fill(7) };
      const proof = workerProof(api, worker.account, id, miner.account);
      return api.tx.registry.registerNode(id, offer, access, worker.account.address, proof);
    });
    batches.push(miner.sign(api.tx.utility.batchAll(calls)));
  }
  const start = await node.view.best();
  await submitAll(node.url, batches);
  await included(node, start, batches.length);
  const registered = (await api.query.registry.nodes.keys()).length;
  if (registered !== count) throw new Error(`${registered} nodes instead of ${count}`);
  return hosts;
}

/** How many of each fit a block by weight, and what each takes of it. */
async function blockLimits(node, api, { beat, life, tenant }) {
  const transfer = api.tx.balances.transferKeepAlive(developmentAccount('//Bob').address, QRY);
  // Not to be sent: its nonce is another's.
  const probe = new Signer(api, tenant.account).sign(transfer);
  const stageLimits = [];
  for (const transaction of life) stageLimits.push(await blockLimit(node, api, transaction));
  return {
    transfer: await blockLimit(node, api, probe),
    beat: await blockLimit(node, api, beat),
    report: stageLimits[3],
    life: {
      transactions: life.length,
      microseconds: stageLimits.reduce((sum, { microsecondsEach }) => sum + microsecondsEach, 0),
    },
  };
}

/** Each stage of all lives waits until the one before is included: a report is free only then. */
async function live(node, api, lives, say) {
  const start = await node.view.best();
  for (const [number, stage] of lives.entries()) {
    say(`stage ${number + 1} of ${lives.length} of ${stage.length} lives`);
    const last = await node.view.best();
    await submitAll(node.url, stage);
    await included(node, last, stage.length);
  }
  const blocks = (await node.view.best()) - start;
  const left = (await api.query.compute.computeRequests.keys()).length;
  if (left) throw new Error(`${left} of ${LIVES} VMs are still there`);
  return { count: LIVES, transactions: lives.length * LIVES, blocks };
}
