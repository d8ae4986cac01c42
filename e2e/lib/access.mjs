// The SSH port of a node, by the system's ssh and scp.
import { chmodSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { tempDir } from './ours.mjs';
import { freePort } from './port.mjs';
import { Process, run } from './process.mjs';
import { ed25519Line } from './ssh.mjs';
import { SECONDS, patient, until } from './until.mjs';

/** The key that the chain names for a node. */
export async function accessKeyOf(api, nodeId) {
  return (await api.query.registry.nodes(nodeId)).unwrap().access.hostKey.toU8a();
}

/**
 * A node's port at `address`, of which only `hostKey` is taken for the node's, and only `guestKey` for the one of the
 * guest behind it, which is called `vm`. Both are 32 bytes, from the chain.
 */
export class AccessPort {
  constructor({ address, port = 2222, hostKey, guestKey }) {
    Object.assign(this, { address, port, hostKey, guestKey });
  }

  /** Arguments for ssh and scp: settings that hold for the jump too. */
  #settings(key) {
    const folder = tempDir('access');
    const [known, config] = ['known_hosts', 'config'].map((name) => join(folder, name));
    const guest = this.guestKey ? `vm ${ed25519Line(this.guestKey)}\n` : '';
    writeFileSync(known, `[${this.address}]:${this.port} ${ed25519Line(this.hostKey)}\n${guest}`);
    chmodSync(key.file, 0o600);
    writeFileSync(config, `
      Host *
      UserKnownHostsFile ${known}
      GlobalKnownHostsFile /dev/null
      StrictHostKeyChecking yes
      HostKeyAlgorithms ssh-ed25519
      IdentityFile ${key.file}
      IdentitiesOnly yes
      BatchMode yes
      ConnectTimeout ${patient(30)}
    `);
    return ['-F', config];
  }

  #jump(user) {
    return ['-J', `${user}@${this.address}:${this.port}`];
  }

  #direct(user) {
    return ['-p', String(this.port), `${user}@${this.address}`];
  }

  /** Runs a command in the guest. */
  inGuest(user, key, command, { within = 60 * SECONDS } = {}) {
    return run('ssh', [...this.#settings(key), ...this.#jump(user), 'quarry@vm', command], { name: 'ssh-jump', within });
  }

  /** Copies a file into the guest, or out of it: the guest's path is `vm:…`. */
  copy(user, key, from, to) {
    const place = (path) => path.replace(/^vm:/, 'quarry@vm:');
    return run('scp', [...this.#settings(key), ...this.#jump(user), place(from), place(to)], { name: 'scp-jump', within: 120 * SECONDS });
  }

  /** Runs a session of the node's: `stats`, `log` … */
  session(user, key, command, { options = [] } = {}) {
    return run('ssh', [...this.#settings(key), ...options, ...this.#direct(user), command].filter(Boolean), { name: 'ssh-node' });
  }

  /** One that goes on; its process. */
  open(user, key, command, { input } = {}) {
    return new Process('ssh', [...this.#settings(key), ...this.#direct(user), command], { name: `ssh-${command}`, input });
  }

  /** What the port of the VM says first, through a forwarded one. */
  async greeting(user, key, port) {
    const here = await freePort('127.0.0.1');
    const forward = new Process('ssh', [...this.#settings(key), '-N', '-L', `127.0.0.1:${here}:vm:${port}`, ...this.#direct(user)], { name: 'ssh-L' });
    try {
      return await until(`port ${port} of the VM greets`, () => firstBytes(here), { within: 30 * SECONDS });
    } finally {
      await forward.kill();
    }
  }
}

function firstBytes(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 5 * SECONDS });
    socket.once('data', (data) => resolve(data.toString('latin1')));
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => reject(new Error(`no greeting: ${event}`)));
  });
}
