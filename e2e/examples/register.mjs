#!/usr/bin/env node
// Registers a node from the file that `quarry-worker enroll` wrote: as a call for the miner's wallet, or at once.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { connect, developmentAccount, eventOf, submit } from '../lib/chain.mjs';
import { inQry } from '../lib/example.mjs';

const USAGE = `Usage: node e2e/examples/register.mjs NODE_JSON [OPTIONS]

Makes the call registry.registerNode of what \`quarry-worker enroll\` wrote. Prints it as hex, which a wallet takes
(polkadot.js Apps: Developer, Extrinsics, Decode) and the miner signs; or signs it itself, on a development chain.

  --endpoint URL      the chain node (ws://127.0.0.1:9944)
  --country CC        where the node stands (SE)
  --max-vms N         the most VMs on it (20)
  --vcpus N, --memory-mib N, --disk-gib N
                      what it gives; by default all that the file names
  --global-ips        the operators' common pool of addresses is routed to it
  --vcpu-rate N, --memory-rate N, --disk-rate N, --ip-rate N
                      the price per block of a vCPU, a GiB of memory, a GiB of disk and an address, in plancks
                      (1000000, 500000, 10000, 250000)
  --dev NAME          sign as //NAME, an account of development chains that everybody has the key of
  -h, --help`;

const EXIT_USAGE = 64;
const OPTIONS = {
  endpoint: 'ws://127.0.0.1:9944', country: 'SE', 'max-vms': '20', vcpus: undefined, 'memory-mib': undefined,
  'disk-gib': undefined, 'vcpu-rate': '1000000', 'memory-rate': '500000', 'disk-rate': '10000', 'ip-rate': '250000',
  dev: undefined,
};

function wrongUsage(message) {
  console.error(`register: ${message}\n\n${USAGE}`);
  process.exit(EXIT_USAGE);
}

function commandLine() {
  const options = Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, { type: 'string' }]));
  const flags = { help: { type: 'boolean', short: 'h' }, 'global-ips': { type: 'boolean' } };
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { ...options, ...flags } });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    if (positionals.length !== 1) throw new Error('name the one file that enroll wrote');
    return { file: positionals[0], ...OPTIONS, ...values };
  } catch (error) {
    return wrongUsage(error.message);
  }
}

function number(given, name, otherwise) {
  const text = given[name] ?? otherwise;
  return /^\d+$/.test(text) ? BigInt(text) : wrongUsage(`--${name} is a number, not ${text}`);
}

function offerOf(given, { capacity }) {
  const of = (name, otherwise) => number(given, name, otherwise === undefined ? undefined : String(otherwise));
  return {
    capacity: {
      vcpus: of('vcpus', capacity.vcpus), memoryMib: of('memory-mib', capacity.memory_mib), diskGib: of('disk-gib', capacity.disk_gib),
    },
    rates: { vcpu: of('vcpu-rate'), memoryGib: of('memory-rate'), diskGib: of('disk-rate'), ip: of('ip-rate') },
    country: given.country,
    maxVms: of('max-vms'),
    globalIps: given['global-ips'] ?? false,
  };
}

const given = commandLine();
let api;
try {
  const node = JSON.parse(readFileSync(given.file, 'utf8'));
  if (node.version !== 1) throw new Error(`${given.file} is of version ${node.version}, and this reads version 1`);
  api = await connect(given.endpoint);
  if (api.genesisHash.toHex() !== node.genesis) throw new Error(`${given.file} is for the chain with genesis ${node.genesis}, and not for the one at ${given.endpoint}`);
  const access = { endpoint: node.access.endpoint, hostKey: node.access.host_key };
  const call = api.tx.registry.registerNode(node.node_id, offerOf(given, node), access, node.worker, node.worker_proof);
  if (given.dev === undefined) {
    console.log(`the miner ${node.miner} signs, in a wallet:\n${call.method.toHex()}`);
  } else {
    const miner = developmentAccount(`//${given.dev}`);
    if (miner.address !== node.miner) throw new Error(`${given.file} is for the miner ${node.miner}, and //${given.dev} is ${miner.address}`);
    const { bond } = eventOf(await submit(api, call, miner), 'registry.NodeRegistered');
    console.log(`${node.node_id} is registered; bond ${inQry(bond.toBigInt())}`);
  }
} catch (error) {
  console.error(`register: ${error.message}`);
  process.exitCode = 1;
} finally {
  await api?.disconnect();
}
