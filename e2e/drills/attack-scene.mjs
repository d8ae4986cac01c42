// Where the attackers play: the stage with one host of real guests, nodes whose keys the attackers have, and a mob.
import { QRY } from '../lib/chain.mjs';
import { GuestNode } from '../lib/guest-market.mjs';
import { GuestVm } from '../lib/guest-vm.mjs';
import { newSshKey } from '../lib/ssh.mjs';
import { LabMachine } from '../lib/ssh-relay.mjs';
import { Worker } from '../lib/worker.mjs';
import { Stage } from './stage.mjs';

const TENANTS = ['honest', 'mallory', 'thief', 'glutton', 'bomber', 'trickster', 'renter', 'benefactor'];
/** So small that a drill can wait for it. */
const MAX_FILE_SIZE = '256 MiB';
const GIFT = 2_000n * QRY;

export class AttackScene {
  #machines = [];

  static async open(say) {
    const scene = new AttackScene();
    const host = { name: 'h1', config: { images: { max_file_size: MAX_FILE_SIZE } } };
    scene.stage = await Stage.open({ hosts: [host], tenants: TENANTS, guests: ['busybox', 'debian'], say });
    try {
      await scene.#open();
    } catch (error) {
      await scene.close();
      throw error;
    }
    return scene;
  }

  async #open() {
    this.tenants = Object.fromEntries(TENANTS.map((name, index) => [name, this.stage.tenants[index]]));
    this.key = newSshKey('honest');
    // Their workers are played here, by keys that the attacker has: of one node, and of one that was let go.
    this.evil = new GuestNode('evil', {});
    this.fickle = new GuestNode('fickle', {});
    const { api } = this.market;
    const nodes = [this.evil, this.fickle];
    await this.market.do(this.tenants.benefactor, ...nodes.map(({ miner }) => api.tx.balances.transferKeepAlive(miner.address, GIFT)));
    await Promise.all(nodes.map(async (node) => {
      await this.market.do(node.miner, node.registration(api));
      node.worker = new Worker(api, node.id, node.workerAccount);
    }));
  }

  get market() {
    return this.stage.market;
  }

  /** The honest host, and its node. */
  get host() {
    return this.stage.hosts[0].lab;
  }

  get alpha() {
    return this.stage.hosts[0].node;
  }

  get worker() {
    return this.stage.hosts[0].worker;
  }

  /** A VM of a tenant on the honest node. */
  rent(name, wish = {}) {
    return GuestVm.rent(this.market, this.tenants[name], this.alpha, { name, keys: [this.key.publicKey], ...wish });
  }

  /** One that runs, and whose guest is up. */
  async running(name, wish) {
    const vm = await this.rent(name, wish);
    await vm.untilStatus('Running');
    return vm.isUp();
  }

  /** A machine of somebody's on the lab's network. */
  machine(name, address) {
    this.#machines.push(new LabMachine(name, address));
    return this.#machines.at(-1);
  }

  async close() {
    for (const machine of this.#machines) machine.close();
    await this.stage.close();
  }
}
