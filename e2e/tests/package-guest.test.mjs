// The Debian packages in a guest, under a systemd that runs: what it starts, starts anew and lets be.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { guestImage, startGuest } from '../lib/guests.mjs';
import { Lab, PUBLIC_NETWORK } from '../lib/lab.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { PackageRoot, buildPackages, cachedRoot } from '../lib/package-root.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { ed25519Bytes, newSshKey, ssh, sshInto } from '../lib/ssh.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

const SETTINGS = 'node_id = "my-node"\n[chain]\nendpoints = ["ws://127.0.0.1:9944"]\n';
/** A watchdog that a test can wait for. */
const DROP_IN = '[Service]\nWatchdogSec=40\n';

await cachedRoot();
await guestImage('debian');
await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('the package under systemd', { timeout: patient(20 * 60 * SECONDS) }, underSystemd);
});

async function underSystemd(t) {
  const lab = new Lab();
  let guest;
  const step = stepsOf(t, () => lab.hosts[0]?.libvirtd?.tail());
  const unit = () => guest.properties('quarry-worker', ['ActiveState', 'MainPID', 'NRestarts', 'Result', 'StatusText', 'ExecMainStatus']);
  const untilUnit = (what, fits, within = 120 * SECONDS) => until(`the worker’s unit ${what}`, async (seen) => {
    const state = await unit();
    seen(JSON.stringify(state));
    return fits(state) && state;
  }, { within, every: 1_000 });
  const [{ worker: deb, cli }, { worker: later }] = await Promise.all([undefined, '99.0'].map((version) => buildPackages({ version })));
  try {
    await step('a guest with the libraries that it needs', async () => {
      const host = await lab.startHost({ name: 'h1' });
      guest = await Guest.start(host);
      await guest.put(await librariesOf(deb), '/tmp/libraries.tar');
      await guest.sudo('tar --extract --directory /usr/local/lib --file /tmp/libraries.tar; ldconfig');
      await guest.put(deb, '/tmp/package.deb');
      await guest.put(later, '/tmp/later.deb');
      await guest.put(cli, '/tmp/cli.deb');
    });

    await step('once installed it waits for settings, and has not failed', async () => {
      // What else it depends on is not there: it comes from a mirror.
      await guest.sudo('dpkg --force-depends --install /tmp/package.deb');
      const { ActiveState, Result } = await unit();
      assert.deepEqual([ActiveState, Result], ['inactive', 'success']);
      assert.equal((await guest.sudo('systemctl is-enabled quarry-worker')).trim(), 'enabled');
      assert.equal((await guest.sudo('systemctl is-failed quarry-worker || true')).trim(), 'inactive');
    });

    await step('a worker without a key fails once', async () => {
      await guest.write('/etc/quarry/worker.toml', SETTINGS);
      await guest.write('/etc/systemd/system/quarry-worker.service.d/test.conf', DROP_IN);
      await guest.sudo('systemctl daemon-reload; systemctl start quarry-worker || true');
      const { ActiveState, ExecMainStatus, NRestarts } = await untilUnit('has failed', ({ ActiveState }) => ActiveState === 'failed');
      assert.deepEqual([ActiveState, ExecMainStatus, NRestarts], ['failed', '78', '0']);
    });

    let before;
    await step('with one it is active, without a chain and without libvirt', async () => {
      await guest.sudo('quarry-worker key generate; systemctl start quarry-worker');
      before = await unit();
      assert.equal(before.ActiveState, 'active');
      assert.match(before.StatusText, /^node my-node: no chain, no libvirt/);
    });

    await step('`quarry miner` says how it does, ends it and starts it', async () => {
      await guest.sudo('dpkg --force-depends --install /tmp/cli.deb');
      const miner = async (...args) => JSON.parse(await guest.sudo(`quarry miner ${args.join(' ')} --yes --json`));
      const { state, worker } = await miner('status');
      assert.deepEqual([state, worker.node_id], ['active', 'my-node']);
      assert.equal((await miner('stop')).state, 'inactive');
      await assert.rejects(guest.sudo('quarry miner check-main'), /inactive/);
      assert.equal((await miner('start', '--at-boot')).state, 'active');
      assert.match(await guest.sudo('quarry miner logs --lines 50'), /quarry-worker/);
      before = await unit();
    });

    await step('it may do little of what root may', async () => {
      const status = await guest.sudo(`cat /proc/${before.MainPID}/status`);
      const field = (name) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)[1];
      // dac_override, fowner, net_bind_service.
      assert.deepEqual(['CapBnd', 'CapEff', 'NoNewPrivs', 'Seccomp'].map(field), ['000000000000040a', '000000000000040a', '1', '2']);
      const mounts = await guest.sudo(`cat /proc/${before.MainPID}/mountinfo`);
      assert.match(mounts, / \/ \/ ro[, ]/);
      assert.match(mounts, / \/var\/lib\/quarry-worker rw[, ]/);
      assert.match(await guest.sudo('quarry-worker status'), /my-node/);
    });

    await step('one that stands still is killed and started again', async () => {
      await guest.sudo(`kill -STOP ${before.MainPID}`);
      const now = await untilUnit('was started again', ({ MainPID, ActiveState }) => ActiveState === 'active' && MainPID !== before.MainPID);
      assert.equal(now.NRestarts, '1');
      assert.match(await guest.sudo('journalctl --no-pager --unit quarry-worker'), /Watchdog timeout/);
      before = now;
    });

    await step('a relay runs as a user of its own, who may do nothing else', async () => {
      await guest.write('/etc/quarry/relay.env', 'QUARRY_RELAY_CHAIN=ws://127.0.0.1:9944\n');
      await guest.sudo('systemctl enable --now quarry-relay 2>&1');
      const state = () => guest.properties('quarry-relay', ['ActiveState', 'MainPID', 'NRestarts']);
      await until('it has its key', () => guest.sudo('journalctl --no-pager --unit quarry-relay | grep -F "relay_key = \\"ssh-ed25519 "'), { within: 60 * SECONDS });
      const { ActiveState, MainPID, NRestarts } = await state();
      assert.deepEqual([ActiveState, NRestarts], ['active', '0']);
      assert.equal((await guest.sudo(`stat -c %U /proc/${MainPID}`)).trim(), 'quarry-relay');
      const files = await guest.sudo('stat -c "%n %U %a" /var/lib/quarry-relay /var/lib/quarry-relay/relay.key');
      assert.equal(files, '/var/lib/quarry-relay quarry-relay 700\n/var/lib/quarry-relay/relay.key quarry-relay 600\n');
      await guest.sudo('systemctl disable --now quarry-relay 2>&1');
    });

    await step('an upgrade starts the newer one in its place', async () => {
      await guest.sudo('dpkg --force-depends --install /tmp/later.deb');
      const now = await untilUnit('is active', ({ ActiveState }) => ActiveState === 'active');
      assert.notEqual(now.MainPID, before.MainPID);
      assert.match(await guest.sudo('journalctl --no-pager --unit quarry-worker'), /Stopped quarry-worker/);
    });

    await step('an upgrade starts nothing that was stopped', async () => {
      await guest.sudo('systemctl stop quarry-worker; dpkg --force-depends --install /tmp/later.deb');
      const { ActiveState, Result } = await unit();
      assert.deepEqual([ActiveState, Result], ['inactive', 'success']);
    });

    await step('a removal stops it, and leaves settings and key', async () => {
      await guest.sudo('systemctl start quarry-worker');
      const told = await guest.sudo('dpkg --force-depends --remove quarry-worker 2>&1');
      assert.match(told, /stopped; VMs run on, and disks, keys and settings stay/);
      assert.equal(await guest.sudo('pidof quarry-worker || true'), '');
      assert.equal((await guest.sudo('systemctl is-failed quarry-worker || true')).trim(), 'inactive');
      await guest.sudo('test -s /etc/quarry/worker.toml -a -s /var/lib/quarry-worker/worker.key');
    });
  } finally {
    await lab.close();
  }
}

