// What the examples have in common: one argument, amounts for people, and errors in one line.
import { parseArgs } from 'node:util';
import { QRY, connect } from './chain.mjs';

const EXIT_USAGE = 64;

/** 1234567890000n as "1.23456789 QRY". */
export function inQry(amount) {
  const whole = (amount / QRY).toLocaleString('en');
  const fraction = (amount % QRY).toString().padStart(12, '0').replace(/0+$/, '');
  return `${fraction ? `${whole}.${fraction}` : whole} QRY`;
}

/** Runs an example on the chain that the command line names, and says so: `headline`. */
export async function runExample({ name, usage, headline, run }) {
  let endpoint;
  try {
    endpoint = endpointFrom(process.argv.slice(2), usage);
  } catch (error) {
    console.error(`${name}: ${error.message}\n\n${usage}`);
    process.exit(EXIT_USAGE);
  }
  let api;
  try {
    api = await connect(endpoint);
    console.log(`${await api.rpc.system.chain()} at ${endpoint}: ${headline}`);
    await run(api);
  } catch (error) {
    const advice = /no chain node answers/.test(error.message) ? ' (start one with scripts/dev, or name its endpoint)' : '';
    console.error(`${name}: ${error.message}${advice}`);
    process.exitCode = 1;
  } finally {
    await api?.disconnect();
  }
}

function endpointFrom(args, usage) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  if (positionals.length > 1) throw new Error(`one endpoint, not ${positionals.length}`);
  const endpoint = positionals[0] ?? 'ws://127.0.0.1:9944';
  if (!/^wss?:\/\//.test(endpoint)) throw new Error(`${endpoint} is no endpoint: it begins with ws:// or wss://`);
  return endpoint;
}
