// Every call of the market's pallets, as somebody sends it who has no right to what it names; and how each must fail.
import { snakeCase } from '../lib/plain.mjs';
import { imageOf, planId } from '../lib/market.mjs';

const ACCESS = { jobId: 'forged', hypervisorIp: null, vncPort: null, sshHostKey: `0x${'66'.repeat(32)}` };
const NETWORK = { prefixLen: 24, gateway: { V4: [10, 9, 0, 1] }, dns: { V4: [10, 9, 0, 1] } };
const ADDRESS = { V4: [10, 9, 0, 9] };
const SIZE = { vcpus: 1, memoryMib: 1, diskGib: 1 };

const NO_ADMIN = 'BadOrigin';
const NOT_YOURS = 'compute.ComputeRequestNotFound';
const NOT_ITS_WORKER = 'compute.InvalidSignature';
const NOT_ITS_MINER = 'registry.NotNodeOwner';

/** Calls in which nobody but the signer can lose, or that are anybody's by design. */
export const FOR_ANYONE = ['compute.create_compute_request', 'compute.settle'];

/** The reports of a node's worker on a request, by name. */
export function reports({ tx: { compute } }, { node, id, generation }) {
  const done = [node, id, generation];
  return {
    update_miner_compute_request: compute.updateMinerComputeRequest(...done, 'forged'),
    mark_compute_request_fulfilled: compute.markComputeRequestFulfilled(...done, ACCESS),
    handle_miner_compute_request_failure: compute.handleMinerComputeRequestFailure(...done, 'Terminal', 'forged'),
    submit_compute_boot_request_fulfillment: compute.submitComputeBootRequestFulfillment(...done),
    mark_miner_compute_stop_request_fulfilled: compute.markMinerComputeStopRequestFulfilled(...done),
    submit_compute_reboot_request_fulfillment: compute.submitComputeRebootRequestFulfillment(...done),
    submit_compute_resize_request_fulfillment: compute.submitComputeResizeRequestFulfillment(...done),
    submit_compute_deletion_request: compute.submitComputeDeletionRequest(...done),
    report_operation_failure: compute.reportOperationFailure(...done, 'Terminal', 'forged'),
  };
}

/**
 * What a stranger tries on a stopped VM and on its node: [error, call] each. `proof` is one that the node's worker
 * made for its miner, as the whole world can read it on chain.
 */
export async function onAnothers(api, { id, owner, node, generation, offer, access, worker, proof }) {
  const { compute, registry } = api.tx;
  const pool = { Node: node };
  return [
    [NO_ADMIN, compute.addPlan('forged', '', SIZE)],
    [NO_ADMIN, compute.setPlanEnabled(planId('nano'), false)],
    [NO_ADMIN, compute.addImage(imageOf('forged'))],
    [NO_ADMIN, compute.setImageEnabled('busybox', false)],
    [NO_ADMIN, compute.setParams(await api.query.compute.params())],
    [NO_ADMIN, compute.forceClose(id)],
    [NOT_YOURS, compute.cancelComputeRequest(id)],
    [NOT_ITS_WORKER, compute.submitComputeRequestAssignment(node, planId('tiny'), id, owner)],
    ...Object.values(reports(api, { node, id, generation })).map((call) => [NOT_ITS_WORKER, call]),
    [NOT_YOURS, compute.requestComputeBoot(id)],
    [NOT_YOURS, compute.requestComputeStop(id)],
    [NOT_YOURS, compute.requestComputeReboot(id)],
    [NOT_YOURS, compute.requestComputeResize(id, planId('tiny-grown'))],
    [NOT_YOURS, compute.requestComputeDelete(id)],
    [NOT_YOURS, compute.setSshKeys(id, [])],
    [NOT_YOURS, compute.topUp(id, 1)],
    [NOT_YOURS, compute.evacuate(id)],
    [NOT_ITS_WORKER, compute.endLease(id)],
    ['compute.NothingToExpire', compute.expire(id)],
    ['compute.NoCredit', compute.claimCredit(owner)],
    [NOT_ITS_WORKER, compute.addIps(pool, ADDRESS, 1)],
    [NO_ADMIN, compute.addIps('Global', ADDRESS, 1)],
    [NOT_ITS_WORKER, compute.removeIps(pool, ADDRESS, 1)],
    [NOT_ITS_WORKER, compute.setIpPool(pool, NETWORK)],
    [NO_ADMIN, compute.setIpPool('Global', NETWORK)],
    [NOT_ITS_WORKER, compute.assignIpToVm(id, ADDRESS)],
    [NOT_ITS_WORKER, compute.releaseIpFromVm(id)],
    ['registry.NodeAlreadyRegistered', registry.registerNode(node, offer, access, worker, proof)],
    ['registry.WorkerTaken', registry.registerNode('forged', offer, access, worker, proof)],
    [NOT_ITS_MINER, registry.updateOffer(node, offer)],
    [NOT_ITS_MINER, registry.setMinerAccepting(node, false)],
    [NOT_ITS_MINER, registry.setWorker(node, worker, proof)],
    [NOT_ITS_MINER, registry.deregisterNode(node)],
    ['registry.InvalidSignature', registry.setAccess(node, access)],
    ['registry.InvalidSignature', registry.submitNodeMetrics(node, false, null)],
    ['registry.NodeNotLeaving', registry.withdrawBond(node)],
  ];
}

/** The same by way of others' accounts and the admin's. */
export function byOthersAccounts({ tx }, { id, owner }) {
  const stop = tx.compute.requestComputeStop(id);
  return [
    ['sudo.RequireSudo', tx.sudo.sudo(stop)],
    ['sudo.RequireSudo', tx.sudo.sudoAs(owner, stop)],
    ['proxy.NotProxy', tx.proxy.proxy(owner, null, stop)],
    [NO_ADMIN, tx.utility.dispatchAs({ system: { Signed: owner } }, stop)],
    ['compute.ComputeRequestNotFound', tx.utility.batchAll([stop])],
    ['compute.ComputeRequestNotFound', tx.utility.asDerivative(0, stop)],
  ];
}

/** The calls of the market that none of these tries: there must be none. */
export function untried(api, cases) {
  const tried = new Set([...FOR_ANYONE, ...cases.map(([, { method }]) => `${method.section}.${snakeCase(method.method)}`)]);
  const all = ['compute', 'registry'].flatMap((pallet) => (
    Object.values(api.tx[pallet]).map(({ meta }) => `${pallet}.${meta.name.toString()}`)
  ));
  return all.filter((name) => !tried.has(name));
}
