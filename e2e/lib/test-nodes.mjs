// Nodes of a market on libvirt's test driver, each with a libvirtd of its own, and what there is of its VMs.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GuestNode } from './guest-market.mjs';
import { startTestLibvirtd } from './libvirtd.mjs';
import { SECONDS, patient, until } from './until.mjs';

/** A node whose hypervisor is the test driver, in `libvirtd`. */
export async function testNode(id, offer = {}) {
  const libvirtd = await startTestLibvirtd();
  return Object.assign(new GuestNode(id, { uri: libvirtd.uri, offer }), { libvirtd });
}

/** The domains that workers made; the test driver has others of its own. */
export async function vmsOf(libvirtd) {
  return (await libvirtd.domains()).filter(({ name }) => name.startsWith('quarry-'));
}

/** Their states, without names: what most tests ask. */
export async function statesOf(libvirtd) {
  return (await vmsOf(libvirtd)).map(({ state }) => state);
}

/** The VM of a request. Its id changes with each start. */
export async function vmOf(libvirtd, id) {
  return (await vmsOf(libvirtd)).find(({ name }) => name.startsWith(`quarry-${id}-`));
}

/** The mark by which a worker knows its folders' disk again. */
const MARK = '.quarry';

/** The names of all VMs' folders under a data folder, half made ones too. */
export function foldersIn(dataDir) {
  const root = join(dataDir, 'vms');
  return existsSync(root) ? readdirSync(root).filter((name) => name !== MARK) : [];
}

/** What a VM's folder says of itself. */
export function manifestIn(dataDir, name) {
  return JSON.parse(readFileSync(join(dataDir, 'vms', name, 'vm.json'), 'utf8'));
}

export const hasDisk = (dataDir, name) => existsSync(join(dataDir, 'vms', name, 'disk.qcow2'));

/** Waits until the chain gives new VMs to a node. */
export function isOnline(market, ...nodes) {
  return until(`${nodes.map(({ id }) => id)} are online`, async (seen) => {
    const records = await Promise.all(nodes.map((node) => market.nodeRecord(node)));
    seen(records.map(({ lastHeartbeat, workerAccepting }) => `${lastHeartbeat}, accepting: ${workerAccepting}`).join('; '));
    return records.every(({ lastHeartbeat, workerAccepting }) => lastHeartbeat.isSome && workerAccepting.isTrue);
  }, { within: 120 * SECONDS });
}

/** The live block of a node's last heartbeat. */
export async function lastHeartbeat(market, node) {
  return (await market.nodeRecord(node)).lastHeartbeat.unwrap().toNumber();
}

/** Waits until a node's heartbeats go on. */
export async function beatsOn(market, node, { since, within = 120 * SECONDS } = {}) {
  const before = since ?? await lastHeartbeat(market, node);
  return until(`${node.id} beats on`, async () => await lastHeartbeat(market, node) > before, { within });
}

/** What /readyz says is missing: nothing if the worker is ready. */
export async function missing(worker) {
  const answer = await fetch(`http://${worker.listen}/readyz`, { signal: AbortSignal.timeout(patient(20 * SECONDS)) });
  return (await answer.json()).missing;
}
