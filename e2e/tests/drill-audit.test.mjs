// The drills' audit (drills/audit.mjs): it says nothing of a market that is in order, and names what is not.
import assert from 'node:assert/strict';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { audit, auditOnTheWay, auditOnce, differencesIn, readAll } from '../drills/audit.mjs';
import { Stage } from '../drills/stage.mjs';
import { planId } from '../lib/market.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { manifestIn } from '../lib/test-nodes.mjs';
import { SECONDS, patient } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('the audit', { timeout: patient(15 * 60 * SECONDS) }, audits);
});

async function audits(t) {
  const stage = await Stage.open({ hosts: [{ driver: 'test' }], tenants: 2, say: (text) => t.diagnostic(text) });
  const [host] = stage.hosts;
  const [ada, ben] = stage.tenants;
  const step = stepsOf(t, () => stage.describe());
  let ids;
  let sound;

  try {
    await step('finds nothing in a market that is in order', async () => {
      const wish = { on: host, ip: 'Prefer' };
      const [first, second, third, fourth] = await Promise.all([stage.rent(ada, wish), stage.rent(ben, wish), stage.rent(ada, wish), stage.rent(ben, {})]);
      ids = { first, second, third, fourth };
      await stage.isQuiet();
      await Promise.all([
        stage.ask(ada, first, 'Reboot'), stage.ask(ben, second, 'Stop'), stage.ask(ada, third, 'Delete'),
        stage.ask(ben, fourth, 'Resize', planId('tiny-grown')),
      ]);
      await stage.isQuiet();
      assert.deepEqual(await audit(stage, { within: 30 * SECONDS }), []);
    });

    await step('names what was wrong on the way, and nothing else there', async () => {
      assert.deepEqual(await auditOnTheWay(stage), []);
      const { query, tx } = stage.market.api;
      const { length: before } = stage.history.all('sudo.Sudid');
      const [deadline] = await query.compute.deadlines.keys();
      await stage.asAdmin(tx.system.killStorage([deadline.toHex()]));
      await stage.asAdmin(tx.system.setStorage([[deadline.toHex(), '0x']]));
      await stage.isQuiet();
      await stage.history.waitFor('sudo.Sudid', () => stage.history.all('sudo.Sudid').length >= before + 2);
      const { block: number } = stage.history.all('sudo.Sudid')[before];
      const [difference, ...others] = await auditOnTheWay(stage, [number]);
      assert.match(difference, new RegExp(`^at block ${number}: nothing is armed for the wait`));
      assert.deepEqual([others, await auditOnce(stage)], [[], []]);
    });

    await step('reads all that it compares once, for what follows', async () => {
      await host.stopWorker();
      sound = await readAll(stage);
      assert.deepEqual(differencesIn(sound), []);
      const { chain, hosts: [{ domains, folders }] } = sound;
      assert.deepEqual([chain.requests.length, chain.leases.length, chain.ipOf.length], [3, 3, 2]);
      assert.deepEqual([domains.length, folders.length], [3, 3]);
      assert.equal(sound.money.moves.length > 10, true);
    });

    for (const [name, tamper, expected] of TAMPERED) {
      await step(`names ${name}`, () => {
        const copy = structuredClone(sound);
        tamper(copy);
        const found = differencesIn(copy);
        assert.ok(found.some((line) => expected.test(line)), `${expected} is not in:\n${found.join('\n')}`);
      });
    }

    await step('takes a start for due after the guest’s QEMU was lost', () => {
      const copy = structuredClone(sound);
      Object.assign(witness(copy, running(copy)), { Started: 3, lost: 2 });
      assert.deepEqual(differencesIn(copy).filter((line) => /was asked for at most/.test(line)), []);
    });

    await step('takes a disk for grown where that was asked for and given up', () => {
      const copy = structuredClone(sound);
      const [{ name, manifest }] = copy.hosts[0].folders;
      manifest.shape.disk_gib += 1;
      const told = () => differencesIn(copy).filter((line) => /its disk has/.test(line)).length;
      assert.equal(told(), 1);
      const [own] = [...copy.lives.values()].flatMap(({ assignments }) => assignments).filter((assignment) => assignment.name === name);
      own.unfinished.push('resize');
      assert.equal(told(), 0);
      manifest.shape.disk_gib -= 2;
      assert.equal(told(), 1);
    });

    await step('names what somebody does on the host', async () => {
      const nameOf = async (id) => (await host.domains()).find(({ name }) => name.startsWith(`quarry-${id}-`)).name;
      const [first, fourth] = [await nameOf(ids.first), await nameOf(ids.fourth)];
      await host.virsh('destroy', fourth);
      const xml = (await host.virsh('dumpxml', '--inactive', first))
        .replace(/<name>.*<\/name>/, '<name>quarry-999-00000000</name>').replace(/<uuid>.*<\/uuid>/, '').replace(/<mac address=.*/, '');
      const file = join(tempDir('orphan'), 'orphan.xml');
      writeFileSync(file, xml);
      await host.virsh('define', file);
      const folder = join(host.dataDir, 'vms');
      cpSync(join(folder, first), join(folder, 'quarry-998-00000000'), { recursive: true });
      rmSync(join(folder, fourth, 'disk.qcow2'));
      const found = (await auditOnce(stage)).join('\n');
      for (const expected of [
        /h1 has domain quarry-999-00000000 \(shut off\), which the chain does not want there/,
        /h1 has folder quarry-998-00000000, which the chain does not want there/,
        new RegExp(`address ${manifestIn(host.dataDir, first).shape.address} is in the seeds of .*quarry-998-00000000`),
        new RegExp(`h1 has no disk of ${fourth} of request ${ids.fourth}, running`),
        /h1 had domain quarry-999-00000000, which no assignment is for/,
      ]) assert.match(found, expected);
    });
  } finally {
    await stage.close();
  }
}

