// A network of hosts in network namespaces, for tests that run in a sandbox (sandbox.mjs).
//
//   left hosts ─┐                    ┌─ right hosts       10.42.0.n, the network that a test cuts
//               └─ bridge ═══ bridge ┘
//   every host ─── the test itself                        10.43.n.2, each host's own link, for RPC
//
// The test's links lead nowhere but where `letIn` says, so a cut is a cut.
import { ip, unlink } from './ip.mjs';

const SWITCH = 'switch';

export class Network {
  hosts = [];

  constructor() {
    addNamespace(SWITCH);
    for (const side of ['left', 'right']) {
      ipIn(SWITCH, 'link', 'add', 'name', side, 'type', 'bridge');
      ipIn(SWITCH, 'link', 'set', 'dev', side, 'up');
    }
    ipIn(SWITCH, 'link', 'add', 'name', 'to-right', 'type', 'veth', 'peer', 'name', 'to-left');
    ipIn(SWITCH, 'link', 'set', 'dev', 'to-right', 'master', 'left', 'up');
    ipIn(SWITCH, 'link', 'set', 'dev', 'to-left', 'master', 'right', 'up');
  }

  /** A host on one side; `enter` is the command prefix that runs a program on it. */
  addHost(name, side) {
    const number = this.hosts.length + 1;
    const host = {
      name,
      side,
      address: `10.42.0.${number}`,
      management: `10.43.${number}.2`,
      enter: ['nsenter', `--net=/run/netns/${name}`],
    };
    addNamespace(name);
    ip('link', 'add', 'name', 'p2p', 'netns', name, 'type', 'veth', 'peer', 'name', name, 'netns', SWITCH);
    ipIn(SWITCH, 'link', 'set', 'dev', name, 'master', side, 'up');
    bringUp(name, 'p2p', `${host.address}/24`);
    ip('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', 'management', 'netns', name);
    ip('address', 'add', `10.43.${number}.1/30`, 'dev', name);
    ip('link', 'set', 'dev', name, 'up');
    bringUp(name, 'management', `${host.management}/30`);
    this.hosts.push(host);
    return host;
  }

  /** Lets another network in to a host's RPC, by way of the test. */
  letIn(host, network) {
    ipIn(host.name, 'route', 'add', network, 'via', host.management.replace(/2$/, '1'));
  }

  cut() {
    ipIn(SWITCH, 'link', 'set', 'dev', 'to-right', 'down');
  }

  heal() {
    ipIn(SWITCH, 'link', 'set', 'dev', 'to-right', 'up');
  }

  /** Cuts one host off from all others; its RPC still answers. */
  cutOff({ name }) {
    ipIn(SWITCH, 'link', 'set', 'dev', name, 'down');
  }

  rejoin({ name }) {
    ipIn(SWITCH, 'link', 'set', 'dev', name, 'up');
  }

  close() {
    for (const { name } of this.hosts) unlink(name);
    for (const name of [SWITCH, ...this.hosts.map(({ name }) => name)]) ip('netns', 'delete', name);
  }
}

function addNamespace(name) {
  ip('netns', 'add', name);
  ipIn(name, 'link', 'set', 'dev', 'lo', 'up');
}

function bringUp(namespace, link, address) {
  ipIn(namespace, 'address', 'add', address, 'dev', link);
  ipIn(namespace, 'link', 'set', 'dev', link, 'up');
}

function ipIn(namespace, ...args) {
  return ip('-n', namespace, ...args);
}
