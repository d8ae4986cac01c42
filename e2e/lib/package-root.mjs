// A clean Debian in which the package is installed: a root of its own over a cached one, with processes and a network
// of its own. Nothing of it outlives its keeper.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { tempDir } from './ours.mjs';
import { Process, run } from './process.mjs';
import { cliProgram } from './quarry-cli.mjs';
import { workerProgram } from './quarry-worker.mjs';
import { SECONDS } from './until.mjs';

const REPOSITORY = join(import.meta.dirname, '..', '..');
const CACHE = join(homedir(), '.cache', 'quarry', 'package-root');

/** Where there is one already that was built by the same words, it stays. */
const BUILD = `
  set -e
  cache=$1 packages=$2 key=$3
  [ "$(cat "$cache/key" 2>/dev/null)" != "$key" ] || exit 0
  rm -rf --one-file-system "$cache/root" "$cache/key"
  mmdebstrap --variant=minbase --include="$packages" \\
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \\
    --dpkgopt='path-exclude=/usr/share/locale/*' \\
    --customize-hook='rm "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap' \\
    bookworm "$cache/root"
  printf '%s\\n' "$key" >"$cache/key"`;

/** The shell stays, as the first process of its namespace, to reap what others leave. */
const PREPARE = `
  set -e
  base=$1 place=$2
  mkdir "$place/upper" "$place/work" "$place/root"
  mount -t overlay -o "lowerdir=$base,upperdir=$place/upper,workdir=$place/work" overlay "$place/root"
  mount -t proc proc "$place/root/proc"
  mount -t sysfs -o ro sysfs "$place/root/sys"
  mount --bind /dev "$place/root/dev"
  mount -t tmpfs -o mode=755 tmpfs "$place/root/run"
  ip link set lo up
  echo "prepared $(cut -d' ' -f4 /proc/self/stat)"
  sleep infinity
  exit 1`;

/** What the package depends on, so that it can be installed without a network. */
function packages() {
  const control = readFileSync(join(REPOSITORY, 'packaging', 'debian', 'quarry-worker', 'control.in'), 'utf8');
  const [, depends] = /^Depends: @SHLIBS@, (.+)$/m.exec(control);
  return ['libvirt0', ...depends.split(', ').map((name) => name.split(' ')[0])].join(',');
}

/** The path of the cached root, made where it is not there: a sandbox has no network to make it from. */
export async function cachedRoot() {
  mkdirSync(CACHE, { recursive: true });
  const key = createHash('sha256').update(BUILD).update(packages()).digest('hex');
  const build = ['sh', '-c', BUILD, 'sh', CACHE, packages(), key];
  const { code, stderr } = await run('flock', [join(CACHE, '.lock'), ...build], { name: 'package-root', within: 900 * SECONDS });
  if (code !== 0) throw new Error(`a root for the package cannot be made: is the network there?\n${stderr.slice(-2_000)}`);
  return join(CACHE, 'root');
}

/** Runs scripts/package on our programs; the paths of the packages `worker` and `cli`. */
export async function buildPackages({ worker = workerProgram(), version, environment } = {}) {
  const out = tempDir('deb');
  const args = ['--worker', worker, '--cli', cliProgram(), '--out', out, ...(version ? ['--version', version] : [])];
  const { code, stdout, stderr } = await run(join(REPOSITORY, 'scripts', 'package'), args, { name: 'package', env: environment, within: 300 * SECONDS });
  if (code !== 0) throw new Error(`scripts/package: ${stderr}`);
  const built = (name) => new RegExp(`^package: (.+/${name}_.+\\.deb),`, 'm').exec(stdout)[1];
  return { cli: built('quarry'), worker: built('quarry-worker') };
}

export class PackageRoot {
  #keeper;
  #changed;

  async open() {
    const base = await cachedRoot();
    const place = tempDir('root');
    const apart = ['unshare', '--mount', '--pid', '--net', '--fork', '--kill-child=KILL'];
    this.#keeper = new Process('sh', ['-c', PREPARE, 'sh', base, place], { name: 'package-root-keeper', enter: apart });
    const [, pid] = await this.#keeper.waitForLine(/^prepared (\d+)$/);
    this.#changed = join(place, 'upper');
    /** To be in its network alone. */
    this.network = ['nsenter', `--target=${pid}`, '--net'];
    this.enter = ['nsenter', `--target=${pid}`, '--mount', '--pid', '--net', 'chroot', join(place, 'root')];
    return this;
  }

  /** Runs a program in it, whatever comes of it. */
  try(command, ...args) {
    return run(command, args, { name: `root-${basename(command)}`, enter: this.enter, within: 120 * SECONDS, env: { LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' } });
  }

  /** The same; its output, or an error. */
  async run(command, ...args) {
    const { code, stdout, stderr } = await this.try(command, ...args);
    if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  sh(script) {
    return this.run('sh', '-c', script);
  }

  /** Signals for it go by `signal`: what is started here waits for it in another namespace. */
  start(command, args, options) {
    return new Process(command, args, { ...options, enter: this.enter });
  }

  /** Writes a file in it. */
  async write(path, content, { mode = '644' } = {}) {
    const { code, stderr } = await run('sh', ['-c', 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"', 'sh', path, mode], { enter: this.enter, name: 'root-write', input: content });
    if (code !== 0) throw new Error(stderr);
  }

  /** Where a file that was made in it is from outside. */
  outside(path) {
    return join(this.#changed, path);
  }

  /** Installs a package; what dpkg and the package's scripts say. */
  async install(deb) {
    const path = `/root/${basename(deb)}`;
    await this.write(path, readFileSync(deb));
    return this.dpkg('--install', path);
  }

  async dpkg(...args) {
    const { code, stdout, stderr } = await this.try('dpkg', ...args);
    if (code !== 0) throw new Error(`dpkg ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
    return stderr;
  }

  /** Sends a signal to the process of a program that runs in it. */
  signal(signal, program) {
    return this.sh(`kill -${signal} "$(pidof -s ${program})"`);
  }

  async close() {
    await this.#keeper?.kill();
  }
}
