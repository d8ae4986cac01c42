// Images and user-data that would harm the host which took them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { sample } from '../bench/footprint.mjs';
import { GuestVm } from '../lib/guest-vm.mjs';
import { isRefusedForGood, publish, qcow2File, stored } from '../lib/hostile-images.mjs';
import { digestOfCid, rawCid } from '../lib/image-server.mjs';
import { tempDir } from '../lib/ours.mjs';
import { sshInto } from '../lib/ssh.mjs';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** How much the bomb unpacks to. */
const UNPACKED = 256 * MIB;
/** What the worker of this drill takes; and what may be on its way, or fetched, before it knows. */
const MAX_FILE = 256 * MIB;
const SLACK = 32 * MIB;

const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;
const scratch = (name) => join(tempDir('image'), name);

export async function attackByImages(scene, findings) {
  const { market, worker, tenants } = scene;
  const before = sample(worker.process.pid);
  const hostile = [...await images(market), ...await lies(market), await otherContent(market), ...userData(market)];
  const wishes = hostile.map(({ wish }, number) => ({ on: scene.alpha, name: `hostile-${number}`, image: 'busybox', ...wish }));
  const ids = await market.rentAll(tenants.bomber, ...wishes);
  await Promise.all(hostile.map(({ what, becomes }, number) => {
    const vm = Object.assign(new GuestVm(market, scene.alpha, ids[number]), { tenant: tenants.bomber });
    return findings.holds(what, () => becomes(vm, scene, findings));
  }));
  findings.figure('the worker’s memory grew, over all hostile images and user-data, by', mib(sample(worker.process.pid).rss - before.rss));
  await badIds(scene, findings);
  await ownNetwork(scene, findings);
}

/** Files that are what the chain says, and bad. */
async function images(market) {
  const bad = [
    ['an image that leans on a file of the host', qcow2File('backing', ['-b', '/etc/passwd', '-F', 'raw']), /names a backing file/],
    ['an image whose data are in another file', qcow2File('outside', ['-o', `data_file=${scratch('secret')},data_file_raw=on`]), /names an external data file/],
    ['an image whose disk is larger than the chain says', qcow2File('huge', [], '1T'), /more than the 2 GiB that the chain says/],
    ['an image whose tables are as large as can be said', endlessTables(), /its L1 table is out of range/],
    ['an image that is an archive', archive(), /it is no qcow2 image but looks like gzip/],
  ];
  return [...await Promise.all(bad.map(async ([what, file, reason], number) => {
    const image = `bad-${number}`;
    const { digest } = await publish(market, image, file);
    return {
      what: `${what} is refused for good, and nothing of it is kept`,
      wish: { image },
      becomes: (vm, scene) => isRefusedForGood(scene, vm, reason, digest),
    };
  })), await bomb(market)];
}

async function bomb(market) {
  const raw = scratch('raw');
  writeFileSync(raw, Buffer.alloc(UNPACKED, randomBytes(8)));
  const file = scratch('bomb.qcow2');
  execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, file]);
  truncateSync(raw);
  const { digest } = await publish(market, 'bomb', file);
  return {
    what: 'an image that unpacks to a hundred times its size takes no more of the host than its file',
    wish: { image: 'bomb' },
    becomes: async (vm, { worker }, findings) => {
      await vm.untilStatus('Running');
      const kept = statSync(join(worker.dataDir, 'images', 'images', stored(worker).find((name) => name.startsWith(digest))));
      const disk = statSync(vm.disk).blocks * 512;
      findings.figure(`an image that unpacks to ${mib(UNPACKED)}: its file, and what its VM has written`, `${mib(kept.size)}, ${mib(disk)}`);
      assert.equal(kept.size, statSync(file).size);
      assert.ok(UNPACKED > 100 * kept.size && disk < SLACK, `${kept.size} and ${disk} bytes`);
      await deleted(vm);
    },
  };
}

/** What gateways send in the place of what the chain says. */
async function lies(market) {
  const vast = scratch('vast');
  closeSync(openSync(vast, 'w'));
  truncateSync(vast, 40 * GIB);
  const lie = async (name, fault, what, most) => {
    const cid = rawCid(randomBytes(16));
    market.images.addFalseFile(cid, vast);
    market.images.fail(`/ipfs/${cid}`, fault);
    await market.asAdmin(market.api.tx.compute.addImage(market.imageOf('busybox', { name, imageUrl: `ipfs://${cid}`, digest: digestOfCid(cid) })));
    return {
      what,
      wish: { image: name },
      becomes: async (vm, { worker }, findings) => {
        await vm.untilStatus('Failed');
        assert.match(await vm.failure(), /has more than \d+ bytes/);
        await vm.isGone();
        const sent = Math.max(...market.images.requestsOf(`/ipfs/${cid}`).map((request) => request.sent));
        findings.figure(`sent at a time of 40 GiB, ${name}`, mib(sent));
        assert.ok(sent < most, `${sent} bytes were sent`);
        assert.ok(!stored(worker).some((file) => file.startsWith(Buffer.from(digestOfCid(cid)).toString('hex'))));
      },
    };
  };
  return Promise.all([
    lie('with its length', {}, 'an image that says it is too large is not fetched', SLACK),
    lie('without a length', { hidesLength: true }, 'an image that does not end is broken off where a node’s limit is', MAX_FILE + SLACK),
  ]);
}

