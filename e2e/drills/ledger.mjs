// What everybody should have by the market's rules (docs/chain.md, "Money"), reckoned from what stands in a chain's blocks:
// who was seen when, what was rented where, and when it was settled. The pallets are never asked what is owed.
import { palletAccount } from '../lib/chain.mjs';

const OFFLINE_AFTER = 8;
const LEAST_BILLED = 50;
const TREASURY_PERCENT = 5n;
const MIB_PER_GIB = 1_024n;

/** What a worker's account signs that is no report: its node is not seen by it. */
const NO_REPORT = 'registry.setAccess';

const roundedUp = (amount, by) => (amount + by - 1n) / by;

/** A node's rates × what a VM has, multiplied before divided, rounded up. */
export function priceOf(rates, { vcpus, memoryMib, diskGib }, forAddress = 0n) {
  const whole = rates.vcpu * vcpus + rates.diskGib * diskGib;
  return whole + roundedUp(rates.memoryGib * memoryMib, MIB_PER_GIB) + forAddress;
}

export class Ledger {
  nodes = new Map();
  leases = new Map();
  /** What each account gained or lost since genesis, by address; what it has on hold is still its own. */
  changes = new Map();
  /** Where the chain did something else than the rules say. */
  differences = [];
  #plans;
  #globalIpPrice;
  #treasury;

  constructor({ plans, globalIpPrice, treasury }) {
    this.#plans = plans;
    this.#globalIpPrice = globalIpPrice;
    this.#treasury = treasury;
  }

  /** The ledger after a block, from genesis on; the state of all blocks until there must still be kept. */
  static async at(api, hash) {
    const at = await api.at(hash);
    const [plans, { globalIpPrice }, last] = await Promise.all([
      at.query.compute.plans.entries(), at.query.compute.params(), api.rpc.chain.getHeader(hash),
    ]);
    const ledger = new Ledger({
      plans: new Map(plans.map(([key, plan]) => [key.args[0].toHex(), sizeOf(plan.unwrap().resources)])),
      globalIpPrice: globalIpPrice.toBigInt(),
      treasury: api.createType('AccountId', palletAccount('qry/trsy')).toString(),
    });
    for (let number = 1; number <= last.number.toNumber(); number++) ledger.#take(await blockAt(api, number));
    return ledger;
  }

