// A hypervisor host of a lab (lab.mjs): namespaces with a libvirt in them.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { CGROUPS, CONTROLLERS, groupOf, removeCgroups } from './cgroups.mjs';
import { ip, unlink } from './ip.mjs';
import { TestLibvirtd, domainsOf, virsh } from './libvirtd.mjs';
import { Process, run } from './process.mjs';
import { Hopeless, SECONDS, until } from './until.mjs';

const SYSTEM = 'qemu:///system';

/** A file system of its own in the sandbox, with a folder for each host. */
export const LAB_FOLDER = '/mnt';

/** Where chain nodes and image servers listen, so that hosts reach them. */
export const LAB_ADDRESS = '10.44.0.1';

export const PRIVATE_NETWORK = { name: 'quarry', gateway: '10.130.0.1', prefixLen: 20 };
export const PUBLIC_NETWORK = 'public';

/** What the private network's name server has its gateway under; it knows no other name. */
export const GATEWAY_NAME = 'gateway.lab.test';

const LIBVIRT_FOLDERS = ['run/libvirt', 'var/lib/libvirt', 'var/log/libvirt', 'var/cache/libvirt', 'etc/libvirt'];

/** libvirt's settings as its packages bring them. */
const FRESH_LIBVIRT = `
  cp -a /etc/libvirt/. "$root/etc/libvirt/"
  rm -rf "$root/etc/libvirt/qemu"
  mkdir -p "$root/etc/libvirt/qemu"
  # What the machine's security modules know of libvirt does not hold in here.
  printf 'security_driver = "none"\\n' >>"$root/etc/libvirt/qemu.conf"`;

/**
 * In the mount namespace: libvirt's folders are the host's own, and so are the cgroups in which it puts guests,
 * since libvirt names these by the domain alone.
 */
const PREPARE = `
  set -e
  root=$1 cgroup=$2
  for folder in ${LIBVIRT_FOLDERS.join(' ')}; do mkdir -p "$root/$folder" "/$folder"; done
  ${FRESH_LIBVIRT}
  for folder in ${LIBVIRT_FOLDERS.join(' ')}; do
    mount --bind "$root/$folder" "/$folder"
  done
  # What /sys says of links is what it says of the namespace that mounted it.
  mkdir -p "$root/cgroup"
  mount --rbind ${CGROUPS} "$root/cgroup"
  umount --recursive --lazy /sys
  mount -t sysfs sysfs /sys
  enter_group() { mkdir -p "$1" && echo $$ >"$1/cgroup.procs"; }
  own_group() {
    # Other runs may take the new group for an old one and remove it.
    tries=0
    until enter_group "$1/keeper"; do
      tries=$((tries + 1))
      [ "$tries" -lt 100 ] || return 1
    done
    mount --bind "$1" "$2"
  }
  if [ -e "$root/cgroup/cgroup.controllers" ]; then
    for controller in $(cat "$root/cgroup/cgroup.controllers"); do
      echo "+$controller" >"$root/cgroup/cgroup.subtree_control" || true
    done
    own_group "$root/cgroup/$cgroup" ${CGROUPS}
  else
    mount -t tmpfs tmpfs ${CGROUPS}
    for controller in ${CONTROLLERS.join(' ')}; do
      [ -d "$root/cgroup/$controller" ] || continue
      mkdir "${CGROUPS}/$controller"
      own_group "$root/cgroup/$controller/$cgroup" "${CGROUPS}/$controller"
    done
  fi
  umount --recursive --lazy "$root/cgroup"
  echo prepared
  exec sleep infinity`;

const FORGET_THE_FIREWALL = `
  for tool in iptables ip6tables ebtables; do
    for table in filter nat mangle; do
      [ "$tool $table" != "ebtables mangle" ] || continue
      "$tool" --table "$table" --flush && "$tool" --table "$table" --delete-chain
    done
  done`;

export class LabHost {
  #number;
  #bridge;
  #root;
  #keeper;
  #stockFilters;

