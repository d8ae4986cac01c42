import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runChainNode, startChainNode } from '../lib/chain-node.mjs';
import { connect, developmentAccount, QRY, submit } from '../lib/chain.mjs';
import { copyState } from '../lib/folder.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';

after(endAll);

/** The output of a subcommand that must succeed. */
async function output(args, options) {
  const { code, stdout, stderr, commandLine } = await runChainNode(args, options);
  assert.equal(code, 0, `${commandLine}\nended with exit code ${code}, stderr:\n${stderr}`);
  return { stdout, stderr };
}

const freshBasePath = () => join(tempDir('state'), 'base');
const onChain = (basePath) => ['--chain', 'dev', '--base-path', basePath];
const chainInfo = async (basePath) => JSON.parse((await output(['chain-info', ...onChain(basePath)])).stdout);

describe('a chain with blocks', () => {
  let original;
  let info;

  before(async () => {
    original = freshBasePath();
    const node = await startChainNode({ args: ['--dev', '--base-path', original] });
    const api = await connect(node.url);
    const alice = developmentAccount('//Alice');
    await submit(api, api.tx.balances.transferKeepAlive(developmentAccount('//Bob').address, QRY), alice);
    await api.disconnect();
    await node.produced(4);
    await node.stop();
    info = await chainInfo(original);
  });

  const copy = () => {
    const basePath = freshBasePath();
    copyState(original, basePath);
    return basePath;
  };

  test('chain-info names its best and its finalized block', () => {
    assert.ok(info.best_number >= 4);
    assert.ok(info.finalized_number <= info.best_number);
    assert.match(info.best_hash, /^0x[0-9a-f]{64}$/);
  });

  for (const [format, flags] of [['JSON', []], ['binary', ['--binary']]]) {
    test(`blocks exported as ${format} make the same chain elsewhere; revert takes one back`, async () => {
      const file = join(tempDir('blocks'), 'blocks');
      await output(['export-blocks', file, ...flags, ...onChain(original)]);
      const basePath = freshBasePath();
      await output(['import-blocks', file, ...flags, ...onChain(basePath)]);
      const imported = await chainInfo(basePath);
      assert.equal(imported.genesis_hash, info.genesis_hash);
      assert.equal(imported.best_number, info.best_number);
      assert.equal(imported.best_hash, info.best_hash);

      await output(['revert', '1', ...onChain(basePath)]);
      const reverted = await chainInfo(basePath);
      assert.equal(reverted.best_number, info.best_number - 1);
      await output(['import-blocks', file, ...flags, ...onChain(basePath)]);
      assert.equal((await chainInfo(basePath)).best_hash, info.best_hash);
    });
  }

  test('a part of it can be exported', async () => {
    const file = join(tempDir('blocks'), 'blocks.json');
    await output(['export-blocks', file, '--from', '2', '--to', '3', ...onChain(original)]);
    const numbers = [...readFileSync(file, 'utf8').matchAll(/"number":\s*"(0x[0-9a-f]+)"/g)].map((match) => Number(match[1]));
    assert.deepEqual(numbers, [2, 3]);
  });

  test('check-block executes a block again', async () => {
    const { stdout } = await output(['check-block', '2', ...onChain(copy())]);
    assert.match(stdout, /Completed in \d+ ms/);
  });

  test('the node goes on from where it stopped', async () => {
    const node = await startChainNode({ args: ['--dev', '--base-path', copy()] });
    try {
      assert.equal(await node.view.hashAt(info.best_number), info.best_hash);
      await node.produced(info.best_number + 1);
    } finally {
      await node.stop();
    }
  });

  test('purge-chain asks, and takes the database but no keys', async () => {
    const basePath = copy();
    const chain = join(basePath, 'chains', 'quarry_dev');
    const kept = readdirSync(chain).filter((name) => name !== 'paritydb');
    assert.ok(kept.includes('keystore'), `the node keeps ${kept}`);
    await output(['purge-chain', ...onChain(basePath)], { input: 'n\n' });
    assert.equal((await chainInfo(basePath)).best_hash, info.best_hash);
    await output(['purge-chain', '-y', ...onChain(basePath)]);
    assert.deepEqual(readdirSync(chain), kept);
  });
});