  #take({ live, extrinsics, rest }) {
    for (const { signer, calls, events } of extrinsics) {
      const succeeded = events.some(({ section, method }) => `${section}.${method}` === 'system.ExtrinsicSuccess');
      const done = succeeded ? calls : [];
      this.#seeNodeOf(signer, done, live);
      const moment = { live, calls: done, creations: done.filter(({ name }) => name === 'compute.createComputeRequest') };
      for (const event of events) this.#note(event, moment);
      for (const call of done) this.#register(call, signer);
    }
    for (const event of rest) this.#note(event, { live, calls: [] });
  }

  #register({ name, args }, owner) {
    if (name !== 'registry.registerNode') return;
    const [id, offer, , worker] = args;
    const rates = Object.fromEntries([...offer.rates].map(([key, rate]) => [key, rate.toBigInt()]));
    this.nodes.set(id.toUtf8(), { owner, worker: worker.toString(), rates, served: 0, downtime: 0 });
  }

  /** A gap between two reports of a node was served, or the node was away. */
  #seeNodeOf(worker, calls, live) {
    const node = [...this.nodes.values()].find((node) => node.worker === worker);
    if (!node || !calls.some(({ name }) => name !== NO_REPORT)) return;
    const gap = live - (node.seen ?? live);
    if (gap <= OFFLINE_AFTER) node.served += gap;
    else node.downtime += gap;
    node.seen = live;
  }

  #note({ section, method, data }, moment) {
    const id = data.requestId?.toString();
    const lease = this.leases.get(id);
    switch (`${section}.${method}`) {
      case 'transactionPayment.TransactionFeePaid': return this.#move(data.who.toString(), this.#treasury, data.actualFee.toBigInt());
      case 'registry.BondSlashed': return this.#move(data.owner.toString(), this.#treasury, data.amount.toBigInt());
      case 'compute.ComputeRequestCreated': return this.#open(id, data.owner.toString(), moment.creations);
      case 'compute.IpAssigned': return (lease.pool = data.pool.type);
      case 'compute.ComputeRequestSubmitted': return this.#place(lease, data.nodeId.toUtf8());
      case 'compute.ComputeRequestFulfilled': return (lease.mark = lease.node.served);
      case 'compute.LeaseSettled': return this.#settle(id, lease, data, moment);
      case 'compute.LeaseClosed': return this.#close(id, lease, data, moment);
      case 'compute.ComputeRequestEvacuated': return this.#unplace(id, lease);
      case 'compute.ComputeRequestFailed': return data.pending.isTrue && this.#unplace(id, lease);
      case 'compute.LeaseToppedUp': case 'compute.ComputeResizeRequestFulfilled':
        throw new Error(`the ledger does not know what ${method} costs`);
      default: return undefined;
    }
  }

  #move(from, to, amount) {
    this.changes.set(from, (this.changes.get(from) ?? 0n) - amount);
    this.changes.set(to, (this.changes.get(to) ?? 0n) + amount);
  }

  /** A batch makes requests in the order of its calls. */
  #open(id, tenant, creations) {
    const [, plan, , , , , maxPrice, prepaid, wish] = creations.shift().args;
    const held = maxPrice.toBigInt() * prepaid.toBigInt();
    this.leases.set(id, { tenant, held, size: this.#plans.get(plan.toHex()), wantsAddress: wish.type !== 'None', paid: 0n, billed: 0, closed: false });
  }

  #place(lease, nodeId) {
    const node = this.nodes.get(nodeId);
    const forAddress = { Node: node.rates.ip, Global: this.#globalIpPrice }[lease.wantsAddress && lease.pool] ?? 0n;
    Object.assign(lease, { node, nodeId, price: priceOf(node.rates, lease.size, forAddress), billedHere: 0, mark: undefined });
    lease.feeOfPool = lease.pool === 'Global' ? forAddress : 0n;
  }

  /** What a lease owes now, in blocks; at a tenant's own end of it also what it is short of the least. */
  #owes(lease, { live, calls }) {
    if (lease.mark === undefined) return 0;
    const owed = lease.node.served - lease.mark;
    if (owed > 0) return owed;
    const atWill = calls.some(({ name }) => name === 'compute.requestComputeDelete');
    const isOnline = lease.node.seen + OFFLINE_AFTER >= live;
    return atWill && isOnline ? Math.max(0, LEAST_BILLED - lease.billedHere) : 0;
  }

  #settle(id, lease, data, moment) {
    const blocks = this.#owes(lease, moment);
    const due = bounded(lease.price * BigInt(blocks), lease.held);
    const forPool = bounded(lease.feeOfPool * BigInt(blocks), due);
    const share = roundedUp((due - forPool) * TREASURY_PERCENT, 100n) + forPool;
    const [said, toMiner, toTreasury] = [data.blocks.toNumber(), data.minerShare.toBigInt(), data.treasuryShare.toBigInt()];
    if (said !== blocks || toMiner !== due - share || toTreasury !== share) {
      this.differences.push(`request ${id} in live block ${moment.live}: ${said} blocks were settled with ${toMiner} and ${toTreasury}, not ${blocks} with ${due - share} and ${share}`);
    }
    this.#move(lease.tenant, lease.node.owner, due - share);
    this.#move(lease.tenant, this.#treasury, share);
    lease.held -= due;
    lease.paid += due;
    lease.billed += blocks;
    lease.billedHere += blocks;
    lease.mark = lease.node.served;
  }

  #close(id, lease, data, moment) {
    const owed = this.#owes(lease, moment);
    if (owed > 0 && lease.held > 0n) this.differences.push(`request ${id} was closed with ${owed} blocks unpaid`);
    if (data.refunded.toBigInt() !== lease.held) this.differences.push(`request ${id} was closed with a refund of ${data.refunded}, not ${lease.held}`);
    Object.assign(lease, { held: 0n, closed: true, mark: undefined });
  }

  #unplace(id, lease) {
    const owed = lease.mark === undefined ? 0 : lease.node.served - lease.mark;
    if (owed > 0) this.differences.push(`request ${id} left ${lease.nodeId} with ${owed} blocks unpaid`);
    Object.assign(lease, { node: undefined, nodeId: undefined, pool: undefined, mark: undefined });
  }

  /** Where accounts, holds and nodes are not as the ledger has them, at the block of `hash`, at which it ends. */
  async compare(api, hash) {
    const [now, genesis] = await Promise.all([api.at(hash), api.at(api.genesisHash)]);
    const differences = [...this.differences];
    const same = (what, is, should) => is !== should && differences.push(`${what} is ${is}, and should be ${should}`);
    for (const [address, change] of this.changes) {
      const [before, after] = await Promise.all([genesis, now].map(async ({ query }) => totalOf(await query.system.account(address))));
      same(`what ${address} has`, after, before + change);
    }
    const holds = new Map();
    for (const [id, { tenant, held, closed }] of this.leases) {
      holds.set(tenant, (holds.get(tenant) ?? 0n) + held);
      const lease = await now.query.compute.leases(id);
      same(`the hold of request ${id}`, lease.isSome ? lease.unwrap().held.toBigInt() : 'closed', closed ? 'closed' : held);
    }
    for (const [address, held] of holds) {
      const all = await now.query.balances.holds(address);
      const ofLeases = all.filter(({ id }) => id.isCompute && id.asCompute.isLease).map(({ amount }) => amount.toBigInt());
      same(`what ${address} has on hold for leases`, ofLeases[0] ?? 0n, held);
    }
    for (const [id, { served, downtime }] of this.nodes) {
      const record = (await now.query.registry.nodes(id)).unwrap();
      same(`what ${id} served`, record.served.toNumber(), served);
      same(`the downtime of ${id}`, record.downtime.toNumber(), downtime);
    }
    return differences;
  }
}

