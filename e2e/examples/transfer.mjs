#!/usr/bin/env node
// Sends 1 QRY from Alice to Bob on a development chain and shows what happened.
import { QRY, developmentAccount, eventOf, freeBalance, submit } from '../lib/chain.mjs';
import { inQry, runExample } from '../lib/example.mjs';

const USAGE = `Usage: node e2e/examples/transfer.mjs [ENDPOINT]

Sends 1 QRY from Alice to Bob on the development chain at ENDPOINT (ws://127.0.0.1:9944).`;

async function transferOne(api) {
  const alice = developmentAccount('//Alice');
  const bob = developmentAccount('//Bob');
  const balances = () => Promise.all([alice, bob].map(({ address }) => freeBalance(api, address)));
  const before = await balances();

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
}

await runExample({ name: 'transfer', usage: USAGE, headline: '1 QRY from Alice to Bob', run: transferOne });
