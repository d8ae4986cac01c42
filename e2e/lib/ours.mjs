// What this run has started or made, how it ends, and the proof that nothing of it stays.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';

/** Every process that this run starts, however indirectly, inherits this variable. */
const MARK = 'QUARRY_E2E_RUN';
const inherited = process.env[MARK];
const run = (process.env[MARK] = inherited ?? `${process.pid}-${randomBytes(4).toString('hex')}`);
const TEMP_PREFIX = `quarry-e2e-${run}-`;

const processes = new Set();
const folders = new Set();

export function tempDir(purpose) {
  mkdirSync(tmpdir(), { recursive: true });
  const path = mkdtempSync(join(tmpdir(), `${TEMP_PREFIX}${purpose}-`));
  folders.add(path);
  return path;
}

export function own(process) {
  processes.add(process);
  process.ended.then(() => processes.delete(process));
}

/** Stops what still runs, gracefully, and deletes the temporary folders. */
export async function endAll() {
  const failures = [];
  for (const outcome of await Promise.allSettled([...processes].map((process) => process.stop()))) {
    if (outcome.status === 'rejected') failures.push(outcome.reason.message);
  }
  failures.push(...deleteFolders());
  const left = leftovers();
  if (left.length > 0) failures.push(`left behind:\n  ${left.join('\n  ')}`);
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

/** Processes and folders of this run that still exist, one line each. */
export function leftovers() {
  const stray = strayProcesses().map(({ pid, command }) => `process ${pid}: ${command}`);
  const folders = readdirSync(tmpdir())
    .filter((name) => name.startsWith(TEMP_PREFIX))
    .map((name) => `folder ${join(tmpdir(), name)}`);
  return [...stray, ...folders];
}

export function strayProcesses() {
  const spared = new Set([process.pid, ...ancestors()]);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && !spared.has(pid))
    .filter((pid) => read(pid, 'environ').split('\0').includes(`${MARK}=${run}`))
    .map((pid) => ({ pid, command: read(pid, 'cmdline').replaceAll('\0', ' ').trim() }));
}

function ancestors() {
  const pids = [];
  for (let pid = process.ppid; pid > 0; ) {
    pids.push(pid);
    // The command, in brackets, may itself hold spaces and brackets.
    pid = Number(read(pid, 'stat').split(') ').at(-1).split(' ')[1] ?? 0);
  }
  return pids;
}

function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** Deletes what it can, and tells what it could not. */
function deleteFolders() {
  const failures = [];
  for (const path of folders) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      folders.delete(path);
    } catch (error) {
      failures.push(error.message);
    }
  }
  return failures;
}

process.on('exit', () => {
  for (const child of processes) child.signal('SIGKILL');
  for (const failure of deleteFolders()) console.error(failure);
});
for (const [signal, number] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]]) {
  process.on(signal, () => process.exit(128 + number));
}

// A test runner that is killed leaves its test files running.
const runner = process.ppid;
setInterval(() => process.ppid === runner || process.exit(1), 1_000).unref();
