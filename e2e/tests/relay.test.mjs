// A node that can only dial out, reached by way of a relay: each on a machine of its own, and the tenant on a third.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { endAll } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes, newSshKey, ssh } from '../lib/ssh.mjs';
import { LabMachine, SshRelay, sshByNode } from '../lib/ssh-relay.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('a node behind a relay', { timeout: patient(25 * 60 * SECONDS) }, behindRelay);
});

/** A new access key of a host: its file and its 32 public bytes. */
function accessKey(host, name) {
  const file = join(host.etc, name);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]);
  return { file, public: ed25519Bytes(readFileSync(`${file}.pub`, 'utf8')) };
}

async function behindRelay(t) {
  const lab = new Lab();
  const market = new GuestMarket();
  const machines = [];
  const machine = (name, address) => {
    machines.push(new LabMachine(name, address));
    return machines.at(-1);
  };
  let worker;
  let relay;
  const step = stepsOf(t, () => `${worker?.process.tail()}\n${relay?.process?.tail()}`);
  try {
    const host = await lab.startHost({ name: 'h1' });
    const home = machine('home', '10.44.0.201');
    const node = new GuestNode('alpha', { host });
    const ours = accessKey(host, 'access.key');
    node.access = { endpoint: 'nowhere.example:2222', hostKey: ours.public };
    const tenant = market.account('tenant');
    const key = newSshKey('tenant');
    let vm;
    const portOnChain = async () => {
      const { access } = await market.nodeRecord(node);
      return { endpoint: access.endpoint.toUtf8(), hostKey: access.hostKey.toU8a() };
    };
    const inGuest = async (command, { as = key } = {}) => (
      sshByNode({ machine: home, port: await portOnChain(), ...vm, key: as, command })
    );
    const getsIn = () => until('the tenant gets in', async (seen) => {
      const { code, stdout, stderr } = await inGuest('hostname');
      seen(stderr.trim());
      return code === 0 && stdout === 'web\n';
    }, { within: 300 * SECONDS, every: 1_000 });

    await step('nobody can dial the host', async () => {
      for (const chain of ['INPUT', 'FORWARD']) {
        await host.run('iptables', '--insert', chain, '--in-interface', 'uplink', '--match', 'conntrack', '--ctstate', 'NEW', '--jump', 'DROP');
      }
      await market.open({ hosts: [node], guests: ['debian'], address: LAB_ADDRESS });
    });

    await step('the node gets a port at the relay, and the chain is told so', async () => {
      relay = await new SshRelay({ machine: machine('relay', '10.44.0.200'), chain: market.node.url }).start();
      worker = await market.startWorker(node, {
        config: { access: { key: ours.file, relay: relay.endpoint, relay_key: relay.key } },
      });
      await worker.isReady();
      await until('the endpoint was moved', async (seen) => {
        const { endpoint } = await portOnChain();
        seen(endpoint);
        return endpoint === '10.44.0.200:20000';
      }, { within: 120 * SECONDS });
      const { code } = await run('timeout', ['3', 'bash', '-c', `exec 3<>/dev/tcp/${host.address}/2222`], { name: 'connect', enter: home.enter });
      assert.notEqual(code, 0, 'the host’s own port is out of reach');
    });

    await step('a tenant gets in by plain ssh, with the host keys of the chain', async () => {
      const id = await market.rent(tenant, { on: node, plan: 'debian', image: 'debian', keys: [key.publicKey] });
      await market.untilStatus(id, 'Running');
      vm = { id, hostKey: await market.hostKeyOf(node, id) };
      await getsIn();
    });

    await step('nobody else does, at the node’s port or at the relay’s', async () => {
      const stranger = await inGuest('true', { as: newSshKey('stranger') });
      assert.equal(stranger.code, 255);
      assert.match(stranger.stderr, /Permission denied/);
      const relayKey = ed25519Bytes(relay.key);
      const [address, port] = relay.endpoint.split(':');
      for (const user of [String(vm.id), 'alpha']) {
        const login = { address, port: Number(port), user, key, hostKey: relayKey, enter: home.enter, command: 'true' };
        const { code, stderr } = await ssh(login);
        assert.equal(code, 255);
        assert.match(stderr, /Permission denied \(publickey\)/);
      }
      await relay.process.waitForLine(/refused: not the access key of a node/);
    });

    await step('a relay that answers in the node’s place is not believed', async () => {
      const [, own] = relay.endpoint.split(':');
      const [, nodes] = (await portOnChain()).endpoint.split(':');
      const redirect = async (how) => {
        const rule = [how, 'PREROUTING', '--protocol', 'tcp', '--dport', nodes, '--jump', 'REDIRECT', '--to-ports', own];
        const { code, stderr } = await run('iptables', ['--table', 'nat', ...rule], { name: 'iptables', enter: relay.machine.enter });
        assert.equal(code, 0, stderr);
      };
      await redirect('--append');
      const { code, stderr } = await inGuest('true');
      assert.equal(code, 255);
      assert.match(stderr, /Host key verification failed/);
      await redirect('--delete');
      await getsIn();
    });

    await step('a worker with another relay’s key in its settings tells this one nothing', async () => {
      await worker.stop();
      const misled = await market.startWorker(node, {
        name: 'worker-wrong',
        config: { access: { key: ours.file, relay: relay.endpoint, relay_key: key.publicKey } },
      });
      await misled.waitForLine(/its host key is not the one of access.relay_key/);
      await misled.stop();
      worker.start();
      await getsIn();
    });

    await step('when the relay dies and is started again, the node has the same port', async () => {
      const before = await portOnChain();
      await relay.process.kill();
      assert.equal((await inGuest('true')).code, 255);
      await relay.start();
      await getsIn();
      assert.deepEqual(await portOnChain(), before);
    });

    await step('a node that was cut off comes back', async () => {
      host.cutChain();
      await relay.process.waitForLine(/node out/, { within: 120 * SECONDS });
      host.healChain();
      await getsIn();
    });
  } finally {
    await worker?.stop();
    await relay?.process?.stop();
    await market.close();
    for (const each of machines) each.close();
    await lab.close();
  }
}
