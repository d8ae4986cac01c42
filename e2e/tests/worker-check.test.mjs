// `quarry-worker check` on a host where all is well, and then with each thing broken that it looks for.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_FOLDER } from '../lib/lab-host.mjs';
import { LAB_ADDRESS, Lab, PRIVATE_NETWORK } from '../lib/lab.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { Process, run } from '../lib/process.mjs';
import { workerProgram } from '../lib/quarry-worker.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes, newSshKey } from '../lib/ssh.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

/** What a lab on a test machine cannot be: on an encrypted disk, with KVM, with a clock that somebody sets. */
const USUAL = ['encryption warning', 'guests warning', 'time-sync warning'];
const ENDPOINT = 'alpha.example:2222';
const BIOS = '/usr/share/seabios/bios-256k.bin';
const LIBVIRT_GUESTS = '/etc/default/libvirt-guests';
const SWITCHES = '/proc/sys/net';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('quarry-worker check', { timeout: patient(30 * 60 * SECONDS) }, drill);
});

/** The lab's own folders lie in memory, which is no place for VMs. */
function diskUnder(folder) {
  const image = join(tempDir('disk'), 'disk.img');
  writeFileSync(image, '');
  truncateSync(image, 16 * 2 ** 30);
  execFileSync('mkfs.ext4', ['-q', '-T', 'largefile4', image]);
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-o', 'loop', image, folder]);
  chmodSync(folder, 0o755);
}

