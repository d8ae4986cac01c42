// A validator as its operator has it, by the runbook: node key and session keys on its disk, and nothing but
// `--validator` on the command line.
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runChainNode } from '../lib/chain-node.mjs';
import { submit } from '../lib/chain.mjs';
import { tempDir } from '../lib/ours.mjs';
import { SECONDS } from '../lib/until.mjs';
import { startOnHost } from '../lib/validators.mjs';

export class OperatedValidator {
  #base;

  /** `account` is the operator's, in the wallet; `peers` are hosts to dial first. */
  constructor({ host, chain, account, peers }) {
    Object.assign(this, { host, chain, account, peers });
    this.#base = join(tempDir(host.name), 'base');
    this.backup = tempDir(`${host.name}-backup`);
  }

  get #place() {
    return ['--chain', this.chain, '--base-path', this.#base];
  }

  /** One of its folders or files, by its path in the runbook: under BASE/chains/ID. */
  #path(...names) {
    const chains = join(this.#base, 'chains');
    const id = existsSync(chains) ? readdirSync(chains)[0] : JSON.parse(readFileSync(this.chain, 'utf8')).id;
    return join(chains, id, ...names);
  }

  async #does(...args) {
    const { code, stderr, commandLine } = await runChainNode([...args, ...this.#place]);
    if (code !== 0) throw new Error(`${commandLine}: ${stderr}`);
  }

  /** Join, step 1. */
  makeNodeKey() {
    return this.#does('key', 'generate-node-key');
  }

  /** The session keys that a genesis names. */
  async insertKeys(secret) {
    for (const [type, scheme] of [['aura', 'sr25519'], ['gran', 'ed25519']]) {
      await this.#does('key', 'insert', '--key-type', type, '--scheme', scheme, '--suri', secret);
    }
  }

  async start(...flags) {
    const { host, chain, peers } = this;
    this.node = await startOnHost(host, { chain, basePath: this.#base, flags, peers, keyOnDisk: true });
    return this.node;
  }

  /** Join, steps 2 and 3: keys of its own, registered by the account. The Aura key and the GRANDPA key. */
  async registerKeys(api) {
    const { keys, proof } = await this.node.view.call('author_rotateKeysWithOwner', `0x${Buffer.from(this.account.publicKey).toString('hex')}`);
    await submit(api, api.tx.session.setKeys(keys, proof), this.account);
    return { aura: keys.slice(0, 66), grandpa: `0x${keys.slice(66)}` };
  }

  /** What the runbook says to back up. */
  backUp() {
    rmSync(this.backup, { recursive: true, force: true });
    mkdirSync(this.backup);
    writeFileSync(join(this.backup, 'secret_ed25519'), readFileSync(this.#path('network', 'secret_ed25519')), { mode: 0o600 });
    cpSync(this.#path('keystore'), join(this.backup, 'keystore'), { recursive: true });
  }

  /** Its machine dies, and nothing of its disk is left. */
  async loseDisk() {
    await this.node.kill();
    rmSync(this.#base, { recursive: true });
  }

  restoreNodeKey() {
    const place = this.#path('network', 'secret_ed25519');
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, readFileSync(join(this.backup, 'secret_ed25519')));
    chmodSync(place, 0o600);
  }

  restoreKeystore() {
    cpSync(join(this.backup, 'keystore'), this.#path('keystore'), { recursive: true });
    chmodSync(this.#path('keystore'), 0o700);
  }

  /** Who it is to its peers. */
  peerId() {
    return this.node.view.call('system_localPeerId');
  }

  async isSynced() {
    await this.node.process.waitForLine(/Warp sync is complete/, { within: 180 * SECONDS });
    await this.node.process.waitForLine(/State sync is complete/, { within: 120 * SECONDS });
  }
}
