#!/usr/bin/env node
// Plays a drill in a sandbox of its own and says what held. scripts/drill is the way in.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { endAll } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { SECONDS } from '../lib/until.mjs';
import { anySeed } from './chance.mjs';

/** In the order of what they need. */
const NAMES = ['chaos', 'outage', 'partition', 'upgrade', 'load', 'attackers', 'backups'];
const WRONG_USAGE = 64;

const { values, positionals: [name] } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false }, seed: { type: 'string' }, minutes: { type: 'string' }, settle: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

if (name === 'list') await list();
else if (!NAMES.includes(name)) wrong(`which drill? One of: ${NAMES.join(', ')}`);
else await inSandbox(import.meta.filename, play, process.argv.slice(2));

function fileOf(drill) {
  return join(import.meta.dirname, `${drill}.mjs`);
}

async function list() {
  for (const drill of NAMES) console.log(`${drill.padEnd(12)}${(await import(fileOf(drill))).drill.about}`);
}

async function play() {
  const seed = number('seed') ?? anySeed();
  const { drill } = await import(fileOf(name));
  const begun = Date.now();
  const say = (text) => console.error(`${String(Math.round((Date.now() - begun) / 1_000)).padStart(5)} s  ${text}`);
  say(`${name}${values.short ? ', short' : ''}, seed ${seed}`);
  const [outcome, failure] = await drill.run({ short: values.short, minutes: number('minutes'), settle: number('settle', SECONDS), seed, say })
    .then((answer) => [answer], (error) => [undefined, error]);
  const untidy = await endAll().then(() => undefined, (error) => error);
  if (failure ?? untidy) throw failure ?? untidy;
  const passed = outcome.differences.length === 0 && outcome.held.every(([, answer]) => answer === true);
  if (values.json) console.log(JSON.stringify({ drill: name, seed, passed, ...outcome }, null, 2));
  else report(outcome, seed, passed);
  process.exitCode = passed ? 0 : 1;
}

function report({ held, figures, differences }, seed, passed) {
  const widest = Math.max(...[...held, ...figures].map(([what]) => what.length));
  for (const [what, answer] of held) console.log(`${answer === true ? 'held  ' : 'FAILED'}  ${what.padEnd(widest)}${answer === true ? '' : `  ${answer}`}`);
  for (const [what, figure] of figures) console.log(`        ${what.padEnd(widest)}  ${figure}`);
  for (const difference of differences) console.log(`differs ${difference}`);
  console.log(`${name} ${passed ? 'passed' : 'FAILED'}, seed ${seed}`);
}

function number(option, unit = 1) {
  if (values[option] === undefined) return undefined;
  const answer = Number(values[option]);
  if (!Number.isFinite(answer) || answer < 0) wrong(`--${option} takes a number`);
  return answer * unit;
}

function wrong(message) {
  console.error(`drill: ${message}`);
  process.exit(WRONG_USAGE);
}
