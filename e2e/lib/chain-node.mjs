import { readdirSync } from 'node:fs';
import { quarryNode } from './binary.mjs';
import { tempDir } from './ours.mjs';
import { Process, run } from './process.mjs';
import { ChainView } from './rpc.mjs';
import { SECONDS, until } from './until.mjs';

/** Free ports, nothing sent home. */
export const QUIET = ['--rpc-port', '0', '--port', '0', '--no-prometheus', '--no-telemetry'];

/** A running chain node; `view` asks it over HTTP, `url` is for polkadot.js. */
export class ChainNode {
  constructor(process, url, temporary) {
    this.process = process;
    this.url = url;
    this.view = new ChainView(url);
    this.temporary = temporary;
  }

  get name() {
    return this.process.name;
  }

  stop() {
    return this.process.stop();
  }

  kill() {
    return this.process.kill();
  }

  /** What the node itself left in the folder for temporary files. */
  temporaryFiles() {
    return readdirSync(this.temporary);
  }

  async produced(number, { within = (number + 3) * 6 * SECONDS + 20 * SECONDS } = {}) {
    return until(`${this.name} has block ${number}`, async (seen) => {
      const best = await this.view.best();
      seen(`best block ${best}`);
      return best >= number;
    }, { within });
  }
}

/** Starts a chain node and waits until its RPC server listens. `host` is a namespace of network.mjs. */
export async function startChainNode({ name = 'chain-node', args = ['--dev'], ports = QUIET, host, program = quarryNode() } = {}) {
  const temporary = tempDir('tmp');
  const process = new Process(program, [...args, ...ports], {
    name,
    env: { TMPDIR: temporary },
    enter: host?.enter,
  });
  const [, address] = await process.waitForLine(/Running JSON-RPC server: addr=([^,\s]+)/);
  return new ChainNode(process, `ws://${address}`, temporary);
}

/** Runs one of the node's subcommands, or a start that must fail, to its end. */
export async function runChainNode(args, options = {}) {
  return run(quarryNode(), args, {
    name: `quarry-node ${args[0]}`,
    ...options,
    env: { TMPDIR: tempDir('tmp'), ...options.env },
  });
}
