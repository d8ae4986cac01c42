// From `quarry rent` to a shell. By itself, in a sandbox, it prints what it found as JSON.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliUser } from '../lib/cli-user.mjs';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { endAll } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes } from '../lib/ssh.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const THIS = fileURLToPath(import.meta.url);

export async function measureRent(say) {
  say('from a rent to a shell');
  const { code, stdout, stderr } = await run(process.execPath, [THIS], { name: 'bench-rent', env: { QUARRY_E2E_RUN: undefined }, within: 1_800 * SECONDS });
  if (code !== 0) throw new Error(`a rent: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

async function measure() {
  const lab = new Lab();
  const market = new GuestMarket();
  let worker;
  try {
    const host = await lab.startHost({ name: 'h1' });
    const node = new GuestNode('alpha', { host });
    const keyFile = join(host.etc, 'access.key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', keyFile]);
    node.access = { endpoint: `${host.address}:2222`, hostKey: ed25519Bytes(readFileSync(`${keyFile}.pub`, 'utf8')) };
    market.account('tenant');
    await market.open({ hosts: [node], guests: ['debian'], address: LAB_ADDRESS });
    worker = await market.startWorker(node, { config: { access: { key: keyFile, listen: '[::]:2222' } } });
    await worker.isReady();
    const tenant = new CliUser('tenant', { url: market.node.url, uri: '//market/tenant' });
    await until('the node takes VMs', async () => (await tenant.json(['nodes'])).nodes.length === 1, { within: 120 * SECONDS });
    const rent = () => tenant.json(['rent', '--plan', 'debian', '--image', 'debian', '--yes'], { within: 900 * SECONDS });
    // The first brings the image to the node.
    const first = await rent();
    await tenant.json(['delete', first.id, '--yes']);
    const { steps } = await rent();
    return { steps };
  } finally {
    await worker?.stop();
    await market.close();
    await lab.close();
  }
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
