// scripts/dev, from the first program on: a chain, a host with a worker, and what they do, for as long as standard input
// is open and no signal comes.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect } from '../lib/chain.mjs';
import { rpc } from '../lib/rpc.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { qemuHost, testHost } from './hosts.mjs';
import { Worker, addImages, emptyImage, guestImages } from './market.mjs';
import { Parts } from './parts.mjs';
import { showStatus } from './status.mjs';

const OPTIONS = Object.fromEntries(['run', 'logs', 'rpc-port', 'guests', 'bin', 'images'].map((name) => [name, { type: 'string' }]));
const { values: given, positionals: nodeOptions } = parseArgs({
  options: { ...OPTIONS, log: { type: 'boolean' } }, allowPositionals: true,
});
const begin = Date.now();
let api;

function say(what, text) {
  console.log(`dev: ${what.padEnd(8)} ${text} (${Math.round((Date.now() - begin) / SECONDS)} s)`);
}

async function startChain(parts) {
  const program = process.env.QUARRY_NODE || join(given.bin, 'quarry-node');
  const chain = parts.start('chain', program, ['--dev', '--rpc-port', given['rpc-port'], ...nodeOptions]);
  const [, address, port] = await chain.says(/Running JSON-RPC server: addr=([^,\s]+:(\d+))/, { within: 120 * SECONDS });
  if (![port, '0'].includes(given['rpc-port'])) {
    throw new Error(`port ${given['rpc-port']} is taken: stop what has it, or choose another with --rpc-port N`);
  }
  const url = `ws://${address}`;
  await until('the first block', async () => (await rpc(url, 'chain_getHeader')).number !== '0x0', { within: 120 * SECONDS });
  say('chain', url);
  return { url, port, log: chain.log };
}

async function openMarket(parts, api, { port }) {
  const isReal = given.guests === 'qemu';
  const host = isReal ? await qemuHost(parts, given) : await testHost(given);
  say('host', isReal ? 'libvirt, apart from the machine\'s' : 'libvirt\'s test driver');
  const folder = isReal ? given.images : join(given.run, 'images');
  const images = isReal ? guestImages() : emptyImage(folder);
  const program = process.env.QUARRY_WORKER || join(given.bin, 'quarry-worker');
  const worker = new Worker(parts, { program, host, rpcPort: port, images: folder, run: given.run });
  const [isKvmBroken] = await Promise.all([
    isReal && worker.avoidBrokenKvm(),
    addImages(api, folder, images).then(() => say('images', images.map(({ name }) => name).join(', '))),
    worker.register().then((text) => say('node', text)),
  ]);
  if (isKvmBroken) say('guests', 'KVM runs none here, so they are emulated, which is slow');
  await worker.start();
  say('worker', 'online');
  return host;
}

function whatToTry(url, host) {
  const isUsual = url.endsWith(':9944');
  if (!host) return ['transfer', 'rent'].map((name) => `node e2e/examples/${name}.mjs${isUsual ? '' : ` ${url}`}`);
  if (!existsSync(join(given.bin, 'quarry'))) return [];
  return [`export PATH=${given.bin}:$PATH${isUsual ? '' : ` QUARRY_URL=${url}`}`, 'quarry rent', 'quarry vms', 'quarry ssh ID'];
}

function banner({ url, log }, host) {
  const lines = [
    ['RPC', url],
    ...(host ? [['SSH', `${host.endpoint}, to VMs by way of the node: ssh -J ID@${host.endpoint} quarry@vm`]] : []),
    ['logs', host ? given.logs : log],
    ...whatToTry(url, host).map((text, index) => [index ? '' : 'try', text]),
    ['stop', 'Ctrl-C'],
  ];
  const title = `Quarry's development ${host ? 'market' : 'chain'} runs.`;
  console.log(['', `  ${title}`, '', ...lines.map(([name, text]) => `  ${name.padEnd(6)} ${text}`), ''].join('\n'));
}

async function go(parts) {
  const chain = await startChain(parts);
  if (given.log) parts.show(chain.log);
  api = await connect(chain.url);
  const host = given.guests === 'none' ? undefined : await openMarket(parts, api, chain);
  banner(chain, host);
  await showStatus(api, { redraw: process.stdout.isTTY && !given.log, ofMarket: host !== undefined });
  return new Promise(() => {});
}

function askedToStop() {
  process.stdin.resume();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => new Promise((resolve) => process.on(signal, resolve)));
  return Promise.race([once(process.stdin, 'close'), once(process.stdin, 'end'), ...signals]);
}

const parts = new Parts(given.logs);
let code = 0;
try {
  await Promise.race([askedToStop(), parts.broken, go(parts)]);
  console.log('\ndev: stopping');
} catch (error) {
  console.error(`dev: ${error.message}`);
  code = 1;
}
// Or it would tell of the chain node's end.
await api?.disconnect();
await parts.stop();
process.exit(code);
