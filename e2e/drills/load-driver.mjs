// Plays the workers of many nodes and their tenants: a heartbeat of each node whenever it is due, and VMs that are asked
// for, launched and reported, evenly over the time.
import { setTimeout as pause } from 'node:timers/promises';
import { Signer } from '../bench/market-load.mjs';
import { MAX_PRICE, SSH_KEY, planId } from '../lib/market.mjs';
import { SECONDS, until } from '../lib/until.mjs';

/** Calls in one JSON-RPC batch. */
const BATCH = 100;
/** Requests in one transaction of a tenant's. */
const AT_ONCE = 10;
/** Blocks from the one that has a heartbeat to the first at which the pool takes another. */
const DUE = 3;
/** Blocks from one heartbeat's sending to the next. */
const EVERY = 4;
const PREPAID = 1_000;
const ROWS = 100;
const LAUNCHED = { jobId: 'launch', hypervisorIp: null, vncPort: null, sshHostKey: `0x${'07'.repeat(32)}` };

export class LoadDriver {
  beats = 0;
  reports = 0;
  rents = 0;
  refusals = {};
  #stage;
  #nodes;
  #options;
  /** How many VMs each node was asked for, and which of them it has reported. */
  #asked = new Map();
  #reported = new Set();
  #over = false;
  #tenants;

  /** `requests` are asked for within so many `seconds`. */
  constructor(stage, nodes, { requests, seconds, say }) {
    this.#stage = stage;
    this.#nodes = nodes;
    this.#options = { requests, seconds, say };
    this.#tenants = stage.tenants.map((account) => new Signer(this.#api, account));
  }

