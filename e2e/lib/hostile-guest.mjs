// What a guest with a shell (guest-vm.mjs) tries by the network: to find others, and to pass for one of them.
import assert from 'node:assert/strict';
import { ip } from './ip.mjs';
import { Hopeless, SECONDS, until } from './until.mjs';

const PROBES = `
probe() { timeout 20 nc -w 10 "$1" "$2" </dev/null >/dev/null 2>&1 && echo "open $1,$2" || echo "shut $1,$2"; }
knock() { ping -q -c 1 -W 10 "$1" >/dev/null 2>&1 && echo "open $1,ping" || echo "shut $1,ping"; }
`;

/** Which of these a guest reaches: addresses with a port each, or with 'ping'. */
export async function scan(vm, targets) {
  const probes = targets.map(([address, port]) => (port === 'ping' ? `knock ${address} &` : `probe ${address} ${port} &`));
  const said = (await vm.run(`${PROBES}${probes.join('\n')}\nwait`)).trim().split('\n');
  const answers = new Map(said.map((line) => line.split(' ').reverse()));
  for (const target of targets) assert.ok(answers.has(String(target)), `nothing is said of ${target}: ${said}`);
  return targets.map(String).filter((target) => answers.get(target) === 'open');
}

/**
 * A guest takes another one's address: announces it, speaks from it, then with the other's card as well. All the
 * while the address is asked for anew, and must be where it was.
 */
export async function theft({ thief, victim, names, gateway, server, bridge, prefixLen }) {
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
export function linkLocalOf(host, bridge) {
  const text = ip('-n', host.name, '-oneline', '-6', 'address', 'show', 'dev', bridge, 'scope', 'link');
  return `${/inet6 (fe80:[^/]+)/.exec(text)[1]}%eth0`;
}
