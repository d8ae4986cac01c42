import { once } from 'node:events';
import { createServer } from 'node:net';

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