const bounded = (amount, most) => (amount < most ? amount : most);

const totalOf = ({ data }) => data.free.toBigInt() + data.reserved.toBigInt();

const sizeOf = (resources) => Object.fromEntries([...resources].map(([key, amount]) => [key, amount.toBigInt()]));

/** A block as the ledger takes it: its live count, its transactions with their calls and events, and all other events. */
async function blockAt(api, number) {
  const hash = await api.rpc.chain.getBlockHash(number);
  const at = await api.at(hash);
  const [{ block }, events, live] = await Promise.all([
    api.rpc.chain.getBlock(hash), at.query.system.events(), at.query.liveBlocks.count(),
  ]);
  const of = (index) => events
    .filter(({ phase }) => (phase.isApplyExtrinsic ? phase.asApplyExtrinsic.toNumber() : undefined) === index)
    .map(({ event }) => event);
  return {
    live: live.toNumber(),
    extrinsics: block.extrinsics.map((extrinsic, index) => ({
      signer: extrinsic.isSigned ? extrinsic.signer.toString() : undefined, calls: flat(extrinsic.method), events: of(index),
    })),
    rest: of(undefined),
  };
}

/** The calls of a transaction, those inside a batch or by the admin too. */
function flat({ section, method, args }) {
  const name = `${section}.${method}`;
  if (['utility.batchAll', 'utility.batch'].includes(name)) return [...args[0]].flatMap(flat);
  return name === 'sudo.sudo' ? flat(args[0]) : [{ name, args: [...args] }];
}
