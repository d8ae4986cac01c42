// The hosts that a market on one machine may have: where the worker runs, and how it and the machine reach each other.
import { writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../lib/port.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const SSH_PORT = 2222;
const GUESTS = { name: 'quarry', gateway: '10.130.0.1', prefixLen: 20 };

/** What slirp4netns calls the machine that it runs on, the name server, and the host behind it. */
const SLIRP = { machine: '10.0.2.2', dns: '10.0.2.3', host: '10.0.2.100' };

/**
 * A host in a network namespace, with a libvirt of its own. Its way out is slirp4netns, a process like any other: no
 * link, no route and no rule of the machine's firewall is made for it, and none is in its way. Through it guests reach
 * the internet, the worker the chain node on the machine's loopback, and the machine the host's SSH port.
 */
export async function qemuHost(parts, { run }) {
  const keeper = parts.start('host', 'unshare', ['--net', 'sh', '-c', OWN_NETWORK]);
  await keeper.says(/^ready$/m);
  const enter = ['nsenter', `--target=${keeper.pid}`, '--net'];
  const port = await connectHost(parts, keeper.pid);
  await startLibvirt(parts, enter, run);
  return {
    enter,
    endpoint: `127.0.0.1:${port}`,
    machine: SLIRP.machine,
    dataDir: '/run/quarry/worker',
    sections: `
[access]
endpoint = "127.0.0.1:${port}"
listen = "0.0.0.0:${SSH_PORT}"

[network]
private = { network = "${GUESTS.name}", gateway = "${GUESTS.gateway}/${GUESTS.prefixLen}" }
dns = ["${SLIRP.dns}"]
filter = ${await canFilter(parts, enter)}
`,
  };
}

/** A fresh /sys has the links of this namespace, and no cgroups, so that libvirt makes none on the machine. */
const OWN_NETWORK = `
  set -e
  umount --recursive --lazy /sys
  mount -t sysfs sysfs /sys
  ip link set lo up
  echo ready
  exec sleep infinity`;

/** Connects the host with the machine, and returns the machine's port that leads to the host's SSH port. */
async function connectHost(parts, pid) {
  const socket = '/run/slirp4netns.sock';
  parts.start('network', 'slirp4netns', ['--configure', '--api-socket', socket, String(pid), 'tap0']);
  let port = SSH_PORT;
  await until('a port for SSH', async () => {
    if (await forwards(socket, port)) return true;
    port = await freePort('127.0.0.1');
    return false;
  }, { within: 20 * SECONDS });
  return port;
}

async function forwards(socket, port) {
  const forward = { proto: 'tcp', host_addr: '127.0.0.1', host_port: port, guest_addr: SLIRP.host, guest_port: SSH_PORT };
  const answer = await new Promise((resolve, reject) => {
    let text = '';
    createConnection(socket)
      .on('data', (data) => (text += data))
      .on('close', () => resolve(text))
      .on('error', reject)
      .end(JSON.stringify({ execute: 'add_hostfwd', arguments: forward }));
  });
  return 'return' in JSON.parse(answer);
}

async function startLibvirt(parts, enter, run) {
  parts.start('virtlogd', 'virtlogd', ['--pid-file', '/run/virtlogd.pid'], { enter });
  const libvirtd = parts.start('libvirtd', 'libvirtd', ['--pid-file', '/run/libvirtd.pid'], { enter });
  const virsh = (...args) => parts.run('virsh', 'virsh', ['--connect', 'qemu:///system', ...args], { enter });
  await until(`libvirt answers (its log: ${libvirtd.log})`, () => virsh('version').then(() => true), { within: 60 * SECONDS });
  const file = join(run, 'network.xml');
  writeFileSync(file, `<network>
    <name>${GUESTS.name}</name>
    <forward mode='nat'/>
    <bridge name='virbr-quarry' stp='off'/>
    <dns enable='no'/>
    <ip address='${GUESTS.gateway}' prefix='${GUESTS.prefixLen}'/>
  </network>`);
  await virsh('net-create', file);
}

/** Where the kernel has not loaded what filters bridges: loading that would change the machine. */
async function canFilter(parts, enter) {
  const looked = await parts.run('filter', 'cat', ['/proc/sys/net/bridge/bridge-nf-call-iptables'], { enter, codes: [0, 1] });
  return looked.trim() === '1';
}

/** libvirt's test driver within the worker, which runs on the machine as it is. */
export async function testHost({ run }) {
  const port = await isFree(SSH_PORT) ? SSH_PORT : await freePort('127.0.0.1');
  return {
    enter: [],
    endpoint: `127.0.0.1:${port}`,
    machine: '127.0.0.1',
    dataDir: join(run, 'worker'),
    // The worker locks a libvirt beside the socket that its address names; the test driver takes no notice.
    sections: `
[hypervisor]
uri = "test:///default?socket=${join(run, 'socket')}"
accelerator = "test"

[access]
endpoint = "127.0.0.1:${port}"
listen = "127.0.0.1:${port}"

[network]
private = { user = true }
filter = false
`,
  };
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
