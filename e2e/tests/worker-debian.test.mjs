// A real Debian guest on a real worker, from the rent to the last trace of it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { LAB_ADDRESS, Lab } from '../lib/lab.mjs';
import { planId } from '../lib/market.mjs';
import { endAll } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { newSshKey, ssh, sshInto } from '../lib/ssh.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { foldersIn } from '../lib/test-nodes.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('a Debian guest', { timeout: patient(20 * 60 * SECONDS) }, life);
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
    const key = newSshKey('tenant');
    let id;
    let login;
    const ask = (call, ...args) => market.do(tenant, market.api.tx.compute[call](id, ...args));
    const inGuest = (command) => sshInto({ ...login, command });

    await step('it is rented, and lets the tenant in by the host key that the chain names', async () => {
      await market.open({ hosts: [node], guests: ['debian'], address: LAB_ADDRESS });
      worker = await market.startWorker(node);
      await worker.isReady();
      id = await market.rent(tenant, { on: node, plan: 'debian', image: 'debian', keys: [key.publicKey], ip: 'Require' });
      await market.untilStatus(id, 'Running');
      login = { address: await market.addressOf(id), key, hostKey: await market.hostKeyOf(node, id) };
      assert.equal((await inGuest('cloud-init status --wait >/dev/null; hostname; sudo id -u; grep -c ^processor /proc/cpuinfo')).trim(), 'web\n0\n2');
    });

    await step('nobody else gets in', async () => {
      const stranger = newSshKey('stranger');
      const { code } = await until('sshd has judged the stranger', async (seen) => {
        const answer = await ssh({ ...login, key: stranger, command: 'true' });
        seen(answer.stderr);
        return (answer.code === 0 || /Permission denied/.test(answer.stderr)) && answer;
      }, { within: 60 * SECONDS });
      assert.equal(code, 255);
    });

    await step('what is written lasts over a reboot', async () => {
      await inGuest('echo kept | sudo tee /root/file; sync');
      const before = await inGuest('cat /proc/sys/kernel/random/boot_id');
      await ask('requestComputeReboot');
      await market.untilStatus(id, 'Running');
      assert.equal(await inGuest('sudo cat /root/file'), 'kept\n');
      assert.notEqual(await inGuest('cat /proc/sys/kernel/random/boot_id'), before);
    });

    await step('a reboot from inside is none of the worker’s business', async () => {
      const [{ id: before }] = await host.domains();
      const boot = await inGuest('cat /proc/sys/kernel/random/boot_id');
      await ssh({ ...login, command: 'sudo systemctl reboot' });
      await until('the guest booted again', async () => (await inGuest('cat /proc/sys/kernel/random/boot_id')) !== boot, { within: 240 * SECONDS });
      const [{ id: now }] = await host.domains();
      assert.equal(now, before);
    });

    const memory = async () => Number(await inGuest("awk '/MemTotal/ { print $2 }' /proc/meminfo"));
    let memoryBefore;
    await step('it sees a larger disk at once', async () => {
      memoryBefore = await memory();
      await ask('requestComputeResize', planId('debian-grown'));
      await market.untilStatus(id, 'Running');
      assert.equal((await inGuest('cat /sys/block/vda/size')).trim(), String(6 * 2 ** 30 / 512));
    });

    await step('after a stop and a boot it has more memory, and still what was written', async () => {
      await ask('requestComputeStop');
      await market.untilStatus(id, 'Stopped');
      assert.deepEqual((await host.domains()).map(({ state }) => state), ['shut off']);
      await ask('requestComputeBoot');
      await market.untilStatus(id, 'Running');
      const now = await memory();
      assert.ok(now - memoryBefore > 200 * 1024, `${memoryBefore} KiB before, ${now} after`);
      assert.equal(await inGuest('sudo cat /root/file'), 'kept\n');
    });

    await step('its deletion leaves nothing', async () => {
      await ask('requestComputeDelete');
      await until('the request is gone', async () => (await market.api.query.compute.requestOwner(id)).isNone, { within: 120 * SECONDS });
      assert.deepEqual(await host.domains(), []);
      assert.deepEqual(foldersIn(worker.dataDir), []);
      assert.ok(existsSync(join(worker.dataDir, 'images')));
      assert.equal(await host.reachable(login.address, 22, { within: 2 }), false);
    });

    await step('and on the host there is nothing but what the worker keeps for itself', async () => {
      await until('the filter is gone', async (seen) => {
        const left = await host.leftovers({ except: /^file worker\/(?!vms\/quarry-)/ });
        seen(left.join(', '));
        return left.length === 0;
      }, { within: 60 * SECONDS });
      await worker.stop();
      assert.deepEqual(await host.leftovers({ except: /^file worker\/(?!vms\/quarry-)/ }), []);
    });
  } finally {
    await worker?.stop();
    await market.close();
    await lab.close();
  }
}
