// The relay of quarry-worker, and machines of a lab that are no hypervisor hosts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ip, unlink } from './ip.mjs';
import { tempDir } from './ours.mjs';
import { Process, run } from './process.mjs';
import { workerProgram } from './quarry-worker.mjs';
import { ed25519Line } from './ssh.mjs';
import { SECONDS, patient } from './until.mjs';

/** A machine on a lab's bridge: a network namespace with one address. */
export class LabMachine {
  constructor(name, address) {
    Object.assign(this, { name, address });
    ip('netns', 'add', name);
    ip('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', name);
    ip('link', 'set', 'dev', name, 'master', 'lab', 'up');
    ip('-n', name, 'link', 'set', 'dev', 'lo', 'up');
    ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'uplink');
    ip('-n', name, 'link', 'set', 'dev', 'uplink', 'up');
    this.enter = ['nsenter', `--net=/run/netns/${name}`];
  }

  close() {
    unlink(this.name);
    ip('netns', 'del', this.name);
  }
}

/** A relay on a machine, that of its nodes' ports too. */
export class SshRelay {
  constructor({ machine, chain, ports = '20000-20009', args = [] }) {
    Object.assign(this, { machine, chain, ports, args });
    this.endpoint = `${machine.address}:2200`;
    this.dataDir = join(tempDir('relay'), 'data');
  }

  /** Starts it, each time with what it had before, and waits until it takes nodes. */
  async start() {
    const flags = ['--listen', this.endpoint, '--ports', this.ports, '--data-dir', this.dataDir, ...this.args];
    this.process = new Process(workerProgram(), ['relay', ...flags], {
      name: 'relay', enter: this.machine.enter, env: { QUARRY_RELAY_CHAIN: this.chain },
    });
    [, this.key] = await this.process.waitForLine(/^relay_key = "(ssh-ed25519 \S+)"$/);
    await this.process.waitForLine(/ ready /);
    return this;
  }
}

/**
 * The file of a config for ssh, in which `target` is a machine, by way of `jump` if there is one. No host keys are taken
 * but those given here.
 */
export function jumpConfig({ jump, target, key }) {
  const folder = tempDir('ssh-config');
  const file = (name, text) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const known = [['jump', jump], ['target', target]].filter(([, place]) => place)
    .map(([name, { hostKey }]) => `${name} ${ed25519Line(hostKey)}\n`);
  const place = (name, { host, port = 22, user }, more = '') => `
Host ${name}
  HostName ${host}
  Port ${port}
  User ${user}
  HostKeyAlias ${name}
${more}`;
  const [host, port] = jump?.endpoint.split(':') ?? [];
  return file('config', `${jump ? place('jump', { ...jump, host, port }) : ''}${place('target', target, jump ? '  ProxyJump jump' : '')}
Host *
  IdentityFile ${key.file}
  IdentitiesOnly yes
  UserKnownHostsFile ${file('known_hosts', known.join(''))}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  HostKeyAlgorithms ssh-ed25519
  BatchMode yes
  ConnectTimeout ${patient(30)}
`);
}

/**
 * Runs a command in a VM by way of its node's SSH port, as `ssh -J` does: code, stdout and stderr. `port` is the node's
 * access as the chain has it, and `hostKey` the guest's.
 */
export function sshByNode({ machine, port, id, key, hostKey, command, within = 60 * SECONDS }) {
  const config = jumpConfig({ jump: { ...port, user: id }, target: { host: 'vm', user: 'quarry', hostKey }, key });
  return run('ssh', ['-F', config, 'target', command], { name: 'ssh', enter: machine?.enter, within });
}
