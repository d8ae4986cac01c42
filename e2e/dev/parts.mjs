// The programs that scripts/dev runs, each with a log.
import { spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTime, SECONDS, until } from '../lib/until.mjs';

const GRACE = 6 * SECONDS;

export class Parts {
  #logs;
  #running = new Set();
  #stopping = false;
  #break;

  constructor(logs) {
    this.#logs = logs;
    /** Rejected when a part ends that should go on. */
    this.broken = new Promise((_, reject) => (this.#break = reject));
    this.broken.catch(() => {});
  }

  /** Starts a program that goes on until `stop`. */
  start(name, command, args, options) {
    const part = this.#spawn(name, command, args, options);
    part.ended.then((end) => this.#stopping || this.#break(part.failure(`ended by itself, ${end}`)));
    return part;
  }

  /** Runs a program to its end, and returns what it wrote to its standard output. */
  async run(name, command, args, { within = 120 * SECONDS, codes = [0], ...options } = {}) {
    const part = this.#spawn(name, command, args, { ...options, stdout: 'pipe' });
    const end = await inTime(`${name} ends`, part.ended, within);
    if (!codes.some((code) => end === describe(code))) throw part.failure(end);
    return part.output;
  }

  /** Shows a log here, from its start on. */
  show(log) {
    this.start('log', 'tail', ['--lines=+1', '--follow', log], { stdout: 'inherit' });
  }

  #spawn(name, command, args, options) {
    const part = new Part(name, join(this.#logs, `${name}.log`), command, args, options);
    this.#running.add(part);
    part.ended.then(() => this.#running.delete(part));
    return part;
  }

  /** By SIGTERM, and what does not end by that in time, by SIGKILL. */
  async stop() {
    this.#stopping = true;
    const ends = () => Promise.all([...this.#running].map(({ ended }) => ended));
    for (const part of this.#running) part.signal('SIGTERM');
    await inTime('an end', ends(), GRACE).catch(() => {
      for (const part of this.#running) part.signal('SIGKILL');
      return inTime('an end', ends(), GRACE);
    });
  }
}

const describe = (code, signal) => (signal ? `by ${signal}` : `exit code ${code}`);

class Part {
  #child;

  constructor(name, log, command, args, { enter = [], stdout } = {}) {
    this.name = name;
    this.log = log;
    this.output = '';
    const file = openSync(log, 'a');
    // In a session of its own, so that what a terminal sends is for main.mjs alone; it dies with that even so.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...enter, command, ...args], {
      detached: true, stdio: ['ignore', stdout ?? file, file],
    });
    closeSync(file);
    this.#child.stdout?.setEncoding('utf8').on('data', (text) => (this.output += text));
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('close', (code, signal) => resolve(describe(code, signal)));
    });
    this.ended.then(() => (this.gone = true));
  }

  get pid() {
    return this.#child.pid;
  }

  signal(signal) {
    if (!this.gone) this.#child.kill(signal);
  }

  /** The match of the first line of its log that fits. */
  says(pattern, { within = 60 * SECONDS } = {}) {
    return until(`${this.name} says ${pattern} (its log: ${this.log})`, () => pattern.exec(readFileSync(this.log, 'utf8')), { within, every: 100 });
  }

  failure(what) {
    const lines = `${readFileSync(this.log, 'utf8')}${this.output}`.trim().split('\n').slice(-15).map((line) => `    | ${line}`);
    return new Error([`${this.name}: ${what}. The last lines of ${this.log}:`, ...lines].join('\n'));
  }
}
