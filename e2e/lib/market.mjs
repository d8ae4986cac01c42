import assert from 'node:assert/strict';
import { blake2AsHex } from '@polkadot/util-crypto';
import { startChainNode } from './chain-node.mjs';
import { chainLike } from './chain-spec.mjs';
import { DispatchFailed, QRY, connect, developmentAccount, submit, submitAsAdmin } from './chain.mjs';
import { Chronicle } from './chronicle.mjs';
import { SECONDS, until } from './until.mjs';
import { Worker, workerProof } from './worker.mjs';

/** So long that none of them ends during a test that does not shorten it. */
const PARAMS = {
  launch_timeout: 150,
  operation_timeout: 50,
  delete_timeout: 100,
  evict_after: 600,
  grace_period: 10,
  min_lease: 10,
  max_prepaid: 100_000,
  notice_period: 1_000,
  unbonding: 1_000,
  retention: 1_000,
  rate_notice: 600,
  ip_quarantine: 600,
  ip_quarantine_evacuated: 14_400,
  max_attempts: 3,
  max_claims: 10,
  global_ip_price: '2500000',
};
/** The least that a tenant pays for in advance by these. */
export const MIN_PREPAID = PARAMS.grace_period + PARAMS.min_lease;

/** The block that ends a session carries no transactions: here none does. */
const NO_SESSION_ENDS = 100_000;
const FUNDS = 5_000n * QRY;

/** Sizes of the built-in chains. */
export const PLANS = {
  nano: { vcpus: 1, memory_mib: 512, disk_gib: 5 },
  small: { vcpus: 1, memory_mib: 2_048, disk_gib: 20 },
  medium: { vcpus: 2, memory_mib: 4_096, disk_gib: 40 },
};
export const IMAGE = 'debian-12';
export const SSH_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f e2e';
export const RATES = { vcpu: 1_000_000n, memoryGib: 500_000n, diskGib: 10_000n, ip: 250_000n };
const CAPACITY = { vcpus: 32, memoryMib: 65_536, diskGib: 1_000 };
/** More than any VM here costs per block. */
export const MAX_PRICE = 10_000_000n;

export const planId = (name) => blake2AsHex(name);

/** What a plan costs per block at these rates, without an address. */
export function priceOf(plan, rates = RATES) {
  const { vcpus, memory_mib: memory, disk_gib: disk } = PLANS[plan];
  const MIB_PER_GIB = 1_024n;
  const forMemory = (rates.memoryGib * BigInt(memory) + MIB_PER_GIB - 1n) / MIB_PER_GIB;
  return rates.vcpu * BigInt(vcpus) + rates.diskGib * BigInt(disk) + forMemory;
}

export function imageOf(name, { virtualSizeGib = 3 } = {}) {
  return {
    name,
    imageUrl: `https://images.example/${name}.qcow2`,
    digest: new Uint8Array(32).fill(0xd1),
    format: 'Qcow2',
    virtualSizeGib,
    supersedes: null,
    enabled: true,
  };
}

/** A hypervisor host that a test plays: its name, its miner's account and its worker. */
export class Host {
  constructor(id, offer = {}, { metrics } = {}) {
    this.id = id;
    this.metrics = metrics;
    this.miner = developmentAccount(`//miner/${id}`);
    this.workerAccount = developmentAccount(`//worker/${id}`);
    this.offer = { capacity: CAPACITY, rates: RATES, country: 'SE', maxVms: 100, globalIps: false, ...offer };
    this.access = { endpoint: `${id}.example:2222`, hostKey: new Uint8Array(32).fill(0x0a) };
  }

  /** The call by which its miner registers it. */
  registration(api) {
    const proof = workerProof(api, this.workerAccount, this.id, this.miner);
    return api.tx.registry.registerNode(this.id, this.offer, this.access, this.workerAccount.address, proof);
  }
}

/** A development chain that is a market: with an image, and nodes that take VMs. */
export class Market {
  #accounts = [];
  admin = developmentAccount('//Alice');

  /** An account of its own for a test, funded from the start. */
  account(name) {
    const account = developmentAccount(`//market/${name}`);
    this.#accounts.push(account);
    return account;
  }

