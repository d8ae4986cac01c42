// The Debian packages: built, installed in a clean Debian, started as systemd would, upgraded, removed, purged. What a
// running systemd does with it is in package-guest.test.mjs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { quarryNode } from '../lib/binary.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { PackageRoot, buildPackages } from '../lib/package-root.mjs';
import { Process } from '../lib/process.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

const LATER = '99.0';
const UNITS = ['quarry-worker.service', 'quarry-relay.service'];
/** What systemd-analyze says of a unit may not get worse than this; 10 is the worst. */
const EXPOSURE = { 'quarry-worker.service': 2.5, 'quarry-relay.service': 1.6 };

const SETTINGS = 'node_id = "my-node"\n[chain]\nendpoints = ["ws://127.0.0.1:9944"]\n';
/** A VM as the worker leaves it, with the mark beside it. */
const A_VM = `
  install -d -m 711 /var/lib/quarry-worker/vms /var/lib/quarry-worker/vms/quarry-7-abc
  touch /var/lib/quarry-worker/vms/.quarry
  echo disk >/var/lib/quarry-worker/vms/quarry-7-abc/disk.qcow2`;
const KEPT = 'cat /etc/quarry/worker.toml /var/lib/quarry-worker/worker.key /var/lib/quarry-worker/vms/*/disk.qcow2';

const WORKER_FILES = {
  './usr/bin/quarry-worker': '-rwxr-xr-x',
  './usr/lib/modules-load.d/quarry-worker.conf': '-rw-r--r--',
  './usr/lib/sysctl.d/90-quarry-worker.conf': '-rw-r--r--',
  './usr/lib/systemd/system/quarry-relay.service': '-rw-r--r--',
  './usr/lib/systemd/system/quarry-worker.service': '-rw-r--r--',
  './usr/lib/sysusers.d/quarry-worker.conf': '-rw-r--r--',
  './usr/lib/tmpfiles.d/quarry-worker.conf': '-rw-r--r--',
  './usr/share/doc/quarry-worker/changelog.gz': '-rw-r--r--',
  './usr/share/doc/quarry-worker/copyright': '-rw-r--r--',
  './usr/share/doc/quarry-worker/relay.env': '-rw-r--r--',
  './usr/share/doc/quarry-worker/worker.example.toml': '-rw-r--r--',
};

const CLI_FILES = {
  './usr/bin/quarry': '-rwxr-xr-x',
  './usr/share/bash-completion/completions/quarry': '-rw-r--r--',
  './usr/share/doc/quarry/changelog.gz': '-rw-r--r--',
  './usr/share/doc/quarry/copyright': '-rw-r--r--',
  './usr/share/fish/vendor_completions.d/quarry.fish': '-rw-r--r--',
  './usr/share/zsh/vendor-completions/_quarry': '-rw-r--r--',
};
const A_MANUAL_PAGE = /^\.\/usr\/share\/man\/man1\/quarry[\w-]*\.1\.gz$/;

after(endAll);

describe('the Debian packages', { timeout: patient(15 * 60 * SECONDS) }, () => {
  let debs;
  const environment = { SOURCE_DATE_EPOCH: '1700000000' };
  const build = (options) => buildPackages({ environment, ...options });

  test('are the same when they are built again', async () => {
    let again;
    [debs, again] = await Promise.all([build(), build()]);
    for (const which of ['worker', 'cli']) assert.ok(readFileSync(debs[which]).equals(readFileSync(again[which])), which);
  });

  test('have these files, all root’s, none of them in /etc', () => {
    const worker = contentsOf(debs.worker);
    assert.deepEqual(worker.files, WORKER_FILES);
    assert.ok(worker.folders.includes('./etc/quarry/'));
    const { files, folders } = contentsOf(debs.cli);
    const pages = Object.keys(files).filter((path) => A_MANUAL_PAGE.test(path));
    for (const command of ['', '-rent', '-miner-register']) assert.ok(pages.includes(`./usr/share/man/man1/quarry${command}.1.gz`), command);
    assert.deepEqual(Object.fromEntries(Object.entries(files).filter(([path]) => !pages.includes(path))), CLI_FILES);
    assert.ok(!folders.includes('./etc/'));
  });

  test('are refused a version and a program that are none', async () => {
    await assert.rejects(build({ version: 'next one' }), /'next one' is no version of a Debian package/);
    await assert.rejects(build({ worker: '/nowhere/quarry-worker' }), /\/nowhere\/quarry-worker is no program/);
  });

  test('in a clean Debian', (t) => life(t, debs, build));
});

