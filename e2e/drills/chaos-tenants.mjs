// Tenants who rent, ask and delete at random.
import { setTimeout as pause } from 'node:timers/promises';
import { DispatchFailed } from '../lib/chain.mjs';
import { MIN_PREPAID, planId } from '../lib/market.mjs';
import { SECONDS } from '../lib/until.mjs';

/** Of twenty. Nodes claim what names none, four at a time each, so those take a while. */
const ON_A_NODE_OF_CHOICE = 19;
const SHORT_LEASES = 2;
/** What may be asked of a VM in each state, and how often by comparison. */
const ASKS = {
  Running: { Stop: 4, Reboot: 4, Resize: 2, Delete: 2, nothing: 1 },
  Stopped: { Boot: 6, Resize: 1, Delete: 1, nothing: 1 },
  InProgress: { Delete: 1, nothing: 6 },
  Pending: { Cancel: 1, nothing: 6 },
  Failed: { Delete: 1, nothing: 1 },
  Cancelled: { Delete: 1, nothing: 1 },
};
/** What one tenant asks in one transaction. */
const AT_ONCE = 4;

export class Tenant {
  #stage;
  #account;
  #chance;
  /** Counts of what was asked, and refused. */
  asked = {};
  refused = {};

  constructor(stage, account, chance) {
    this.#stage = stage;
    this.#account = account;
    this.#chance = chance;
  }

  /** Rents so many, some on hosts of its choice, some wherever there is room. */
  rent(count, hosts) {
    return this.#send(Array.from({ length: count }, () => this.#rental(hosts)));
  }

  /** Asks for one thing and another until it is over; it keeps about as many VMs as it rented first. */
  async play(count, hosts, isOver) {
    while (!isOver()) {
      try {
        const own = await this.#own();
        const missing = Math.max(0, count - own.filter(({ status }) => !['Failed', 'Cancelled'].includes(status)).length);
        const asks = this.#chance.shuffled(own).map((vm) => this.#ask(vm)).filter(Boolean).slice(0, AT_ONCE);
        const rentals = Array.from({ length: Math.min(missing, AT_ONCE) }, () => this.#rental(hosts));
        await this.#send([...asks, ...rentals]);
      } catch (error) {
        if (!isOutage(error)) throw error;
      }
      await pause(this.#chance.between(0, 4) * SECONDS);
    }
  }

  /** Its VMs, as the best block has them. */
  async #own() {
    if (!this.#stage.market.api.isConnected) throw new Error('the chain node is not connected');
    const entries = await this.#stage.market.api.query.compute.computeRequests.entries(this.#account.address);
    // One whose key was there may be gone when it is read.
    return entries.filter(([, request]) => request.isSome).map(([, request]) => request.unwrap()).map(({ requestId, status, operation, planId: plan }) => (
      { id: requestId, status: status.type, busy: operation.isSome, plan: plan.toHex() }
    ));
  }

  #rental(hosts) {
    const chooses = hosts.length === 1 || this.#chance.between(1, 20) <= ON_A_NODE_OF_CHOICE;
    const on = chooses ? this.#chance.pick(hosts).id : null;
    const prepaid = this.#chance.between(1, 20) <= SHORT_LEASES ? MIN_PREPAID + this.#chance.between(0, 20) : 1_000;
    const ip = this.#chance.pick(['None', 'Prefer']);
    this.#count('Rent');
    return this.#stage.market.creation({ node: on, plan: 'tiny', image: 'busybox', prepaid, ip });
  }

  #ask({ id, status, busy, plan }) {
    const what = this.#chance.weighed(ASKS[status]);
    // A deletion is taken at any time, and what grew does not shrink.
    if (what === 'nothing' || (busy && what !== 'Delete') || (what === 'Resize' && plan !== planId('tiny'))) return undefined;
    this.#count(what);
    const { compute } = this.#stage.market.api.tx;
    if (what === 'Cancel') return compute.cancelComputeRequest(id);
    if (what !== 'Resize') return compute[`requestCompute${what}`](id);
    return compute.requestComputeResize(id, planId('tiny-grown'));
  }

  #count(what) {
    this.asked[what] = (this.asked[what] ?? 0) + 1;
  }

  /** One is refused where the VM is not in that state any more; the others count all the same. */
  async #send(calls) {
    if (calls.length === 0) return;
    const { api } = this.#stage.market;
    const { events } = await this.#stage.send(this.#account, api.tx.utility.forceBatch(calls), { within: 900 * SECONDS });
    for (const event of events.filter((entry) => api.events.utility.ItemFailed.is(entry))) {
      const { section, name } = api.registry.findMetaError(event.data.error.asModule);
      this.refused[`${section}.${name}`] = (this.refused[`${section}.${name}`] ?? 0) + 1;
    }
  }
}

/** What comes of a chain node that is away, and not of a fault. */
function isOutage(error) {
  return !(error instanceof DispatchFailed) && /disconnected|not connected|No response received/.test(error.message);
}
