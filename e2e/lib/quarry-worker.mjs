// The worker's program, with its settings and its key.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { quarryNode } from './binary.mjs';
import { PRIVATE_NETWORK, PUBLIC_NETWORK } from './lab-host.mjs';
import { tempDir } from './ours.mjs';
import { ownLoopback } from './port.mjs';
import { Process, run } from './process.mjs';
import { SECONDS, patient, until } from './until.mjs';

/** QUARRY_WORKER, or what was built beside the chain node. */
export const workerProgram = () => process.env.QUARRY_WORKER ?? join(dirname(quarryNode()), 'quarry-worker');

const IN_A_LAB = {
  hypervisor: { uri: 'qemu:///system', accelerator: 'emulation' },
  network: {
    own: { network: PUBLIC_NETWORK },
    private: { network: PRIVATE_NETWORK.name, gateway: `${PRIVATE_NETWORK.gateway}/${PRIVATE_NETWORK.prefixLen}` },
    dns: [PRIVATE_NETWORK.gateway],
  },
};

const ON_THE_TEST_DRIVER = {
  hypervisor: { accelerator: 'test' },
  network: { private: { user: true }, filter: false },
};

/** Waits that tests can wait for, and no threshold that a busy test machine could cross. */
const ANYWHERE = {
  operations: { shutdown_grace: '20s', resync: '5s', orphan_disk_delay: '0s' },
  images: { allow_http: true, stall: '5s' },
  thresholds: { cpu_percent: 100, memory_percent: 100, storage_percent: 100 },
  logs: { format: 'text', filter: 'info,quarry_worker=debug,quarry_client=debug' },
};

/**
 * Starts a worker. With `host` it runs on that host of the lab, else here; `uri` is a libvirtd with the test
 * driver. `chain` is one RPC endpoint or several; `seed` the key's, in hex; `config` goes over the settings
 * here, section by section; `args` are flags of its `run`, at every start; `env` is for this start alone. With `log` it
 * logs to that file and not to here. `program` is another release of it.
 */
export async function startWorker({ host, uri, chain, nodeId, seed, config = {}, args = [], env = {}, name = `worker-${nodeId}`, folder, log, program }) {
  const place = folder ?? (host ? join(host.folder, 'worker') : tempDir('worker'));
  mkdirSync(place, { recursive: true, mode: 0o755 });
  const file = (suffix) => join(host ? host.etc : place, `${name}.${suffix}`);
  writeFileSync(file('key'), seed, { mode: 0o600 });
  const loopback = host ? '127.0.0.1' : ownLoopback();
  const dataDir = host ? place : join(place, 'data');
  const settings = merged(
    { node_id: nodeId, data_dir: dataDir },
    { chain: { endpoints: [chain].flat() }, key: { file: file('key') }, http: { listen: `${loopback}:9645` }, access: { listen: `${host ? '[::]' : loopback}:2222` } },
    ANYWHERE, uri ? ON_THE_TEST_DRIVER : IN_A_LAB, uri ? { hypervisor: { uri } } : {}, config,
  );
  writeFileSync(file('toml'), toml(settings));
  return new QuarryWorker({ name, host, config: file('toml'), args, log, program, listen: settings.http.listen, access: settings.access.listen, dataDir: settings.data_dir }).start(env);
}

export class QuarryWorker {
  constructor(fields) {
    Object.assign(this, fields);
  }

  start(env = {}) {
    const toFile = this.log ? ['sh', '-c', 'log=$1; shift; exec "$@" 2>>"$log"', 'sh', this.log] : [];
    const enter = [...(this.host?.enter ?? []), ...toFile];
    this.process = new Process(this.program ?? workerProgram(), ['run', '--config', this.config, ...this.args], { name: this.name, env, enter });
    return this;
  }

  /** Ends it as a crash does. */
  kill9() {
    return this.process.kill();
  }

  stop() {
    return this.process.stop();
  }

  /** Starts it again, by SIGTERM if it still runs; `env` as at the start. */
  async restart(env) {
    if (!this.process.end) await this.process.stop();
    return this.start(env);
  }

  /** How it ended at the crash point that its environment named. */
  async crashed({ within = 180 * SECONDS } = {}) {
    await this.process.waitForLine(/^QUARRY_CRASH_AT: /, { within });
    return this.process.ended;
  }

  waitForLine(pattern, options) {
    return this.process.waitForLine(pattern, options);
  }

  /** What its HTTP server, which listens on its host's loopback alone, has at a path. */
  async get(path) {
    const url = `http://${this.listen}${path}`;
    if (this.host) return this.host.fetch(url);
    const answer = await fetch(url, { signal: AbortSignal.timeout(patient(20 * SECONDS)) });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    return answer.text();
  }

  async status() {
    return JSON.parse(await this.get('/v1/status'));
  }

  async isReady({ within = 60 * SECONDS } = {}) {
    await until(`${this.name} is ready`, async () => {
      if (this.process.end) throw new Error(this.process.tail());
      await this.get('/readyz');
      return true;
    }, { within });
    return this;
  }

  /** Runs one of its subcommands on its host and settings: code, stdout and stderr. */
  run(...args) {
    return run(this.program ?? workerProgram(), [args[0], '--config', this.config, ...args.slice(1)], { name: `${this.name} ${args[0]}`, enter: this.host?.enter });
  }
}

function merged(...layers) {
  const settings = {};
  for (const layer of layers) {
    for (const [name, value] of Object.entries(layer)) {
      settings[name] = isTable(value) ? { ...settings[name], ...value } : value;
    }
  }
  return settings;
}

const isTable = (value) => typeof value === 'object' && !Array.isArray(value);

/** Settings as TOML: sections of values, tables within them in line. */
export function toml(settings) {
  const line = ([name, value]) => `${name} = ${inLine(value)}`;
  const entries = Object.entries(settings).filter(([, value]) => value !== undefined);
  const top = entries.filter(([, value]) => !isTable(value)).map(line);
  const sections = entries.filter(([, value]) => isTable(value)).map(([name, section]) => (
    [`\n[${name}]`, ...Object.entries(section).filter(([, value]) => value !== undefined).map(line)].join('\n')
  ));
  return `${[...top, ...sections].join('\n')}\n`;
}

function inLine(value) {
  if (Array.isArray(value)) return `[${value.map(inLine).join(', ')}]`;
  if (isTable(value)) return `{ ${Object.entries(value).map(([name, item]) => `${name} = ${inLine(item)}`).join(', ')} }`;
  return JSON.stringify(value);
}