async function drill(t) {
  const lab = new Lab();
  const market = new GuestMarket();
  diskUnder(join(LAB_FOLDER, 'h1', 'data'));
  let worker;
  const step = stepsOf(t, () => `${worker?.process.tail()}\n${lab.hosts[0]?.libvirtd?.tail()}`);
  try {
    const host = await lab.startHost({ name: 'h1' });
    const file = (name, content, mode = 0o600) => {
      const path = join(host.etc, name);
      writeFileSync(path, content, { mode });
      return path;
    };
    const mounted = (source, target) => host.run('mount', '--bind', source, target);
    const unmounted = (target) => host.run('umount', '--lazy', target);

    const accessKey = newSshKey('access');
    const keyFile = file('access.key', execFileSync('cat', [accessKey.file]));
    const otherKey = file('other-access.key', execFileSync('cat', [newSshKey('other').file]));
    const node = new GuestNode('alpha', { host });
    node.access = { endpoint: ENDPOINT, hostKey: ed25519Bytes(accessKey.publicKey) };
    const tenant = market.account('tenant');
    const images = join(host.etc, 'local-images');
    mkdirSync(images);

    const check = async ({ env = {}, through = [], args = ['--json'] } = {}) => {
      const [command, ...rest] = [...through, workerProgram(), 'check', '--config', worker.config, ...args];
      return run(command, rest, { name: 'check', enter: host.enter, env, within: 120 * SECONDS });
    };
    const checkedOnce = async (how) => {
      const { code, stdout, stderr } = await check(how);
      const { ok, checks } = JSON.parse(stdout || assert.fail(stderr));
      assert.equal(ok, !checks.some(({ verdict }) => verdict === 'failure'));
      assert.equal(code, ok ? 0 : 1);
      for (const { verdict, remedy, check: name } of checks) assert.equal(remedy === null, verdict === 'ok', name);
      return checks;
    };
    // On a busy machine a guest may not execute within the time that it has.
    const checked = async (how) => {
      const isLate = ({ found }) => /emulated, and did not execute/.test(found);
      let checks;
      for (let tries = 0; tries < 3; tries += 1) {
        checks = await checkedOnce(how);
        if (!checks.some(isLate)) break;
      }
      return checks;
    };
    const troubles = (checks) => checks.filter(({ verdict }) => verdict !== 'ok').map(({ check: name, verdict }) => `${name} ${verdict}`);
    const usual = async (more = []) => {
      const checks = await checked();
      const found = troubles(checks).filter((line) => !USUAL.includes(line));
      assert.deepEqual(found, more, JSON.stringify(checks, null, 1));
    };
    /** Broken, then mended. Nothing but what `finds` names may be told beside what is usual. */
    const broken = (what, { by, how, finds: [name, verdict], says, todo, mend, rest = [] }) => step(what, async () => {
      await by?.();
      try {
        const checks = await checked(how);
        const wrong = checks.filter((finding) => finding.check === name && finding.verdict === verdict);
        const others = troubles(checks).filter((line) => ![...USUAL, ...rest, `${name} ${verdict}`].includes(line));
        assert.deepEqual(others, [], JSON.stringify(checks, null, 1));
        assert.equal(wrong.length, 1, JSON.stringify(checks, null, 1));
        assert.match(wrong[0].found, says);
        assert.match(wrong[0].remedy, todo);
      } finally {
        await mend?.();
      }
      await usual(rest);
    });

    await step('all is well beside a running worker', async () => {
      await market.open({ hosts: [node], address: LAB_ADDRESS });
      const right = file('libvirt-guests', 'ON_BOOT=ignore\nON_SHUTDOWN=shutdown\n', 0o644);
      await mounted(right, LIBVIRT_GUESTS);
      worker = await market.startWorker(node, { config: {
        access: { listen: '[::]:2222', key: keyFile, endpoint: ENDPOINT },
        images: { local_dir: images, store_size: '4 GiB', max_file_size: '2 GiB' },
      } });
      await worker.isReady();
      await until('its heartbeat is finalized', async () => !troubles(await checked()).includes('online warning'), { within: 120 * SECONDS });
      await usual();
      const { stdout } = await check({ args: [] });
      assert.match(stdout, /^ok {4}libvirt +QEMU /m);
      assert.match(stdout, /^WARN {2}guests +are emulated, which is slow: one ran just now\n +to do: /m);
    });

    await broken('a setting that does not exist', {
      how: { env: { QUARRY_WORKER__CHAIN__NAME: 'x' } }, finds: ['config', 'failure'], says: /CHAIN__NAME/, todo: /worker\.example\.toml/,
    });

    const dataDir = join(host.folder, 'worker');
    await broken('a data folder that everybody may write to', {
      by: () => chmodSync(dataDir, 0o757), mend: () => chmodSync(dataDir, 0o755),
      finds: ['data_dir', 'failure'], says: /by everybody/, todo: /chmod 755/,
    });
    await broken('a full disk', {
      by: () => host.run('fallocate', '--length', '12G', join(host.folder, 'fill')), mend: () => rmSync(join(host.folder, 'fill')),
      finds: ['storage', 'failure'], says: /are free/, todo: /not even one small VM fits/,
    });
    await broken('an image store that may grow beyond the disk', {
      how: { env: { QUARRY_WORKER__IMAGES__STORE_SIZE: '100 GiB' } },
      finds: ['storage', 'warning'], says: /are free/, todo: /images\.store_size/,
    });
    const damaged = join(dataDir, 'images/images', '7'.repeat(64));
    await broken('a damaged image', {
      by: () => writeFileSync(damaged, 'not what the name says'), mend: () => rmSync(damaged),
      finds: ['images', 'failure'], says: /7{64} is damaged/, todo: /remove the file/,
    });
    const foreign = join(dataDir, 'images/images/backup.qcow2');
    await broken('a foreign file in the image store', {
      by: () => writeFileSync(foreign, ''), mend: () => rmSync(foreign),
      finds: ['images', 'warning'], says: /backup\.qcow2/, todo: /move it away/,
    });
    await broken('a folder of local images that is gone', {
      by: () => renameSync(images, `${images}-away`), mend: () => renameSync(`${images}-away`, images),
      finds: ['images.local_dir', 'failure'], says: /local-images/, todo: /images\.local_dir/,
    });
    await broken('no qemu-img', {
      how: { through: ['/usr/bin/env', 'PATH=/nowhere'] }, finds: ['qemu-img', 'failure'], says: /does not run/, todo: /qemu-utils/,
    });

    await broken('a guest that hangs before its first instruction', {
      by: async () => mounted(file('bios', Buffer.alloc(2 ** 18, 0xf4), 0o644), BIOS), mend: () => unmounted(BIOS),
      finds: ['guests', 'failure'], says: /did not execute/, todo: /QEMU is broken/,
    });
    await broken('files that QEMU cannot get at', {
      by: () => chmodSync(dataDir, 0o700), mend: () => chmodSync(dataDir, 0o755),
      finds: ['guests', 'failure'], says: /cannot be opened/, todo: /chmod 755/,
    });
    await step('KVM is believed once a guest has run by it', async () => {
      const checks = await checked({ env: { QUARRY_WORKER__HYPERVISOR__ACCELERATOR: 'kvm' } });
      const { verdict, found, remedy } = checks.find(({ check: name }) => name === 'guests');
      if (verdict === 'ok') assert.match(found, /^run by KVM: one did just now$/);
      else assert.match(`${verdict}: ${remedy}`, /^failure: .*"emulation"/, found);
    });
    await step('no guest of a check stays, and no file', async () => {
      assert.deepEqual(await host.domains(), []);
      assert.deepEqual(readdirSync(dataDir).filter((name) => name.startsWith('.check')), []);
    });

    await broken('a network that is down', {
      by: () => host.virsh('net-destroy', PRIVATE_NETWORK.name), mend: () => host.virsh('net-start', PRIVATE_NETWORK.name),
      finds: ['network.private', 'failure'], says: /quarry is not active/, todo: /virsh net-start quarry/,
    });
    for (const [name, finding] of [['bridge/bridge-nf-call-iptables', 'network.filter'], ['ipv4/ip_forward', 'forwarding']]) {
      const set = (value) => host.run('sh', '-c', `echo ${value} >${SWITCHES}/${name}`);
      await broken(`${name} is off`, {
        by: () => set(0), mend: () => set(1), finds: [finding, 'failure'], says: / is not 1: /, todo: /sysctl -w/,
      });
    }
    await broken('libvirt-guests as it comes', {
      by: () => unmounted(LIBVIRT_GUESTS), mend: () => mounted(join(host.etc, 'libvirt-guests'), LIBVIRT_GUESTS),
      finds: ['libvirt-guests', 'warning'], says: /ON_BOOT|no \/etc/, todo: /ON_BOOT=ignore, ON_SHUTDOWN=shutdown/,
    });

    const workerKey = join(host.etc, 'worker-alpha.key');
    await broken('a key that others may read', {
      by: () => chmodSync(workerKey, 0o644), mend: () => chmodSync(workerKey, 0o600),
      finds: ['key', 'failure'], says: /mode/, todo: /registry\.setWorker/,
    });
    await broken('no key', {
      by: () => renameSync(workerKey, `${workerKey}-away`), mend: () => renameSync(`${workerKey}-away`, workerKey),
      finds: ['key', 'failure'], says: /no key file/, todo: /key generate/,
    });
    await broken('a damaged key for the next rotation', {
      by: () => file('worker-alpha.key.next', 'damaged'), mend: () => rmSync(`${workerKey}.next`),
      finds: ['key', 'failure'], says: /\.next/, todo: /make another key/,
    });
    await broken('a key that the chain does not name', {
      by: () => file('other.key', `0x${'51'.repeat(32)}`), how: { env: { QUARRY_WORKER__KEY__FILE: join(host.etc, 'other.key') } },
      finds: ['registered', 'failure'], says: /another key/, todo: /registry\.setWorker/,
    });
    await broken('a node that the chain does not have', {
      how: { env: { QUARRY_WORKER__NODE_ID: 'beta' } }, finds: ['registered', 'failure'], says: /no node beta/, todo: /enroll/,
    });
    const accepting = (yes) => market.do(node.miner, market.api.tx.registry.setMinerAccepting(node.id, yes));
    const known = (yes) => until(`it is known that the miner lets it take VMs: ${yes}`, async () => {
      const checks = await checked();
      return checks.some(({ found }) => /the miner lets it take no/.test(found)) !== yes;
    }, { within: 60 * SECONDS });
    await broken('a node that its miner drains', {
      by: async () => (await accepting(false), await known(false)), mend: async () => (await accepting(true), await known(true)),
      finds: ['online', 'warning'], says: /the miner lets it take no new VMs/, todo: /setMinerAccepting/,
    });

    const env = (name, value) => ({ env: { [`QUARRY_WORKER__${name}`]: value } });
    await broken('no host key', {
      how: env('ACCESS__KEY', '/nowhere/access.key'), finds: ['access.key', 'failure'], says: /no host key/, todo: /enroll/,
    });
    await broken('a host key that others may read', {
      by: () => chmodSync(keyFile, 0o644), mend: () => chmodSync(keyFile, 0o600),
      finds: ['access.key', 'failure'], says: /others can get at/, todo: /chmod 600/,
    });
    await broken('a host key that the chain does not name', {
      how: env('ACCESS__KEY', otherKey), finds: ['access.endpoint', 'failure'], says: /another host key/, todo: /registry\.setAccess/,
    });
    await broken('an endpoint that the chain does not have', {
      how: env('ACCESS__ENDPOINT', 'beta.example:2222'), finds: ['access.endpoint', 'failure'], says: /beta\.example/, todo: /access\.endpoint/,
    });
    await broken('no SSH port', {
      how: env('ACCESS__LISTEN', 'none'), finds: ['access.listen', 'warning'], says: /no SSH port/, todo: /access\.relay/,
    });

    await broken('an endpoint where no chain node is', {
      how: env('CHAIN__ENDPOINTS', `${market.node?.url},ws://${LAB_ADDRESS}:9`), finds: ['chain', 'failure'], says: /10\.44\.0\.1:9: /, todo: /chain\.endpoints/,
    });
    await broken('another chain', {
      how: env('CHAIN__GENESIS', `0x${'77'.repeat(32)}`), finds: ['chain', 'failure'], says: /another chain/, todo: /chain\.genesis/,
    });

    let vm;
    await step('a VM runs meanwhile', async () => {
      const id = await market.rent(tenant, { on: node });
      await market.untilStatus(id, 'Running');
      [{ name: vm }] = await host.domains();
      await usual();
    });
    await broken('a VM that libvirt starts by itself', {
      by: () => host.virsh('autostart', vm), mend: () => host.virsh('autostart', '--disable', vm),
      finds: ['autostart', 'warning'], says: /quarry-/, todo: /virsh autostart --disable quarry-/,
    });
    await step('libvirtd is down, and up again', async () => {
      const [before] = await host.domains();
      await host.killLibvirtd();
      const down = await checked();
      assert.deepEqual(troubles(down).filter((line) => !USUAL.includes(line)), ['libvirt failure']);
      assert.match(down.find(({ check: name }) => name === 'libvirt').remedy, /systemctl start libvirtd/);
      await host.restartLibvirtd();
      await usual();
      assert.deepEqual(await host.domains(), [before], 'the VM ran on');
    });

    await step('without the worker the node goes offline', async () => {
      await worker.stop();
      await until('the node is offline', async () => troubles(await checked()).includes('online warning'), { within: 180 * SECONDS, every: 5 * SECONDS });
    });
    const offline = ['online warning'];
    let other;
    await broken('a port that another program has', {
      by: async () => {
        const script = "require('node:net').createServer().listen(2222, '::', () => console.log('listens'))";
        other = new Process(process.execPath, ['-e', script], { name: 'other', enter: host.enter });
        await other.waitForLine(/^listens$/);
      },
      mend: () => other.stop(),
      finds: ['access.listen', 'failure'], says: /2222/, todo: /ss --listening/, rest: offline,
    });
    await broken('a data folder in memory', {
      by: () => host.run('mount', '-t', 'tmpfs', '-o', 'size=12g,mode=755', 'tmpfs', dataDir), mend: () => unmounted(dataDir),
      finds: ['data_dir', 'failure'], says: /tmpfs/, todo: /ext4/, rest: offline,
    });
    await step('a chain that cannot be reached', async () => {
      host.cutChain();
      const cut = await checked();
      assert.deepEqual(troubles(cut).filter((line) => !USUAL.includes(line)), ['chain failure']);
      host.healChain();
      await until('it is reached again', async () => !troubles(await checked()).includes('chain failure'), { within: 60 * SECONDS });
    });
    await step('the VM has lived through all of it', async () => {
      assert.deepEqual((await host.domains()).map(({ name, state }) => `${name} ${state}`), [`${vm} running`]);
      assert.ok(!existsSync(join(host.folder, 'fill')));
    });
  } finally {
    await worker?.stop();
    await market.close();
    await lab.close();
  }
}
