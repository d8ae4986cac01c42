// One partition of the chain: VMs are rented, the validators are parted, each VM is asked for one thing on the branch
// that will not survive and for another on the one that will, and then they find together again.
import { isDeepStrictEqual } from 'node:util';
import { connect, eventOf, submit } from '../lib/chain.mjs';
import { GuestVm, shellAfter } from '../lib/guest-vm.mjs';
import { rpc } from '../lib/rpc.mjs';
import { SSH_KEY } from '../lib/market.mjs';
import { foldersIn } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { Findings } from './findings.mjs';
import { isUntouched, sightOf, since } from './sight.mjs';
import { RPC } from './stage.mjs';

/** Where the branch that survives can be asked. */
const SURVIVING = 'alice';
/** By so many blocks that branch is longer, so that nothing but this decides. */
const LEAD = 2;
export const PARAMS = { launch_timeout: 200, operation_timeout: 100, delete_timeout: 100, evict_after: 200 };

const asks = (operation) => (compute, id) => compute[`requestCompute${operation}`](id);
const setsKeys = (compute, id) => compute.setSshKeys(id, [SSH_KEY]);

/**
 * What a VM's tenant asks on each branch, by transactions of one nonce, so that never both can be; `first` is asked, and
 * final, before the cut. `after` is what the VM must be in the end: as it was, or by the chain's words.
 */
export const CASES = {
  deleted: { lost: asks('Delete'), surviving: setsKeys, after: 'untouched' },
  stopped: { lost: asks('Stop'), surviving: setsKeys, after: 'untouched' },
  rebooted: { lost: asks('Reboot'), surviving: setsKeys, after: 'untouched' },
  contested: { lost: asks('Reboot'), surviving: asks('Stop'), after: 'Stopped' },
  given: { lost: asks('Stop'), surviving: asks('Delete'), after: 'gone' },
  rebooting: { first: asks('Reboot'), after: 'rebooted' },
};

export class Split extends Findings {
  #stage;
  #market;
  #say;
  #blocks;
  #surviving;
  #differing = new Set();

  /** `blocks` are how many the branch that is lost must have on top of what was asked there. */
  constructor(stage, chance, { blocks, say }) {
    super(say);
    this.#stage = stage;
    this.#market = stage.market;
    this.#say = say;
    this.#blocks = blocks;
    const places = chance.shuffled(Object.keys(CASES).map((_, index) => stage.hosts[index % stage.hosts.length]));
    this.vms = Object.entries(CASES).map(([what, wish], index) => ({ what, ...wish, tenant: stage.tenants[index], host: places[index] }));
    const [loser, winner] = stage.tenants.slice(this.vms.length);
    this.twins = { loser, winner, host: chance.pick(stage.hosts) };
  }

  async play() {
    await this.#rent();
    this.#surviving = await connect(this.#stage.chain.urlOf(SURVIVING));
    try {
      await this.#part();
      await this.#askOnBoth();
      await this.#grow();
      await this.#heal();
    } finally {
      await this.#surviving.disconnect();
    }
    await this.#isAsFinal();
    await this.#goesOn();
  }

