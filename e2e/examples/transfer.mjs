#!/usr/bin/env node
// Sends 1 QRY from Alice to Bob on a development chain and shows what happened.
import { parseArgs } from 'node:util';
import { QRY, connect, developmentAccount, eventOf, freeBalance, submit } from '../lib/chain.mjs';

const USAGE = `Usage: node e2e/examples/transfer.mjs [ENDPOINT]

Sends 1 QRY from Alice to Bob on the development chain at ENDPOINT (ws://127.0.0.1:9944).`;

const EXIT_USAGE = 64;

async function main(endpoint) {
  const alice = developmentAccount('//Alice');
  const bob = developmentAccount('//Bob');
  const api = await connect(endpoint);
  try {
    const balances = () => Promise.all([alice, bob].map(({ address }) => freeBalance(api, address)));
    const before = await balances();
    console.log(`${await api.rpc.system.chain()} at ${endpoint}: 1 QRY from Alice to Bob`);

    const transfer = api.tx.balances.transferKeepAlive(bob.address, QRY);
    const block = await submit(api, transfer, alice);
    const fee = eventOf(block, 'transactionPayment.TransactionFeePaid').actualFee.toBigInt();
    const after = await balances();

    console.log(`  block   ${block.number}  ${block.hash}`);
    console.log(`  fee     ${inQry(fee)}, to the treasury`);
    console.log(`  events  ${block.events.map(({ section, method }) => `${section}.${method}`).join(', ')}`);
    for (const [index, name] of ['Alice', 'Bob'].entries()) {
      console.log(`  ${name.padEnd(7)} ${inQry(before[index])} → ${inQry(after[index])}`);
    }
  } finally {
    await api.disconnect();
  }
}

/** 1234567890000n as "1.23456789 QRY". */
function inQry(amount) {
  const whole = (amount / QRY).toLocaleString('en');
  const fraction = (amount % QRY).toString().padStart(12, '0').replace(/0+$/, '');
  return `${fraction ? `${whole}.${fraction}` : whole} QRY`;
}

function endpointFrom(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (positionals.length > 1) throw new Error(`one endpoint, not ${positionals.length}`);
  const endpoint = positionals[0] ?? 'ws://127.0.0.1:9944';
  if (!/^wss?:\/\//.test(endpoint)) throw new Error(`${endpoint} is no endpoint: it begins with ws:// or wss://`);
  return endpoint;
}

let endpoint;
try {
  endpoint = endpointFrom(process.argv.slice(2));
} catch (error) {
  console.error(`transfer: ${error.message}\n\n${USAGE}`);
  process.exit(EXIT_USAGE);
}
try {
  await main(endpoint);
} catch (error) {
  const advice = /no chain node answers/.test(error.message) ? ' (start one with scripts/dev, or name its endpoint)' : '';
  console.error(`transfer: ${error.message}${advice}`);
  process.exit(1);
}
