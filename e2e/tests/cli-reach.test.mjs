// Two people reach their VMs by `quarry`: one whose VM has an address of its own, one whose VM is on a node behind a relay.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CliUser } from '../lib/cli-user.mjs';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { Market, SSH_KEY } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { Process } from '../lib/process.mjs';
import { cliProgram } from '../lib/quarry-cli.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes } from '../lib/ssh.mjs';
import { LabMachine, SshRelay } from '../lib/ssh-relay.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('quarry reaches VMs', { timeout: patient(40 * 60 * SECONDS) }, reach);
  test('a history ends where the chain node has pruned, and says so', { timeout: patient(10 * 60 * SECONDS) }, pruned);
});

/** A new access key of a host: its file and its 32 public bytes. */
function accessKey(host) {
  const file = join(host.etc, 'access.key');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]);
  return { file, public: ed25519Bytes(readFileSync(`${file}.pub`, 'utf8')) };
}

function firstBytes(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 10 * SECONDS });
    socket.once('data', (data) => resolve(data.toString('latin1')));
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => reject(new Error(event)));
  });
}

async function reach(t) {
  const lab = new Lab();
  const market = new GuestMarket();
  const machines = [];
  const workers = [];
  let relay;
  const step = stepsOf(t, () => [...workers, relay].map((each) => each?.process?.tail()).join('\n'));
  try {
    const [h1, h2] = [await lab.startHost({ name: 'h1' }), await lab.startHost({ name: 'h2' })];
    const [alpha, beta] = [new GuestNode('alpha', { host: h1 }), new GuestNode('beta', { host: h2 })];
    const keys = { alpha: accessKey(h1), beta: accessKey(h2) };
    alpha.access = { endpoint: `${h1.address}:2222`, hostKey: keys.alpha.public };
    beta.access = { endpoint: 'nowhere.example:2222', hostKey: keys.beta.public };
    const accounts = { erin: market.account('erin'), frank: market.account('frank') };
    let erin;
    let frank;
    let web;
    let db;
    const refused = (answer, error) => {
      assert.equal(answer.code, 4, answer.stderr);
      assert.equal(JSON.parse(answer.stderr).error.name, error);
    };

    await step('a node with a port, and one behind a relay', async () => {
      for (const chain of ['INPUT', 'FORWARD']) {
        await h2.run('iptables', '--insert', chain, '--in-interface', 'uplink', '--match', 'conntrack', '--ctstate', 'NEW', '--jump', 'DROP');
      }
      await market.open({ hosts: [alpha, beta], guests: ['debian'], address: LAB_ADDRESS });
      machines.push(new LabMachine('relay', '10.44.0.200'));
      relay = await new SshRelay({ machine: machines[0], chain: market.node.url }).start();
      workers.push(await market.startWorker(alpha, { config: { access: { key: keys.alpha.file, listen: '[::]:2222' } } }));
      workers.push(await market.startWorker(beta, { config: { access: { key: keys.beta.file, relay: relay.endpoint, relay_key: relay.key } } }));
      await Promise.all(workers.map((worker) => worker.isReady()));
      await until('the relay’s port is on the chain', async () => (
        (await market.nodeRecord(beta)).access.endpoint.toUtf8().startsWith('10.44.0.200:')
      ), { within: 120 * SECONDS });
      const person = (name) => new CliUser(name, { url: market.node.url, uri: `//market/${name}` });
      [erin, frank] = [person('erin'), person('frank')];
    });

    await step('with no key at hand one is made for the VM, and with one it is taken', async () => {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'frank@home', '-f', join(frank.home, '.ssh/id_ed25519')]);
      const wish = (name, node, ...more) => ['rent', '--plan', 'debian', '--image', 'debian', '--name', name, '--node', node, '--yes', ...more];
      const rent = (person, ...args) => person.json(wish(...args), { within: 900 * SECONDS });
      for (const node of ['alpha', 'beta']) {
        await until(`${node} takes VMs`, async () => (await erin.quarry(wish('web', node, '--dry-run'))).code === 0, { within: 60 * SECONDS, every: 1_000 });
      }
      [web, db] = await Promise.all([rent(erin, 'web', 'alpha', '--ip', 'require'), rent(frank, 'db', 'beta')]);
      for (const { steps } of [web, db]) assert.equal(steps.at(-1).step, 'ready', JSON.stringify(steps));
      assert.match(web.ssh_key_file, new RegExp(`/data/quarry/ssh/[0-9a-f]{8}-${web.id}$`));
      assert.equal(statSync(web.ssh_key_file).mode & 0o777, 0o600);
      assert.equal(db.ssh_key_file, null);
      const [onChain] = (await market.vm(db.id)).ssh_keys;
      assert.equal(onChain.split(' ').length, 2, 'a comment stays at home');
    });

    await step('a VM with an address is reached by it, and by its node where that is wanted', async () => {
      writeFileSync(join(erin.home, '.ssh/config'), 'Nonsense yes\nHost *\n  ProxyJump nowhere.example\n');
      const command = ['--', 'echo', '$SSH_CONNECTION;', 'hostname;', 'sudo', 'id', '-u'];
      const direct = await erin.quarry(['ssh', 'web', ...command]);
      assert.equal(direct.code, 0, direct.stderr);
      assert.equal(direct.stderr, '', 'nothing is asked or said');
      const [connection, ...rest] = direct.stdout.trimEnd().split('\n');
      assert.ok(connection.startsWith(`${LAB_ADDRESS} `), connection);
      assert.deepEqual(rest, ['web', '0']);
      const jumped = await erin.quarry(['ssh', web.id, '--jump', ...command]);
      assert.equal(jumped.code, 0, jumped.stderr);
      assert.ok(!jumped.stdout.startsWith(`${LAB_ADDRESS} `), jumped.stdout);
    });

    await step('one without is reached by way of its node, and that by way of a relay', async () => {
      const { code, stdout, stderr } = await frank.quarry(['ssh', 'db', 'hostname']);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, 'db\n');
    });

    await step('a command’s own exit code is ours, and nothing is left behind', async () => {
      assert.equal((await erin.quarry(['ssh', 'web', 'exit', '7'])).code, 7);
      assert.match((await erin.quarry(['ssh', 'web', '--', '-v'])).stderr, /^bash: /, 'what begins with a dash is no option of ssh');
      assert.deepEqual([...erin.litter(), ...frank.litter()], []);
      assert.deepEqual(readdirSync(join(erin.home, '.ssh')), ['config']);
      assert.equal(existsSync(join(frank.home, '.ssh/known_hosts')), false);
    });

    await step('a signal ends ssh, and leaves nothing either', async () => {
      for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
        const open = erin.open(['ssh', 'web', '--', 'echo there; sleep 300']);
        await open.waitForLine(/^there$/);
        assert.equal(erin.litter().length, 1);
        assert.equal(statSync(join(erin.temporary, erin.litter()[0])).mode & 0o777, 0o700);
        open.signal(signal);
        const { code } = await open.ended;
        assert.notEqual(code, 0);
        assert.deepEqual(erin.litter(), [], signal);
      }
    });

    await step('files go there and come back', async () => {
      for (const [person, vm] of [[erin, web.id], [frank, 'db']]) {
        const content = randomBytes(1_000_000);
        const here = join(person.home, 'a file');
        writeFileSync(here, content);
        for (const args of [[here, `${vm}:/tmp/there`], ['-p', `quarry@${vm}:/tmp/there`, join(person.home, 'back')]]) {
          const { code, stderr } = await person.quarry(['scp', ...args]);
          assert.equal(code, 0, stderr);
        }
        assert.ok(readFileSync(join(person.home, 'back')).equals(content));
      }
      assert.equal((await erin.quarry(['scp', 'a', 'b'])).code, 2);
    });

    await step('a local port leads into the guest', async () => {
      const open = erin.open(['ssh', 'web', '-L', '127.0.0.1:2299:localhost:22', '--', 'echo there; sleep 300']);
      await open.waitForLine(/^there$/);
      assert.match(await until('it greets', () => firstBytes(2299), { within: 60 * SECONDS }), /^SSH-2\.0-/);
      await open.stop();
    });

    await step('who has no key of the VM is told so, and another’s key is refused', async () => {
      const without = await frank.quarry(['ssh', web.id, 'true']);
      assert.equal(without.code, 3);
      assert.match(without.stderr, /none of your SSH keys lets in to VM/);
      for (const command of [['ssh', web.id], ['ssh', web.id, '--jump'], ['stats', web.id]]) {
        const { code, stderr } = await frank.quarry([...command, '--identity', join(frank.home, '.ssh/id_ed25519')]);
        assert.equal(code, 255, stderr);
        assert.match(stderr, /Permission denied/);
      }
    });

    await step('the console is a terminal, whose modes are as before afterwards', async () => {
      const modes = ['before', 'after'].map((name) => join(erin.home, name));
      const { stdout } = await erin.onTerminal(
        `stty -a >${modes[0]}; quarry console web; echo "ended $?"; stty -a >${modes[1]}`,
        [['login:', '\r~.', '\r']],
      );
      assert.match(stdout, /login:/);
      assert.match(stdout, /ended 255/);
      assert.equal(readFileSync(modes[1], 'utf8'), readFileSync(modes[0], 'utf8'));
      assert.deepEqual(erin.litter(), []);
    });

    await step('ssh that stops itself gives the shell back, and goes on', async () => {
      const { stdout } = await erin.onTerminal('PS1="here: " exec bash --norc -i', [
        ['here: ', `${erin.line('ssh', 'web').join(' ')}\r`],
        ['web:~\\$ ', 'echo $((40+2))\r'],
        ['[\r\n]42\r\n(?s:.*)web:~\\$ ', '\r~\x1a'],
        ['Stopped(?s:.*)here: ', 'fg\r'],
        ['ssh web', 'echo $((50+5))\r'],
        ['[\r\n]55\r\n(?s:.*)web:~\\$ ', 'exit\r'],
        ['here: ', 'exit\r'],
      ]);
      assert.match(stdout, /^42\r?$/m);
      assert.match(stdout, /Stopped/);
      assert.match(stdout, /^55\r?$/m);
    });

    await step('stats are for people and for programs', async () => {
      const stats = await erin.json(['stats', 'web']);
      assert.equal(stats.state, 'running');
      assert.equal(stats.vcpus, 2);
      assert.match((await frank.quarry(['stats', 'db'])).stdout, /CPU time +\d/);
      const follow = erin.open(['stats', 'web', '--json', '--follow']);
      await until('there are two lines', () => follow.lines.length >= 2, { within: 30 * SECONDS });
      for (const line of follow.lines) assert.equal(JSON.parse(line).state, 'running');
      await follow.stop();
    });

    await step('logs have what happened on the chain, and then the serial console', async () => {
      const { code, stdout, stderr } = await erin.quarry(['logs', 'web']);
      assert.equal(code, 0, stderr);
      const order = [/VM \d+ \(web\): running, asked for about/, /asked for$/m, /given to alpha/, /alpha launches it/, /it runs/, /On its serial console:/, /login:/];
      const places = order.map((pattern) => stdout.search(pattern));
      assert.ok(places.every((place) => place >= 0), `${places}: ${stdout.slice(0, 3_000)}`);
      assert.deepEqual(places, places.toSorted((a, b) => a - b), stdout.slice(0, 3_000));
      const logs = await erin.json(['logs', 'web', '--lines', '2']);
      assert.equal(logs.history.complete, true);
      assert.equal(logs.history.events[0].event, 'ComputeRequestCreated');
      assert.match(logs.history.events[0].about, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.ok(logs.serial.length <= 2 && logs.serial_error === null, JSON.stringify(logs.serial));
      const lately = await erin.json(['logs', 'web', '--chain-only', '--since', '12s']);
      assert.ok(lately.history.to_block - lately.history.from_block <= 2 && !lately.history.complete);
      assert.equal(lately.serial, null);
      const serial = await erin.quarry(['logs', 'web', '--serial-only', '--lines', '5']);
      assert.ok(serial.stdout.split('\n').length <= 7 && !/asked for/.test(serial.stdout), serial.stdout);
    });

    await step('the screen is at a local port until Ctrl-C', async () => {
      for (const args of [['web'], ['web', '--port', '5931']]) {
        const screen = erin.open(['vnc', ...args]);
        const [, port] = await screen.waitForLine(/^vnc:\/\/127\.0\.0\.1:(\d+)$/);
        assert.match(await until('it greets', () => firstBytes(Number(port)), { within: 60 * SECONDS }), /^RFB 003\./);
        const again = await erin.quarry(['vnc', 'web', '--port', port]);
        assert.equal(again.code, 2, 'the port is taken');
        screen.signal('SIGINT');
        assert.equal((await screen.ended).code, 0);
        if (args.length > 1) assert.equal(port, '5931');
      }
      assert.deepEqual(erin.litter(), []);
    });

    await step('plain ssh and scp take what ssh-config prints', async () => {
      for (const [person, names] of [[erin, [`quarry-${web.id}`, 'quarry-web']], [frank, ['quarry-db']]]) {
        const file = join(person.home, 'quarry.conf');
        const { code, stdout, stderr } = await person.quarry(['ssh-config']);
        assert.equal(code, 0, stderr);
        writeFileSync(file, stdout);
        for (const name of names) {
          const answer = await person.run('ssh', ['-F', file, '-o', 'BatchMode=yes', name, 'hostname']);
          assert.equal(answer.code, 0, answer.stderr);
          assert.equal(answer.stdout, `${name.includes('db') ? 'db' : 'web'}\n`);
        }
        const copied = await person.run('scp', ['-F', file, '-o', 'BatchMode=yes', file, `${names.at(-1)}:/tmp/config`]);
        assert.equal(copied.code, 0, copied.stderr);
      }
      const { hosts, known_hosts: known } = await frank.json(['ssh-config', db.id]);
      assert.deepEqual(hosts.map(({ id, names, through }) => ({ id, names, through })), [
        { id: db.id, names: [`quarry-${db.id}`, 'quarry-db'], through: `quarry-${db.id}-node` },
      ]);
      assert.equal(readFileSync(known, 'utf8').trim().split('\n').length, 2, 'each key is there once');
    });

    await step('a colleague’s key is added, works from an agent alone, and is taken away', async () => {
      const agent = new Process('ssh-agent', ['-D', '-a', join(frank.home, 'agent')], { name: 'agent', env: frank.env });
      const env = { SSH_AUTH_SOCK: join(frank.home, 'agent') };
      const key = join(frank.home, 'colleague');
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'frank@work', '-f', key]);
      await until('the agent has the key', async () => (await frank.run('ssh-add', [key], { env: { ...frank.env, ...env } })).code === 0, { within: 30 * SECONDS });
      const added = await erin.json(['set-keys', 'web', '--add', `${key}.pub`]);
      assert.equal(added.ssh_keys.length, 2);
      assert.ok(!JSON.stringify(added).includes('frank@work'));
      await until('frank gets in by his agent', async (seen) => {
        const { code, stdout, stderr } = await frank.quarry(['ssh', web.id, 'hostname'], { env });
        seen(stderr);
        return code === 0 && stdout === 'web\n';
      }, { within: 90 * SECONDS, every: 1_000 });
      assert.deepEqual(frank.litter(), []);
      chmodSync(key, 0o600);
      const removed = await erin.json(['set-keys', 'web', '--remove', `${key}.pub`]);
      assert.deepEqual(removed.ssh_keys, added.ssh_keys.slice(0, 1));
      await until('he does not any more', async () => (await frank.quarry(['stats', web.id, '--identity', key])).code === 255, { within: 30 * SECONDS });
      assert.equal((await erin.quarry(['set-keys', 'web', '--remove', web.ssh_key_file])).code, 2, 'a private key is no public one');
      await agent.stop();
    });

    await step('a machine with another host key is refused', async () => {
      const { access } = await market.nodeRecord(alpha);
      const vmPort = `${await market.addressOf(web.id)}:22`;
      await market.do(alpha.miner, market.api.tx.registry.setAccess(alpha.id, { endpoint: vmPort, hostKey: access.hostKey }));
      const isRefused = (...command) => until(`quarry ${command[0]} refuses the key`, async (seen) => {
        const { code, stderr } = await erin.quarry(command);
        seen(`${code}: ${stderr}`);
        return code === 255 && /Host key verification failed/.test(stderr);
      }, { within: 60 * SECONDS, every: 1_000 });
      await isRefused('stats', 'web');
      await market.do(alpha.miner, market.api.tx.registry.setAccess(alpha.id, access));
      await erin.quarry(['ssh', 'web', 'cd /etc/ssh; sudo rm ssh_host_*; sudo ssh-keygen -A; sudo systemctl restart ssh']);
      await isRefused('ssh', 'web', 'true');
    });

    await step('what cannot answer is named before ssh is started', async () => {
      await market.do(accounts.erin, market.api.tx.compute.requestComputeStop(web.id));
      await until('it is stopped by a finalized block', async () => (await erin.json(['show', 'web'])).status === 'stopped', { within: 120 * SECONDS });
      for (const command of ['ssh', 'console', 'vnc']) refused(await erin.quarry([command, 'web', '--json']), 'Compute.NotRunning');
      assert.equal((await erin.json(['stats', 'web'])).state, 'off');
      const waiting = await market.rent(accounts.erin, { name: 'waiting', plan: 'debian', image: 'debian', country: 'NO' });
      await until('the request is in a finalized block', async () => (await erin.quarry(['show', 'waiting'])).code === 0, { within: 60 * SECONDS });
      refused(await erin.quarry(['ssh', 'waiting', '--json']), 'Compute.NotAssigned');
      const logs = await erin.quarry(['logs', String(waiting)]);
      assert.equal(logs.code, 0, logs.stderr);
      assert.match(logs.stdout, /pending/);
      assert.match(logs.stderr, /its serial console cannot be read/);
      assert.equal((await erin.quarry(['ssh', '999', 'true'])).code, 3);
    });

    await step('without ssh on the machine it says what to install', async () => {
      const { code, stderr } = await frank.run('env', ['PATH=/nowhere', ...frank.line('ssh', 'db', 'true')]);
      assert.equal(code, 1);
      assert.match(stderr, /install OpenSSH/);
      assert.deepEqual(frank.litter(), []);
      assert.ok(cliProgram().startsWith('/'));
    });
  } finally {
    for (const worker of workers) await worker.stop();
    await relay?.process?.stop();
    await market.close();
    for (const machine of machines) machine.close();
    await lab.close();
  }
}

async function pruned() {
  const market = new Market();
  try {
    const tenant = market.account('gina');
    await market.open({ hosts: [], args: ['--state-pruning', '8'] });
    const gina = new CliUser('gina', { url: market.node.url, uri: '//market/gina' });
    const { block, id } = await market.create(tenant, { country: 'NO' });
    const asked = block.number ?? (await market.api.rpc.chain.getHeader(block.hash)).number.toNumber();
    await market.node.produced(asked + 14);
    await market.do(tenant, market.api.tx.compute.setSshKeys(id, [SSH_KEY]));
    const logs = await until('the change of keys is in the history', async (seen) => {
      const answer = await gina.json(['logs', String(id), '--chain-only']);
      seen(JSON.stringify(answer));
      return answer.history.events.length > 0 && answer;
    }, { within: 60 * SECONDS, every: 1_000 });
    assert.deepEqual(logs.history.events.map(({ event }) => event), ['SshKeysSet']);
    assert.ok(logs.history.pruned && !logs.history.complete && logs.history.from_block > asked, JSON.stringify(logs.history));
    assert.match((await gina.quarry(['logs', String(id), '--chain-only'])).stdout, /from block \d+ on: the chain node keeps no older state/);
  } finally {
    await market.close();
  }
}
