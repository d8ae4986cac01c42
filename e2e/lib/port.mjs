import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** As `occupyPort`, for UDP. */
export async function occupyUdpPort(address) {
  const socket = createSocket('udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  return { port: socket.address().port, release: () => new Promise((resolve) => socket.close(resolve)) };
}

/** Listens on a free port, so that nobody else can; `release` gives it back. */
export async function occupyPort(address) {
  const server = createServer();
  server.listen({ port: 0, host: address });
  await once(server, 'listening');
  return {
    port: server.address().port,
    release: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** A port that was free a moment ago: for what must come back to its port after a restart. */
export async function freePort(address) {
  const { port, release } = await occupyPort(address);
  await release();
  return port;
}

/** Of a chain node at an address of its own: none that the system gives to whoever asks for any. */
export const RPC_PORT = 9944;

let given = 0;

/** A loopback address for one user in this run, whose ports nobody takes while that user restarts. */
export function ownLoopback() {
  given += 1;
  return `127.${100 + given}.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
}