  constructor(name, number, bridge, { dataMib, testDriver = false } = {}) {
    this.name = name;
    this.testDriver = testDriver;
    this.#number = number;
    this.#bridge = bridge;
    // Short, because sockets lie below it, and QEMU's user may go through it.
    this.#root = readable(join(LAB_FOLDER, name));
    /** For the worker. */
    this.folder = readable(join(this.#root, 'data'));
    if (dataMib) execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=755,size=${dataMib}m`, 'tmpfs', this.folder]);
    /** For settings and keys. */
    this.etc = readable(join(this.#root, 'settings'));
    this.address = `10.44.0.${10 + number}`;
    this.publicGateway = `10.131.${number}.1`;
    this.publicPrefixLen = 24;
    this.publicGatewayV6 = `fd42:131:${number}::1`;
  }

  /** The n-th address that a guest of the routed network may have, from 1 on. */
  publicAddress(number) {
    return `10.131.${this.#number}.${9 + number}`;
  }

  publicAddressV6(number) {
    return `fd42:131:${this.#number}::${(15 + number).toString(16)}`;
  }

  async start() {
    this.#joinLab();
    const inNetwork = ['nsenter', `--net=/run/netns/${this.name}`, 'unshare', '--mount'];
    this.#keeper = new Process('sh', ['-c', PREPARE, 'sh', this.#root, groupOf(this.name)], { name: `${this.name}-keeper`, enter: inNetwork });
    await this.#keeper.waitForLine(/^prepared$/);
    this.enter = ['nsenter', `--target=${this.#keeper.pid}`, '--net', '--mount'];
    if (this.testDriver) {
      this.libvirtd = await new TestLibvirtd({ enter: this.enter }).start();
      return;
    }
    await this.powerOn();
    this.#stockFilters = new Set(await this.#filters());
    await this.#addNetworks();
  }

  async #addNetworks() {
    await this.#addNetwork(privateNetwork());
    await this.#addNetwork(this.#publicNetwork());
  }

  #joinLab() {
    ip('netns', 'add', this.name);
    ip('link', 'add', 'name', this.name, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', this.name);
    ip('link', 'set', 'dev', this.name, 'master', this.#bridge, 'up');
    const inside = (...args) => ip('-n', this.name, ...args);
    inside('link', 'set', 'dev', 'lo', 'up');
    inside('address', 'add', `${this.address}/24`, 'dev', 'uplink');
    inside('address', 'add', `fd42:44::${10 + this.#number}/64`, 'dev', 'uplink', 'nodad');
    inside('link', 'set', 'dev', 'uplink', 'up');
    inside('route', 'add', 'default', 'via', LAB_ADDRESS);
    inside('-6', 'route', 'add', 'default', 'via', 'fd42:44::1');
    ip('route', 'add', `10.131.${this.#number}.0/24`, 'via', this.address);
    ip('-6', 'route', 'add', `fd42:131:${this.#number}::/64`, 'via', `fd42:44::${10 + this.#number}`);
  }

  #startVirtlogd() {
    this.virtlogd = new Process('virtlogd', ['--pid-file', '/run/libvirt/virtlogd.pid'], { name: `${this.name}-virtlogd`, enter: this.enter });
  }

  async #startLibvirtd() {
    this.libvirtd = new Process('libvirtd', ['--pid-file', '/run/libvirt/libvirtd.pid'], { name: `${this.name}-libvirtd`, enter: this.enter });
    await until(`libvirt answers on ${this.name}`, () => {
      if (this.libvirtd.end) throw new Hopeless(this.libvirtd.tail());
      return this.virsh('version');
    }, { within: 60 * SECONDS, every: 200 });
  }

  #publicNetwork() {
    return `<network>
      <name>${PUBLIC_NETWORK}</name>
      <forward mode='route'/>
      <bridge name='virbr-public' stp='off'/>
      <dns enable='no'/>
      <ip address='${this.publicGateway}' prefix='${this.publicPrefixLen}'/>
      <ip family='ipv6' address='${this.publicGatewayV6}' prefix='64'/>
    </network>`;
  }

