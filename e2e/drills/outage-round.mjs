// Two hosts go and come back, each with three VMs: one is evacuated, one waits, one is deleted meanwhile.
import { GuestVm, shellAfter } from '../lib/guest-vm.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { Findings } from './findings.mjs';
import { Ledger } from './ledger.mjs';
import { isUntouched, sightOf, since } from './sight.mjs';

export const WAYS = ['cut', 'off'];
export const FATES = ['moved', 'kept', 'dropped'];
export const PARAMS = { evict_after: 3, launch_timeout: 100, operation_timeout: 50, delete_timeout: 50, ip_quarantine_evacuated: 1_000 };
/** The first live block after a node's last report in which its VMs may be evacuated. */
const GONE_AFTER = 8 + PARAMS.evict_after + 1;

export class Round extends Findings {
  #stage;
  #market;
  #say;
  #early;
  #firstBack;

  /** `early`: the hosts come back before what was evacuated runs elsewhere, and may claim it themselves. */
  constructor(stage, chance, { early, say }) {
    super(say);
    this.#stage = stage;
    this.#market = stage.market;
    this.#say = say;
    this.#early = early;
    const [cut, off] = chance.shuffled(stage.hosts);
    this.#firstBack = chance.pick(WAYS);
    this.hosts = { cut, off };
    this.vms = stage.tenants.map((tenant, index) => {
      const way = WAYS[Math.floor(index / FATES.length)];
      const fate = FATES[index % FATES.length];
      return { way, fate, what: `${way}, ${fate}`, host: this.hosts[way], tenant };
    });
  }

  async play() {
    await this.#rent();
    await this.#leave();
    await this.#evacuate();
    if (!this.#early) await this.#runElsewhere();
    await this.#comeBack();
    if (this.#early) await this.#runElsewhere();
    await this.#areFenced();
    await this.#goOn();
    await this.#pay();
    await this.#end();
  }

  #of(...fates) {
    return this.vms.filter(({ fate }) => fates.includes(fate));
  }

  #do({ tenant, id }, call) {
    return this.#stage.send(tenant, this.#market.api.tx.compute[call](id));
  }

