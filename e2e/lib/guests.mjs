// Guests that tests start: their images, seeds, and domains made without a worker.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run } from './process.mjs';
import { SECONDS, until } from './until.mjs';

const MIB = 1024 * 1024;
const SCRIPT = join(import.meta.dirname, '..', '..', 'scripts', 'guest-images');

const guestFolder = () => join(homedir(), '.cache', 'quarry', 'guests');

/** The path of a guest's image, "busybox" or "debian". A sandbox has no network to build it from. */
export async function guestImage(name) {
  const { code, stderr } = await run(SCRIPT, [name], { name: 'guest-images', within: 1_200 * SECONDS });
  if (code !== 0) throw new Error(`run scripts/guest-images first: ${stderr}`);
  const path = join(guestFolder(), `${name}.qcow2`);
  accessSync(path);
  return path;
}

/** cloud-init's network-config for one link with addresses of its own ("10.1.0.5/24"). */
export function networkConfig({ mac, addresses, gateways, dns = [] }) {
  const link = {
    match: { macaddress: mac },
    'set-name': 'eth0',
    addresses,
    routes: gateways.map((via) => ({ to: 'default', via, 'on-link': true })),
    nameservers: { addresses: dns },
  };
  return { version: 2, ethernets: { eth0: link } };
}

/** A NoCloud seed: a FAT image labelled CIDATA. */
export function makeSeed(path, { instance, userData = '', network }) {
  const files = {
    'meta-data': JSON.stringify({ 'instance-id': instance, 'local-hostname': instance }),
    'network-config': JSON.stringify(network),
    'user-data': userData,
  };
  const folder = `${path}.files`;
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  execFileSync('truncate', ['--size', String(MIB), path]);
  execFileSync('mkfs.vfat', ['-n', 'CIDATA', path], { stdio: 'ignore' });
  execFileSync('mcopy', ['-i', path, ...Object.keys(files).map((name) => join(folder, name)), '::']);
}

/** A MAC address of a guest's name. */
export function macOf(name) {
  const bytes = createHash('sha256').update(name).digest().subarray(0, 3);
  return ['52', '54', '00', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/**
 * Starts a guest on a host of the lab with virsh, the plain way: an overlay over the image, a seed, a domain.
 * `address` is one of the network's; the serial console's log is `guest.console()`.
 */
export async function startGuest(host, {
  name, image, network, address, prefixLen, gateway, v6, dns, memoryMib = 128, vcpus = 1, diskGib = 2, userData,
}) {
  const folder = join(host.folder, name);
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  const path = (file) => join(folder, file);
  const mac = macOf(name);
  const families = [{ address, prefixLen, gateway }, v6].filter(Boolean);
  const addresses = families.map((family) => `${family.address}/${family.prefixLen}`);
  const gateways = families.map((family) => family.gateway);
  makeSeed(path('seed.img'), { instance: name, userData, network: networkConfig({ mac, addresses, gateways, dns }) });
  const base = await host.copy(image);
  await host.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, path('disk.qcow2'), `${diskGib}G`);
  const guest = new Guest(host, name, path('console.log'), address);
  await host.startDomain(domainXml({ name, memoryMib, vcpus, mac, network, disk: path('disk.qcow2'), seed: path('seed.img'), log: path('console.log') }));
  return guest;
}

export class Guest {
  constructor(host, name, log, address) {
    Object.assign(this, { host, name, log, address });
  }

  console() {
    return readFileSync(this.log, 'utf8');
  }

  says(pattern, { within = 120 * SECONDS } = {}) {
    return consoleSays(this.log, pattern, { within });
  }

  async remove() {
    const active = (await this.host.domains()).some(({ name, id }) => name === this.name && id !== undefined);
    if (active) await this.host.virsh('destroy', this.name);
    await this.host.virsh('undefine', this.name);
    await this.host.run('rm', '-r', join(this.host.folder, this.name));
  }
}

/** Waits until a guest's console log has a line that fits, and returns the match. */
export function consoleSays(log, pattern, { within = 120 * SECONDS } = {}) {
  return until(`a console says ${pattern}`, (seen) => {
    const text = readFileSync(log, 'utf8');
    seen(text.slice(-2_000));
    return pattern.exec(text);
  }, { within });
}

function domainXml({ name, memoryMib, vcpus, mac, network, disk, seed, log }) {
  return `<domain type='qemu'>
    <name>${name}</name>
    <memory unit='MiB'>${memoryMib}</memory>
    <vcpu>${vcpus}</vcpu>
    <os><type arch='x86_64'>hvm</type></os>
    <features><acpi/></features>
    <cputune><shares>1024</shares></cputune>
    <devices>
      <disk type='file' device='disk'>
        <driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/>
      </disk>
      <disk type='file' device='disk'>
        <driver name='qemu' type='raw'/><source file='${seed}'/><target dev='vdb' bus='virtio'/><readonly/>
      </disk>
      <interface type='network'>
        <source network='${network}'/><mac address='${mac}'/><model type='virtio'/><port isolated='yes'/>
      </interface>
      <serial type='file'><source path='${log}'/><target port='0'/></serial>
      <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
      <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    </devices>
  </domain>`;
}
