// The market's state, and whether it agrees with itself: the pallets' invariants, computed here once more.
import { plain } from '../lib/plain.mjs';

const QUEUES = {
  boot: 'minerComputeBootRequests', stop: 'minerComputeStopRequests', reboot: 'minerComputeRebootRequests',
  resize: 'minerComputeResizeRequests', delete: 'minerComputeDeletionRequests',
};
const MAPS = [
  'computeRequests', 'leases', 'minerComputeRequests', 'pendingRequests', 'requestOwner', 'requestTickets', 'sshKeys', 'ips', 'ipOf',
  'ipPools', 'freeIps', 'quarantinedIps', 'ipTickets', 'credits', 'deadlines', 'claims', 'plans', ...Object.values(QUEUES),
];
const ENDED = ['failed', 'cancelled'];
const DEADLINE_OF = { launch: 'launch', delete: 'deletion' };

/** Each map of the market as [keys, value] pairs, and the accounts. */
export async function readChain(at) {
  const maps = await Promise.all(MAPS.map((name) => entriesOf(at.query.compute[name])));
  const state = Object.fromEntries(MAPS.map((name, index) => [name, maps[index]]));
  const [nodes, accounts, holds, issuance] = await Promise.all([
    entriesOf(at.query.registry.nodes), entriesOf(at.query.system.account), entriesOf(at.query.balances.holds), at.query.balances.totalIssuance(),
  ]);
  return { ...state, nodes, accounts, holds, issuance: issuance.toString(), requests: state.computeRequests.map(([, request]) => request) };
}

async function entriesOf(map) {
  return (await map.entries()).map(([key, value]) => [key.args.map((arg) => plain(arg)), plain(value)]);
}

export function chainDifferences(chain) {
  return [...heldMoney(chain), ...rooms(chain), ...addresses(chain), ...queues(chain), ...deadlines(chain), ...places(chain)];
}

/** An id, an address or an account as one text. */
const text = (key) => (typeof key === 'object' ? JSON.stringify(key) : String(key));

function heldMoney({ requests, leases, credits, requestTickets, ipTickets, nodes, holds, accounts, issuance }) {
  const due = new Sums();
  const ownerOf = new Map(requests.map(({ request_id: id, owner }) => [id, owner]));
  for (const [[id], { held }] of leases) due.add(`${ownerOf.get(id)} lease`, held);
  for (const [[id], ticket] of requestTickets) due.add(`${ownerOf.get(id)} storage_deposit`, ticket);
  for (const [, [owner, ticket]] of ipTickets) due.add(`${owner} storage_deposit`, ticket);
  for (const [, { owner, bond }] of nodes) due.add(`${owner} node_bond`, bond);
  const credit = credits.reduce((sum, [, amount]) => sum + BigInt(amount), 0n);
  const found = new Sums();
  const reserved = new Sums();
  for (const [[account], list] of holds) {
    for (const { id, amount } of list) {
      reserved.add(account, amount);
      const [[pallet, reason]] = Object.entries(id);
      if (['compute', 'registry'].includes(pallet)) found.add(`${account} ${reason}`, amount);
    }
  }
  const all = accounts.reduce((sum, [, { data }]) => sum + BigInt(data.free) + BigInt(data.reserved), 0n);
  const differing = due.differences(found);
  // What is kept for tenants whose money could not be given back is on hold where there is no lease.
  const kept = differing.filter(([what, , should]) => what.endsWith(' lease') && should === 0n);
  const keptInAll = kept.reduce((sum, [, is]) => sum + is, 0n);
  return [
    ...(keptInAll === credit ? [] : [`without a lease ${keptInAll} is on hold, and the credits come to ${credit}`]),
    ...differing.filter((row) => !kept.includes(row)).map(([what, is, should]) => `on hold for ${what} is ${is}, and what it stands for comes to ${should}`),
    ...reserved.differences(new Sums(accounts.map(([[account], { data }]) => [account, data.reserved])))
      .map(([account, is, should]) => `${account} has ${is} reserved, and holds of ${should}`),
    ...(all === BigInt(issuance) ? [] : [`all accounts have ${all}, and ${issuance} was issued`]),
  ];
}

/** Sums by a name. */
export class Sums {
  #sums = new Map();

  constructor(entries = []) {
    for (const [name, amount] of entries) this.add(name, amount);
  }

  add(name, amount) {
    this.#sums.set(name, this.get(name) + BigInt(amount));
  }

  get(name) {
    return this.#sums.get(name) ?? 0n;
  }

