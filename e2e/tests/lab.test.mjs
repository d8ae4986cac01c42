import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { guestImage, startGuest } from '../lib/guests.mjs';
import { LAB_ADDRESS, Lab, PRIVATE_NETWORK, PUBLIC_NETWORK } from '../lib/lab.mjs';
import { startImageServer } from '../lib/image-server.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, until } from '../lib/until.mjs';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('two hypervisor hosts with guests', { timeout: 15 * 60 * SECONDS }, twoHosts);
});

async function twoHosts(t) {
  const lab = new Lab();
  const step = stepsOf(t, () => lab.hosts.map(({ libvirtd }) => libvirtd?.tail()).join('\n'));
  const guests = [];
  const images = tempDir('images');
  let server;
  try {
    await step('they have a libvirt each', async () => {
      await Promise.all([lab.startHost({ name: 'h1' }), lab.startHost({ name: 'h2' })]);
      for (const host of lab.hosts) {
        assert.deepEqual(await host.domains(), []);
        assert.deepEqual(await host.leftovers(), []);
        assert.match(await host.virsh('net-list'), /public[^]*quarry/);
      }
    });

    const [left, right] = lab.hosts;
    await step('guests of the same name and address run on both', async () => {
      const image = await guestImage('busybox');
      const inPrivate = { network: PRIVATE_NETWORK.name, gateway: PRIVATE_NETWORK.gateway, prefixLen: PRIVATE_NETWORK.prefixLen };
      guests.push(...await Promise.all(lab.hosts.map((host) => (
        startGuest(host, { name: 'vm', image, address: '10.130.0.5', ...inPrivate })
      ))));
      for (const guest of guests) {
        await guest.says(/quarry-guest: ready/);
        assert.ok(await guest.host.reachable(guest.address, 22));
        assert.match(await guest.host.fetch(`http://${guest.address}/cgi-bin/state`), /^boots 1$/m);
        assert.deepEqual((await guest.host.domains()).map(({ name, state }) => [name, state]), [['vm', 'running']]);
      }
    });
  } finally {
    await server?.close();
    await lab.close();
  }
}