  async #rent() {
    this.#say(`VMs are rented on ${this.hosts.cut.id}, which will be cut off, and on ${this.hosts.off.id}, which will lose its power`);
    await Promise.all(this.vms.map(async (vm) => {
      vm.id = await this.#stage.rent(vm.tenant, { on: vm.host, ip: 'Require', userData: shellAfter() });
      await this.#launched(vm, 1);
      vm.old = await this.#copyOn(vm.host, vm);
      vm.before = await sightOf(vm.old);
    }));
  }

  #launched({ id }, times) {
    return until(`request ${id} was launched ${times} times`, async () => {
      await this.#stage.history.readOn();
      return this.#stage.history.of(id).filter(({ name }) => name === 'compute.ComputeRequestFulfilled').length === times;
    }, { within: 300 * SECONDS, every: 500 });
  }

  /** The VM on a host, other than the copy that was there first. */
  async #copyOn(host, { id, old }) {
    const names = (await host.domains()).map(({ name }) => name);
    const name = names.find((name) => name.startsWith(`quarry-${id}-`) && name !== old?.name);
    return new GuestVm(this.#market, host.node, id, name).isUp();
  }

  async #leave() {
    this.#say('both are gone');
    const { cut, off } = this.hosts;
    cut.cutOff();
    await Promise.all([
      off.powerOff(),
      this.#isRefused('nothing is evacuated before EvictAfter', this.#of('moved')[0], 'compute.NodeNotGone'),
    ]);
  }

  /** That an evacuation is. */
  async #isRefused(promise, vm, expected) {
    const refusal = await this.#do(vm, 'evacuate').then(() => 'it was taken', ({ errorName, message }) => errorName ?? message);
    this.found(promise, refusal === expected || refusal);
  }

  async #evacuate() {
    const records = await Promise.all(Object.values(this.hosts).map(({ node }) => this.#market.nodeRecord(node)));
    await this.#market.untilLive(Math.max(...records.map(({ lastSeen }) => lastSeen.unwrap().toNumber())) + GONE_AFTER);
    const [{ id }, { tenant }] = [this.#of('moved')[0], this.#of('kept')[0]];
    await this.#isRefused('nor by anybody but its tenant after that', { tenant, id }, 'compute.ComputeRequestNotFound');
    this.#say('the tenants evacuate, and delete');
    await Promise.all([
      ...this.#of('moved').map((vm) => this.#do(vm, 'evacuate')),
      ...this.#of('dropped').map((vm) => this.#do(vm, 'requestComputeDelete')),
    ]);
    this.evacuated = Date.now();
    await this.foundOfAll('what is deleted while its host is gone is gone before the host is back', this.#of('dropped'), async ({ id }) => (
      (await this.#market.api.query.compute.requestOwner(id)).isNone || 'its record stays'
    ));
  }

  async #runElsewhere() {
    await Promise.all(this.#of('moved').map(async (vm) => {
      await this.#launched(vm, 2);
      const place = (await this.#market.request(vm.id)).minerId.unwrap().toUtf8();
      vm.now = await this.#copyOn(this.#stage.host(place), vm);
      vm.anew = await sightOf(vm.now);
    }));
    this.figures.push(['from the evacuation, final, to guests that are up elsewhere', since(this.evacuated)]);
    await this.foundOfAll('what is evacuated has another identity and another address', this.#of('moved'), ({ before, anew }) => (
      before.uuid !== anew.uuid && before.address !== anew.address && anew.boots === '1' || `${JSON.stringify(before)}, then ${JSON.stringify(anew)}`
    ));
    if (!this.#early) {
      await this.foundOfAll('a guest of the host that is cut off runs on, as nobody can tell it', this.#of('moved', 'kept', 'dropped').filter(({ way }) => way === 'cut'), (
        (vm) => isUntouched(vm.old, vm.before)
      ));
    }
  }

  async #comeBack() {
    this.#say('they come back');
    const back = { cut: () => this.hosts.cut.rejoin(), off: () => this.hosts.off.powerOn() };
    this.returned = Date.now();
    await back[this.#firstBack]();
    await back[WAYS.find((way) => way !== this.#firstBack)]();
  }

  async #areFenced() {
    const stale = this.#of('moved', 'dropped');
    await this.foundOfAll('an old copy is ended when its host is back, and nothing is left of it', stale, (vm) => (
      this.#isFenced(vm).then(() => true, (error) => error.message)
    ));
    this.figures.push(['from the return to no trace of old copies', since(this.returned)]);
    await this.foundOfAll('an old copy is never started again', stale, async ({ host, old }) => (
      await host.qemuStarts(old.name) === 1 || `QEMU was started ${await host.qemuStarts(old.name)} times`
    ));
  }

  async #isFenced({ old, id }) {
    await until(`the old copy of request ${id} is off`, async () => (await old.domain())?.state !== 'running', { within: 180 * SECONDS });
    if (old.host === this.hosts.cut.lab) this.figures.push([`from the return to the end of the old guest of request ${id}`, since(this.returned)]);
    await old.isGone({ within: 180 * SECONDS });
  }

  async #goOn() {
    await this.#stage.isReady();
    const waiting = this.#of('kept');
    const off = waiting.filter(({ way }) => way === 'off');
    await Promise.all(off.map(({ old }) => old.isUp({ boots: 2 })));
    await this.#stage.isDone();
    await this.foundOfAll('what waits on the host that was cut off is not touched', waiting.filter(({ way }) => way === 'cut'), (
      (vm) => isUntouched(vm.old, vm.before)
    ));
    await this.foundOfAll('what waits on the host without power boots once, from its disk', off, async ({ host, old, before }) => {
      const { uuid, address, boots } = await sightOf(old);
      const starts = await host.qemuStarts(old.name);
      return uuid === before.uuid && address === before.address && boots === '2' && starts === 2 || `${uuid}, ${address}, boot ${boots}, QEMU was started ${starts} times`;
    });
    await this.foundOfAll('what was evacuated is not touched by the return', this.#of('moved'), (vm) => isUntouched(vm.now, vm.anew));
  }

  /** Before the tenants' own end of it, so that no least rent hides what the absence cost. */
  async #pay() {
    const { api } = this.#market;
    const rented = this.#of('moved', 'kept');
    await Promise.all(rented.map((vm) => this.#do(vm, 'settle')));
    const { hash } = await this.#stage.chain.agreed();
    const ledger = await Ledger.at(api, hash);
    const wrong = await ledger.compare(api, hash);
    this.found('each pays what the rules say, to the last unit, while it rents', wrong.length === 0 || wrong.join('; '));
    const passed = this.#stage.history;
    await this.foundOfAll('no block of the absence is paid', rented, ({ id }) => {
      const [launched] = passed.of(id).filter(({ name }) => name === 'compute.ComputeRequestFulfilled');
      const { billed } = ledger.leases.get(String(id));
      const whole = passed.last - launched.block;
      this.figures.push([`blocks since the launch of request ${id}, and paid`, `${whole}, ${billed}`]);
      return billed <= whole - GONE_AFTER || `${billed} of ${whole} blocks`;
    });
    for (const [way, { id }] of Object.entries(this.hosts)) this.figures.push([`downtime of the host that was ${way}`, `${ledger.nodes.get(id).downtime} live blocks`]);
  }

  async #end() {
    this.#say('the tenants delete the rest');
    const rented = this.#of('moved', 'kept');
    await Promise.all(rented.map((vm) => this.#do(vm, 'requestComputeDelete')));
    await Promise.all(rented.map(({ now, old }) => (now ?? old).isGone()));
    await this.#stage.isDone();
  }
}
