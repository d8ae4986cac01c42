// A tenant reaches a Debian guest that has no address of its own by the SSH port of its node.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AccessPort, accessKeyOf } from '../lib/access.mjs';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes, newSshKey } from '../lib/ssh.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('a tenant reaches a guest by the port of its node', { timeout: patient(20 * 60 * SECONDS) }, life);
});

async function life(t) {
  const lab = new Lab();
  const market = new GuestMarket();
  let worker;
  const step = stepsOf(t, () => `${worker?.process.tail()}\n${lab.hosts[0]?.libvirtd?.tail()}`);
  try {
    const host = await lab.startHost({ name: 'h1' });
    const node = new GuestNode('alpha', { host });
    const tenant = market.account('tenant');
    const [key, other, next] = ['tenant', 'other', 'next'].map(newSshKey);
    let id;
    let port;

    await step('the port makes its key, which the miner puts on the chain', async () => {
      await market.open({ hosts: [node], guests: ['debian'], address: LAB_ADDRESS });
      worker = await market.startWorker(node);
      await worker.isReady();
      const line = execFileSync('ssh-keygen', ['-y', '-f', join(worker.dataDir, 'access.key')], { encoding: 'utf8' });
      const access = { endpoint: `${host.address}:2222`, hostKey: ed25519Bytes(line) };
      await market.do(node.miner, market.api.tx.registry.setAccess(node.id, access));
    });

    await step('ssh -J lets the tenant in, with no host key but those on the chain', async () => {
      id = await market.rent(tenant, { on: node, plan: 'debian', image: 'debian', keys: [key.publicKey] });
      await market.untilStatus(id, 'Running');
      const hostKey = await accessKeyOf(market.api, node.id);
      port = new AccessPort({ address: host.address, hostKey, guestKey: await market.hostKeyOf(node, id) });
      const { stdout } = await until('ssh -J gets in', async (seen) => {
        // Before it is through, cloud-init starts sshd once more, and writes on the console.
        const answer = await port.inGuest(id, key, 'cloud-init status --wait >/dev/null; hostname; sudo id -u', { within: 180 * SECONDS });
        seen(answer.stderr);
        return answer.code === 0 && answer;
      }, { within: 300 * SECONDS, every: 2_000 });
      assert.equal(stdout, 'web\n0\n');
    });

    await step('a file goes in and comes back', async () => {
      const folder = tempDir('files');
      const [there, back] = ['there', 'back'].map((name) => join(folder, name));
      const content = randomBytes(3_000_000);
      writeFileSync(there, content);
      for (const [from, to] of [[there, 'vm:/tmp/file'], ['vm:/tmp/file', back]]) {
        const { code, stderr } = await port.copy(id, key, from, to);
        assert.equal(code, 0, stderr);
      }
      assert.ok(readFileSync(back).equals(content));
    });

    await step('another key, another user and another VM get one and the same answer', async () => {
      const answers = [];
      for (const [user, with_] of [[id, other], ['root', key], [`${Number(id) + 1}`, key], [`0${id}`, key]]) {
        const { code, stdout, stderr } = await port.session(user, with_, 'stats');
        assert.equal(code, 255);
        assert.equal(stdout, '');
        answers.push(stderr.replace(`${user}@`, ''));
      }
      assert.match(answers[0], /Permission denied \(publickey\)/);
      assert.equal(new Set(answers).size, 1, answers.join(''));
    });

    await step('the console shows the guest’s login and takes what is typed', async () => {
      const console_ = port.open(id, key, 'console', { input: '\r' });
      await until('the guest asks who logs in', () => /login:/.test(console_.stdout), { within: 60 * SECONDS });
      await console_.kill();
    });

    await step('log has what the guest wrote when it booted, and stats what it uses', async () => {
      const log = await port.session(id, key, 'log --no-follow');
      assert.equal(log.code, 0, log.stderr);
      assert.match(log.stdout, /login:/);
      const last = await port.session(id, key, 'log --no-follow --lines 2');
      assert.ok(log.stdout.endsWith(last.stdout) && last.stdout.split('\n').length <= 3, last.stdout);
      const stats = JSON.parse((await port.session(id, key, 'stats --json')).stdout);
      assert.equal(stats.state, 'running');
      assert.equal(stats.vcpus, 2);
      assert.ok(stats.cpu_seconds > 1 && stats.memory_used_bytes > 0 && stats.network_received_bytes > 0, JSON.stringify(stats));
      assert.match((await port.session(id, key, 'stats')).stdout, /CPU time +\d/);
    });

    await step('its screen greets through a forwarded port', async () => {
      assert.match(await port.greeting(id, key, 5900), /^RFB 003\./);
    });

    await step('other ports and hosts, sftp and other commands are refused', async () => {
      for (const target of ['vm:80', 'localhost:9645', `${LAB_ADDRESS}:22`, '127.0.0.1:2222']) {
        const { code, stderr } = await port.session(id, key, '', { options: ['-W', target] });
        assert.notEqual(code, 0);
        assert.match(stderr, /administratively prohibited/, target);
      }
      const { code, stderr } = await port.session(id, key, 'sh -c id');
      assert.equal(code, 2);
      assert.match(stderr, /^Usage: /);
    });

    await step('a key that leaves the chain ends its session, and leaves the guest too', async () => {
      await port.inGuest(id, key, `echo '${other.publicKey}' >> .ssh/authorized_keys`);
      const open = port.open(id, key, 'stats --json --follow');
      await open.waitForLine(/running/);
      await market.do(tenant, market.api.tx.compute.setSshKeys(id, [next.publicKey]));
      assert.equal((await open.ended).code, 255);
      assert.match(open.stderr, /no longer lets in/);
      await until('the new key gets in, and the former is gone', async (seen) => {
        const answer = await port.inGuest(id, next, 'cat .ssh/authorized_keys');
        seen(answer.stderr + answer.stdout);
        return answer.code === 0 && !answer.stdout.includes(key.publicKey);
      }, { within: 60 * SECONDS, every: 1_000 });
      await port.inGuest(id, next, "echo '# by hand' >> .ssh/authorized_keys");
      const { stdout } = await port.inGuest(id, next, 'cat .ssh/authorized_keys');
      const lines = stdout.split('\n');
      assert.ok(lines.includes(next.publicKey), stdout);
      assert.ok(lines.includes(other.publicKey), `what the tenant added by hand stays: ${stdout}`);
      assert.ok(lines.includes('# by hand'), `what the tenant adds now has its own line: ${stdout}`);
      assert.match((await port.session(id, key, 'stats')).stderr, /Permission denied/);
    });

    await step('what happened is counted, and told in one line each', async () => {
      const metrics = await worker.get('/metrics');
      const figure = (name) => Number(new RegExp(`^quarry_worker_access_${name} (\\d+)`, 'm').exec(metrics)?.[1]);
      assert.ok(figure('logins_total') > 5, metrics);
      assert.ok(figure('received_bytes_total') > 3_000_000);
      assert.ok(figure('refused_total\\{reason="key"\\}') >= 4 && figure('refused_total\\{reason="channel"\\}') >= 4);
      const ended = worker.process.lines.filter((line) => line.includes('access: a session ended'));
      assert.ok(ended.some((line) => /user="?\d+/.test(line) && /ssh:1/.test(line) && /SHA256:/.test(line)), ended.join('\n'));
    });

    await step('with the VM’s deletion it is over', async () => {
      const open = port.open(id, next, 'stats --json --follow');
      await open.waitForLine(/running/);
      await market.do(tenant, market.api.tx.compute.requestComputeDelete(id));
      assert.equal((await open.ended).code, 255);
      assert.match((await port.session(id, next, 'stats')).stderr, /Permission denied/);
    });
  } finally {
    await worker?.stop();
    await market.close();
    await lab.close();
  }
}
