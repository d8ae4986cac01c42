// What hostile guests reach by the network: their host, other guests, the miner's LAN. Busybox guests on real QEMU.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { GuestVm } from '../lib/guest-vm.mjs';
import { linkLocalOf, scan, theft } from '../lib/hostile-guest.mjs';
import { ip } from '../lib/ip.mjs';
import { GATEWAY_NAME } from '../lib/lab-host.mjs';
import { LAB_ADDRESS, Lab, PRIVATE_NETWORK } from '../lib/lab.mjs';
import { NameServer, OPEN_PORTS, listen, openPorts } from '../lib/lures.mjs';
import { endAll } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { isOnline } from '../lib/test-nodes.mjs';
import { SECONDS, inTime, patient } from '../lib/until.mjs';

// On the internet, as far as guests can tell, on the metadata service's address, and on the miner's LAN.
const INTERNET = { v4: '198.51.100.1', v6: '2001:db8::1' };
const METADATA = '169.254.169.254';
const LAN_V6 = 'fd42:44::1';

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('guests that do harm by the network', { timeout: patient(15 * 60 * SECONDS), concurrency: true }, harm);
});

async function harm(t) {
  const lab = new Lab();
  const market = new GuestMarket();
  const tenants = Object.fromEntries(['neighbour', 'rover', 'hidden', 'inmate', 'neighbour6', 'rover6', 'favoured'].map((name) => [name, market.account(name)]));
  const names = new NameServer();
  const servers = [];
  try {
    const hosts = await Promise.all([lab.startHost({ name: 'h1' }), lab.startHost({ name: 'h2' })]);
    const [h1, h2] = hosts;
    for (const [address, length] of [[INTERNET.v4, 32], [METADATA, 32], [INTERNET.v6, 128]]) ip('address', 'add', `${address}/${length}`, 'dev', 'lab');
    servers.push(...await Promise.all(OPEN_PORTS.map(listen)));
    await names.listen();
    for (const host of hosts) await openPorts(host);
    const alpha = new GuestNode('alpha', { host: h1 });
    const beta = new GuestNode('beta', { host: h2, family: 6 });
    await market.open({ hosts: [alpha, beta], address: LAB_ADDRESS });
    const allow = [`${LAB_ADDRESS}/32`, `${LAN_V6}/128`];
    const workers = await Promise.all([
      market.startWorker(alpha),
      market.startWorker(beta, { config: { network: { allow } } }),
    ]);
    await Promise.all(workers.map((worker) => worker.isReady()));
    await isOnline(market, alpha, beta);
    const rent = async (node, name, wish = {}) => {
      const vm = await GuestVm.rent(market, tenants[name], node, { name, ...wish });
      await vm.untilStatus('Running');
      return vm.isUp();
    };
    const [neighbour, rover, hidden, inmate, neighbour6, rover6, favoured] = await Promise.all([
      rent(alpha, 'neighbour', { ip: 'Require' }), rent(alpha, 'rover', { ip: 'Require' }),
      rent(alpha, 'hidden'), rent(alpha, 'inmate'),
      rent(beta, 'neighbour6', { ip: 'Require' }), rent(beta, 'rover6', { ip: 'Require' }), rent(beta, 'favoured'),
    ]);
    const of4 = (address) => [...OPEN_PORTS, 'ping'].map((port) => [address, port]);
    const chainPort = new URL(market.node.url).port;
    const forbidden4 = [
      [PRIVATE_NETWORK.gateway, 22], [PRIVATE_NETWORK.gateway, 80], [PRIVATE_NETWORK.gateway, 9645],
      [h1.publicGateway, 22], [h1.publicGateway, 80], [h1.publicGateway, 9645],
      ...of4(h1.address), ...of4(h2.address), ...of4(METADATA),
      [neighbour.address, 22], [neighbour.address, 7777], [neighbour.address, 'ping'],
      [hidden.address, 22], [hidden.address, 7777], [hidden.address, 'ping'],
    ];
    const lan4 = [...of4(LAB_ADDRESS), [LAB_ADDRESS, chainPort]];

    await Promise.all([
      t.test('what a scan must not find is there to be found', async () => {
        for (const host of [h1, h2]) {
          for (const [address, port] of [[LAB_ADDRESS, 22], [LAN_V6, 22], [METADATA, 80], [LAB_ADDRESS, chainPort], [h1.address, 80], [h2.address, 22], ['fd42:44::11', 22], ['fd42:44::12', 80]]) {
            assert.ok(await host.reachable(address, port), `${address} ${port} from ${host.name}`);
          }
        }
        for (const vm of [neighbour, hidden]) assert.ok(await h1.reachable(vm.address, 22), `${vm.address}`);
        assert.ok(await h2.reachable(neighbour6.address, 22));
      }),

      t.test('a guest with an address of its own finds the internet, and neither the host, nor other guests, nor the LAN', async () => {
        const bridge = linkLocalOf(h1, 'virbr-public');
        const found = await scan(rover, [...forbidden4, ...lan4, [bridge, 22], [bridge, 'ping'], [INTERNET.v4, 22], [INTERNET.v4, 'ping']]);
        assert.deepEqual(found, [[INTERNET.v4, 22], [INTERNET.v4, 'ping']].map(String));
      }),

      t.test('a guest behind the host’s NAT finds the internet and its name server, and nothing else', async () => {
        const good = [[PRIVATE_NETWORK.gateway, 'ping'], [PRIVATE_NETWORK.gateway, 53], [INTERNET.v4, 22], [INTERNET.v4, 'ping']];
        assert.deepEqual(await scan(inmate, [...forbidden4, ...lan4, ...good]), good.map(String));
        const answer = await inmate.run(`nslookup -type=a ${GATEWAY_NAME} ${PRIVATE_NETWORK.gateway} 2>&1`);
        assert.match(answer, new RegExp(`^Name:\\s+${GATEWAY_NAME}\\s+Address: ${PRIVATE_NETWORK.gateway}$`, 'm'));
      }),

      t.test('over IPv6 it is the same, but for what the operator allows', async () => {
        const bridge = linkLocalOf(h2, 'virbr-public');
        const forbidden = [
          [h2.publicGatewayV6, 22], [h2.publicGatewayV6, 80], [h1.publicGatewayV6, 22],
          ['fd42:44::11', 22], ['fd42:44::11', 'ping'], ['fd42:44::12', 22], ['fd42:44::12', 80],
          [neighbour6.address, 22], [neighbour6.address, 'ping'], [bridge, 22], [bridge, 'ping'],
        ];
        const good = [[h2.publicGatewayV6, 'ping'], [INTERNET.v6, 22], [INTERNET.v6, 'ping'], [LAN_V6, 22], [LAN_V6, 'ping']];
        assert.deepEqual(await scan(rover6, [...forbidden, ...good]), good.map(String));
      }),

      t.test('what the operator allows is reached, and no more of that network', async () => {
        const good = [...lan4, [INTERNET.v4, 22]];
        const shut = [...of4(h1.address), ...of4(h2.address), [PRIVATE_NETWORK.gateway, 22], [METADATA, 80]];
        assert.deepEqual(await scan(favoured, [...shut, ...good]), good.map(String));
      }),

      t.test('a tenant reaches port 22 from outside, over IPv4 and IPv6', async () => {
        for (const { address } of [rover, neighbour, rover6, neighbour6]) assert.equal(await echo(address, 'hello'), 'hello');
        assert.ok(await h2.reachable(rover.address, 22), 'from another host');
      }),
    ]);

    await Promise.all([
      t.test('a guest that takes a neighbour’s address reaches nobody with it, and the neighbour stays where it was', () => (
        theft({ thief: rover, victim: neighbour, names, gateway: h1.publicGateway, server: INTERNET.v4, bridge: 'virbr-public', prefixLen: 24 })
      )),
      t.test('the same behind NAT', () => (
        theft({ thief: inmate, victim: hidden, names, gateway: PRIVATE_NETWORK.gateway, server: INTERNET.v4, bridge: 'virbr-quarry', prefixLen: 20 })
      )),
      t.test('the same over IPv6', () => (
        theft({ thief: rover6, victim: neighbour6, names, gateway: h2.publicGatewayV6, server: INTERNET.v6, bridge: 'virbr-public', prefixLen: 64 })
      )),
    ]);

    await t.test('nothing of this ended a guest, and the chain has all of them as running', async () => {
      for (const vm of [neighbour, rover, hidden, inmate, neighbour6, rover6, favoured]) {
        assert.equal(await vm.status(), 'Running');
        assert.equal((await vm.domain()).state, 'running');
        assert.equal((await vm.state()).boots, '1');
      }
    });
    await Promise.all(workers.map((worker) => worker.stop()));
  } finally {
    await names.close();
    for (const server of servers) server.close();
    await market.close();
    await lab.close();
  }
}

/** What comes back of what is sent to a guest's port 22. */
function echo(address, text) {
  const answer = new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: 22 }, () => socket.end(text));
    let said = '';
    socket.setEncoding('utf8').on('data', (part) => (said += part)).on('end', () => resolve(said)).on('error', reject);
  });
  return inTime(`an answer of ${address}`, answer, 30 * SECONDS);
}
