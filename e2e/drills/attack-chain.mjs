// Attacks by signed calls: on others' VMs and nodes, by replay, and by forged generations.
import assert from 'node:assert/strict';
import { Signer } from '../bench/market-load.mjs';
import { developmentAccount, eventOf, freeBalance } from '../lib/chain.mjs';
import { startChainNode } from '../lib/chain-node.mjs';
import { inQry } from '../lib/example.mjs';
import { planId } from '../lib/market.mjs';
import { plain } from '../lib/plain.mjs';
import { workerProof } from '../lib/worker.mjs';
import { byOthersAccounts, onAnothers, reports, untried } from './attack-calls.mjs';

const UNPAID = /Inability to pay some fees/;
const REPLAYED = /outdated|temporarily banned|already imported/i;
/** `Err(Invalid(Stale))`. */
const STALE = '0x010003';
const MAX_GENERATION = 2n ** 64n - 1n;

export async function attackByCalls(scene, findings) {
  const vm = await scene.running('honest', { ip: 'Require' });
  await vm.ask('Stop');
  await vm.untilStatus('Stopped');
  await strangers(scene, findings, vm);
  await unpaid(scene, findings, vm);
  await replays(scene, findings, vm);
  await keyLetGo(scene, findings);
  await generations(scene, findings);
  await vm.ask('Delete');
  await vm.isGone();
}

/** All that the chain has of a VM and of its node that its owners decide. */
async function stateOf({ market: { api }, alpha }, id) {
  const { compute, registry } = api.query;
  const owner = (await compute.requestOwner(id)).unwrap();
  const items = await Promise.all([
    compute.computeRequests(owner, id), compute.minerComputeRequests(alpha.id, id), compute.sshKeys(id), compute.leases(id), compute.ipOf(id),
    compute.ipPools({ Node: alpha.id }), compute.ipPools('Global'), compute.params(),
  ]);
  const { owner: miner, worker, offer, access, bond, reserved, minerAccepting, workerAccepting, leavesAt } = await nodeOf(api, registry, alpha);
  return JSON.stringify([...items, miner, worker, offer, access, bond, reserved, minerAccepting, workerAccepting, leavesAt]);
}

const nodeOf = async (api, registry, node) => (await registry.nodes(node.id)).unwrap();

const feeOf = ({ block }) => eventOf(block, 'transactionPayment.TransactionFeePaid').actualFee.toBigInt();

async function strangers(scene, findings, vm) {
  const { market, alpha, evil, tenants } = scene;
  const { api } = market;
  const { generation } = await market.request(vm.id);
  const victim = {
    id: vm.id, owner: tenants.honest.address, node: alpha.id, generation,
    offer: { ...evil.offer, maxVms: 1 }, access: { ...evil.access, endpoint: 'evil.example:2222' }, worker: alpha.workerAccount.address,
    proof: workerProof(api, alpha.workerAccount, alpha.id, alpha.miner),
  };
  const cases = await onAnothers(api, victim);

  await findings.holds('the drill tries every call of the market’s pallets', () => {
    assert.deepEqual(untried(api, cases), []);
  });
  for (const [who, signer] of [['another tenant', tenants.mallory], ['another miner', evil.miner]]) {
    await findings.holds(`${who} changes nothing of a VM and its node by any call, and pays for each try`, async () => {
      const before = await stateOf(scene, vm.id);
      const failures = await market.assertRefuses(signer, [...cases, ...byOthersAccounts(api, victim)]);
      assert.equal(await stateOf(scene, vm.id), before);
      assert.equal((await vm.domain()).state, 'shut off');
      const fees = failures.map(feeOf);
      findings.figure(`refused calls of ${who}, and what they cost it`, `${fees.length}, ${inQry(fees.reduce((sum, fee) => sum + fee, 0n))}`);
      assert.ok(fees.every((fee) => fee > 0n), `fees: ${fees}`);
    });
  }
  await findings.holds('a miner that reports on another’s VM as if it were its own node’s is refused, and pays', async () => {
    const own = Object.values(reports(api, { ...victim, node: evil.id }));
    const claim = api.tx.compute.submitComputeRequestAssignment(evil.id, planId('tiny'), vm.id, victim.owner);
    const failures = await market.assertRefuses(evil.miner, [
      ...own.map((call) => ['compute.ComputeRequestNotFound', call]), ['compute.NotPending', claim],
    ]);
    assert.ok(failures.every((failure) => feeOf(failure) > 0n));
  });
  await findings.holds('a settlement that a stranger asks for takes what is owed and no more, and twice is as once', async () => {
    const before = await market.lease(vm.id);
    await market.do(tenants.mallory, api.tx.compute.settle(vm.id));
    await market.do(tenants.mallory, api.tx.compute.settle(vm.id));
    const after = await market.lease(vm.id);
    const blocks = BigInt(plain(after.mark) - plain(before.mark));
    assert.ok(blocks > 0n, 'nothing was owed');
    assert.equal(before.held.toBigInt() - after.held.toBigInt(), blocks * after.price.toBigInt());
  });
}

/** What the pool says of a transaction that it does not take. */
async function refusal(node, transaction) {
  try {
    await node.view.call('author_submitExtrinsic', transaction);
  } catch (error) {
    return error.message;
  }
  throw new Error('the pool took it');
}

