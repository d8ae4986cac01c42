// What hostile guests reach by the network: their host, other guests, the miner's LAN. Busybox guests on real QEMU.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { after, test } from 'node:test';
import { GuestMarket, GuestNode } from '../lib/guest-market.mjs';
import { GuestVm } from '../lib/guest-vm.mjs';
import { GATEWAY_NAME, ip } from '../lib/lab-host.mjs';
import { LAB_ADDRESS, Lab, PRIVATE_NETWORK } from '../lib/lab.mjs';
import { endAll } from '../lib/ours.mjs';
import { Process } from '../lib/process.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { isOnline } from '../lib/test-nodes.mjs';
import { Hopeless, SECONDS, inTime, until } from '../lib/until.mjs';

// On the internet, as far as guests can tell, on the metadata service's address, and on the miner's LAN.
const INTERNET = { v4: '198.51.100.1', v6: '2001:db8::1' };
const METADATA = '169.254.169.254';
const LAN_V6 = 'fd42:44::1';
const OPEN_PORTS = [22, 80];

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('guests that do harm by the network', { timeout: 15 * 60 * SECONDS, concurrency: true }, harm);
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
            assert.ok(await host.reachable(address, port, { within: 10 }), `${address} ${port} from ${host.name}`);
          }
        }
        for (const vm of [neighbour, hidden]) assert.ok(await h1.reachable(vm.address, 22, { within: 10 }), `${vm.address}`);
        assert.ok(await h2.reachable(neighbour6.address, 22, { within: 10 }));
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
        assert.ok(await h2.reachable(rover.address, 22, { within: 10 }), 'from another host');
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

/**
 * A guest takes another one's address: announces it, speaks from it, then with the other's card as well. All the
 * while the address is asked for anew, and must be where it was.
 */
async function theft({ thief, victim, names, gateway, server, bridge, prefixLen }) {
  const family = victim.address.includes(':') ? '-6' : '-4';
  const [own, stolen] = [thief.address, victim.address];
  const [cardOfThief, cardOfVictim] = [macIn(await thief.xml()), macIn(await victim.xml())];
  const { host } = victim;
  const { hostname } = await victim.state();

  // What leaves with an address as its source, as a question for a name that tells.
  const askAs = (source, name) => [
    `ip ${family} route replace ${server} via ${gateway} dev eth0 src ${source}`,
    `timeout 4 nslookup ${name}.${hostname}.test ${server}`,
    `ip ${family} route del ${server}`,
  ];
  const announce = family === '-4' ? [
    `arping -q -U -c 1 -w 1 -I eth0 -s ${stolen} ${stolen}`, `arping -q -A -c 1 -w 1 -I eth0 -s ${stolen} ${stolen}`,
    `arping -q -c 1 -w 1 -I eth0 -s ${stolen} ${gateway}`,
  ] : [];
  const claim = [...announce, `ping ${family} -q -c 1 -W 1 -I ${stolen} ${gateway}`, 'sleep 1'];
  const dress = (card) => [
    'ip link set dev eth0 down', `ip link set dev eth0 address ${card}`, 'ip link set dev eth0 up',
    ...[own, stolen].map((address) => `ip ${family} address replace ${address}/${prefixLen} dev eth0`),
    `ip ${family} route replace default via ${gateway} dev eth0`,
  ];
  await thief.begin([
    'exec 2>/dev/null',
    `ip ${family} address add ${stolen}/${prefixLen} dev eth0`,
    `while [ ! -e /run/honest ]; do ${claim.join('; ')}; done >/dev/null &`,
    `{ ${[...askAs(stolen, 'stolen'), ...askAs(own, 'own')].join('; ')}; } >/dev/null`,
    `{ ${[...dress(cardOfVictim), ...askAs(stolen, 'twin'), ...askAs(own, 'half'), 'sleep 5'].join('; ')}; } >/dev/null`,
    'touch /run/honest',
    'sleep 4',
    `{ ${[...dress(cardOfThief), `ip ${family} address del ${stolen}/${prefixLen} dev eth0`, ...askAs(own, 'honest')].join('; ')}; } >/dev/null`,
    'echo "it says: honest"',
  ].join('\n'));
  let times = 0;
  await until('the thief is honest', async (seen) => {
    await host.run('ip', family, 'neigh', 'flush', 'to', stolen, 'dev', bridge);
    const { hostname: found } = await victim.state();
    const card = await host.run('ip', family, 'neigh', 'show', 'to', stolen, 'dev', bridge);
    if (found !== hostname || !card.includes(cardOfVictim)) throw new Hopeless(`${stolen} is ${found} at ${card}`);
    times += 1;
    seen(`${times} times: ${found} at ${card}; ${names.asked}`);
    return /it says: honest/.test(thief.console());
  }, { within: 180 * SECONDS, every: 200 });
  assert.ok(times > 3, `asked for ${times} times`);
  await names.heard(`honest.${hostname}.test`);
  const asked = new Set(names.asked.filter((name) => name.endsWith(`.${hostname}.test`)));
  assert.deepEqual([...asked], [`own.${hostname}.test`, `honest.${hostname}.test`]);
  assert.equal((await thief.state()).hostname === hostname, false);
}

