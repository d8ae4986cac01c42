// A VM of a market with labs (guest-market.mjs), as libvirt, its folder and the guest itself show it.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { consoleSays } from './guests.mjs';
import { SECONDS, until } from './until.mjs';

const SHELL_PORT = 7777;

/** User-data of a busybox guest that runs these lines at each start, and then takes commands: see `run`. */
export function shellAfter(...lines) {
  const port = SHELL_PORT.toString(16).toUpperCase();
  return [
    '#!/bin/sh', ...lines, `nc -ll -p ${SHELL_PORT} -e /bin/sh &`,
    `until grep -qs ':${port} ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done`, '',
  ].join('\n');
}

const TALK = 'exec 3<>"/dev/tcp/$0/$1"; printf "%s\\nexit\\n" "$2" >&3; exec cat <&3';
/** Does not wait for the guest to close the connection: it may stand still by then. */
const TELL = 'exec 3<>"/dev/tcp/$0/$1"; printf "%s\\necho begun\\nexit\\n" "$2" >&3; read -r answer <&3; [ "$answer" = begun ]';

export class GuestVm {
  /** `name` is its domain's: for one of which there may be an older or a newer copy on the same host. */
  constructor(market, node, id, name) {
    this.market = market;
    this.host = node.host;
    this.node = node;
    this.id = id;
    this.name = name;
  }

  /** Rents one on a node, whose worker runs. */
  static async rent(market, tenant, node, { userData = shellAfter(), ...wish } = {}) {
    const vm = new GuestVm(market, node, await market.rent(tenant, { on: node, userData: userData ?? undefined, ...wish }));
    vm.tenant = tenant;
    return vm;
  }

  /** As its tenant, asks the chain for something: `Stop`, `Reboot`. */
  ask(operation, ...args) {
    return this.market.do(this.tenant, this.market.api.tx.compute[`requestCompute${operation}`](this.id, ...args));
  }

  untilStatus(status, options) {
    return this.market.untilStatus(this.id, status, options);
  }

  status() {
    return this.market.status(this.id);
  }

  /** Why the chain was told that it failed. */
  async failure() {
    return (await this.market.request(this.id)).lastFailure.unwrap().toUtf8();
  }

  #isMine(name) {
    return this.name === undefined ? name.startsWith(`quarry-${this.id}-`) : name === this.name;
  }

  /** Its domain's name, UUID, state and id; undefined if there is none. */
  async domain() {
    return (await this.host.domains()).find(({ name }) => this.#isMine(name));
  }

  /** The path of its folder; undefined if there is none. */
  get folder() {
    const folders = join(this.host.folder, 'worker', 'vms');
    const name = existsSync(folders) && readdirSync(folders).find((entry) => this.#isMine(entry));
    return name ? join(folders, name) : undefined;
  }

  get disk() {
    return join(this.folder, 'disk.qcow2');
  }

  get consoleLog() {
    return join(this.folder, 'serial.log');
  }

  /** Its address, the one of its own or the one that its worker gave it. */
  get address() {
    const manifest = JSON.parse(readFileSync(join(this.folder, 'vm.json'), 'utf8'));
    return manifest.shape.address ?? manifest.private_address;
  }

  console() {
    return readFileSync(this.consoleLog, 'utf8');
  }

  says(pattern, options) {
    return consoleSays(this.consoleLog, pattern, { within: 300 * SECONDS, ...options });
  }

  /** Waits until the guest is up for the nth time, and its user-data has run. */
  async isUp({ boots = 1 } = {}) {
    await this.says(new RegExp(`quarry-guest: boot ${boots}\\s[^]*quarry-guest: user-data ended`));
    return this;
  }

  /** What the guest answers on its web server, of itself: see fixtures/guests/busybox/state. */
  async state() {
    const { address } = this;
    const host = address.includes(':') ? `[${address}]` : address;
    const lines = (await this.host.fetch(`http://${host}/cgi-bin/state`)).trim().split('\n');
    return Object.fromEntries(lines.map((line) => line.split(' ')));
  }

  /** Runs commands in a guest whose user-data is `shellAfter`, and returns what they print. */
  run(script) {
    return this.host.run('bash', '-c', TALK, this.address, String(SHELL_PORT), script);
  }

  /** The same, a little later and without waiting for their end; what they print is on the console. */
  begin(script) {
    const later = `( sleep 1\n${script}\n) </dev/null >/dev/ttyS0 2>&1 &`;
    return this.host.run('bash', '-c', TELL, this.address, String(SHELL_PORT), later);
  }

  /** Its QEMU; undefined if there is none. */
  async pid() {
    const line = (await this.host.leftovers()).find((entry) => entry.startsWith('process') && this.#isMine(/guest=([^,]+)/.exec(entry)?.[1] ?? ''));
    return line && Number(/^process (\d+)/.exec(line)[1]);
  }

  /** Its domain's XML says so. */
  async xml() {
    return this.host.virsh('dumpxml', (await this.domain()).name);
  }

  /** There is no trace of it on the host. */
  isGone({ within = 120 * SECONDS } = {}) {
    return until(`nothing is left of request ${this.id}`, async (seen) => {
      const left = [(await this.domain())?.name, this.folder, await this.pid()].filter(Boolean);
      seen(left.join(', '));
      return left.length === 0;
    }, { within });
  }
}