/** Reports by the key of another node's worker, which has no funds: they do not even get into the pool. */
async function unpaid({ market, alpha, evil }, findings, vm) {
  const { api, node } = market;
  await findings.holds('the pool takes no forged report of a worker, whatever node it names', async () => {
    const { generation } = await market.request(vm.id);
    const calls = [alpha.id, evil.id].flatMap((name) => Object.values(reports(api, { node: name, id: vm.id, generation })));
    calls.push(api.tx.registry.submitNodeMetrics(alpha.id, false, null), api.tx.registry.setAccess(alpha.id, evil.access));
    for (const call of calls) assert.match(await refusal(node, (await evil.worker.sign(call)).toHex()), UNPAID);
    findings.figure('forged reports that the pool refused unpaid', calls.length);
  });
}

/** What the runtime says of a transaction at the best block, whatever the pool remembers: SCALE in hexadecimal. */
async function validity(api, node, transaction) {
  const EXTERNAL = '02';
  const best = await api.rpc.chain.getBlockHash();
  return node.view.call('state_call', 'TaggedTransactionQueue_validate_transaction', `0x${EXTERNAL}${transaction.toHex().slice(2)}${best.toHex().slice(2)}`);
}

/** The transactions of a signer in the chain's last blocks, as everybody can read them. */
async function transactionsOf(api, address, { blocks = 200 } = {}) {
  const found = [];
  let hash = await api.rpc.chain.getBlockHash();
  for (let count = 0; count < blocks; count++) {
    const { block } = await api.rpc.chain.getBlock(hash);
    found.push(...block.extrinsics.filter((extrinsic) => extrinsic.isSigned && extrinsic.signer.toString() === address));
    if (block.header.number.toNumber() <= 1) break;
    hash = block.header.parentHash;
  }
  return found;
}

async function replays({ market, alpha, tenants }, findings) {
  const { api, node } = market;
  const bySigner = await Promise.all([alpha.workerAccount, alpha.miner, tenants.honest].map(({ address }) => transactionsOf(api, address)));
  const recorded = bySigner.flat();
  await findings.holds('a transaction that was included is not taken again, by the pool or by the runtime', async () => {
    for (const list of bySigner) assert.ok(list.length > 0, `transactions: ${bySigner.map(({ length }) => length)}`);
    for (const transaction of recorded) {
      assert.match(await refusal(node, transaction.toHex()), REPLAYED);
      assert.equal(await validity(api, node, transaction), STALE, transaction.method.method);
    }
    findings.figure('replayed transactions that were refused', recorded.length);
  });
  await findings.holds('nor is it taken on another chain', async () => {
    const other = await startChainNode({ name: 'other-chain' });
    try {
      for (const transaction of recorded) assert.match(await refusal(other, transaction.toHex()), /bad signature|ancient birth block/i);
      const immortal = new Signer(api, tenants.honest).sign(api.tx.system.remark('0x'));
      assert.match(await refusal(other, immortal), /bad signature/i);
    } finally {
      await other.stop();
    }
  });
}

/** A key that a miner let go and took again keeps its nonce: what it signed before must not count again. */
async function keyLetGo({ market, fickle }, findings) {
  const { api, node } = market;
  const { setAccess, setWorker } = api.tx.registry;
  await findings.holds('what a worker signed is not taken again when its miner has let its key go and taken it back', async () => {
    const [former, present] = ['former', 'present'].map((name) => ({ ...fickle.access, endpoint: `${name}.example:2222` }));
    await fickle.worker.send(setAccess(fickle.id, former));
    await fickle.worker.heartbeat();
    const recorded = await transactionsOf(api, fickle.workerAccount.address, { blocks: 20 });
    assert.equal(recorded.length, 2);
    const prove = (account) => [account.address, workerProof(api, account, fickle.id, fickle.miner)];
    const next = developmentAccount('//worker/next of fickle');
    await market.do(fickle.miner,
      setWorker(fickle.id, ...prove(next)), setWorker(fickle.id, ...prove(fickle.workerAccount)), setAccess(fickle.id, present));
    const { nonce } = await api.query.system.account(fickle.workerAccount.address);
    findings.figure('the nonce of a worker’s key that was let go and taken back', nonce.toNumber());
    for (const transaction of recorded) {
      assert.match(await refusal(node, transaction.toHex()), REPLAYED);
      assert.equal(await validity(api, node, transaction), STALE, transaction.method.method);
    }
    assert.equal((await market.nodeRecord(fickle)).access.endpoint.toUtf8(), present.endpoint);
  });
}

async function generations({ market, evil, tenants }, findings) {
  const { api, node } = market;
  await evil.worker.heartbeat();
  const { id } = await market.create(tenants.renter, { node: evil.id, plan: 'tiny', image: 'busybox' });
  await evil.worker.serve(id);
  await market.do(tenants.renter, api.tx.compute.requestComputeStop(id));
  const { generation } = await market.request(id);
  const right = generation.toBigInt();
  const forged = [0n, right - 1n, right + 1n, MAX_GENERATION];
  await findings.holds('a report at another generation than the request’s is refused: unpaid by the pool, paid with StaleGeneration', async () => {
    const calls = forged.flatMap((wrong) => Object.values(reports(api, { node: evil.id, id, generation: wrong })));
    for (const call of calls) assert.match(await refusal(node, (await evil.worker.sign(call)).toHex()), UNPAID);
    const was = await freeBalance(api, evil.miner.address);
    await market.assertRefuses(evil.miner, calls.map((call) => ['compute.StaleGeneration', call]));
    const paid = was - await freeBalance(api, evil.miner.address);
    findings.figure('reports at forged generations, and what they cost a miner that sends them itself', `${calls.length}, ${inQry(paid)}`);
    assert.equal(await market.status(id), 'Running');
    // It is the generation alone that was wrong.
    await evil.worker.serve(id);
    assert.equal(await market.status(id), 'Stopped');
  });
  await market.do(tenants.renter, api.tx.compute.requestComputeDelete(id));
  await evil.worker.serve(id);
}