  #thatAre(after) {
    return this.vms.filter((vm) => vm.after === after);
  }

  async #rent() {
    this.#say('VMs are rented');
    await Promise.all(this.vms.map(async (vm) => {
      // What is asked first is still under way when the validators are parted.
      const userData = vm.first ? shellAfter('touch /run/ignore-acpi') : shellAfter();
      vm.id = await this.#idOfNew(vm.tenant, { node: vm.host.node.id, plan: 'tiny', image: 'busybox', cloudInit: this.#market.images.addBlock(userData) });
      await this.#stage.history.waitFor('compute.ComputeRequestFulfilled', ({ requestId }) => requestId.eq(vm.id));
      const { name } = await new GuestVm(this.#market, vm.host.node, vm.id).domain();
      vm.guest = await new GuestVm(this.#market, vm.host.node, vm.id, name).isUp();
      vm.before = await sightOf(vm.guest);
    }));
  }

  /** By the finalized block: where two validators made the same one, calls may stand in another order than in the first. */
  async #idOfNew(tenant, wish) {
    const block = await submit(this.#market.api, this.#market.creation(wish), tenant, { finalized: true, within: 300 * SECONDS });
    return eventOf(block, 'compute.ComputeRequestCreated').requestId;
  }

  /** One VM's reboot is final by then, and its worker at it: the report comes to the branch that is lost. */
  async #part() {
    const [rebooting] = this.#thatAre('rebooted');
    await submit(this.#market.api, rebooting.first(this.#market.api.tx.compute, rebooting.id), rebooting.tenant, { finalized: true });
    this.#stage.chain.cut();
    this.cutAt = Date.now();
    this.#say('the validators are parted');
    this.still = await this.#hosts();
    this.said = this.#stage.hosts.map((host) => host.libvirtSaid().length);
    await this.foundOfAll('libvirt’s word on each VM is heard', this.vms, ({ guest, host }) => (
      host.hears && host.libvirtSaid().some((line) => line.includes(`'${guest.name}'`) && /Started/.test(line)) || `${host.id} was not heard to start it`
    ));
  }

  /** What there is on the hosts, but for the VM that is being rebooted. */
  async #hosts() {
    const [{ guest }] = this.#thatAre('rebooted');
    const entries = await Promise.all(this.#stage.hosts.map(async (host) => {
      const domains = (await host.domains()).filter(({ name }) => name !== guest.name).map(({ name, id, state }) => `${name} ${id} ${state}`);
      return [host.id, [...domains, ...foldersIn(host.dataDir)].sort()];
    }));
    return Object.fromEntries(entries);
  }

  async #askOnBoth() {
    const { compute, system } = this.#market.api.tx;
    const wishes = this.vms.filter(({ lost }) => lost).map(({ tenant, id, lost, surviving }) => (
      { tenant, lost: lost(compute, id), surviving: surviving(compute, id) }
    ));
    const { loser, winner, host } = this.twins;
    const cloudInit = this.#market.images.addBlock(shellAfter());
    // Each one of its own: polkadot.js writes a signature into what it signs.
    const creation = () => this.#market.creation({ node: host.id, plan: 'tiny', image: 'busybox', cloudInit });
    wishes.push({ tenant: loser, lost: creation(), surviving: system.remark('nothing') }, { tenant: winner, surviving: creation() });
    await Promise.all(wishes.map((wish) => this.#send(wish)));
    this.asked = wishes.map(({ tenant }) => tenant);
  }

  /** Both with one nonce: whichever branch survives, only one of them ever counts. */
  async #send({ tenant, ...wishes }) {
    const { api } = this.#market;
    const nonce = (await api.query.system.account(tenant.address)).nonce.toNumber();
    for (const [branch, node] of [['lost', RPC], ['surviving', SURVIVING]]) {
      if (!wishes[branch]) continue;
      const signed = await wishes[branch].signAsync(tenant, { nonce });
      await rpc(this.#stage.chain.urlOf(node), 'author_submitExtrinsic', signed.toHex());
    }
  }

  /** The lost branch has what was asked, and more blocks; the other has more still. All that time nothing is done. */
  async #grow() {
    const { nodes } = this.#stage.chain;
    const orders = this.vms.filter(({ lost }) => lost);
    const coming = new Set(orders);
    let asked;
    let reported = false;
    const [rebooting] = this.#thatAre('rebooted');
    await until('both branches have what was asked on them', async (seen) => {
      await this.#look();
      const [losing, surviving] = [await nodes[RPC].view.best(), await nodes[SURVIVING].view.best()];
      // Each is seen once: whoever did it, as nobody must, may have reported it by the next look.
      await Promise.all([...coming].map(async (vm) => {
        if ((await this.#market.request(vm.id)).operation.isSome) coming.delete(vm);
      }));
      const taken = await Promise.all(this.asked.map((tenant) => this.#survives(tenant)));
      if (coming.size === 0) asked ??= losing;
      reported ||= (await this.#market.request(rebooting.id)).operation.isNone;
      seen(`block ${losing} with ${orders.length - coming.size} orders${reported ? ' and a report' : ''} on the lost branch, block ${surviving} with ${taken.filter(Boolean).length} on the other`);
      return asked && reported && losing >= asked + this.#blocks && surviving >= losing + LEAD && taken.every(Boolean);
    }, { within: 300 * SECONDS, every: 1 * SECONDS });
    await this.#look();
    this.lost = await this.#tipOf(RPC);
    this.other = await this.#tipOf(SURVIVING, { behind: LEAD });
    const { id, tenant } = rebooting;
    const [lost, surviving] = await Promise.all([this.#market.api, this.#surviving].map(async ({ query: { compute } }) => ({
      reported: (await compute.computeRequests(tenant.address, id)).unwrap().operation.isNone,
      number: String((await compute.nextRequestId()).toBigInt() - 1n),
      twins: await Promise.all([this.twins.loser, this.twins.winner].map(async ({ address }) => (await compute.computeRequests.keys(address)).length)),
    })));
    this.found(
      'both branches give one number to a request of their own',
      isDeepStrictEqual([lost.twins, surviving.twins, lost.number], [[1, 0], [0, 1], surviving.number]) || JSON.stringify([lost, surviving]),
    );
    this.found(
      'a report is on the branch of the workers alone',
      isDeepStrictEqual([lost.reported, surviving.reported], [true, false]) || `on theirs: ${lost.reported}, on the other: ${surviving.reported}`,
    );
    this.figures.push(['parted for', since(this.cutAt)], ['blocks of the lost branch since the orders', this.lost.number - asked + 1]);
    this.found('nothing is done of what is not final', this.#differing.size === 0 || [...this.#differing].join('; '));
  }

  /** Whether the surviving branch has what the tenant asked there. */
  async #survives({ address }) {
    const [there, final] = await Promise.all([
      this.#surviving.query.system.account(address),
      this.#market.api.rpc.chain.getFinalizedHead().then((hash) => this.#market.api.at(hash)).then((at) => at.query.system.account(address)),
    ]);
    return there.nonce.gt(final.nonce);
  }

  async #look() {
    const now = await this.#hosts();
    for (const [id, had] of Object.entries(this.still)) {
      if (!isDeepStrictEqual(now[id], had)) this.#differing.add(`${id} had ${had.join(', ')}, and has ${now[id].join(', ')}`);
    }
    const [{ guest }] = this.#thatAre('rebooted');
    const said = this.#stage.hosts.flatMap((host, index) => host.libvirtSaid().slice(this.said[index]));
    for (const line of said.filter((line) => /'lifecycle'/.test(line) && !line.includes(guest.name))) this.#differing.add(line);
  }

  /** The block so far behind the best one: two validators may have made the last one at the same time. */
  async #tipOf(name, { behind = 0 } = {}) {
    const { view } = this.#stage.chain.nodes[name];
    const number = await view.best() - behind;
    return { number, hash: await view.hashAt(number) };
  }

  async #heal() {
    this.#say('they are together again');
    const healed = Date.now();
    this.#stage.chain.heal();
    await until('finality is past both branches', async (seen) => {
      const final = await this.#stage.chain.finalized();
      seen(final.join(', '));
      return final.every((number) => number > Math.max(this.lost.number, this.other.number));
    }, { within: 400 * SECONDS, every: 500 });
    this.figures.push(['from the healing until finality is past both branches', since(healed)]);
    const { view } = this.#stage.chain.nodes[RPC];
    const survived = { lost: await view.hashAt(this.lost.number) === this.lost.hash, other: await view.hashAt(this.other.number) === this.other.hash };
    this.found('the branch of the workers did not survive, and the other did', !survived.lost && survived.other || JSON.stringify(survived));
  }

  async #isAsFinal() {
    await this.#stage.isDone();
    await this.foundOfAll('a VM whose orders are lost is not touched', this.#thatAre('untouched'), ({ guest, before }) => isUntouched(guest, before));
    await this.foundOfAll('a VM of which both branches want something else gets what survives', this.#thatAre('Stopped'), async ({ id, guest, host }) => {
      const found = [await this.#market.status(id), (await guest.domain()).state, await host.qemuStarts(guest.name)];
      return isDeepStrictEqual(found, ['Stopped', 'shut off', 1]) || found.join(', ');
    });
    await this.foundOfAll('a VM that the surviving branch deletes is gone', this.#thatAre('gone'), async ({ id, guest }) => {
      await guest.isGone();
      return (await this.#market.api.query.compute.requestOwner(id)).isNone || 'its record stays';
    });
    await this.foundOfAll('an order that was final is done once, wherever its report went', this.#thatAre('rebooted'), async ({ guest, before, host }) => {
      const { uuid, boots } = await sightOf(guest);
      const found = [uuid === before.uuid, boots, await host.qemuStarts(guest.name)];
      return isDeepStrictEqual(found, [true, '2', 2]) || found.join(', ');
    });
    this.found('of a number that both branches gave, only the VM that survives was ever made', await this.#oneTwin());
  }

  async #oneTwin() {
    const { loser, winner, host } = this.twins;
    const { hosts } = this.#stage;
    const { entries } = this.#market.api.query.compute.computeRequests;
    if ((await entries(loser.address)).length > 0) return 'the request of the lost branch is there';
    const [id] = (await entries(winner.address)).map(([{ args: [, id] }]) => id);
    this.twins.id = id;
    const names = new Set(hosts.flatMap((each) => each.libvirtSaid()).flatMap((line) => new RegExp(`'(quarry-${id}-[^']*)'`).exec(line)?.[1] ?? []));
    const domain = await new GuestVm(this.#market, host.node, id).domain();
    return names.size === 1 && names.has(domain?.name) && domain.state === 'running' || `${[...names].join()} were made, and ${domain?.name} is ${domain?.state}`;
  }

  /** Workers take orders again. */
  async #goesOn() {
    const [vm] = this.#thatAre('untouched');
    await this.#market.do(vm.tenant, this.#market.api.tx.compute.requestComputeReboot(vm.id));
    await vm.guest.isUp({ boots: 2 });
    await this.#stage.isDone();
  }

  /** For another round. */
  async end() {
    const rest = [...this.vms.filter(({ after }) => after !== 'gone'), { tenant: this.twins.winner, id: this.twins.id }];
    await Promise.all(rest.map(({ tenant, id }) => this.#market.do(tenant, this.#market.api.tx.compute.requestComputeDelete(id))));
    await this.#stage.isDone();
  }
}