/** A package's files with their modes, and its folders. */
function contentsOf(deb) {
  const lines = execFileSync('dpkg-deb', ['--contents', deb], { encoding: 'utf8' }).trim().split('\n').map((line) => line.split(/\s+/));
  assert.deepEqual([...new Set(lines.map(([, owner]) => owner))], ['root/root']);
  const isFolder = ([mode]) => mode.startsWith('d');
  assert.deepEqual([...new Set(lines.filter(isFolder).map(([mode]) => mode))], ['drwxr-xr-x']);
  return {
    files: Object.fromEntries(lines.filter((line) => !isFolder(line)).map(([mode, , , , , path]) => [path, mode])),
    folders: lines.filter(isFolder).map((line) => line.at(-1)),
  };
}

async function life(t, { worker: deb, cli }, build) {
  const root = new PackageRoot();
  const step = stepsOf(t, () => '');
  let key;
  try {
    await root.open();

    await step('it installs, and says what is missing before it can start', async () => {
      assert.match(await root.install(deb), /it starts once there is \/etc\/quarry\/worker\.toml/);
      assert.equal(await root.run('dpkg', '--audit'), '');
      assert.equal(await root.run('dpkg', '--verify', 'quarry-worker'), '');
    });

    await step('the command line installs beside it, with pages and completions', async () => {
      await root.install(cli);
      assert.equal(await root.run('dpkg', '--verify', 'quarry'), '');
      assert.match(await root.run('quarry', 'miner', '--help'), /rotate-worker/);
      assert.match(await root.sh('bash -c ". /usr/share/bash-completion/completions/quarry; complete -p quarry"'), /complete .* quarry$/m);
    });

    await step('its folders and its user are there', async () => {
      const folders = await root.sh('stat -c "%n %U:%G %a" /etc/quarry /var/lib/quarry-worker /run/libvirt');
      assert.equal(folders, '/etc/quarry root:root 755\n/var/lib/quarry-worker root:root 755\n/run/libvirt root:root 755\n');
      assert.match(await root.sh('getent passwd quarry-relay'), /:\/usr\/sbin\/nologin\n$/);
      assert.match(await root.sh('getent shadow quarry-relay'), /^quarry-relay:!/);
    });

    await step('the worker comes up with the host, the relay where it is enabled', async () => {
      const enabled = async (unit) => (await root.try('systemctl', 'is-enabled', unit)).stdout.trim();
      assert.deepEqual(await Promise.all(UNITS.map(enabled)), ['enabled', 'disabled']);
    });

    await step('systemd finds nothing wrong with its units, and little that they leave open', async () => {
      const { code, stdout, stderr } = await root.try('systemd-analyze', 'verify', ...UNITS);
      assert.deepEqual([code, `${stdout}${stderr}`.split('\n').filter((line) => line.includes('quarry'))], [0, []]);
      for (const unit of UNITS) {
        const told = await root.run('systemd-analyze', 'security', '--offline=true', '--no-pager', unit);
        const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(told);
        assert.ok(Number(exposure) <= EXPOSURE[unit], `${unit}: ${exposure}`);
      }
    });

    await step('what systemd-tmpfiles, sysusers and sysctl read of it they understand', async () => {
      await root.run('systemd-tmpfiles', '--create', 'quarry-worker.conf');
      await root.run('systemd-sysusers', 'quarry-worker.conf');
      const { stderr } = await root.try('sysctl', '--dry-run', '--load=/usr/lib/sysctl.d/90-quarry-worker.conf');
      assert.doesNotMatch(stderr, /invalid|parse/i);
    });

    await step('without settings or a key the worker ends with the code that keeps systemd from starting it again', async () => {
      const [, codes] = /^RestartPreventExitStatus=(.+)$/m.exec(await root.sh('cat /usr/lib/systemd/system/quarry-worker.service'));
      const without = await root.try('quarry-worker', 'run');
      await root.write('/etc/quarry/worker.toml', SETTINGS);
      const withoutKey = await root.try('quarry-worker', 'run');
      assert.match(withoutKey.stderr, /there is no key file "\/var\/lib\/quarry-worker\/worker\.key"/);
      for (const { code } of [without, withoutKey]) assert.ok(codes.split(' ').includes(String(code)), `${code} of ${codes}`);
    });

    await step('systemd is told that it is ready, lives and stops, whatever chain and libvirt do', (sub) => asAService(sub, root));

    await step('`quarry miner update` installs a higher version, which keeps settings, key and VMs', async () => {
      await root.sh(A_VM);
      key = await root.sh(KEPT);
      assert.match(key, /disk\n$/);
      const { worker: later } = await build({ version: LATER });
      await root.write('/root/later.deb', readFileSync(later));
      await root.run('quarry', 'miner', 'update', '--package', '/root/later.deb', '--yes');
      assert.equal(await root.sh("dpkg-query -W -f '${Version} ${db:Status-Status}' quarry-worker"), `${LATER} installed`);
      assert.equal(await root.sh(KEPT), key);
    });

    await step('a removal keeps them too, and one can install it again', async () => {
      await root.dpkg('--remove', 'quarry-worker');
      assert.equal(await root.sh(KEPT), key);
      assert.equal((await root.try('quarry-worker', '--version').catch(() => ({ code: 127 }))).code, 127);
      await root.install(deb);
      assert.equal(await root.sh(KEPT), key);
    });

    await step('a purge keeps them while there is a VM, and says so', async () => {
      const told = await root.dpkg('--purge', 'quarry-worker');
      assert.match(told, /\/var\/lib\/quarry-worker has VMs or had some, and is left as it is/);
      assert.match(told, /\/etc\/quarry is left/);
      assert.equal(await root.sh(KEPT), key);
    });

    await step('where the VMs’ file system is not mounted a purge takes nothing either', async () => {
      await root.sh('mv /var/lib/quarry-worker/vms /root/vms; mkdir /var/lib/quarry-worker/vms');
      await root.install(deb);
      assert.match(await root.dpkg('--purge', 'quarry-worker'), /is left as it is/);
      await root.sh('test -e /var/lib/quarry-worker/worker.key && rmdir /var/lib/quarry-worker/vms && mv /root/vms /var/lib/quarry-worker/vms');
    });

    await step('with the last VM gone a purge takes the worker’s own, and leaves the operator’s settings', async () => {
      await root.sh('rm -r /var/lib/quarry-worker/vms/quarry-7-abc');
      await root.install(deb);
      assert.match(await root.dpkg('--purge', 'quarry-worker'), /\/etc\/quarry is left/);
      assert.equal(await root.sh('ls -d /var/lib/quarry-worker /etc/quarry/worker.toml 2>/dev/null || true'), '/etc/quarry/worker.toml\n');
      assert.equal(await root.sh('find /etc/systemd /var/lib/systemd -name "*quarry*"'), '');
    });
  } finally {
    await root.close();
  }
}

