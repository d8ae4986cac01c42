// Logging in to guests, by the system's ssh.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { tempDir } from './ours.mjs';
import { run } from './process.mjs';
import { SECONDS, patient, until } from './until.mjs';

/** A new ed25519 key pair: `file` is the private one's, `publicKey` the line for authorized_keys. */
export function newSshKey(name) {
  const file = join(tempDir('ssh'), name);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
  return { file, publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** The 32 bytes of an ed25519 public key ("ssh-ed25519 AAAA…"), as the chain has them. */
export function ed25519Bytes(line) {
  return Buffer.from(line.split(' ')[1], 'base64').subarray(-32);
}

/** The other way round. */
export function ed25519Line(bytes) {
  const field = (content) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(content.length);
    return Buffer.concat([length, content]);
  };
  const blob = Buffer.concat([field(Buffer.from('ssh-ed25519')), field(Buffer.from(bytes))]);
  return `ssh-ed25519 ${blob.toString('base64')}`;
}

/**
 * Runs a command in a guest and returns its exit code and output. Only `hostKey` (32 bytes) is taken for the
 * guest's. `enter` is a lab host's, for addresses that only it reaches.
 */
export async function ssh({ address, port = 22, user = 'quarry', key, hostKey, command, enter, options = [], within = 60 * SECONDS }) {
  const folder = tempDir('known-hosts');
  const knownHosts = join(folder, 'known_hosts');
  writeFileSync(knownHosts, `${port === 22 ? address : `[${address}]:${port}`} ${ed25519Line(hostKey)}\n`);
  chmodSync(key.file, 0o600);
  const set = {
    UserKnownHostsFile: knownHosts, GlobalKnownHostsFile: '/dev/null', StrictHostKeyChecking: 'yes',
    IdentitiesOnly: 'yes', BatchMode: 'yes', ConnectTimeout: String(patient(30)), HostKeyAlgorithms: 'ssh-ed25519',
  };
  const args = ['-F', 'none', '-i', key.file, '-p', String(port), ...Object.entries(set).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
  return run('ssh', [...args, ...options, `${user}@${address}`, command], { name: 'ssh', enter, within });
}

/** As `ssh`, until the guest lets us in; returns what the command printed. */
export async function sshInto({ host, within = 300 * SECONDS, ...login }) {
  const { stdout } = await until(`ssh into ${login.address}`, async (seen) => {
    const answer = await ssh({ enter: host?.enter, ...login });
    if (answer.code === 255) seen(answer.stderr.trim());
    else if (answer.code !== 0) throw new Error(`${login.command}: exit code ${answer.code}, ${answer.stderr}`);
    return answer.code === 0 && answer;
  }, { within, every: 1_000 });
  return stdout;
}
