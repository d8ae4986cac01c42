// What there is to be found by a guest that scans: open ports, and a name server that tells who asked.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { Process } from './process.mjs';
import { SECONDS, until } from './until.mjs';

export const OPEN_PORTS = [22, 80];

/** Something answers on such a port of all of the test's addresses. */
export async function listen(port) {
  const server = createServer((socket) => socket.on('error', () => {}).end('here')).listen(port, '::');
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
  return server;
}

const LISTENER = `
const { createServer } = require('node:net');
const servers = ${JSON.stringify(OPEN_PORTS)}.map((port) => createServer((socket) => socket.on('error', () => {}).end('here')).listen(port, '::'));
Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve)))).then(() => console.log('listening'));
`;

/** The same on a host of a lab. */
export function openPorts(host) {
  return new Process(process.execPath, ['-e', LISTENER], { name: `${host.name}-ports`, enter: host.enter }).waitForLine(/^listening$/);
}

/** Hears questions for names, on all of the test's addresses, and gives no answer. */
export class NameServer {
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