describe('export-chain-spec', () => {
  test('a chain starts the same from its name, its plain and its raw spec', async () => {
    const folder = tempDir('spec');
    const plain = join(folder, 'plain.json');
    const raw = join(folder, 'raw.json');
    writeFileSync(plain, (await output(['export-chain-spec', '--chain', 'dev'])).stdout);
    await output(['export-chain-spec', '--chain', plain, '--raw', '--output', raw]);

    const { name, properties, genesis } = JSON.parse(readFileSync(plain, 'utf8'));
    assert.match(name, /quarry/i);
    assert.deepEqual(properties, { ss58Format: 42, tokenDecimals: 12, tokenSymbol: 'QRY' });
    assert.ok(genesis.runtimeGenesis, 'the plain spec has no readable genesis');
    const CODE = '0x3a636f6465';
    assert.ok(JSON.parse(readFileSync(raw, 'utf8')).genesis.raw.top[CODE], 'the raw spec has no runtime');

    const hashes = [];
    for (const chain of ['dev', plain, raw]) {
      const node = await startChainNode({ args: ['--chain', chain, '--base-path', tempDir('state')] });
      hashes.push(await node.view.hashAt(0));
      await node.stop();
    }
    assert.equal(new Set(hashes).size, 1, hashes.join(' '));
  });

  test('the local chain has four validators', async () => {
    const spec = JSON.parse((await output(['export-chain-spec', '--chain', 'local'])).stdout);
    const { patch, config = patch } = spec.genesis.runtimeGenesis;
    assert.equal(config.validators.validators.length, 4);
    assert.equal(config.session.keys.length, 4);
  });
});

describe('key', () => {
  test('generate makes a phrase that inspect reads', async () => {
    const { stdout } = await output(['key', 'generate', '--output-type', 'json']);
    const { secretPhrase, ss58Address } = JSON.parse(stdout);
    const inspected = await output(['key', 'inspect', secretPhrase, '--output-type', 'json']);
    assert.equal(JSON.parse(inspected.stdout).ss58Address, ss58Address);
    assert.equal(developmentAccount(secretPhrase).address, ss58Address);
  });

  test('generate-node-key names the peer that inspect-node-key reads', async () => {
    const file = join(tempDir('key'), 'node-key');
    const { stderr } = await output(['key', 'generate-node-key', '--file', file]);
    const { stdout } = await output(['key', 'inspect-node-key', '--file', file]);
    assert.match(stdout.trim(), /^12D3KooW\w{44}$/);
    assert.equal(stderr.trim(), stdout.trim());
  });

  test('insert puts a key where the node finds it', async () => {
    const basePath = freshBasePath();
    const keys = [['aura', 'sr25519'], ['gran', 'ed25519']];
    for (const [type, scheme] of keys) {
      await output(['key', 'insert', ...onChain(basePath), '--key-type', type, '--scheme', scheme, '--suri', '//Alice']);
    }
    const node = await startChainNode({
      args: ['--chain', 'dev', '--base-path', basePath, '--validator', '--force-authoring', '--node-key', '22'.repeat(32)],
    });
    await node.produced(1);
    await node.stop();
  });
});

describe('completions', () => {
  test('bash reads them and they know the subcommands', async () => {
    const { stdout } = await output(['completions', 'bash']);
    assert.match(stdout, /export-chain-spec/);
    const file = join(tempDir('completions'), 'quarry-node.bash');
    writeFileSync(file, stdout);
    const { code, stderr } = await run('bash', ['-n', file]);
    assert.equal(code, 0, stderr);
  });

  for (const shell of ['zsh', 'fish']) {
    test(`there are some for ${shell}`, async () => {
      assert.match((await output(['completions', shell])).stdout, /export-chain-spec/);
    });
  }
});

test('run starts the node as no subcommand does', async () => {
  const node = await startChainNode({ args: ['run', '--dev'] });
  try {
    await node.produced(1);
  } finally {
    await node.stop();
  }
});

test('help names every subcommand', async () => {
  const { stdout } = await output(['--help']);
  const subcommands = ['run', 'key', 'export-chain-spec', 'check-block', 'import-blocks', 'export-blocks',
    'purge-chain', 'revert', 'chain-info', 'completions'];
  assert.deepEqual(subcommands.filter((name) => !new RegExp(`^\\s+${name}\\b`, 'm').test(stdout)), []);
});
