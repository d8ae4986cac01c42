// A machine of an attacker: sends a node transactions that it must refuse, as fast as it takes them, until its time is
// over; then it prints what became of them. Arguments: the chain node, a file of signed ones, for how many seconds, and
// the name that their calls begin with.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

const BATCH = 50;
const AT_ONCE = 4;
/** Where the signature of a signed transaction begins, in hexadecimal digits: after 0x, length, version, and signer. */
const SIGNATURE = 2 + 2 * (2 + 1 + 1 + 32 + 1);

const KINDS = 3;

const [url, file, seconds, node] = process.argv.slice(2);
/** Pallet and call before the first argument, the node's name with its length in front. */
const CALL = new RegExp(`[0-9a-f]{2}([0-9a-f]{2}${(node.length << 2).toString(16).padStart(2, '0')}${Buffer.from(node).toString('hex')})`);
const forged = readFileSync(file, 'utf8').trim().split('\n');
const end = Date.now() + Number(seconds) * 1_000;
const answers = new Map();
let sent = 0;

/** Well signed ones as long as there are any; else one of them with another signature, or with a call that there is not. */
function next() {
  const number = sent++;
  const transaction = forged[Math.floor(number / KINDS) % forged.length];
  if (number % KINDS === 0 && number < KINDS * forged.length) return transaction;
  const signed = transaction.slice(0, SIGNATURE) + randomBytes(8).toString('hex') + transaction.slice(SIGNATURE + 16);
  return number % KINDS === 1 ? signed : signed.replace(CALL, 'ff$1');
}

async function send() {
  while (Date.now() < end) {
    const calls = Array.from({ length: BATCH }, (_, id) => ({ jsonrpc: '2.0', id, method: 'author_submitExtrinsic', params: [next()] }));
    const response = await fetch(url.replace(/^ws/, 'http'), {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(calls),
    });
    for (const { error } of await response.json()) {
      const words = error ? `${error.message}: ${error.data ?? ''}` : 'taken';
      answers.set(words, (answers.get(words) ?? 0) + 1);
    }
  }
}

const begun = Date.now();
await Promise.all(Array.from({ length: AT_ONCE }, send));
const { user, system } = process.cpuUsage();
console.log(JSON.stringify({ sent, answers: Object.fromEntries(answers), seconds: (Date.now() - begun) / 1_000, cpu: (user + system) / 1e6 }));