  /**
   * The file of a chain spec that funds this market's accounts and its hosts' miners; `change` is what else differs
   * from the chain that it is `like`.
   */
  chainSpec({ hosts, params = {}, plans = [], chainType = 'Development', like = 'dev', change }) {
    const funded = [...this.#accounts, ...hosts.map(({ miner }) => miner)];
    return chainLike(like, (genesis, spec) => {
      const { balances, compute, validators } = genesis;
      spec.chainType = chainType;
      balances.balances.push(...funded.map(({ address }) => [address, Number(FUNDS)]));
      compute.params = { ...PARAMS, ...params };
      compute.plans.push(...plans);
      validators.sessionLength = NO_SESSION_ENDS;
      change?.(genesis);
    });
  }

  async open({ hosts, params, args = [] }) {
    const chain = await this.chainSpec({ hosts, params });
    this.node = await startChainNode({ args: ['--dev', '--chain', chain, ...args] });
    this.api = await connect(this.node.url);
    this.chronicle = await Chronicle.of(this.api);
    await Promise.all([
      this.asAdmin(this.api.tx.compute.addImage(imageOf(IMAGE))),
      ...hosts.map((host) => submit(this.api, host.registration(this.api), host.miner)),
    ]);
    for (const host of hosts) host.worker = new Worker(this.api, host.id, host.workerAccount);
    this.hosts = hosts;
    await Promise.all(hosts.map(({ worker, metrics }) => worker.beat(metrics)));
  }

  async close() {
    const silent = await Promise.allSettled((this.hosts ?? []).map(({ worker }) => worker?.silence()));
    await this.chronicle?.close();
    await this.api?.disconnect();
    await this.node?.stop();
    const failed = silent.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
  }

  async asAdmin(...calls) {
    const call = calls.length === 1 ? calls[0] : this.api.tx.utility.batchAll(calls);
    const nonce = await this.#adminNonce();
    return submitAsAdmin(this.api, call, { nonce });
  }

  /** For a chain that began anew. */
  forgetNonces() {
    this.#nextAdminNonce = undefined;
  }

  #nextAdminNonce;
  /** Counted here, so that tests that run together may all act as the admin. */
  async #adminNonce() {
    this.#nextAdminNonce ??= this.api.rpc.system.accountNextIndex(this.admin.address).then(Number);
    const nonce = this.#nextAdminNonce;
    this.#nextAdminNonce = nonce.then((number) => number + 1);
    return nonce;
  }

  /** Asks for a VM; `wish` names what matters to the test. */
  creation({
    name = 'web', plan = 'nano', image = IMAGE, keys = [SSH_KEY], cloudInit = null,
    node = null, country = null, maxPrice = MAX_PRICE, prepaid = 1_000, ip = 'None',
  } = {}) {
    const placement = { minerId: node, country };
    return this.api.tx.compute
      .createComputeRequest(name, planId(plan), image, keys, cloudInit, placement, maxPrice, prepaid, ip);
  }

  /** As `creation`, for each wish, in one transaction; the requests' numbers come with the block. */
  async createAll(tenant, ...wishes) {
    const block = await this.do(tenant, ...wishes.map((wish) => this.creation(wish)));
    const ids = block.events
      .filter((event) => this.api.events.compute.ComputeRequestCreated.is(event))
      .map(({ data }) => data.requestId);
    return { block, ids };
  }

  async create(tenant, wish) {
    const { block, ids: [id] } = await this.createAll(tenant, wish);
    return { block, id };
  }

  /** A VM that runs on a host. */
  async running(tenant, host, wish = {}) {
    const { id } = await this.create(tenant, { node: host.id, ...wish });
    await host.worker.serve(id);
    return id;
  }

  /** A tenant's call, or several in one transaction. */
  do(tenant, ...calls) {
    const call = calls.length === 1 ? calls[0] : this.api.tx.utility.batchAll(calls);
    return submit(this.api, call, tenant);
  }

  /** Sends calls of one signer so that they share a block; each must fail with the error beside it. How they failed. */
  async assertRefuses(signer, cases) {
    const first = Number(await this.api.rpc.system.accountNextIndex(signer.address));
    return Promise.all(cases.map(async ([error, call], index) => {
      const failure = await submit(this.api, call, signer, { nonce: first + index }).catch((thrown) => thrown);
      assert.ok(failure instanceof DispatchFailed, `${error} was expected: ${failure.stack ?? 'it succeeded'}`);
      assert.equal(failure.errorName, error, `${failure.message} instead of ${error}`);
      return failure;
    }));
  }

  async request(id) {
    const owner = await this.api.query.compute.requestOwner(id);
    return (await this.api.query.compute.computeRequests(owner.unwrap(), id)).unwrap();
  }

  async status(id) {
    return (await this.request(id)).status.type;
  }

  async lease(id) {
    return (await this.api.query.compute.leases(id)).unwrap();
  }

  async nodeRecord(host) {
    return (await this.api.query.registry.nodes(host.id)).unwrap();
  }

  async live() {
    return (await this.api.query.liveBlocks.count()).toNumber();
  }

  /** Waits until so many live blocks have been. */
  untilLive(number) {
    return until(`live block ${number}`, async (seen) => {
      const live = await this.live();
      seen(`live block ${live}`);
      return live >= number;
    }, { within: 300 * SECONDS });
  }

  /** The first event on this request, past or coming, that fits. */
  waitFor(name, id, fits = () => true, options = {}) {
    return this.chronicle.waitFor(`compute.${name}`, (data) => data.requestId.eq(id) && fits(data), options);
  }

  /** What an account has on hold, by the pallet's name and the reason. */
  async holds(account) {
    const holds = await this.api.query.balances.holds(account.address);
    return Object.fromEntries(holds.map(({ id, amount }) => [`${id.type}.${id.inner.type}`, amount.toBigInt()]));
  }
}