  get #api() {
    return this.#stage.market.api;
  }

  /** Asks the RPC node many things at once; what it answers to each, `error` or `result`. */
  async #ask(method, all) {
    const answers = [];
    for (let first = 0; first < all.length; first += BATCH) {
      const calls = all.slice(first, first + BATCH).map((params, id) => ({ jsonrpc: '2.0', id, method, params }));
      const response = await fetch(this.#stage.market.node.url.replace(/^ws/, 'http'), {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(calls), signal: AbortSignal.timeout(120 * SECONDS),
      });
      for (const { id, error, result } of await response.json()) answers[first + id] = { error, result };
    }
    return answers;
  }

  /** Sends calls of nodes' workers: those that were refused, for which the nonce is asked for anew. */
  async #send(entries) {
    const answers = await this.#ask('author_submitExtrinsic', entries.map(({ node, call }) => [node.worker.sign(call)]));
    const refused = entries.filter((_, place) => answers[place].error);
    for (const { error } of answers) if (error) this.#count(error);
    const nonces = await this.#ask('system_accountNextIndex', refused.map(({ node }) => [node.worker.account.address]));
    for (const [place, { node }] of refused.entries()) node.worker.nonce = nonces[place].result;
    return refused;
  }

  #count({ message, data }) {
    const words = `${message}: ${data ?? ''}`;
    this.refusals[words] = (this.refusals[words] ?? 0) + 1;
  }

  #beat(node) {
    return { node, call: this.#api.tx.registry.submitNodeMetrics(node.id, true, null) };
  }

  /** The first heartbeats: from then on all nodes are Online. */
  async everybodyBeats() {
    await this.#send(this.#nodes.map((node) => this.#beat(node)));
    await this.#isTaken();
    const now = (await this.#api.rpc.chain.getHeader()).number.toNumber();
    // From here on as many in each block, the first of them in the block in which they are due.
    for (const [place, node] of this.#nodes.entries()) node.beatAt = now + DUE - EVERY + place % EVERY;
  }

  #isTaken() {
    return until('the pool is empty', async () => (await this.#api.rpc.author.pendingExtrinsics()).length === 0, { within: 120 * SECONDS });
  }

  /** Beats and rents until time is up and all that was rented runs. */
  async run() {
    let busy = false;
    let failure;
    const unsubscribe = await this.#api.rpc.chain.subscribeNewHeads((header) => {
      if (busy || this.#over) return;
      busy = true;
      this.#onBlock(header.number.toNumber()).catch((error) => (failure = error)).finally(() => (busy = false));
    });
    try {
      await this.#rent();
      await until('all launches are reported', async (seen) => {
        if (failure) throw failure;
        seen(`${this.#reported.size} of ${this.#options.requests}; ${await this.#onTheWay()}`);
        return this.#reported.size === this.#options.requests && !busy;
      }, { within: 300 * SECONDS, every: 1 * SECONDS });
      this.#over = true;
      this.endedAt = (await this.#api.query.liveBlocks.count()).toNumber();
      await this.#isTaken();
    } finally {
      unsubscribe();
    }
  }

  /** What the chain was asked for, and tenants' transactions that are in no block. */
  async #onTheWay() {
    const { compute, system } = this.#api.query;
    const [asked, accounts] = await Promise.all([compute.nextRequestId(), system.account.multi(this.#tenants.map(({ account }) => account.address))]);
    const lacking = this.#tenants.filter(({ nonce }, place) => !accounts[place].nonce.eq(nonce)).map(({ account }) => account.address);
    return `the chain was asked for ${asked}; transactions of ${lacking.join(', ') || 'nobody'} are in no block`;
  }

  /** Nodes whose heartbeat is due beat, and those that were asked for VMs report what they find that they shall launch. */
  async #onBlock(number) {
    const due = this.#nodes.filter(({ beatAt }) => number >= beatAt + EVERY);
    const refused = new Set((await this.#send(due.map((node) => this.#beat(node)))).map(({ node }) => node));
    // What was refused has its turn with the next block.
    for (const node of due) node.beatAt = refused.has(node) ? number - EVERY : number;
    this.beats += due.length - refused.size;

    const launches = await this.#launches();
    const again = await this.#send(launches.map(({ node, id, generation }) => (
      { node, id, call: this.#api.tx.compute.markComputeRequestFulfilled(node.id, id, generation, LAUNCHED) }
    )));
    for (const { id } of launches) this.#reported.add(id);
    for (const { id } of again) this.#reported.delete(id);
    this.reports += launches.length - again.length;
  }

  /** What nodes have to launch, as their workers would see it. */
  async #launches() {
    const nodes = [...this.#asked.keys()];
    const answers = await this.#ask('compute_work_for', nodes.map(({ id }) => [id, null, ROWS]));
    return nodes.flatMap((node, place) => {
      const { rows } = answers[place].result;
      const known = rows.filter(({ request_id: id }) => this.#reported.has(id)).length;
      if (known === this.#asked.get(node)) this.#asked.delete(node);
      return rows.filter(({ request_id: id, desired }) => desired === 'launch' && !this.#reported.has(id))
        .map(({ request_id: id, generation }) => ({ node, id, generation }));
    });
  }

  /** Asks for VMs, each of a node by name, evenly over the time. */
  async #rent() {
    const { requests, seconds, say } = this.#options;
    const batches = Math.ceil(requests / AT_ONCE);
    const begun = Date.now();
    const wanted = new Map();
    for (let batch = 0; batch < batches; batch++) {
      const nodes = Array.from({ length: Math.min(AT_ONCE, requests - batch * AT_ONCE) }, (_, place) => this.#nodes[(batch * AT_ONCE + place) % this.#nodes.length]);
      const call = this.#api.tx.utility.batchAll(nodes.map(({ id }) => this.#api.tx.compute.createComputeRequest(
        'web', planId('nano'), 'busybox', [SSH_KEY], null, { minerId: id, country: null }, MAX_PRICE, PREPAID, 'None',
      )));
      const [{ error }] = await this.#ask('author_submitExtrinsic', [[this.#tenants[batch % this.#tenants.length].sign(call)]]);
      if (error) throw new Error(`a rent was refused: ${JSON.stringify(error)}`);
      for (const node of nodes) {
        wanted.set(node, (wanted.get(node) ?? 0) + 1);
        this.#asked.set(node, wanted.get(node));
      }
      this.rents += nodes.length;
      if (this.rents % 1_000 === 0) say(`${this.rents} VMs asked for`);
      await pause(Math.max(0, begun + (batch + 1) / batches * seconds * SECONDS - Date.now()));
    }
  }
}
