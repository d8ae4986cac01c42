// Network drills run in network, mount and process namespaces of their own. Links, network namespaces
// and processes made in there are out of the machine's sight, cannot collide with another run's, and
// end with the sandbox's first process, even when everything is killed.
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { leftovers, tempDir } from './ours.mjs';

const INSIDE = 'QUARRY_E2E_SANDBOX';

/**
 * `ip netns` keeps its namespaces in /run/netns: the sandbox gets an empty one. Temporary folders lie in
 * memory. The shell stays, as the first process of its namespace, to reap what others leave.
 */
const PREPARE = `
  set -e
  mkdir -p /run/netns
  mount -t tmpfs tmpfs /run/netns
  mount -t tmpfs tmpfs "$TMPDIR"
  ip link set lo up
  "$@"`;

/**
 * Runs a test file again inside a sandbox, with these arguments, and, in there, `defineTests`. What the tests
 * report goes to whoever ran the file.
 */
export async function inSandbox(file, defineTests, args = []) {
  if (process.env[INSIDE]) return defineTests();
  if (process.getuid() !== 0) {
    throw new Error('network namespaces need root: run this test as root, or with "sudo -E"');
  }
  const folder = tempDir('sandbox');
  const unshare = ['unshare', '--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child=KILL'];
  const again = ['sh', '-c', PREPARE, 'sh', process.execPath, ...process.execArgv, file, ...args];
  const sandbox = spawn('setpriv', ['--pdeathsig', 'KILL', ...unshare, '--', ...again], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [INSIDE]: '1', TMPDIR: folder },
  });
  process.on('exit', () => sandbox.kill('SIGKILL'));
  const [code] = await once(sandbox, 'exit');
  rmSync(folder, { recursive: true, force: true });
  const left = leftovers();
  if (left.length > 0) throw new Error(`left behind:\n  ${left.join('\n  ')}`);
  process.exitCode = code ?? 1;
}
