// What nobody sends who means well, to the RPC port: too much, too deep, too many, and connections without end.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { sample } from '../bench/footprint.mjs';
import { median } from '../bench/worker-log.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const MIB = 2 ** 20;
const CONNECTIONS = 1_000;
/** An honest question may take so long right after one of these. */
const PATIENCE = 2 * SECONDS;

/** By which a WebSocket begins. */
const HANDSHAKE = [
  'GET / HTTP/1.1', 'Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13', '', '',
].join('\r\n');

const call = (method, params) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });

/** Where the node answers before it has read everything, it may shut the connection before the answer is read. */
const refusedUnread = (answer) => new RegExp(`${answer.source}|^(ECONNRESET|EPIPE)$`);

/** Each with what an answer must be: a pattern for "HTTP status, body". */
function questions() {
  const filled = (bytes, byte = '00') => `0x${byte.repeat(bytes)}`;
  return [
    ['a name of 5,000 bytes', call('compute_get_node', ['n'.repeat(5_000)]), /^200 .*-32602.*4096 bytes/],
    ['10 MiB of a parameter', call('compute_get_vm', ['7'.repeat(10 * MIB)]), /^200 .*-32602.*4096 bytes/],
    ['16 MiB of a request', call('compute_get_vm', ['7'.repeat(16 * MIB)]), refusedUnread(/^413 /)],
    ['a hundred thousand brackets', `{"jsonrpc":"2.0","id":1,"method":"compute_get_vm","params":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, /^200 .*-32[67]/],
    ['a page of more rows than there are', call('compute_find_nodes', { filter: { resources: { vcpus: 1, memory_mib: 1, disk_gib: 1 } }, limit: 4_294_967_295 }), /^200 .*7010/],
    ['a transaction of 6 MiB', call('author_submitExtrinsic', [filled(6 * MIB)]), /^200 .*"error"/],
    ['a call of the runtime’s API with 6 MiB', call('state_call', ['ComputeApi_find_nodes', filled(6 * MIB, 'ff')]), /^200 .*"error"/],
    ['a call of the runtime’s API that would import a block', call('state_call', ['Core_execute_block', filled(64)]), /^200 .*"error"/],
    ['what is no JSON', '\u0000'.repeat(MIB), refusedUnread(/^400 .*-32700/)],
  ];
}

/** Status and body; where the node shuts the connection before it has read everything, how it did so. */
async function answerTo(url, body) {
  try {
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: AbortSignal.timeout(60 * SECONDS) });
    return `${response.status} ${(await response.text()).slice(0, 2_000)}`;
  } catch (error) {
    if (!error.cause?.code) throw error;
    return error.cause.code;
  }
}

export async function attackByRpc({ market, alpha }, findings) {
  const { node } = market;
  const url = node.url.replace(/^ws/, 'http');
  const honest = async () => {
    const begun = performance.now();
    await node.view.call('compute_get_node', alpha.id);
    return performance.now() - begun;
  };
  const calm = [];
  for (let number = 0; number < 20; number++) calm.push(await honest());
  const before = sample(node.process.pid);
  for (const [what, body, answer] of questions()) {
    await findings.holds(`${what}: refused, and the next question is answered`, async () => {
      const begun = performance.now();
      const said = await answerTo(url, body);
      const took = performance.now() - begun;
      assert.match(said, answer, said.slice(0, 300));
      const next = await honest();
      assert.ok(next < PATIENCE, `${next} ms`);
      findings.figure(`${what}: refused after, and the next answer after`, `${took.toFixed(0)} ms, ${next.toFixed(0)} ms`);
    });
  }
  await connections(market, alpha, findings);
  const after = sample(node.process.pid);
  findings.figure('an honest question in the calm', `${median(calm).toFixed(1)} ms`);
  findings.figure('what all of it took of the chain node', `${(after.cpu - before.cpu).toFixed(1)} s of a processor, ${((after.rss - before.rss) / MIB).toFixed(0)} MiB more memory`);
}

/** A thousand WebSockets that say nothing: those who were connected before are served, and so is everybody once they are gone. */
async function connections(market, alpha, findings) {
  const { api, node } = market;
  const { hostname, port } = new URL(node.url);
  const sockets = [];
  let kept = 0;
  await findings.holds(`while ${CONNECTIONS} connections come and stay without a word, who was connected is served`, async () => {
    const away = (await market.nodeRecord(alpha)).downtime.toNumber();
    for (let count = 0; count < CONNECTIONS; count++) {
      const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(HANDSHAKE));
      socket.once('data', (answer) => (kept += / 101 /.test(answer) ? 1 : 0)).on('error', () => {});
      sockets.push(socket);
    }
    const begun = performance.now();
    const number = (await api.rpc.chain.getHeader()).number.toNumber();
    await until('blocks go on', async () => (await api.rpc.chain.getHeader()).number.toNumber() > number + 8, { within: 120 * SECONDS });
    findings.figure('blocks seen by one that was connected before', `9 in ${((performance.now() - begun) / SECONDS).toFixed(0)} s`);
    assert.equal((await market.nodeRecord(alpha)).downtime.toNumber(), away, 'the worker is heard');
  });
  await findings.holds('the node keeps some of them, and refuses whoever else comes', async () => {
    findings.figure(`of ${CONNECTIONS} connections the node keeps`, kept);
    assert.ok(kept > 50 && kept < CONNECTIONS, `it keeps ${kept}`);
    await assert.rejects(node.view.call('system_name'));
  });
  for (const socket of sockets) socket.destroy();
  await findings.holds('and so is everybody once they are gone', () => (
    until('the node answers a new connection', () => node.view.call('system_name'), { within: 60 * SECONDS })
  ));
}
