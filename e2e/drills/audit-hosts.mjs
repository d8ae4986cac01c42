// Whether each host has what the chain says, and nothing else: domains, folders, addresses, sizes, processes.
import { foldersIn, hasDisk, manifestIn } from '../lib/test-nodes.mjs';

const POWER = { running: 'running', stopped: 'shut off' };
const WORKERS_FILES = /^(file worker\/(images|vms|state\.json|lock|access)|nwfilter quarry-[0-9a-f]{8}$)/;

/** What there is on a host, as plain data. */
export async function readHost(host) {
  const domains = (await host.domains()).filter(({ name }) => name.startsWith('quarry-'));
  const folders = foldersIn(host.dataDir).map((name) => (
    name.startsWith('.') ? { name, draft: true } : { name, disk: hasDisk(host.dataDir, name), manifest: manifestIn(host.dataDir, name) }
  ));
  return {
    id: host.id, domains: await withConfigs(host, domains), folders,
    rest: host.lab.testDriver ? undefined : await host.lab.leftovers({ except: WORKERS_FILES }),
  };
}

/** With their stored configs, all of which one virsh prints. */
async function withConfigs(host, domains) {
  if (domains.length === 0) return [];
  const output = await host.virsh(domains.map(({ name }) => `dumpxml --inactive ${name}`).join('; '));
  const configs = output.split(/(?<=<\/domain>)/).filter((text) => text.includes('<domain'));
  return domains.map((domain, index) => ({ ...domain, ...configOf(configs[index]) }));
}

function configOf(xml) {
  const [, tag = ''] = /<quarry:vm ([^>]*)\/>/.exec(xml) ?? [];
  const attributes = Object.fromEntries([...tag.matchAll(/(\w+)=['"]([^'"]*)['"]/g)].map(([, name, value]) => [name, value]));
  return {
    tag: attributes,
    vcpus: Number(/<vcpu[^>]*>(\d+)</.exec(xml)?.[1]),
    memoryMib: Number(/<memory [^>]*unit='KiB'[^>]*>(\d+)</.exec(xml)?.[1]) / 1_024,
    filtered: [...xml.matchAll(/<parameter name=['"]IP['"] value=['"]([^'"]*)['"]/g)].map(([, address]) => address),
  };
}

export function hostDifferences(chain, lives, hosts) {
  const addressOf = new Map(chain.ipOf.map(([[id], [, address]]) => [id, address]));
  return [...hosts.flatMap((host) => differencesOf(chain, lives, host, addressOf)), ...twice(hosts)];
}

function differencesOf({ requests }, lives, host, addressOf) {
  const wanted = new Map(requests.filter(({ is_assigned: is, miner_id: node }) => is && node === host.id).map((request) => {
    const { name, unfinished = [] } = lives.get(request.request_id)?.assignments.at(-1) ?? {};
    return [name, { ...request, mayBeGrown: unfinished.includes('resize') }];
  }));
  const [domains, folders] = [host.domains, host.folders].map((list) => new Map(list.map((entry) => [entry.name, entry])));
  return [
    ...[...domains.keys()].filter((name) => !wanted.has(name)).map((name) => `${host.id} has domain ${name} (${domains.get(name).state}), which the chain does not want there`),
    ...[...folders.values()].filter(({ name }) => !wanted.has(name)).map(({ name, draft }) => `${host.id} has ${draft ? 'a draft' : 'folder'} ${name}, which the chain does not want there`),
    ...[...wanted].flatMap(([name, request]) => differencesOfVm(host.id, name, request, domains.get(name), folders.get(name), addressOf)),
    ...strays(host, wanted),
  ];
}

function differencesOfVm(host, name, request, domain, folder, addressOf) {
  const { request_id: id, status, resources, generation, operation, mayBeGrown } = request;
  const what = `request ${id}, ${status}`;
  if (!domain) return [`${host} has no domain ${name} of ${what}`];
  if (!folder?.disk) return [`${host} has no disk of ${name} of ${what}`];
  const { manifest } = folder;
  const address = addressOf.get(id) ?? null;
  const checks = [
    [POWER[status] === undefined || operation || domain.state === POWER[status], `its domain is ${domain.state}`],
    [domain.tag.node === host && domain.tag.request === String(id), `its domain is tagged for request ${domain.tag.request} of ${domain.tag.node}`],
    [Number(domain.tag.generation) <= generation, `its domain is at generation ${domain.tag.generation}, above the chain's ${generation}`],
    [domain.vcpus === resources.vcpus && domain.memoryMib === resources.memory_mib, `its domain has ${domain.vcpus} vCPUs and ${domain.memoryMib} MiB, not ${resources.vcpus} and ${resources.memory_mib}`],
    // What was given up may have been done, and a disk does not shrink.
    [manifest.shape.disk_gib === resources.disk_gib || (mayBeGrown && manifest.shape.disk_gib > resources.disk_gib), `its disk has ${manifest.shape.disk_gib} GiB, not ${resources.disk_gib}`],
    [(manifest.shape.address ?? null) === address, `its seed gives it address ${manifest.shape.address}, not ${address}`],
    [domain.filtered.length === 0 || domain.filtered.includes(address ?? manifest.private_address), `its filter lets it have ${domain.filtered}, not ${address ?? manifest.private_address}`],
    [manifest.orphan_since === null, 'it is marked as an orphan'],
  ];
  return checks.filter(([holds]) => !holds).map(([, words]) => `${host}, ${what}: ${words}`);
}

/** Processes, links and files of domains other than those that are wanted; one of each for every guest that runs. */
function strays({ id, rest, domains }, wanted) {
  if (!rest) return [];
  const guests = rest.filter((line) => line.startsWith('process ')).map((line) => /guest=([^,\s]+)/.exec(line)?.[1] ?? line);
  const running = domains.filter(({ state }) => state === 'running').length;
  const count = (kind) => rest.filter((line) => line.startsWith(kind)).length;
  return [
    ...guests.filter((name) => !wanted.has(name)).map((name) => `${id} runs QEMU for ${name}, which the chain does not want there`),
    ...guests.filter((name, index) => guests.indexOf(name) !== index).map((name) => `${id} runs two QEMUs for ${name}`),
    ...['process', 'link', 'nwfilter binding'].filter((kind) => count(`${kind} `) !== running)
      .map((kind) => `${id} has ${count(`${kind} `)} of each guest's ${kind}, and ${running} guests run`),
  ];
}

/** Own addresses are one VM's of all hosts', the worker's are one VM's of its host. */
function twice(hosts) {
  const all = hosts.flatMap(({ id, folders }) => folders.filter(({ manifest }) => manifest).flatMap(({ name, manifest }) => [
    ...(manifest.shape.address ? [{ address: manifest.shape.address, name }] : []),
    ...(manifest.private_address && !manifest.shape.address ? [{ address: `${manifest.private_address} on ${id}`, name }] : []),
  ]));
  const seen = new Map();
  return all.flatMap(({ address, name }) => {
    const other = seen.get(address);
    seen.set(address, name);
    return other ? [`address ${address} is in the seeds of ${other} and ${name}`] : [];
  });
}