/** Starts the worker as its unit does, with somebody at the notify socket's other end. */
async function asAService(t, root) {
  const step = stepsOf(t, () => worker?.tail());
  const systemd = root.start('systemd-socket-activate', ['--datagram', '--listen=/run/notify', 'sh', '-c', 'exec cat <&3'], { name: 'notify-socket' });
  let worker;
  let chain;
  const signs = () => systemd.lines.filter((line) => line === 'WATCHDOG=1').length;
  const moreSigns = (count) => {
    const before = signs();
    return until(`${count} signs of life`, (seen) => {
      if (worker.end) throw new Error(worker.tail());
      seen(`${signs() - before}`);
      return signs() - before >= count;
    }, { within: count * 2 * SECONDS });
  };

  await step('ready without a chain and without libvirt', async () => {
    await root.run('quarry-worker', 'key', 'generate');
    await until('the socket is there', () => root.sh('test -S /run/notify && echo yes'), { within: 10 * SECONDS });
    worker = root.start('quarry-worker', ['run'], { name: 'worker', env: { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '2000000' } });
    await systemd.waitForLine(/^READY=1$/);
    await systemd.waitForLine(/^STATUS=node my-node: no chain, no libvirt, 0 of 0 VMs run/);
    await moreSigns(4);
  });

  await step('with a chain and still without libvirt it lives on', async () => {
    chain = new Process(quarryNode(), ['--dev', '--no-prometheus', '--no-telemetry', '--port', '0'], {
      name: 'chain', enter: root.network, env: { TMPDIR: tempDir('chain') },
    });
    await chain.waitForLine(/Running JSON-RPC server: addr=127\.0\.0\.1:9944/, { within: 180 * SECONDS });
    await systemd.waitForLine(/^STATUS=node my-node: ws:\/\/127\.0\.0\.1:9944, no libvirt/);
    await worker.waitForLine(/waiting for libvirt/);
    await moreSigns(10);
  });

  await step('a libvirt that is frozen holds nothing up, for longer than the main loop may be silent', async () => {
    const libvirtd = root.start('libvirtd', [], { name: 'root-libvirtd' });
    await systemd.waitForLine(/^STATUS=node my-node: \S+, libvirt, 0 of 0/);
    await root.signal('STOP', 'libvirtd');
    await moreSigns(70);
    assert.match(await root.run('quarry-worker', 'status'), /libvirt/);
    await root.signal('KILL', 'libvirtd');
    // What waits for it was stopped with it.
    libvirtd.signal('SIGCONT');
    await libvirtd.ended;
  });

  await step('it says that it stops, and ends well', async () => {
    const ended = root.signal('TERM', 'quarry-worker');
    await systemd.waitForLine(/^STOPPING=1$/);
    await ended;
    assert.equal((await worker.ended).code, 0);
    await chain.stop();
  });
}
