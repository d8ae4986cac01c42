// libvirt in tests: asking one, and one of one's own with nothing but the in-memory test driver.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './ours.mjs';
import { Process, run } from './process.mjs';
import { Hopeless, SECONDS, until } from './until.mjs';

/** Runs virsh and returns what it prints; a failure is thrown with what it said. */
export async function virsh(uri, args, { enter, input, within } = {}) {
  const { code, stdout, stderr, commandLine } = await run('virsh', ['--quiet', '--connect', uri, ...args], {
    name: `virsh ${args[0].split(' ', 1)[0]}`, enter, input, within,
  });
  if (code !== 0) throw new Error(`${commandLine}: ${stderr.trim() || stdout.trim()}`);
  return stdout.trim();
}

/** All domains of a libvirt: name, UUID, state, and the id of one that is active. */
export async function domainsOf(ask) {
  const [table, uuids] = await Promise.all([ask('list', '--all'), ask('list', '--all', '--uuid', '--name')]);
  const uuidOf = new Map(uuids.split('\n').map((line) => line.trim().split(/\s+/).reverse()));
  return [...table.matchAll(/^\s*(\d+|-)\s+(\S+)\s+(.+?)\s*$/gm)].map(([, id, name, state]) => (
    { name, uuid: uuidOf.get(name), state, id: id === '-' ? undefined : Number(id) }
  ));
}

/**
 * A libvirtd with the test driver alone. Its state lives as long as a connection does, so this holds one; it
 * is gone when libvirtd is.
 */
export class TestLibvirtd {
  // A short name: the path of a socket has at most 107 bytes.
  #folder = tempDir('lv');
  #enter;

  /** `enter` is the command prefix that runs it on a host of its own. */
  constructor({ enter = [] } = {}) {
    this.#enter = enter;
  }

  get uri() {
    return `test+unix:///default?socket=${join(this.#folder, 'libvirt-sock')}`;
  }

  async start() {
    const run = this.#folder;
    const noDrivers = join(run, 'no-drivers');
    mkdirSync(noDrivers, { recursive: true });
    const config = join(this.#folder, 'libvirtd.conf');
    writeFileSync(config, [
      `unix_sock_dir = "${run}"`,
      'auth_unix_ro = "none"',
      'auth_unix_rw = "none"',
      'unix_sock_rw_perms = "0700"',
      'max_clients = 200',
      '',
    ].join('\n'));
    // The drivers that would touch the machine are modules; the test driver is not.
    this.process = new Process('libvirtd', ['--config', config, '--pid-file', join(run, 'libvirtd.pid')], {
      name: 'test-libvirtd', enter: this.#enter, env: { LIBVIRT_DRIVER_DIR: noDrivers, XDG_RUNTIME_DIR: run },
    });
    await until('the test libvirtd answers', () => {
      if (this.process.end) throw new Hopeless(this.process.tail());
      return this.virsh('version');
    }, { within: 30 * SECONDS, every: 100 });
    const hold = 'echo --err held; event --all --loop';
    this.holder = new Process('virsh', ['--connect', this.uri, hold], { name: 'test-libvirtd-holder' });
    await this.holder.waitForLine(/held/);
    return this;
  }

  virsh(...args) {
    return virsh(this.uri, args);
  }

  domains() {
    return domainsOf((...args) => this.virsh(...args));
  }

  /** As a crash; all domains are gone. */
  async kill() {
    await this.process.kill();
    await this.holder.kill();
  }

  /** Starts again on the same socket, with the test driver's default state. */
  async restart() {
    if (!this.process.end) await this.kill();
    return this.start();
  }

  async stop() {
    await this.holder.kill();
    await this.process.stop();
  }
}

export function startTestLibvirtd() {
  return new TestLibvirtd().start();
}
