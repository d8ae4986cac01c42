#!/usr/bin/env node
// Makes planted mistakes (planted-faults.mjs), each in the drill that must see it, and tells whether that drill did.
// scripts/planted-faults is the way in.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { FAULTS } from './planted-faults.mjs';

const MAIN = join(import.meta.dirname, 'main.mjs');
/** What a drill says at once, and what it says in the end. */
const SAID = /^ *\d+ s {2}NOT held: (.*)$/;
const REPORTED = /^(?:FAILED|differs) +(.*)$/;
const WRONG_USAGE = 64;
/** Of a line that a drill said, for people. */
const MOST_SHOWN = 200;
const WIDEST = Math.max(...FAULTS.map(({ name }) => name.length)) + 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !FAULTS.some((fault) => fault.name === name));
const chosen = FAULTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));

if (unknown.length > 0) wrong(`no such mistake: ${unknown.join(', ')} (--list names them)`);
else if (values.list) for (const fault of chosen) console.log(`${fault.name.padEnd(WIDEST)} ${fault.drill.padEnd(10)} ${fault.mistake}`);
else await playAll();

async function playAll() {
  const outcomes = [];
  for (const fault of chosen) {
    const outcome = await play(fault);
    outcomes.push(outcome);
    if (!values.json) report(outcome);
  }
  if (values.json) console.log(JSON.stringify(outcomes, null, 2));
  else console.log(`${outcomes.filter(({ caught }) => caught).length} of ${outcomes.length} mistakes were caught`);
  process.exitCode = outcomes.every(({ caught }) => caught) ? 0 : 1;
}

/** Its sign alone counts: whatever else a drill finds, or dies of, may be of something else. */
async function play({ name, drill, args, sign }) {
  console.error(`${name}: scripts/drill ${drill} --short ${args.join(' ')}`);
  const begun = Date.now();
  const child = spawn(process.execPath, [MAIN, drill, '--short', ...args], {
    env: { ...process.env, QUARRY_FAULT: name }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const findings = [];
  const follow = (stream, pattern, take) => createInterface({ input: stream }).on('line', (line) => {
    console.error(line);
    const finding = pattern.exec(line)?.[1].replaceAll(/\s+/g, ' ');
    if (finding !== undefined) take(finding);
  });
  follow(child.stdout, REPORTED, (finding) => findings.push(finding));
  follow(child.stderr, SAID, (finding) => {
    findings.push(finding);
    // The rest of the drill would only take its time.
    if (sign.test(finding)) child.kill();
  });
  const [code] = await once(child, 'close');
  const line = findings.find((finding) => sign.test(finding));
  return {
    name, drill, caught: line !== undefined, seconds: Math.round((Date.now() - begun) / 1_000),
    line: line ?? (findings.length > 0 ? `another line: ${findings[0]}` : `no line, exit code ${code}`),
  };
}

function report({ name, drill, caught, seconds, line }) {
  console.log(`${caught ? 'caught    ' : 'NOT CAUGHT'} ${name.padEnd(WIDEST)} by ${drill} in ${seconds} s: ${line.length > MOST_SHOWN ? `${line.slice(0, MOST_SHOWN)}…` : line}`);
}

function wrong(message) {
  console.error(`planted-faults: ${message}`);
  process.exitCode = WRONG_USAGE;
}