const macIn = (xml) => /<mac address='([^']+)'/.exec(xml)[1];

/** The link-local address of a host's bridge, as its guests see it. */
function linkLocalOf(host, bridge) {
  const text = ip('-n', host.name, '-oneline', '-6', 'address', 'show', 'dev', bridge, 'scope', 'link');
  return `${/inet6 (fe80:[^/]+)/.exec(text)[1]}%eth0`;
}

const PROBES = `
probe() { timeout 8 nc -w 4 "$1" "$2" </dev/null >/dev/null 2>&1 && echo "open $1,$2" || echo "shut $1,$2"; }
knock() { ping -q -c 1 -W 4 "$1" >/dev/null 2>&1 && echo "open $1,ping" || echo "shut $1,ping"; }
`;

/** Which of these a guest reaches. */
async function scan(vm, targets) {
  const probes = targets.map(([address, port]) => (port === 'ping' ? `knock ${address} &` : `probe ${address} ${port} &`));
  const said = (await vm.run(`${PROBES}${probes.join('\n')}\nwait`)).trim().split('\n');
  const answers = new Map(said.map((line) => line.split(' ').reverse()));
  for (const target of targets) assert.ok(answers.has(String(target)), `nothing is said of ${target}: ${said}`);
  return targets.map(String).filter((target) => answers.get(target) === 'open');
}

/** Something answers on such a port of all of the test's addresses. */
async function listen(port) {
  const server = createServer((socket) => socket.on('error', () => {}).end('here')).listen(port, '::');
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
  return server;
}

const LISTENER = `
const { createServer } = require('node:net');
const servers = ${JSON.stringify(OPEN_PORTS)}.map((port) => createServer((socket) => socket.on('error', () => {}).end('here')).listen(port, '::'));
Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve)))).then(() => console.log('listening'));
`;

function openPorts(host) {
  return new Process(process.execPath, ['-e', LISTENER], { name: `${host.name}-ports`, enter: host.enter }).waitForLine(/^listening$/);
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

/** Hears questions for names, on all of the test's addresses, and gives no answer. */
class NameServer {
  asked = [];
  #socket = createSocket({ type: 'udp6' });

  listen() {
    this.#socket.on('message', (message) => this.asked.push(questionIn(message)));
    return new Promise((resolve, reject) => this.#socket.once('listening', resolve).once('error', reject).bind(53, '::'));
  }

  heard(name) {
    return until(`somebody asks for ${name}`, (seen) => {
      seen(this.asked.join(', '));
      return this.asked.includes(name);
    }, { within: 60 * SECONDS });
  }

  close() {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}

/** The name in a question for one. */
function questionIn(message) {
  const labels = [];
  for (let at = 12; message[at] > 0 && at < message.length; at += message[at] + 1) labels.push(message.toString('latin1', at + 1, at + 1 + message[at]));
  return labels.join('.').toLowerCase();
}
