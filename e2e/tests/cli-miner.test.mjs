// `quarry miner` against a development chain, with a real worker on libvirt's test driver.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { QRY } from '../lib/chain.mjs';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { occupyPort } from '../lib/port.mjs';
import { run } from '../lib/process.mjs';
import { cliProgram, quarry, quarryOnTerminal } from '../lib/quarry-cli.mjs';
import { workerProgram } from '../lib/quarry-worker.mjs';
import { isOnline, statesOf, testNode } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const UNBONDING = 4;
const NOTICE = 6;
/** What register offers where no rate is given, as view-compute shows it. */
const USUAL = { vcpu: '0.0006', memory_gib: '0.0003', disk_gib: '0.000006', address: '0.00015' };
const GIVES = ['--vcpus', '4', '--memory', '4G', '--disk', '50'];
/** 10 QRY, 5 for each vCPU, 2 for each GiB of memory, 0.1 for each GiB of disk. */
const BOND = '43';

const market = new GuestMarket();

describe('quarry miner', () => {
  const tenant = market.account('tenant');
  /** A node of another miner's, whose worker never comes. */
  const strangers = new GuestNode('strangers', { uri: 'none' });
  const miner = market.account('miner');
  const MINER = '//market/miner';
  let node;
  let worker;
  let folder;
  let enrolled;
  let nodeFile;
  let id;

  const at = (args) => ['miner', ...args, '--url', market.node.url];
  const signs = (uri) => ['--uri', uri, '--yes'];
  const succeeds = async (args, options) => {
    const { code, stdout, stderr } = await quarry(at(args), options);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const told = async (...args) => JSON.parse(await succeeds([...args, ...signs(MINER), '--json']));
  /** What it says of a failure, as programs read it. */
  const fails = async (args, { code, name = null, says, uri = MINER, options }) => {
    const { code: ended, stdout, stderr } = await quarry(at([...args, ...signs(uri), '--json']), options);
    assert.equal(ended, code, `${args.join(' ')}: ${stdout}${stderr}`);
    const { error } = JSON.parse(stderr.slice(stderr.indexOf('{\n')));
    assert.equal(error.name, name, error.message);
    assert.match(error.message, says);
  };
  const written = (name, change = {}) => {
    const file = join(folder, name);
    writeFileSync(file, typeof change === 'string' ? change : JSON.stringify({ ...enrolled, ...change }));
    return file;
  };
  const shown = async (name = node.id) => told('view-compute', '--node', name);
  const bondOf = async () => (await market.nodeRecord(node)).bond.toBigInt();

  before(async () => {
    folder = tempDir('miner');
    node = Object.assign(await testNode('alpha'), { miner });
    await market.open({ hosts: [strangers], params: { unbonding: UNBONDING, notice_period: NOTICE } });
    const config = { chain: { genesis: market.api.genesisHash.toHex() } };
    worker = await market.startWorker(node, { config });
    // Only one measures a disk at a time.
    await until('the disk is measured', async () => existsSync(join(worker.dataDir, 'disk-speed.json')), { within: 60 * SECONDS });
    const { code, stdout, stderr } = await enroll();
    assert.equal(code, 0, stderr);
    enrolled = JSON.parse(stdout);
    nodeFile = written('node.json');
  });

  after(async () => {
    await worker?.stop();
    await market.close();
    await endAll();
  });

  /** Its settings have no endpoint, so that the worker leaves the chain's alone. */
  function enroll(env = {}) {
    const args = ['enroll', '--config', worker.config, '--json', '--miner', miner.address];
    const ours = { QUARRY_WORKER__ACCESS__ENDPOINT: worker.access, ...env };
    return run(workerProgram(), args, { name: 'enroll', env: ours, within: 120 * SECONDS });
  }

  test('register refuses a file that is not what enroll writes', async () => {
    const register = (file, ...more) => ['register', '--from', file, '--no-check-access', ...more];
    const cases = [
      [written('a.json', 'no json'), /no JSON/],
      [written('b.json', { version: 2 }), /version 2/],
      [written('c.json', { version: undefined }), /no version/],
      [written('d.json', { capacity: undefined }), /no capacity/],
      [written('e.json', { capacity: { vcpus: 0, memory_mib: 1, disk_gib: 1 } }), /capacity/],
      [written('f.json', { access: { ...enrolled.access, endpoint: 'alpha' } }), /host:port/],
      [written('g.json', { worker: '0x00' }), /worker/],
      [written('h.json', { genesis: `0x${'07'.repeat(32)}` }), /genesis/],
      [written('i.json', { miner: strangers.miner.address }), /--miner/],
    ];
    for (const [file, says] of cases) await fails(register(file), { code: 2, says });
    await fails(register(join(folder, 'none.json')), { code: 3, says: /none\.json/ });
    await fails(register(written('j.json', { node_id: 'beta' })), { code: 4, name: 'Registry.InvalidWorkerProof', says: /enroll --miner/ });
    await fails(register(nodeFile), { code: 2, says: /--miner/, uri: '//Alice' });
    await fails(['register', '--from', nodeFile, nodeFile, '--no-check-access'], { code: 2, says: /another file names/ });
    await fails(register(nodeFile), { code: 2, says: /--country/ });
  });

  test('register refuses options that make no offer', async () => {
    for (const [option, value] of [
      ['--country', 'SWE'], ['--vcpu-rate', '-1'], ['--memory-rate', '0.0000000000001'], ['--disk-rate', '0.0000000001'],
      ['--address-rate', 'x'], ['--vcpus', '0'], ['--memory', '1.5G'], ['--disk', '0'], ['--max-vms', '0'], ['--global-ips=maybe'],
    ]) {
      const args = ['register', '--from', nodeFile, option, ...(value === undefined ? [] : [value])];
      const { code, stderr } = await quarry(at([...args, ...signs(MINER), '--json']));
      assert.equal(code, 2, args.join(' '));
      assert.equal(JSON.parse(stderr).error.kind, 'usage');
    }
    const all = ['register', '--from', nodeFile, '--country', 'SE', '--no-check-access'];
    await fails([...all, '--vcpus', '60000', '--vcpu-rate', '300000000000000000000000000'], { code: 4, name: 'Registry.RatesOverflow', says: /lower the rates/ });
    await fails([...all, '--vcpus', '60000'], { code: 4, name: 'Token.FundsUnavailable', says: /--vcpus/ });
    const { code, stderr } = await quarry(at([...all, ...GIVES, '--uri', MINER]));
    assert.equal(code, 2);
    assert.match(stderr, /add --yes/);
  });

  test('register asks the port, and takes nothing else for the node', async () => {
    const { port, release } = await occupyPort('127.0.0.1');
    const elsewhere = (endpoint, hostKey = enrolled.access.host_key) => (
      written('elsewhere.json', { access: { endpoint, host_key: hostKey } })
    );
    const args = (file) => ['register', '--from', file, '--country', 'SE', ...GIVES];
    await until('the port is open', async () => {
      const { stderr } = await quarry(at([...args(elsewhere(worker.access, `0x${'11'.repeat(32)}`)), ...signs(MINER)]));
      return /another key: ssh-ed25519/.test(stderr);
    }, { within: 30 * SECONDS });
    await fails(args(elsewhere(`127.0.0.1:${port}`)), { code: 2, says: /no Ed25519 key|nothing by SSH/ });
    await release();
  });

  test('register prints the call for those who sign elsewhere', async () => {
    const out = await succeeds(['register', '--from', nodeFile, '--country', 'SE', ...GIVES, '--print-call']);
    const call = market.api.registry.createType('Call', out.trim());
    assert.equal(`${call.section}.${call.method}`, 'registry.registerNode');
    const [name, offer, access, key, proof] = call.args;
    assert.equal(name.toUtf8(), node.id);
    assert.equal(offer.capacity.memoryMib.toNumber(), 4_096);
    assert.equal(access.hostKey.toHex(), enrolled.access.host_key);
    assert.equal(key.toString(), node.workerAccount.address);
    assert.deepEqual(proof.toJSON(), { sr25519: enrolled.worker_proof.Sr25519 });
  });

  test('register asks on a terminal, shows the host and the bond, and a no does nothing', async () => {
    const { code, shown: screen, stderr } = await quarryOnTerminal(
      at(['register', '--from', nodeFile, ...GIVES, '--uri', MINER]),
      [
        ['for a vCPU \\[0\\.0006\\]: ', 'much'], ['no amount of QRY[\\s\\S]*for a vCPU \\[0\\.0006\\]: ', '0.0012'],
        ['GiB of memory \\[0\\.0003\\]: ', ''], ['GiB of disk \\[0\\.000006\\]: ', ''], ['an address \\[0\\.00015\\]: ', ''],
        ['as SE: ', 'Sweden'], ['two letters[\\s\\S]*as SE: ', 'se'], ['\\[Y/n\\] ', 'n'],
      ],
    );
    assert.equal(code, 130, `${screen}\n${stderr}`);
    assert.match(screen, /CPU +\d+ cores, \S/);
    assert.match(screen, /disks .*reads \d+ MB\/s, writes \d+ MB\/s/);
    assert.match(screen, new RegExp(`SSH port +${worker.access}, .*answers with the node's key`));
    assert.match(screen, new RegExp(`Register alpha for a bond of ${BOND} QRY, as ${miner.address}`));
    assert.equal((await market.api.query.registry.nodes(node.id)).isNone, true);
  });

  test('register registers, and says what is next', async () => {
    const { miner: address, nodes: [registered], bond } = await told('register', '--from', nodeFile, '--country', 'SE', ...GIVES);
    assert.equal(address, miner.address);
    assert.equal(bond, BOND);
    assert.deepEqual(registered, {
      node: 'alpha', worker: node.workerAccount.address, endpoint: worker.access, ssh_port: { state: 'itself' },
      offer: { capacity: { vcpus: 4, memory_mib: 4_096, disk_gib: 50 }, rates: USUAL, country: 'SE', max_vms: 4, global_ips: false },
      bond: BOND, registered: true, error: null,
    });
    assert.equal(await bondOf(), BigInt(BOND) * QRY);
    const again = ['register', '--from', nodeFile, '--country', 'SE', ...GIVES];
    await fails(again, { code: 4, name: 'Registry.NodeAlreadyRegistered', says: /set-offer/ });
    await isOnline(market, node);
  });

  test('register takes several hosts, and says which failed', async () => {
    const host = async (name) => {
      const { code, stdout, stderr } = await enroll({
        QUARRY_WORKER__NODE_ID: name,
        QUARRY_WORKER__DATA_DIR: join(folder, name),
        QUARRY_WORKER__KEY__FILE: join(folder, `${name}.key`),
        QUARRY_WORKER__ACCESS__ENDPOINT: '127.0.0.1:1',
      });
      assert.equal(code, 0, stderr);
      const file = join(folder, `${name}.json`);
      writeFileSync(file, stdout);
      return file;
    };
    const files = [await host('beta'), await host('gamma')];
    const other = await enroll({ QUARRY_WORKER__NODE_ID: 'delta' });
    const taken = written('taken.json', JSON.parse(other.stdout));
    await fails(['register', '--from', taken, '--country', 'SE'], { code: 4, name: 'Registry.WorkerTaken', says: /works on alpha/ });
    const out = await quarry(at(['register', '--from', ...files, '--country', 'SE', ...GIVES, ...signs(MINER)]));
    assert.equal(out.code, 0, out.stderr);
    assert.match(out.stdout, /beta is registered; bond 43 QRY\ngamma is registered; bond 43 QRY/);
    assert.match(out.stdout, /systemctl enable --now quarry-worker/);
    assert.match(out.stderr, /127\.0\.0\.1:1 does not answer yet/);
  });

  test('view-compute shows the nodes, and one with all there is to say of it', async () => {
    const { miner: address, plan, nodes } = await told('view-compute');
    assert.equal(address, miner.address);
    assert.equal(plan, 'small');
    assert.deepEqual(nodes.map(({ node: name, status }) => [name, status]), [['alpha', 'online'], ['beta', 'offline'], ['gamma', 'offline']]);
    const [{ price, rates, bond, endpoint, free }] = nodes;
    // A vCPU, 2 GiB of memory and 20 GiB of disk.
    assert.deepEqual([price, rates, bond, endpoint, free], [
      { hour: '0.00132', month: '0.9504' }, USUAL, BOND, worker.access, { vcpus: 4, memory_mib: 4_096, disk_gib: 50 },
    ]);
    assert.equal(nodes[1].uptime_permille, null, 'its worker never came');
    const table = await succeeds(['view-compute', '--account', miner.address]);
    assert.match(table, /^NODE +IN +STATUS .* SMALL .*\nalpha +SE +online +0\/4 +0\/4 /m);
    const others = JSON.parse(await succeeds(['view-compute', '--account', strangers.miner.address, '--json']));
    assert.deepEqual(others.nodes.map(({ node: name }) => name), ['strangers']);
    const one = await until('the worker sent its metrics', async () => {
      const one = await shown();
      return one.metrics && one;
    }, { within: 60 * SECONDS });
    assert.equal(one.worker, node.workerAccount.address);
    assert.deepEqual(one.history.map(({ to, reason }) => [to, reason]), [['online', 'joined']]);
    assert.match(await succeeds(['view-compute', '--node', 'alpha']), /What its worker said last:[\s\S]*disks[\s\S]*BECAUSE\n.*its first report/);
    assert.match(await succeeds(['view-compute', '--uri', '//Nobody']), /has no nodes: `quarry miner register`/);
    await fails(['view-compute', '--node', 'none'], { code: 3, says: /no node none/ });
    await fails(['view-compute', '--account', 'nobody'], { code: 2, says: /no address/ });
  });

  test('set-offer changes what is given and nothing else', async () => {
    await fails(['set-offer', 'alpha'], { code: 2, says: /say what to change/ });
    await fails(['set-offer', 'alpha', '--vcpus', '4'], { code: 2, says: /exactly that already/ });
    await fails(['set-offer', 'none', '--vcpus', '4'], { code: 3, says: /no node none/ });
    await fails(['set-offer', 'alpha', '--vcpus', '5'], { code: 4, name: 'Registry.NotNodeOwner', says: /--key/, uri: '//Alice' });
    const change = await told('set-offer', 'alpha', '--vcpus', '6', '--vcpu-rate', '0.00048');
    assert.deepEqual([change.before.capacity.vcpus, change.after.capacity.vcpus, change.bond_before, change.bond], [4, 6, BOND, '53']);
    assert.equal(change.no_claims_for_seconds, null);
    assert.equal(await bondOf(), 53n * QRY);
    const { stdout, stderr } = await quarry(at(['set-offer', 'alpha', '--vcpu-rate', '0.0006', '--max-vms', '5', ...signs(MINER)]));
    assert.match(stderr, /most VMs +4 +5\n.*vCPU an hour +0\.00048 QRY +0\.0006 QRY/);
    assert.match(stderr, /A rate rises: for 1h the node claims no open requests/);
    assert.match(stdout, /alpha offers this/);
    const offer = (await shown()).rates;
    assert.deepEqual(offer, USUAL);
  });

  test('drain keeps new VMs away until undrain', async () => {
    assert.deepEqual(await told('drain', 'alpha'), { node: 'alpha', status: 'draining', accepting: false, vms: 0 });
    assert.equal((await market.nodeRecord(node)).minerAccepting.isTrue, false);
    assert.deepEqual(await told('drain', 'alpha', '--off'), { node: 'alpha', status: 'online', accepting: true, vms: 0 });
    assert.match(await succeeds(['drain', 'alpha', ...signs(MINER)]), /takes no new VMs/);
    assert.equal((await told('undrain', 'alpha')).accepting, true);
    await fails(['drain', 'strangers'], { code: 4, name: 'Registry.NotNodeOwner', says: /--key/ });
  });

  test('earnings tells what accrues and what was settled, and settle has it paid', async () => {
    id = await market.rent(tenant, { on: node });
    await market.untilStatus(id, 'Running');
    await fails(['set-offer', 'alpha', '--memory', '64M'], { code: 4, name: 'Registry.CapacityBelowReserved', says: /give no less/ });
    const { price, mark } = await market.lease(id);
    const share = (blocks) => {
      const due = price.toBigInt() * BigInt(blocks);
      return due - (due * 5n + 99n) / 100n;
    };
    const inPlancks = (text) => {
      const [whole, rest = ''] = text.split('.');
      return BigInt(whole) * QRY + BigInt(rest.padEnd(12, '0'));
    };
    const before = await until('rent accrues', async () => {
      const earnings = await told('earnings');
      return earnings.accruing !== '0' && earnings;
    }, { within: 90 * SECONDS });
    const [{ accruing, status, income }] = before.vms;
    assert.deepEqual([before.vms.length, before.vms[0].id, status, before.settled], [1, String(id), 'running', '0']);
    const one = share(1);
    const perBlock = inPlancks(income.hour) / 600n;
    assert.equal(perBlock, one);
    const blocks = Number(inPlancks(accruing) / one);
    assert.equal(inPlancks(accruing), share(blocks));
    assert.ok(blocks >= 1 && mark.isSome);

    const { vms: [paid], paid: sum } = await told('settle');
    assert.equal(paid.id, String(id));
    assert.equal(paid.paid, sum);
    assert.equal(inPlancks(sum), share(paid.seconds / 6));
    const after = await told('earnings', '--since', '1h', '--node', 'alpha');
    assert.equal(after.settled, sum);
    assert.equal(after.vms[0].settled, sum);
    assert.match(await succeeds(['earnings', '--uri', MINER]), /VM +NODE +STATUS +QRY\/HOUR +SETTLED +ACCRUING\n[\s\S]*settled +[\d.]+ QRY, in the last/);
    assert.equal((await told('settle', String(id))).vms.length, 1);
    await fails(['settle', '999'], { code: 3, says: /no VM 999/ });
    await fails(['earnings', '--node', 'strangers'], { code: 4, name: 'Registry.NotNodeOwner', says: /--key/ });
    await fails(['earnings', '--since', 'soon'], { code: 2, says: /24h/ });
    await fails(['claim-credit'], { code: 4, name: 'Compute.NoCredit', says: /none/ });
  });

  test('rotate-worker and set-access follow what the host says', async () => {
    const rotate = ['rotate-worker', 'alpha', '--from', nodeFile];
    await fails(rotate, { code: 2, says: /has this worker's key already/ });
    await fails(['rotate-worker', 'beta', '--from', nodeFile], { code: 2, says: /is of alpha, not beta/ });
    const { code, stderr } = await worker.run('key', 'generate', '--next');
    assert.equal(code, 0, stderr);
    enrolled = JSON.parse((await enroll()).stdout);
    const rotated = await told('rotate-worker', 'alpha', '--from', written('rotated.json'));
    assert.deepEqual(rotated, { node: 'alpha', worker_before: node.workerAccount.address, worker: enrolled.worker });
    await until('the worker signs with the key', async () => (await worker.status()).worker === enrolled.worker, { within: 60 * SECONDS });

    await fails(['set-access', 'alpha', '--from', written('same.json')], { code: 2, says: /exactly so already/ });
    await fails(['set-access', 'alpha', '--endpoint', 'alpha'], { code: 2, says: /host:port/ });
    await fails(['set-access', 'alpha'], { code: 2, says: /--from/ });
    const { port, release } = await occupyPort('127.0.0.1');
    await fails(['set-access', 'alpha', '--endpoint', `127.0.0.1:${port}`], { code: 2, says: /--no-check-access/ });
    await release();
    const { code: made, stderr: why } = await worker.run('key', 'generate', '--access', '--next');
    assert.equal(made, 0, why);
    enrolled = JSON.parse((await enroll()).stdout);
    const next = await told('set-access', 'alpha', '--from', written('next.json'));
    assert.equal(next.ssh_port.state, 'former_key');
    assert.equal((await market.nodeRecord(node)).access.hostKey.toHex(), enrolled.access.host_key);
    const named = worker.access.replace(/^.*:/, 'localhost:');
    const moved = await told('set-access', 'alpha', '--endpoint', named, '--no-check-access');
    assert.deepEqual([moved.endpoint, moved.ssh_port], [named, { state: 'not_asked' }]);
    const back = await until('the port shows its new key', async () => {
      const { code: ended, stdout } = await quarry(at(['set-access', 'alpha', '--endpoint', worker.access, ...signs(MINER), '--json']));
      return ended === 0 && JSON.parse(stdout);
    }, { within: 60 * SECONDS });
    assert.equal(back.ssh_port.state, 'itself');
    assert.equal((await market.nodeRecord(node)).access.endpoint.toUtf8(), worker.access);
  });

  describe('on the host', () => {
    /** Programs that are found; systemd, its journal and apt are not this machine's to start. */
    const path = (name, programs) => {
      const place = join(folder, name);
      mkdirSync(place);
      for (const [program, script] of Object.entries(programs)) {
        if (script === undefined) symlinkSync(workerProgram(), join(place, program));
        else writeFileSync(join(place, program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      }
      return { enter: ['/usr/bin/env', `PATH=${place}`] };
    };
    const here = (args, options) => quarry(at([...args, '--yes']), options);
    const asked = 'echo "asked: $*" >&2';
    let nothing;
    let withSystemd;
    let withoutSystemd;

    before(() => {
      nothing = path('nothing', {});
      withSystemd = path('systemd', {
        'quarry-worker': undefined,
        systemctl: `${asked}; case $1 in is-active) echo active;; show) echo ActiveState=active; echo MainPID=${worker.process.pid};; esac`,
        journalctl: 'echo "journal: $*"',
        'apt-get': asked,
      });
      withoutSystemd = path('no-systemd', {
        'quarry-worker': undefined,
        systemctl: 'echo "System has not been booted with systemd" >&2; exit 1',
        journalctl: 'exit 3',
      });
    });

    test('a program that is missing is named', async () => {
      for (const [program, ...args] of [
        ['systemctl', 'start'], ['systemctl', 'stop'], ['systemctl', 'status'], ['journalctl', 'logs'],
        ['systemctl', 'check-main'], ['apt-get', 'update'],
      ]) {
        const { code, stderr } = await here(args, nothing);
        assert.equal(code, 3, stderr);
        assert.match(stderr, new RegExp(`no ${program} in PATH`));
      }
    });

    test('start, stop, logs and update are for systemd, its journal and apt', async () => {
      const asks = async (args, line, result = /quarry-worker is active/) => {
        const { code, stdout, stderr } = await here(args, withSystemd);
        assert.equal(code, 0, stderr);
        assert.match(stderr + stdout, line);
        assert.match(stdout, result);
      };
      await asks(['start'], /^asked: start quarry-worker$/m);
      await asks(['start', '--at-boot'], /^asked: enable --now quarry-worker$/m);
      await asks(['stop'], /^asked: stop quarry-worker$/m);
      await asks(['logs', '--follow', '--lines', '7'], /^journal: --unit quarry-worker --lines 7 --no-pager --follow$/m, /journal/);
      await asks(['update'], /^asked: install --yes --only-upgrade quarry-worker$/m);
      const file = join(folder, 'quarry-worker_9.deb');
      writeFileSync(file, '');
      await asks(['update', '--package', file], new RegExp(`^asked: install --yes ${file}$`, 'm'));
      for (const args of [['start'], ['stop']]) {
        const { code, stderr } = await here(args, withoutSystemd);
        assert.equal(code, 1);
        assert.match(stderr, /System has not been booted with systemd/);
      }
      assert.equal((await here(['logs'], withoutSystemd)).code, 3);
      assert.equal((await here(['logs', '--lines', 'all'], withSystemd)).code, 2);
      assert.equal((await here(['update', '--package', nodeFile], withSystemd)).code, 2);
      assert.equal((await here(['update', '--package', join(folder, 'none.deb')], withSystemd)).code, 3);
      const unasked = await quarry(at(['stop']), withSystemd);
      assert.equal(unasked.code, 2);
      assert.match(unasked.stderr, /add --yes/);
    });

    test('update needs root', async () => {
      const program = join(folder, 'quarry');
      copyFileSync(cliProgram(), program);
      chmodSync(folder, 0o755);
      const { code, stderr } = await run(program, ['miner', 'update', '--yes'], {
        name: 'quarry update', env: { HOME: '/nonexistent' }, enter: ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'],
      });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /sudo quarry miner update/);
    });

    test('status passes on what the worker says of itself', async () => {
      const args = ['status', '--worker-config', worker.config];
      const { stdout } = await here([...args, '--json'], withSystemd);
      const { unit, state, worker: said, error } = JSON.parse(stdout);
      assert.deepEqual([unit, state, said.node_id, said.registered, error], ['quarry-worker', 'active', 'alpha', true, null]);
      const text = await here(args, withoutSystemd);
      assert.equal(text.code, 0, text.stderr);
      assert.match(text.stdout, /^unit +System has not been booted[\s\S]*^node +alpha, registered with this key/m);
      const none = await here(['status', '--worker-config', '/nonexistent.toml', '--json'], withSystemd);
      assert.equal(none.code, 1);
      assert.match(JSON.parse(none.stdout).error, /nonexistent/);
    });

    test('check-main looks at the process, its loop, its chain and its host', async () => {
      const checked = async (where, config = worker.config) => {
        const { code, stdout, stderr } = await here(['check-main', '--worker-config', config, '--json'], { ...where, within: 120 * SECONDS });
        const { ok, checks } = JSON.parse(stdout || assert.fail(stderr));
        assert.equal(code, ok ? 0 : 1);
        return Object.fromEntries(checks.map(({ check, verdict, found }) => [check, `${verdict}: ${found}`]));
      };
      const found = await checked(withSystemd);
      assert.equal(found.process, `ok: runs as process ${worker.process.pid}`);
      assert.equal(found['main loop'], 'ok: alive');
      assert.match(found.finalized, /^ok: block \d+, \d+s ago/);
      assert.equal(found['on chain'], 'ok: alpha is online');
      assert.match(found.config, /^ok: /);
      assert.match((await checked(withoutSystemd)).process, /^warning: System has not been booted/);
      worker.process.signal('SIGSTOP');
      try {
        assert.match((await checked(withSystemd))['main loop'], /^failure: .* does not answer/);
      } finally {
        worker.process.signal('SIGCONT');
      }
      const none = await checked(withSystemd, '/nonexistent.toml');
      assert.match(none['main loop'], /^failure: no worker runs/);
      assert.match(none.status, /^failure: .*nonexistent/);
    });
  });

  test('end-lease, deregister and withdraw-bond lead out of the market', async () => {
    await fails(['withdraw-bond', 'alpha'], { code: 4, name: 'Registry.NodeNotLeaving', says: /deregister/ });
    await fails(['deregister', 'alpha'], { code: 4, name: 'Registry.NodeInUse', says: new RegExp(`end-lease ${id}`) });
    await fails(['deregister', 'strangers'], { code: 4, name: 'Registry.NotNodeOwner', says: /--key/ });
    await fails(['end-lease', String(id)], { code: 4, name: 'Compute.InvalidSignature', says: /alpha/, uri: '//Alice' });
    await fails(['end-lease', '999'], { code: 3, says: /no VM 999/ });
    await fails(['end-lease', 'web'], { code: 2, says: /invalid/ });
    const ends = await told('end-lease', String(id));
    assert.deepEqual([ends.vms[0].id, ends.vms[0].node, ends.vms[0].error], [String(id), 'alpha', null]);
    assert.ok(ends.vms[0].ends_in_seconds <= NOTICE * 6);
    const { code } = await quarry(at(['end-lease', String(id), ...signs(MINER)]));
    assert.ok(code === 4 || code === 3, 'notice was given, or it is gone');
    await market.waitFor('ComputeRequestDeleted', id);
    await until('nothing is left on the host', async () => (await statesOf(node.libvirtd)).length === 0, { within: 120 * SECONDS });
    const [gone] = await until('it is gone by finalized blocks too', async () => {
      const { vms } = await told('earnings', '--since', '1h');
      return vms.every(({ status }) => status === null) && vms;
    }, { within: 60 * SECONDS });
    assert.equal(gone.id, String(id));

    const left = await told('deregister', 'alpha');
    assert.deepEqual(left, { node: 'alpha', bond: '53', bond_free_in_seconds: UNBONDING * 6 });
    await fails(['drain', 'alpha'], { code: 4, name: 'Registry.NodeLeaving', says: /deregistered/ });
    const { code: early, stderr } = await quarry(at(['withdraw-bond', 'alpha', ...signs(MINER)]));
    assert.ok(early === 0 || /free in/.test(stderr), stderr);
    if (early !== 0) {
      assert.equal((await shown()).status, 'leaving');
      await until('it is free by a finalized block', async () => (await shown()).bond_free_in_seconds === 0, { within: 120 * SECONDS });
      assert.deepEqual(await told('withdraw-bond', 'alpha'), { node: 'alpha', owner: miner.address, bond: '53' });
    }
    await fails(['withdraw-bond', 'alpha'], { code: 3, says: /no node alpha/ });
  });
});