const vm = (copy, id) => copy.chain.requests.find(({ request_id: of }) => of === id);
const onHost = (copy, id) => copy.hosts[0].domains.find(({ name }) => name.startsWith(`quarry-${id}-`));
const witness = (copy, id) => copy.deeds[0].seen[onHost(copy, id).name];

/** Read-out states, each with one thing changed, and what must be said of it. The first requests are 0, 1, 2 and 3. */
const TAMPERED = [
  ['a VM that runs and should not', (copy) => (onHost(copy, stopped(copy)).state = 'running'), /h1, request \d+, stopped: its domain is running/],
  ['a VM that a worker started twice', (copy) => (witness(copy, running(copy)).Started += 1), /started quarry-\d+-\S+, of request \d+, [23] times, and was asked for at most [12]/],
  ['a start that was reported and never happened', (copy) => (witness(copy, running(copy)).Started = 0), /0 times, and reported [12] starts/],
  ['a VM that was stopped twice', (copy) => (witness(copy, stopped(copy)).Stopped += 1), /and stopped it 2 times, and it does not run/],
  ['a disk that was defined anew', (copy) => (witness(copy, stopped(copy))['Defined Added'] = 2), /was defined added 2 times/],
  ['a domain that is missing', (copy) => copy.hosts[0].domains.pop(), /h1 has no domain quarry-/],
  ['a size that was never given', (copy) => (copy.hosts[0].domains[0].vcpus += 1), /its domain has \d vCPUs and \d+ MiB, not/],
  ['an address that two requests have', (copy) => (copy.chain.ipOf[0][1] = copy.chain.ipOf[1][1]), /is that of two requests/],
  ['an address of nobody', (copy) => copy.chain.ipOf.pop(), /is held by request \d+, whose address it is not/],
  ['a seed with another address', (copy) => (copy.hosts[0].folders[0].manifest.shape.address = '10.131.1.99'), /its seed gives it address 10\.131\.1\.99, not/],
  ['a wait without an end', (copy) => copy.chain.deadlines.pop(), /nothing is armed for the wait/],
  ['an operation that nobody queued', (copy) => (vm(copy, running(copy)).operation = { kind: 'stop', deadline: 9 }), /should have in queues: stop at h1/],
  ['a request in another state than was asked', (copy) => (vm(copy, running(copy)).status = 'stopped'), /is stopped, and its tenant last asked that it be running/],
  ['a request that vanished', (copy) => copy.chain.requests.pop(), /is gone, and its tenant last asked that it be/],
  ['a hold without a lease', (copy) => (copy.chain.leases[0][1].held = '1'), /on hold for \S+ lease is \d+, and what it stands for comes to/],
  ['money that was lost', (copy) => (copy.chain.accounts[0][1].data.free = '7'), /has \d+, and by what was paid should have/],
  ['money that was made', (copy) => (copy.chain.issuance += '0'), /is issued, and \d+ was at first/],
  ['a rent that was paid twice', (copy) => (life(copy).assignments[0].billed = 9_999), /paid 9999 blocks to h1, where it ran from/],
  ['a room that nobody has', (copy) => (copy.chain.nodes[0][1].reserved.vcpus += 1), /h1 has \d+ vcpus reserved, and its VMs take/],
  ['a request in two places', (copy) => copy.chain.pendingRequests.push([[running(copy)], null]), /stands under pending and h1/],
  ['a deposit that nobody gave back', (copy) => (copy.chain.requestTickets[0][1] = '1'), /on hold for \S+ storage_deposit is \d+, and what it stands for comes to/],
  ['a bond that is not there', (copy) => (copy.chain.nodes[0][1].bond += '0'), /on hold for \S+ node_bond is \d+, and what it stands for comes to/],
  ['a credit that nobody granted', (copy) => copy.chain.credits.push([['x'], '7']), /without a lease 0 is on hold, and the credits come to 7/],
  ['a failure without a reason', (copy) => Object.assign(vm(copy, running(copy)), { status: 'failed', last_failure: null }), /failed and nobody says why/],
  ['a domain of another request', (copy) => (onHost(copy, running(copy)).tag.request = '99'), /its domain is tagged for request 99 of h1/],
  ['a domain that is ahead of the chain', (copy) => (onHost(copy, running(copy)).tag.generation = '99'), /its domain is at generation 99, above the chain's \d+/],
  ['a VM that is taken for an orphan', (copy) => (copy.hosts[0].folders[0].manifest.orphan_since = 7), /it is marked as an orphan/],
  ['a draft that stayed', (copy) => copy.hosts[0].folders.push({ name: '.quarry-7-0', draft: true }), /h1 has a draft \.quarry-7-0, which the chain does not want there/],
  ['a stop that was reported and never happened', (copy) => (witness(copy, stopped(copy)).Stopped = 0), /stopped quarry-\S+ 0 times, and reported 1 stops/],
  ['a VM that was removed twice', (copy) => (witness(copy, stopped(copy)).Undefined = 2), /was undefined 2 times/],
  ['a QEMU of nobody', (copy) => (copy.hosts[0].rest = ['process 1: qemu-system-x86_64 -name guest=quarry-77-0,x']), /h1 runs QEMU for quarry-77-0, which the chain does not want there/],
  ['guests without their links and filters', (copy) => (copy.hosts[0].rest = []), /h1 has 0 of each guest's nwfilter binding, and \d+ guests run/],
  ['chain nodes that do not agree', (copy) => copy.disagreement.push('block 9 is final and differs'), /is final and differs/],
];

const running = (copy) => copy.chain.requests.find(({ status }) => status === 'running').request_id;
const stopped = (copy) => copy.chain.requests.find(({ status }) => status === 'stopped').request_id;
const life = (copy) => copy.lives.get(running(copy));