  async #addNetwork(xml) {
    const [, name] = /<name>(.+)<\/name>/.exec(xml);
    await this.virsh('net-define', this.#write(`${name}-network.xml`, xml));
    await this.virsh('net-autostart', name);
    await this.virsh('net-start', name);
  }

  #write(name, text) {
    const path = join(this.#root, name);
    writeFileSync(path, text);
    return path;
  }

  /** A copy of a file where QEMU may read it. */
  async copy(path) {
    const copy = join(readable(join(this.#root, 'copies')), basename(path));
    if (!existsSync(copy)) await copyFile(path, copy);
    return copy;
  }

  /** Defines a domain and starts it. */
  async startDomain(xml) {
    const [, name] = /<name>(.+)<\/name>/.exec(xml);
    await this.virsh('define', this.#write(`${name}.xml`, xml));
    await this.virsh('start', name);
  }

  get uri() {
    return this.testDriver ? this.libvirtd.uri : SYSTEM;
  }

  virsh(...args) {
    return virsh(this.uri, args, { enter: this.enter });
  }

  /** Runs a program on the host to its end; its output, or an error. */
  async run(command, ...args) {
    const { code, stdout, stderr, commandLine } = await run(command, args, { name: `${this.name}-${command}`, enter: this.enter });
    if (code !== 0) throw new Error(`${commandLine} on ${this.name}: exit code ${code} ${stderr.trim()}`);
    return stdout;
  }

  domains() {
    return domainsOf((...args) => this.virsh(...args));
  }

  /** As a crash: guests run on, but for those of the test driver. */
  killLibvirtd() {
    return this.libvirtd.kill();
  }

  async restartLibvirtd() {
    if (!this.libvirtd.end) await this.libvirtd.stop();
    await this.#startLibvirtd();
  }

  /** From here on nothing comes from or gets to where chain nodes listen, nor to anything else there. */
  cutChain() {
    ip('link', 'set', 'dev', this.name, 'down');
  }

  healChain() {
    ip('link', 'set', 'dev', this.name, 'up');
  }

  /** Whether a TCP port answers the host. */
  async reachable(address, port, { within = 10 } = {}) {
    const connect = `exec 3<>"/dev/tcp/${address}/${port}"`;
    const { code } = await run('timeout', [String(within), 'bash', '-c', connect], { name: `${this.name}-connect`, enter: this.enter });
    return code === 0;
  }

  /** What a page on the host's networks says. */
  fetch(url) {
    return this.run('curl', '--silent', '--show-error', '--fail', '--max-time', '20', url);
  }

  async #filters() {
    const list = await this.virsh('nwfilter-list');
    return [...list.matchAll(/^\s*\S+\s+(\S+)\s*$/gm)].map(([, name]) => name);
  }

  /**
   * What VMs left on this host, one line each: domains, filters and their bindings, links, processes, libvirt's
   * files about domains, and files in `folder`. `except` is for lines that may stay.
   */
  async leftovers({ except = /^$/ } = {}) {
    const bindings = await this.virsh('nwfilter-binding-list');
    return [
      ...(await this.domains()).map(({ name, state }) => `domain ${name}: ${state}`),
      ...(await this.#filters()).filter((name) => !this.#stockFilters.has(name)).map((name) => `nwfilter ${name}`),
      ...bindings.split('\n').filter(Boolean).map((line) => `nwfilter binding ${line.trim()}`),
      ...this.#guestLinks().map((name) => `link ${name}`),
      ...this.#qemus().map(({ pid, command }) => `process ${pid}: ${command.slice(0, 100)}`),
      ...this.#filesOfDomains().map((path) => `file ${path}`),
      ...filesBelow(this.folder).map((path) => `file ${relative(this.folder, path)}`),
    ].filter((line) => !except.test(line));
  }

  #guestLinks() {
    const links = JSON.parse(ip('-n', this.name, '-json', 'link', 'show', 'type', 'tun'));
    return links.map(({ ifname }) => ifname).filter(Boolean);
  }

  #filesOfDomains() {
    const libvirt = [['etc/libvirt/qemu', /\.xml$/], ['run/libvirt/qemu', /(?<!^driver)\.(pid|xml)$/]];
    return libvirt.flatMap(([folder, kind]) => {
      const path = join(this.#root, folder);
      return existsSync(path) ? readdirSync(path).filter((name) => kind.test(name)).map((name) => `${folder}/${name}`) : [];
    });
  }

  /** Guests' processes: those in this host's mount namespace, or one below it. */
  #qemus() {
    return this.#processes().filter(({ command }) => /^\S*qemu-system/.test(command));
  }

  #processes() {
    const namespace = networkOf(this.#keeper.pid);
    return readdirSync('/proc').map(Number).filter((pid) => pid > 0)
      .filter((pid) => networkOf(pid) === namespace)
      .map((pid) => ({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() }));
  }

  async reboot() {
    await this.powerOff();
    await this.powerOn();
  }

  /** The same with a new disk: settings, keys and data are gone, and libvirt and its networks were set up anew. */
  async replaceDisk() {
    await this.powerOff();
    for (const folder of [this.folder, this.etc, ...LIBVIRT_FOLDERS.map((name) => join(this.#root, name))]) {
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    }
    execFileSync('sh', ['-c', `set -e; root=$1; ${FRESH_LIBVIRT}`, 'sh', this.#root]);
    await this.powerOn();
    await this.#addNetworks();
  }

  /** Pulls the plug: only disks and libvirt's configs stay. */
  async powerOff() {
    await this.#killAll();
    const links = JSON.parse(ip('-n', this.name, '-json', 'link', 'show')).map(({ ifname }) => ifname);
    for (const name of links.filter((name) => !['lo', 'uplink'].includes(name))) this.#removeLink(name);
    await this.run('sh', '-c', FORGET_THE_FIREWALL);
    for (const name of readdirSync(join(this.#root, 'run/libvirt'))) rmSync(join(this.#root, 'run/libvirt', name), { recursive: true });
  }

  /** Unless it went meanwhile, as a guest's does with its process. */
  #removeLink(name) {
    try {
      ip('-n', this.name, 'link', 'del', 'dev', name);
    } catch (error) {
      if (!/Cannot find device|No such device/.test(error.stderr)) throw error;
    }
  }

  /** Disks and libvirt's configs are as they were, and nothing runs but libvirt. */
  async powerOn() {
    this.#startVirtlogd();
    await this.#startLibvirtd();
  }

  /** Everything that runs on the host is killed, and only its disks stay. */
  async close() {
    if (!this.#keeper?.pid) return;
    await this.#killAll();
    await this.#keeper.kill();
    // A group is in use for a moment longer than the last process in it.
    await until(`the groups of ${this.name} are gone`, () => {
      removeCgroups(groupOf(this.name));
      return true;
    }, { within: 20 * SECONDS, every: 100 });
    unlink(this.name);
    ip('netns', 'del', this.name);
  }

  async #killAll() {
    await this.libvirtd?.kill();
    await this.virtlogd?.kill();
    await until(`nothing runs on ${this.name}`, (seen) => {
      const running = this.#processes().filter(({ pid }) => pid !== this.#keeper.pid);
      for (const { pid } of running) process.kill(pid, 'SIGKILL');
      seen(running.map(({ command }) => command).join('\n'));
      return running.length === 0;
    }, { within: 20 * SECONDS, every: 100 });
  }
}

function privateNetwork() {
  const { name, gateway, prefixLen } = PRIVATE_NETWORK;
  return `<network>
    <name>${name}</name>
    <forward mode='nat'/>
    <bridge name='virbr-quarry' stp='off'/>
    <dns><host ip='${gateway}'><hostname>${GATEWAY_NAME}</hostname></host></dns>
    <ip address='${gateway}' prefix='${prefixLen}'/>
  </network>`;
}

function readable(folder) {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  return folder;
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function networkOf(pid) {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