  /** Where another has other sums: name, the other's, and its own. */
  differences(other) {
    const names = new Set([...this.#sums.keys(), ...other.#sums.keys()]);
    return [...names].map((name) => [name, other.get(name), this.get(name)]).filter(([, is, should]) => is !== should);
  }
}

function rooms({ requests, minerComputeResizeRequests: resizes, plans, nodes }) {
  const sizeOf = new Map(plans.map(([[id], { resources }]) => [id, resources]));
  const newPlan = new Map(resizes.map(([[, id], { plan_id: plan }]) => [id, plan]));
  return nodes.flatMap(([[node], record]) => {
    const own = requests.filter((request) => request.is_assigned && request.miner_id === node);
    const differing = ['vcpus', 'memory_mib', 'disk_gib'].flatMap((part) => {
      const sum = own.reduce((total, { request_id: id, resources }) => (
        total + Math.max(resources[part], sizeOf.get(newPlan.get(id))?.[part] ?? 0)
      ), 0);
      return sum === record.reserved[part] ? [] : [`${node} has ${record.reserved[part]} ${part} reserved, and its VMs take ${sum}`];
    });
    return own.length === record.vms ? differing : [...differing, `${node} counts ${record.vms} VMs, and has ${own.length}`];
  });
}

function addresses({ ips, ipOf, ipPools, freeIps, quarantinedIps, requests }) {
  const assigned = new Set(requests.filter(({ is_assigned: is }) => is).map(({ request_id: id }) => id));
  const holderOf = new Map(ips.filter(([, state]) => state.held !== undefined).map(([key, { held }]) => [text(key), held]));
  const listed = new Map(freeIps.map(([[pool, index], address]) => [text([pool, address]), index]));
  const holders = ipOf.map(([, place]) => text(place));
  return [
    ...holders.filter((place, index) => holders.indexOf(place) !== index).map((place) => `address ${place} is that of two requests`),
    ...ipOf.filter(([[id], place]) => holderOf.get(text(place)) !== id)
      .map(([[id], place]) => `request ${id} has address ${text(place)}, which is held by ${holderOf.get(text(place)) ?? 'nobody'}`),
    ...ipOf.filter(([[id]]) => !assigned.has(id)).map(([[id], place]) => `request ${id} has address ${text(place)} and no node`),
    ...[...holderOf].filter(([place, id]) => !ipOf.some(([[holder], own]) => holder === id && text(own) === place))
      .map(([place, id]) => `address ${place} is held by request ${id}, whose address it is not`),
    ...ips.filter(([key, { free }]) => free !== undefined && listed.get(text(key)) !== free).map(([key]) => `address ${text(key)} is free and not listed`),
    ...ipPools.flatMap(([[pool], { free, total }]) => {
      const own = ips.filter(([[of]]) => text(of) === text(pool));
      const counts = [own.filter(([, state]) => state.free !== undefined).length, own.length];
      const resting = own.filter(([, state]) => state.quarantined !== undefined).length;
      const queued = quarantinedIps.filter(([[of]]) => text(of) === text(pool)).length;
      return [
        ...(free === counts[0] && total === counts[1] ? [] : [`pool ${text(pool)} counts ${free} free of ${total}, and has ${counts.join(' of ')}`]),
        ...(resting === queued ? [] : [`pool ${text(pool)} has ${resting} addresses at rest, and ${queued} in its quarantine`]),
      ];
    }),
  ];
}

function queues(chain) {
  const queued = Object.entries(QUEUES).flatMap(([kind, name]) => chain[name].map(([[node, id], entry]) => ({ kind, node, id, entry })));
  const ofRequest = (id) => queued.filter((entry) => entry.id === id);
  const known = new Set(chain.requests.map(({ request_id: id }) => id));
  return [
    ...queued.filter(({ id }) => !known.has(id)).map(({ kind, node, id }) => `${node} has a ${kind} of request ${id}, which is not there`),
    ...chain.requests.flatMap(({ request_id: id, operation, miner_id: node, generation, is_assigned: assigned }) => {
      const found = ofRequest(id).map((entry) => `${entry.kind} at ${entry.node}, generation ${entry.entry.generation}`).join(' and ');
      const wanted = operation && assigned && operation.kind !== 'launch' ? `${operation.kind} at ${node}, generation ${generation}` : '';
      return found === wanted ? [] : [`request ${id} should have in queues: ${wanted || 'nothing'}, and has: ${found || 'nothing'}`];
    }),
  ];
}

function deadlines({ requests, leases, deadlines: armed }) {
  const waits = requests.flatMap(({ request_id: id, operation, kept_until: until }) => [
    ...(operation ? [[operation.deadline, id, DEADLINE_OF[operation.kind] ?? 'operation']] : []),
    ...(until === null ? [] : [[until, id, 'retention']]),
  ]);
  waits.push(...leases.filter(([, { check_at: at }]) => at !== null).map(([[id], { check_at: at }]) => [at, id, 'lease']));
  const [wanted, found] = [waits, armed.map(([key]) => key)].map((list) => new Set(list.map((key) => key.join(' '))));
  return [
    ...[...wanted].filter((key) => !found.has(key)).map((key) => `nothing is armed for the wait (block, request, kind) ${key}`),
    ...[...found].filter((key) => !wanted.has(key)).map((key) => `nothing waits for the deadline (block, request, kind) ${key}`),
  ];
}

function places({ requests, leases, pendingRequests, minerComputeRequests, requestOwner, requestTickets, sshKeys }) {
  const ids = (entries) => new Set(entries.map(([[id]]) => id));
  const [pending, leased] = [ids(pendingRequests), ids(leases)];
  const all = new Set(requests.map(({ request_id: id }) => id));
  const nodesOf = (id) => minerComputeRequests.filter(([[, of]]) => of === id).map(([[node]]) => node);
  const strangers = Object.entries({ requestOwner, requestTickets, sshKeys, leases, pendingRequests })
    .flatMap(([map, entries]) => entries.filter(([[id]]) => !all.has(id)).map(([[id]]) => `${map} has request ${id}, which is not there`));
  return [
    ...strangers,
    ...minerComputeRequests.filter(([[, id]]) => !all.has(id)).map(([[node, id]]) => `${node} lists request ${id}, which is not there`),
    ...requests.flatMap(({ request_id: id, status, is_assigned: assigned, miner_id: node, operation }) => {
      const where = [
        ...(pending.has(id) ? ['pending'] : []), ...nodesOf(id), ...(ENDED.includes(status) ? ['ended'] : []),
      ];
      const should = status === 'pending' ? 'pending' : assigned ? node : 'ended';
      const open = !ENDED.includes(status) && operation?.kind !== 'delete';
      return [
        ...(where.join() === should ? [] : [`request ${id} is ${status} and should stand under ${should}, and stands under ${where.join(' and ') || 'nothing'}`]),
        ...(leased.has(id) === open ? [] : [`request ${id} is ${status} and has ${open ? 'no' : 'still a'} lease`]),
      ];
    }),
  ];
}
