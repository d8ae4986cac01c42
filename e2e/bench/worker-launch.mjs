// Real guests: how long the worker takes to launch one, and virsh to define and start another by the same XML.
// By itself, in a sandbox, it prints what it found as JSON.
import { randomUUID } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { consoleSays } from '../lib/guests.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { done, firstCalls } from './worker-log.mjs';

const ROUNDS = 6;
const THIS = fileURLToPath(import.meta.url);
const FOLDER = 'QUARRY_BENCH_FOLDER';

/** Milliseconds of each launch, and of each pair of virsh commands. The guests' files lie on the disk. */
export async function measureLaunches() {
  // A sandbox's own temporary files lie in memory.
  const folder = tempDir('guests');
  chmodSync(folder, 0o755);
  // As a run of its own, which leaves nothing behind of its own.
  const env = { [FOLDER]: folder, QUARRY_E2E_RUN: undefined };
  const { code, stdout, stderr } = await run(process.execPath, [THIS], { name: 'bench-launches', env, within: 600 * SECONDS });
  if (code !== 0) throw new Error(`the launches of real guests: ${stderr}`);
  return JSON.parse(stdout);
}

async function measure() {
  const lab = new Lab();
  const market = new GuestMarket();
  let worker;
  try {
    const host = await lab.startHost({ name: 'h1' });
    const node = new GuestNode('alpha', { host });
    const tenant = market.account('tenant');
    await market.open({ hosts: [node], address: LAB_ADDRESS });
    worker = await market.startWorker(node, {
      folder: join(process.env[FOLDER], 'worker'), log: join(host.etc, 'worker.log'),
      config: { logs: { format: 'text', filter: 'info,quarry_worker::engine=debug' } },
    });
    await worker.isReady();
    // The first one fetches the image.
    await launch(market, node, tenant, worker);
    const rounds = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const { id, milliseconds } = await launch(market, node, tenant, worker);
      rounds.push({ worker: milliseconds, virsh: await byVirsh(host, worker, id, `control-${round}`) });
    }
    return rounds;
  } finally {
    await worker?.stop();
    await market.close();
    await lab.close();
  }
}

/** From the finalized block's arrival at the worker to the domain's start, by the worker's log. */
async function launch(market, node, tenant, worker) {
  const id = await market.rent(tenant, { on: node });
  const start = await until(`request ${id} is started`, () => (
    done(worker.log, 'start').find(({ request }) => request === String(id))
  ), { within: 120 * SECONDS });
  const call = firstCalls(worker.log).findLast(({ at }) => at <= start.at);
  await consoleSays(join(folderOf(worker, id), 'serial.log'), /quarry-guest: ready/);
  return { id, milliseconds: start.at - (call.at - call.after) };
}

function folderOf({ dataDir }, id) {
  const vms = join(dataDir, 'vms');
  return join(vms, readdirSync(vms).find((name) => name.startsWith(`quarry-${id}-`)));
}

/** The same domain under another name, on a disk and a seed that are there already. */
async function byVirsh(host, worker, id, name) {
  const original = folderOf(worker, id);
  const folder = join(worker.dataDir, name);
  mkdirSync(folder);
  chmodSync(folder, 0o711);
  const path = (file) => join(folder, file);
  const info = await host.run('qemu-img', 'info', '--force-share', '--output=json', join(original, 'disk.qcow2'));
  const base = JSON.parse(info)['full-backing-filename'];
  await host.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, path('disk.qcow2'), '2G');
  copyFileSync(join(original, 'seed.img'), path('seed.img'));
  const domain = (await host.domains()).find((found) => found.name.startsWith(`quarry-${id}-`));
  const xml = (await host.virsh('dumpxml', '--inactive', domain.name))
    .replaceAll(original, folder).replaceAll(domain.name, name).replaceAll(domain.uuid, randomUUID())
    .replace(/<mac address='..:..:../, "<mac address='52:54:00");
  writeFileSync(path('domain.xml'), xml);
  const script = 'date +%s%N; virsh --quiet define "$0/domain.xml"; virsh --quiet start "$1"; date +%s%N';
  const [begin, end] = (await host.run('sh', '-ec', script, folder, name)).match(/^\d{19}$/gm).map(BigInt);
  await host.virsh('destroy', name);
  await host.virsh('undefine', name);
  return Number(end - begin) / 1e6;
}

if (process.argv[1] === THIS) {
  await inSandbox(THIS, async () => {
    try {
      console.log(JSON.stringify(await measure()));
    } finally {
      await endAll();
    }
  });
}