async function otherContent(market) {
  const [promised, given] = ['promised', 'given'].map((name) => qcow2File(name, []));
  const { cid, digest } = await publish(market, 'changed', promised);
  market.images.addFalseFile(cid, given);
  return {
    what: 'an image that a gateway changed is not taken, and nothing of it is kept',
    wish: { image: 'changed' },
    becomes: async (vm, { worker }) => {
      await vm.untilStatus('Failed');
      assert.match(await vm.failure(), /another content than the chain says/);
      await vm.isGone();
      assert.ok(!stored(worker).some((file) => file.startsWith(digest)), `the store has ${stored(worker)}`);
    },
  };
}

function userData(market) {
  const large = Buffer.alloc(2 * MIB, '#cloud-config\n');
  const [promised, given] = ['#!/bin/sh\necho promised\n', '#!/bin/sh\necho given\n'];
  market.images.serve(`/ipfs/${rawCid(Buffer.from(promised))}`, given);
  return [{
    what: 'user-data above 1 MiB is refused for good',
    wish: { userData: large },
    becomes: (vm, scene) => isRefusedForGood(scene, vm, /user-data of 2097152 bytes; 1 MiB at most/),
  }, {
    what: 'user-data that a gateway changed is not given to a guest',
    wish: { cloudInit: rawCid(Buffer.from(promised)) },
    becomes: async (vm) => {
      await vm.untilStatus('Failed');
      assert.match(await vm.failure(), /another content than the chain says/);
      await vm.isGone();
    },
  }, {
    what: 'user-data whose YAML unpacks without an end is for its guest alone: the host does not read it',
    wish: { userData: laughs() },
    becomes: async (vm) => {
      await vm.untilStatus('Running');
      await deleted(vm);
    },
  }];
}

async function deleted(vm) {
  // By one transaction at a time, as all of them are one tenant's.
  await (turn = turn.then(() => vm.ask('Delete')));
  await vm.isGone();
}
let turn = Promise.resolve();

/** Content ids that are none: the chain refuses them, before any node asks anybody. */
async function badIds({ market, tenants, alpha }, findings) {
  await findings.holds('the chain takes no content id but that of raw bytes', async () => {
    const raw = rawCid(randomBytes(16));
    const wish = (cloudInit) => market.creation({ node: alpha.id, plan: 'tiny', image: 'busybox', cloudInit });
    const ids = [
      'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG', raw.replace('bafkrei', 'bafybei'), raw.toUpperCase(), raw.slice(0, -1),
      '../../../etc/passwd', 'https://evil.example/user-data', '',
    ];
    await market.assertRefuses(tenants.trickster, ids.map((cloudInit) => ['compute.InvalidCloudInitCid', wish(cloudInit)]));
    for (const longer of [`${raw}/../../etc/passwd`, `${raw}?format=car`, raw.repeat(1_000)]) {
      const { nonce } = await market.api.query.system.account(tenants.trickster.address);
      const signed = await wish(longer).signAsync(tenants.trickster, { nonce });
      await assert.rejects(market.node.view.call('author_submitExtrinsic', signed.toHex()), /Verification Error/);
    }
  });
}

/** cloud-init itself, in a Debian guest: its user-data names another network than its node gave it. */
async function ownNetwork(scene, findings) {
  const neighbour = await scene.running('honest', { ip: 'Require' });
  const network = { version: 2, ethernets: { eth0: { match: { name: 'e*' }, dhcp4: false, addresses: [`${neighbour.address}/24`] } } };
  // The first is not cloud-init's to take from a tenant; by the second the guest has the address on its card.
  const evil = { network, bootcmd: [`ip address add ${neighbour.address}/24 dev "$(ls /sys/class/net | grep -v lo)"`] };
  await findings.holds('user-data that names a neighbour’s address: the guest keeps its own, and the neighbour is reached as ever', async () => {
    const vm = await scene.rent('trickster', { ip: 'Require', image: 'debian', plan: 'debian', userData: `#cloud-config\n${JSON.stringify(evil)}\n` });
    await vm.untilStatus('Running');
    const hostKey = await scene.market.hostKeyOf(scene.alpha, vm.id);
    const command = 'cloud-init status --wait >/dev/null; ip -brief -4 address; echo configured:; sudo cat /etc/netplan/*.yaml';
    const [card, configured] = (await sshInto({ host: scene.host, address: vm.address, key: scene.key, hostKey, command })).split('configured:');
    assert.ok(card.includes(vm.address) && card.includes(neighbour.address), `both should be on its card: ${card}`);
    assert.ok(configured.includes(vm.address) && !configured.includes(neighbour.address), configured);
    for (let times = 0; times < 5; times++) {
      await scene.host.run('ip', '-4', 'neigh', 'flush', 'to', neighbour.address, 'dev', 'virbr-public');
      assert.equal((await neighbour.state()).hostname, 'honest');
    }
    await vm.ask('Delete');
    await vm.isGone();
  });
  await neighbour.ask('Delete');
  await neighbour.isGone();
}

/** A qcow2 file whose header says of its L1 table what a reader would have to make room for. */
function endlessTables() {
  const file = qcow2File('tables', []);
  const L1_ENTRIES_AT = 36;
  const handle = openSync(file, 'r+');
  writeSync(handle, Buffer.from('7fffffff', 'hex'), 0, 4, L1_ENTRIES_AT);
  closeSync(handle);
  return file;
}

function archive() {
  const file = scratch('archive.gz');
  writeFileSync(file, gzipSync(Buffer.alloc(16 * MIB, randomBytes(4))));
  return file;
}

/** A billion laughs, of 1 MiB. */
function laughs() {
  const levels = Array.from({ length: 9 }, (_, level) => `l${level + 1}: &l${level + 1} [${Array(9).fill(`*l${level}`).join(', ')}]`);
  const text = `#cloud-config\nl0: &l0 [ha]\n${levels.join('\n')}\n`;
  return text + '#'.repeat(MIB - text.length);
}
