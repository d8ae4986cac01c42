// The VMs of one host, each with something that is asked of it at the wrong time.
import { SECONDS, until } from '../lib/until.mjs';
import { planId } from '../lib/market.mjs';
import { Chance } from './chance.mjs';

/** A request that was deleted leaves nothing on the chain. */
const GONE = 'gone';
/** What is asked of a VM when the upgrade comes, and what it is after that; a boot is of a VM that was stopped before. */
const ASKED = {
  nothing: { becomes: 'Running' },
  stop: { call: 'requestComputeStop', becomes: 'Stopped' },
  boot: { call: 'requestComputeBoot', becomes: 'Running', stopped: true },
  reboot: { call: 'requestComputeReboot', becomes: 'Running' },
  resize: { call: 'requestComputeResize', with: () => [planId('tiny-grown')], becomes: 'Running', vcpus: 2 },
  delete: { call: 'requestComputeDelete', becomes: GONE },
};

export class Scene {
  #stage;
  #tenant;
  #chance;
  #vms = [];

  constructor(stage, host, tenant, seed) {
    this.#stage = stage;
    this.host = host;
    this.#tenant = tenant;
    this.#chance = new Chance(seed, `upgrade ${host.id}`);
  }

  /** Rents so many VMs for each thing that is asked. */
  async open(each) {
    const { market } = this.#stage;
    const asked = this.#chance.shuffled(Object.keys(ASKED).flatMap((what) => Array(each).fill(what)));
    const ids = await market.rentAll(this.#tenant, ...asked.map(() => ({ on: this.host })));
    this.#vms = ids.map((id, index) => ({ id, asked: asked[index] }));
    await Promise.all(this.#vms.map(({ id }) => market.untilStatus(id, 'Running', { within: 600 * SECONDS })));
    const stopped = this.#vms.filter(({ asked: what }) => ASKED[what].stopped);
    await this.#do(stopped.map(({ id }) => ['requestComputeStop', id]));
    await Promise.all(stopped.map(({ id }) => market.untilStatus(id, 'Stopped')));
  }

  /** Asks for everything, in one block. */
  ask() {
    const vms = this.#vms.filter(({ asked }) => ASKED[asked].call);
    return this.#do(vms.map(({ id, asked }) => [ASKED[asked].call, id, ...(ASKED[asked].with?.() ?? [])]));
  }

  /** Those of whom nothing was asked are to stop. */
  askMore() {
    const vms = this.#vms.filter(({ asked }) => asked === 'nothing');
    for (const vm of vms) vm.asked = 'stop';
    return this.#do(vms.map(({ id }) => ['requestComputeStop', id]));
  }

  #do(calls) {
    const { api } = this.#stage.market;
    return this.#stage.market.do(this.#tenant, ...calls.map(([call, ...args]) => api.tx.compute[call](...args)));
  }

  /** Waits until nothing is asked of any of them any more. */
  isDone() {
    return until(`all that was asked of ${this.host.id} is done`, async (seen) => {
      const left = (await this.#read()).filter(({ operation }) => operation !== null);
      seen(left.map(({ id, operation }) => `${id}: ${operation}`).join(', '));
      return left.length === 0;
    }, { within: 600 * SECONDS, every: 1 * SECONDS });
  }

  async #read() {
    const { computeRequests } = this.#stage.market.api.query.compute;
    const found = await Promise.all(this.#vms.map(({ id }) => computeRequests(this.#tenant.address, id)));
    return found.map((request, index) => {
      if (request.isNone) return { ...this.#vms[index], status: GONE, operation: null, failure: null, vcpus: 1 };
      const { status, operation, lastFailure, resources } = request.unwrap();
      return {
        ...this.#vms[index], status: status.type, operation: operation.isSome ? operation.unwrap().kind.type : null,
        failure: lastFailure.toHuman(), vcpus: resources.vcpus.toNumber(),
      };
    });
  }

  /** Which are not as they should be. */
  async differences() {
    return (await this.#read()).flatMap(({ id, asked, status, failure, vcpus }) => {
      const { becomes, vcpus: grown = 1 } = ASKED[asked];
      return [
        ...(status === becomes ? [] : [`request ${id}, asked to ${asked}, is ${status}: ${failure}`]),
        ...(vcpus === grown ? [] : [`request ${id}, asked to ${asked}, has ${vcpus} vCPUs`]),
      ];
    });
  }
}
