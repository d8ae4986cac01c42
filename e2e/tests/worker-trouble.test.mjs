// What goes wrong around a worker on its host, on libvirt's test driver.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GuestMarket } from '../lib/guest-market.mjs';
import { startTestLibvirtd } from '../lib/libvirtd.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';
import { workerProgram } from '../lib/quarry-worker.mjs';
import { stepsOf } from '../lib/steps.mjs';
import {
  beatsOn, foldersIn, hasDisk, isOnline, manifestIn, missing, statesOf, testNode, vmOf, vmsOf,
} from '../lib/test-nodes.mjs';
import { SECONDS, inTime, until } from '../lib/until.mjs';

const MIB = 1024 * 1024;
const OFFLINE_AFTER = 8;
const EVICT_AFTER = 1;
const CANNOT_BE = 78;
const UNAVAILABLE = 69;

const market = new GuestMarket();
const NAMES = ['download', 'twice', 'remount', 'gone', 'foreign', 'seen'];
const setUp = Object.fromEntries([...NAMES, 'heir', 'late'].map((name) => [name, { tenant: market.account(name) }]));

describe('a worker', { concurrency: true }, () => {
  const start = (node, options) => market.startWorker(node, options);

  before(async () => {
    const offers = { gone: { country: 'NO' }, heir: { country: 'NO' } };
    for (const [name, place] of Object.entries(setUp)) {
      place.node = await testNode(name, offers[name]);
      place.libvirtd = place.node.libvirtd;
    }
    const hosts = Object.values(setUp).map(({ node }) => node).filter(({ id }) => id !== 'late');
    setUp.late.node.miner = setUp.late.tenant;
    await market.open({ hosts, params: { evict_after: EVICT_AFTER } });
    for (const { node } of Object.values(setUp)) {
      // Where only the image's own pace should make it go on.
      const images = node.id === 'download' ? { stall: '600s' } : {};
      setUp[node.id].worker = await start(node, { config: { images } });
    }
    await isOnline(market, ...hosts);
  });

  after(async () => {
    await market.close();
    await endAll();
  });

  const ask = (tenant, id, call) => market.do(tenant, market.api.tx.compute[call](id));
  const launched = async ({ node, tenant }, wish) => {
    const id = await market.rent(tenant, { on: node, ...wish });
    await market.untilStatus(id, 'Running');
    return id;
  };
  /** Until it is final that its VMs were launched, a launch is what the chain wants of the worker. */
  const isFinal = (worker, count) => until(`${worker.name} knows of ${count} launches`, async () => {
    const { vms } = await worker.status();
    return vms.filter(({ desired }) => desired === 'running').length === count;
  }, { within: 60 * SECONDS });
  const isGone = (id) => until(`request ${id} is gone`, async () => (
    (await market.api.query.compute.requestOwner(id)).isNone
  ), { within: 180 * SECONDS });
  const happened = (event, id) => market.chronicle.all(`compute.${event}`, (data) => data.requestId.eq(id)).length;
  /** The chronicle reads each block's events a little after the block. */
  const happens = async (event, id, times) => {
    await until(`${event} ${times} times`, () => happened(event, id) >= times, { within: 60 * SECONDS });
    assert.equal(happened(event, id), times, event);
  };
  const ends = (worker) => inTime(`${worker.name} ends`, worker.process.ended, 180 * SECONDS);

  test('killed in the middle of a download goes on with it', async () => {
    const { node, tenant, libvirtd, worker } = setUp.download;
    const { name, path } = await market.addRandomImage('slow', 8 * MIB);
    market.images.fail(path, { stallAfter: 3 * MIB, times: 1 });
    const id = await market.rent(tenant, { on: node, image: name });
    await until('the download stands still', () => market.images.requestsOf(path)[0]?.sent >= 3 * MIB, { within: 120 * SECONDS });
    const partial = join(worker.dataDir, 'images/partial');
    const isKept = () => readdirSync(partial).some((file) => statSync(join(partial, file)).size > 0);
    await until('a part of it is on the disk', isKept, { within: 60 * SECONDS });
    assert.equal(market.images.requestsOf(path)[0].range, undefined);
    assert.deepEqual([await vmsOf(libvirtd), foldersIn(worker.dataDir)], [[], []]);
    await worker.kill9();
    worker.start();
    await market.untilStatus(id, 'Running');
    const [, resumed, ...more] = market.images.requestsOf(path);
    assert.deepEqual(more, []);
    const [, from] = /^bytes=(\d+)-/.exec(resumed.range);
    assert.ok(Number(from) > 0 && Number(from) <= 3 * MIB, `from ${from} on`);
    assert.equal(resumed.sent, 8 * MIB - Number(from));
    assert.deepEqual(await statesOf(libvirtd), ['running']);
    assert.equal(foldersIn(worker.dataDir).length, 1);
    await happens('ComputeRequestFulfilled', id, 1);
    assert.equal(worker.process.lines.filter((line) => /action="start"/.test(line)).length, 1);
  });

  test('is alone on its libvirt, in its data folder and with its key', async (t) => {
    const { node, tenant, libvirtd, worker: older } = setUp.twice;
    const step = stepsOf(t, () => older.process.tail(60));
    const other = await startTestLibvirtd();
    let id;
    let vm;

    const assertRefused = async (second, what) => {
      assert.deepEqual(await ends(second), { code: UNAVAILABLE, signal: null });
      const said = second.process.tail(100);
      assert.match(said, new RegExp(`another worker \\(process ${older.process.pid}\\) serves ${what}`), said);
    };

    await step('others for the same libvirt or in the same data folder are refused', async () => {
      id = await launched({ node, tenant });
      await isFinal(older, 1);
      vm = await vmOf(libvirtd, id);
      const inItsFolder = { data_dir: older.dataDir, hypervisor: { uri: other.uri } };
      await assertRefused(await start(node, { name: 'for-its-libvirt' }), 'test\\+unix:');
      await assertRefused(await start(node, { name: 'in-its-folder', config: inItsFolder }), 'this data_dir');
      await older.isReady();
      assert.deepEqual([await vmsOf(libvirtd), await vmsOf(other)], [[vm], []]);
    });

    await step('when a newer one signs with its key the older one stops by itself, and the newer goes on', async () => {
      const newer = await start(node, { name: 'newer', config: { hypervisor: { uri: other.uri } } });
      assert.deepEqual(await ends(older), { code: UNAVAILABLE, signal: null });
      assert.match(older.process.tail(), /another worker signs with this worker's key/);
      await beatsOn(market, node);
      const next = await launched({ node, tenant });
      assert.equal(newer.process.end, undefined);
      // The newer one has nothing of the older one's VM, and does not take that for a loss.
      assert.deepEqual([await market.status(id), await vmsOf(libvirtd)], ['Running', [vm]]);
      assert.deepEqual((await vmsOf(other)).map(({ name, state }) => [name.split('-')[1], state]), [[String(next), 'running']]);
    });
  });

  test('with a data folder that is new takes no VM for lost before it is told to', async (t) => {
    const { node, tenant, libvirtd, worker } = setUp.remount;
    const step = stepsOf(t, () => `${worker.process.tail(40)}\n${another?.process.tail(40)}`);
    let another;
    let id;
    const reboot = async () => {
      await (another ?? worker).stop();
      await worker.stop();
      await libvirtd.restart();
    };

    await step('without its disk, after a reboot, it says what to do', async () => {
      id = await launched({ node, tenant });
      await isFinal(worker, 1);
      await reboot();
      another = await start(node, { name: 'unmounted' });
      await another.waitForLine(/the data folder is new, and the chain has VMs that ran here: mount the disk .*--accept-loss/);
      await another.isReady();
      await beatsOn(market, node);
      await market.untilLive(await market.live() + 3);
      assert.equal(await market.status(id), 'Running');
      assert.equal(happened('ComputeRequestFailed', id), 0);
      assert.deepEqual(await statesOf(libvirtd), []);
      assert.ok(!existsSync(join(another.dataDir, 'state.json')), 'the next start would not know that it is new');
    });

    await step('with the disk again, the VM runs again', async () => {
      await another.stop();
      worker.start();
      await until('it runs', async () => (await statesOf(libvirtd))[0] === 'running', { within: 120 * SECONDS });
      assert.equal(await market.status(id), 'Running');
      assert.ok(hasDisk(worker.dataDir, (await vmOf(libvirtd, id)).name));
    });

    await step('told that it is lost, it reports that', async () => {
      await reboot();
      another = await start(node, { name: 'accepting', args: ['--accept-loss'] });
      await market.untilStatus(id, 'Failed');
      assert.match(JSON.stringify((await market.request(id)).lastFailure.toHuman()), /the VM's disk is gone/);
      await happens('ComputeRequestFailed', id, 1);
      assert.deepEqual(await statesOf(libvirtd), []);
      assert.deepEqual(foldersIn(another.dataDir), []);
    });
  });

  test('that comes back removes what its tenant took to another node', async (t) => {
    const { node, tenant, libvirtd, worker } = setUp.gone;
    const { libvirtd: heirs, worker: heir } = setUp.heir;
    const step = stepsOf(t, () => `${worker.process.tail(40)}\n${heir.process.tail(40)}`);
    let id;
    let name;

    await step('evacuated, the VM runs on the other node', async () => {
      id = await launched({ node, tenant }, { country: 'NO' });
      ({ name } = await vmOf(libvirtd, id));
      await worker.kill9();
      await until('it is gone for long enough', async () => {
        const seen = (await market.nodeRecord(node)).lastSeen.unwrap().toNumber();
        return await market.live() > seen + OFFLINE_AFTER + EVICT_AFTER;
      }, { within: 300 * SECONDS });
      await ask(tenant, id, 'evacuate');
      await market.untilStatus(id, 'Running');
      assert.equal((await vmOf(heirs, id)).state, 'running');
      assert.notEqual((await vmOf(heirs, id)).name, name);
      assert.equal((await vmOf(libvirtd, id)).state, 'running', 'nobody is there to stop it');
    });

    await step('the old host pulls the plug, and keeps the disk for as long as it is told', async () => {
      worker.start({ QUARRY_WORKER__OPERATIONS__ORPHAN_DISK_DELAY: '1day' });
      await until('it is off, and known to be an orphan', async () => (
        (await vmOf(libvirtd, id)).state === 'shut off' && manifestIn(worker.dataDir, name).orphan_since
      ), { within: 180 * SECONDS });
      await beatsOn(market, node);
      assert.ok(hasDisk(worker.dataDir, name));
    });

    await step('then the disk goes', async () => {
      await worker.restart({ QUARRY_WORKER__OPERATIONS__ORPHAN_DISK_DELAY: '1s' });
      await until('nothing is left', async () => (
        foldersIn(worker.dataDir).length === 0 && (await vmsOf(libvirtd)).length === 0
      ), { within: 120 * SECONDS });
      assert.equal(await market.status(id), 'Running');
      assert.equal((await vmOf(heirs, id)).state, 'running');
      assert.ok(hasDisk(heir.dataDir, (await vmOf(heirs, id)).name));
      await happens('ComputeRequestFulfilled', id, 2);
    });
  });

  test("touches no domain that is not its own, whatever it looks like", async () => {
    const { node, tenant, libvirtd, worker } = setUp.foreign;
    const folder = tempDir('foreign');
    const id = await launched({ node, tenant });
    const model = await libvirtd.virsh('dumpxml', '--inactive', (await vmOf(libvirtd, id)).name);
    const copies = {
      'by-hand': (xml) => xml.replace(/<metadata>.*<\/metadata>/s, ''),
      'of-another-chain': (xml) => xml.replace(/genesis=(['"])[0-9a-f]{2}/, 'genesis=$100'),
      'of-another-node': (xml) => xml.replace(/node=(['"])foreign/, 'node=$1other'),
      'under-another-id': (xml) => xml,
      'of-nobody': (xml) => xml.replace(/<quarry:vm [^>]*>/, '<quarry:vm xmlns:quarry="https://quarry.network/vm/1" odd="1"/>'),
    };
    for (const [name, change] of Object.entries(copies)) {
      const xml = change(model).replace(/<name>.*<\/name>/, `<name>${name}</name>`).replace(/<uuid>.*<\/uuid>/, '');
      assert.ok(name === 'under-another-id' || change(model) !== model, name);
      for (const [suffix, state] of [['', 'on'], ['-off', 'off']]) {
        const file = join(folder, `${name}${suffix}.xml`);
        writeFileSync(file, xml.replace(`<name>${name}`, `<name>${name}${suffix}`).replace(/<mac address=.*/, ''));
        await libvirtd.virsh('define', file);
        if (state === 'on') await libvirtd.virsh('start', `${name}${suffix}`);
      }
    }
    const foreign = async () => {
      const domains = (await libvirtd.domains()).filter((domain) => !domain.name.startsWith('quarry-'));
      return Promise.all(domains.map(async (domain) => ({ ...domain, xml: await libvirtd.virsh('dumpxml', domain.name) })));
    };
    const before = await foreign();
    assert.equal(before.filter(({ name, state }) => name in copies && state === 'running').length, 5);
    const second = await launched({ node, tenant });
    await ask(tenant, id, 'requestComputeDelete');
    await isGone(id);
    await worker.restart();
    await worker.isReady();
    await ask(tenant, second, 'requestComputeDelete');
    await isGone(second);
    assert.deepEqual(await vmsOf(libvirtd), []);
    assert.deepEqual(await foreign(), before);
    await until('no VM is shown', async () => (await worker.get('/v1/vms')) === '[]', { within: 30 * SECONDS });
  });

  test('with settings that cannot be tells all mistakes', async () => {
    const file = join(tempDir('mistakes'), 'worker.toml');
    writeFileSync(file, [
      'node_id = ""', 'colour = "red"', '[chain]', 'endpoints = ["http://127.0.0.1:9944"]', 'genesis = "0x12"',
      '[operations]', 'parallel = 0', 'shutdown_grace = "a while"', '[http]', 'listen = "0.0.0.0:9645"', '',
    ].join('\n'));
    const { code, stderr } = await run(workerProgram(), ['run', '--config', file], { name: 'mistakes' });
    assert.equal(code, CANNOT_BE, stderr);
    for (const [line, field] of [
      [1, 'node_id'], [2, 'colour'], [4, 'chain.endpoints'], [5, 'chain.genesis'],
      [7, 'operations.parallel'], [8, 'operations.shutdown_grace'], [10, 'http.listen'],
    ]) assert.ok(stderr.includes(`worker.toml:${line}: ${field}: `), `${field} is not in: ${stderr}`);
    assert.match(stderr, /the settings have 7 mistakes:/);
  });

  test('of a node that is not registered waits until it is', async (t) => {
    const { node, tenant, libvirtd, worker } = setUp.late;
    const step = stepsOf(t, () => worker.process.tail(40));

    await step('it says what is missing', async () => {
      const words = [`the chain has no node ${node.id} with this worker's key`];
      await until('only that is missing', async (seen) => {
        const found = await missing(worker);
        seen(found.join('; '));
        return found.join() === words.join();
      }, { within: 120 * SECONDS });
      await assert.rejects(worker.get('/readyz'), /503/);
    });

    await step('registered, it serves', async () => {
      await market.do(node.miner, node.registration(market.api));
      await worker.isReady({ within: 120 * SECONDS });
      await isOnline(market, node);
      await launched({ node, tenant });
      assert.deepEqual(await statesOf(libvirtd), ['running']);
    });

    await step('a key that others may read is refused', async () => {
      await worker.stop();
      const key = worker.config.replace(/toml$/, 'key');
      chmodSync(key, 0o644);
      const { code, stderr } = await worker.run('run');
      assert.equal(code, CANNOT_BE, stderr);
      assert.match(stderr, /has the mode 0644.*chmod 600/);
      chmodSync(key, 0o600);
    });

    await step('a chain node of another chain is not used', async () => {
      const genesis = `0x${'11'.repeat(32)}`;
      const stranger = await start(node, { name: 'stranger', config: { chain: { genesis } } });
      await stranger.waitForLine(/serves another chain/);
      assert.ok((await missing(stranger)).includes('no chain endpoint answers'));
      assert.deepEqual(await stranger.stop(), { code: 0, signal: null });
      assert.deepEqual(await statesOf(libvirtd), ['running']);
    });
  });

  test('shows what it does, and ends in good order', async (t) => {
    const { node, tenant, libvirtd, worker } = setUp.seen;
    const step = stepsOf(t, () => worker.process.tail(40));
    const FIGURES = [
      'cpu_seconds_total', 'memory_bytes', 'disk_read_bytes_total', 'disk_written_bytes_total',
      'disk_allocated_bytes', 'network_received_bytes_total', 'network_sent_bytes_total',
    ];
    const figuresOf = async (id) => {
      const text = await worker.get('/metrics');
      return FIGURES.filter((name) => new RegExp(`^quarry_worker_vm_${name}\\{vm="${id}"\\} [0-9.e+]+$`, 'm').test(text));
    };
    const has = async (line) => (await worker.get('/metrics')).split('\n').includes(line);
    let ids;

    await step('its VMs, over HTTP and as a command', async () => {
      ids = await market.rentAll(tenant, { on: node, name: 'one' }, { on: node, name: 'two' });
      await Promise.all(ids.map((id) => market.untilStatus(id, 'Running')));
      await isFinal(worker, 2);
      assert.equal(await worker.get('/livez'), 'alive\n');
      assert.deepEqual(await missing(worker), []);
      await until('both run', async () => has('quarry_worker_vms{state="running"} 2'), { within: 30 * SECONDS });
      const vms = JSON.parse(await worker.get('/v1/vms'));
      assert.deepEqual(
        vms.map(({ request_id: id, name, desired, observed }) => [id, name, desired, observed]),
        [[String(ids[0]), 'one', 'running', 'running'], [String(ids[1]), 'two', 'running', 'running']],
      );
      const { code, stdout } = await worker.run('status', '--json');
      assert.equal(code, 0);
      const status = JSON.parse(stdout);
      assert.deepEqual([status.node_id, status.registered, status.vms.length], [node.id, true, 2]);
      assert.equal(status.chain.genesis, market.api.genesisHash.toHex());
    });

    await step('their figures, and its own', async () => {
      for (const id of ids) {
        await until(`the figures of ${id}`, async (seen) => {
          const found = await figuresOf(id);
          seen(found);
          return found.length === FIGURES.length;
        }, { within: 60 * SECONDS });
      }
      const { host, protocol } = new URL(market.node.url);
      assert.ok(await has(`quarry_worker_chain_connected{endpoint="${protocol}//${host}"} 1`));
      for (const line of ['quarry_worker_accepting 1', 'quarry_worker_hypervisor_connected 1']) assert.ok(await has(line), line);
      for (const line of [
        'quarry_worker_reports_total{kind="report-launched",result="done"} 2',
        'quarry_worker_action_duration_seconds_count{action="start",result="done"} 2',
      ]) await until(line, () => has(line), { within: 60 * SECONDS });
    });

    await step('nothing more of one that was deleted', async () => {
      await ask(tenant, ids[0], 'requestComputeDelete');
      await isGone(ids[0]);
      await until('it is gone from all pages', async () => (
        (await figuresOf(ids[0])).length === 0 && (await has('quarry_worker_vms{state="running"} 1'))
        && JSON.parse(await worker.get('/v1/vms')).length === 1
      ), { within: 60 * SECONDS });
      assert.equal((await figuresOf(ids[1])).length, FIGURES.length);
    });

    await step('at its end and its next start the VM runs on', async () => {
      const before = await vmsOf(libvirtd);
      assert.deepEqual(before.map(({ state }) => state), ['running']);
      assert.deepEqual(await worker.stop(), { code: 0, signal: null });
      assert.deepEqual(await vmsOf(libvirtd), before);
      const { code, stderr } = await worker.run('status');
      assert.equal(code, 1);
      assert.match(stderr, /quarry-worker: /);
      worker.start();
      await worker.isReady();
      await beatsOn(market, node);
      assert.deepEqual(await vmsOf(libvirtd), before);
    });
  });
});
