import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { own } from './ours.mjs';
import { inTime, patient, SECONDS } from './until.mjs';

const KEPT_LINES = 50_000;

/** A process of ours with its log. The kernel kills it when this process dies, however that happens. */
export class Process {
  #child;
  #listeners = new Set();
  lines = [];
  stdout = '';
  stderr = '';

  constructor(command, args, { name = command, env = {}, cwd, enter = [], input } = {}) {
    this.name = name;
    this.commandLine = [command, ...args].join(' ');
    const line = ['--pdeathsig', 'KILL', ...enter, command, ...args];
    this.#child = spawn('setpriv', line, {
      cwd,
      env: { ...process.env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    if (input !== undefined) {
      // One that ends without reading its input is judged by its exit code, not by the broken pipe.
      this.#child.stdin.on('error', () => {});
      this.#child.stdin.end(input);
    }
    const log = logFile(name);
    for (const stream of ['stdout', 'stderr']) {
      this.#child[stream].setEncoding('utf8');
      this.#child[stream].on('data', (text) => (this[stream] = (this[stream] + text).slice(-8e6)));
      createInterface({ input: this.#child[stream] }).on('line', (line) => {
        this.lines.push(line);
        if (this.lines.length > KEPT_LINES) this.lines.shift();
        log?.write(`${line}\n`);
        for (const listener of this.#listeners) listener(line);
      });
    }
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve({ code: null, signal: null, error }));
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.ended.then((end) => {
      this.end = end;
      log?.end();
    });
    own(this);
  }

  get pid() {
    return this.#child.pid;
  }

  signal(signal) {
    if (this.pid !== undefined && !this.end) this.#child.kill(signal);
  }

  async kill() {
    this.signal('SIGKILL');
    return inTime(`${this.name} ends after SIGKILL`, this.ended, 10 * SECONDS);
  }

  /** SIGTERM, as an init system does; what does not end by it is killed, and that is an error. */
  async stop({ within = 30 * SECONDS } = {}) {
    if (this.end) return this.end;
    this.signal('SIGTERM');
    try {
      return await inTime(`${this.name} (pid ${this.pid}) ends after SIGTERM`, this.ended, within);
    } catch (error) {
      await this.kill();
      throw new Error(`${error.message}\n${this.tail()}`);
    }
  }

  /** The match of the first line, past or coming, that fits. */
  async waitForLine(pattern, { within = 60 * SECONDS } = {}) {
    const early = this.lines.map((line) => pattern.exec(line)).find(Boolean);
    if (early) return early;
    let listener;
    const found = new Promise((resolve, reject) => {
      listener = (line) => {
        const match = pattern.exec(line);
        if (match) resolve(match);
      };
      this.#listeners.add(listener);
      this.ended.then((end) => reject(new Error(`${this.name} ended with ${describeEnd(end)}`)));
    });
    try {
      return await inTime(`${this.name} logs ${pattern}`, found, within);
    } catch (error) {
      throw new Error(`${error.message}\n${this.commandLine}\n${this.tail()}`);
    } finally {
      this.#listeners.delete(listener);
    }
  }

  tail(count = 30) {
    const lines = this.lines.slice(-count).map((line) => `  | ${line}`);
    return [`last lines of ${this.name}:`, ...lines].join('\n');
  }
}

/** Runs a command to its end. Whether its exit code is good is for the caller to judge. */
export async function run(command, args, { within = 60 * SECONDS, ...options } = {}) {
  const child = new Process(command, args, options);
  const timer = setTimeout(() => child.signal('SIGKILL'), patient(within));
  const { code, signal, error } = await child.ended;
  clearTimeout(timer);
  if (error) throw error;
  if (signal === 'SIGKILL') {
    throw new Error(
      `not within ${patient(within) / SECONDS} s: the end of ${child.commandLine}\n${child.tail()}`,
    );
  }
  const { stdout, stderr, commandLine } = child;
  return { code, signal, stdout, stderr, commandLine };
}

export function describeEnd({ code, signal, error }) {
  return error?.message ?? (signal ? `signal ${signal}` : `exit code ${code}`);
}

/** With QUARRY_E2E_LOGS=folder every process's log stays there, for whoever studies a failure. */
function logFile(name) {
  const folder = process.env.QUARRY_E2E_LOGS;
  if (!folder) return undefined;
  mkdirSync(folder, { recursive: true });
  return createWriteStream(join(folder, `${name.replaceAll(/[^\w.-]+/g, '_')}-${Date.now()}.log`));
}
