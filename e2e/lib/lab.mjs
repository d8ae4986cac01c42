// Hypervisor hosts for tests that run in a sandbox (sandbox.mjs). Each has its own network and mount
// namespace with its own libvirt:
//
//   the test, chain nodes, image server   10.44.0.1 ── bridge ── 10.44.0.(10+n)  host n
//   guests without an address of their own      network "quarry"  10.130.0.0/20, behind the host's NAT
//   guests with one                             network "public"  10.131.n.0/24 and fd42:131:n::/64, routed
//
// The test reaches the routed addresses by way of their host, as the world would.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { sweepCgroups } from './cgroups.mjs';
import { ip } from './ip.mjs';
import { LAB_ADDRESS, LAB_FOLDER, LabHost } from './lab-host.mjs';

export { LAB_ADDRESS, PRIVATE_NETWORK, PUBLIC_NETWORK } from './lab-host.mjs';

const BRIDGE = 'lab';

export class Lab {
  hosts = [];

  constructor() {
    if (!process.env.QUARRY_E2E_SANDBOX) throw new Error('a lab needs a sandbox of its own: see sandbox.mjs');
    sweepCgroups();
    // The test's own namespace stands for the internet between the hosts.
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
    writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', LAB_FOLDER]);
    ip('link', 'add', 'name', BRIDGE, 'type', 'bridge');
    // Its own address would otherwise change with each port.
    ip('link', 'set', 'dev', BRIDGE, 'address', '02:51:00:00:00:01', 'up');
    ip('address', 'add', `${LAB_ADDRESS}/24`, 'dev', BRIDGE);
    ip('address', 'add', 'fd42:44::1/64', 'dev', BRIDGE, 'nodad');
  }

  /**
   * With `dataMib` the worker's files lie on a file system of that size, and of their own; with `testDriver` its
   * libvirt has nothing but that.
   */
  async startHost({ name, ...options }) {
    const host = new LabHost(name, this.hosts.length + 1, BRIDGE, options);
    this.hosts.push(host);
    await host.start();
    return host;
  }

  /** Ends every host with its guests, and tells what could not be ended. */
  async close() {
    const ends = await Promise.allSettled(this.hosts.map((host) => host.close()));
    const failed = ends.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
    ip('link', 'del', 'dev', BRIDGE);
    execFileSync('umount', ['--lazy', LAB_FOLDER]);
  }
}