/** A tar of the libraries that a package's program needs beside the C library. */
async function librariesOf(deb) {
  const root = await new PackageRoot().open();
  try {
    await root.install(deb);
    const libraries = (await root.run('ldd', '/usr/bin/quarry-worker')).matchAll(/=> (\/\S+)/g);
    const paths = [...libraries].map(([, path]) => path).filter((path) => !/\/(libc|libm|libresolv|ld-linux\S*)\.so/.test(path));
    const file = join(tempDir('libraries'), 'libraries.tar');
    await root.sh(`tar --create --absolute-names --dereference --transform 's,.*/,,' --file /root/libraries.tar ${paths.join(' ')}`);
    copyFileSync(root.outside('/root/libraries.tar'), file);
    return file;
  } finally {
    await root.close();
  }
}

class Guest {
  static async start(host) {
    const guest = new Guest();
    const key = newSshKey('tenant');
    const hostKey = newSshKey('host');
    const address = host.publicAddress(1);
    const config = {
      users: [{ name: 'quarry', sudo: 'ALL=(ALL) NOPASSWD:ALL', shell: '/bin/bash', ssh_authorized_keys: [key.publicKey] }],
      ssh_keys: { ed25519_private: readFileSync(hostKey.file, 'utf8'), ed25519_public: hostKey.publicKey },
    };
    await startGuest(host, {
      name: 'debian', image: await guestImage('debian'), memoryMib: 1024, vcpus: 2, diskGib: 4,
      network: PUBLIC_NETWORK, address, prefixLen: host.publicPrefixLen, gateway: host.publicGateway,
      userData: `#cloud-config\n${JSON.stringify(config)}`,
    });
    guest.login = { address, key, hostKey: ed25519Bytes(hostKey.publicKey) };
    await sshInto({ ...guest.login, command: 'cloud-init status --wait' });
    return guest;
  }

  async #ssh(command, enter) {
    const { code, stdout, stderr } = await ssh({ ...this.login, command, enter, within: 180 * SECONDS });
    if (code !== 0) throw new Error(`in the guest: ${command}: exit code ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  sudo(script) {
    return this.#ssh(`sudo sh -ec '${script.replaceAll("'", "'\\''")}'`);
  }

  /** Copies a file into it. */
  put(file, path) {
    return this.#ssh(`cat >${path}`, ['sh', '-c', 'file=$1; shift; exec "$@" <"$file"', 'sh', file]);
  }

  write(path, text) {
    return this.sudo(`mkdir -p ${path.replace(/\/[^/]+$/, '')}; printf %s '${text}' >${path}`);
  }

  /** What systemd says of a unit. */
  async properties(name, wanted) {
    const told = await this.sudo(`systemctl show --property ${wanted.join(',')} ${name}`);
    return Object.fromEntries(told.trim().split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  }
}
