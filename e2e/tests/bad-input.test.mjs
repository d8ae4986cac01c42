import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { QUIET, runChainNode, startChainNode } from '../lib/chain-node.mjs';
import { copyState, stateOf } from '../lib/folder.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { occupyPort, occupyUdpPort } from '../lib/port.mjs';
import { assertRefused } from '../lib/refusal.mjs';

after(endAll);

const NODE_KEY = ['--node-key', '11'.repeat(32)];

/** Where a chain node would keep its state: it does not exist yet. */
const freshBasePath = () => join(tempDir('state'), 'base');

/** Runs what must be refused, and checks that it wrote nothing below its base path. */
async function refused(args, basePath, ...says) {
  await refusedLeaving(stateOf, args, basePath, ...says);
}

/** As `refused`, but ParityDb may tidy up its own files when it is opened. */
async function refusedByDatabase(args, basePath, ...says) {
  await refusedLeaving((path) => stateOf(path, { except: 'paritydb' }), args, basePath, ...says);
}

async function refusedLeaving(state, args, basePath, ...says) {
  const was = state(basePath);
  const result = await runChainNode([...args, '--base-path', basePath]);
  assertRefused(result, ...says);
  assert.deepEqual(state(basePath), was, `${result.commandLine} changed its base path`);
}

describe('a busy port', () => {
  const cases = [
    ['RPC', '127.0.0.1', (port) => ['--rpc-port', port, '--port', '0', '--no-prometheus'], /--rpc-port/],
    ['p2p', '0.0.0.0', (port) => ['--port', port, '--rpc-port', '0', '--no-prometheus'], /--port/],
    ['Prometheus', '127.0.0.1', (port) => ['--prometheus-port', port, '--port', '0', '--rpc-port', '0'], /--prometheus-port/],
  ];
  for (const [what, address, flags, advice] of cases) {
    test(`${what}`, async () => {
      const occupied = await occupyPort(address);
      try {
        const args = ['--dev', '--no-telemetry', ...flags(String(occupied.port))];
        await refused(args, freshBasePath(), new RegExp(`\\b${occupied.port}\\b`), advice);
      } finally {
        await occupied.release();
      }
    });
  }
});

test('a busy UDP port, where a node that is no validator listens for browsers', async () => {
  const occupied = await occupyUdpPort('0.0.0.0');
  try {
    const args = ['--chain', 'dev', ...NODE_KEY, '--port', String(occupied.port), '--rpc-port', '0', '--no-prometheus', '--no-telemetry'];
    await refused(args, freshBasePath(), new RegExp(`\\b${occupied.port}\\b`), /--port/);
  } finally {
    await occupied.release();
  }
});

describe('a wrong chain', () => {
  const files = [
    ['a file that is missing', undefined],
    ['a file that is not JSON', 'once upon a time'],
    ['a file with JSON of something else', '{"name": "a package", "version": "1.0.0"}'],
    ['a file that is cut off', '{"name": "Quarry", "id": "quarry", "chainType": "Local", "boot'],
  ];
  for (const [what, content] of files) {
    test(`${what}`, async () => {
      const file = join(tempDir('spec'), 'chain.json');
      if (content !== undefined) writeFileSync(file, content);
      await refused(['--chain', file, ...QUIET], freshBasePath(), /chain\.json/);
    });
  }

  test('none named', async () => {
    await refused(QUIET, freshBasePath(), /--dev/, /--chain/);
  });

  test('an unknown name', async () => {
    await refused(['--chain', 'nonsense', ...QUIET], freshBasePath(), /nonsense/, /\bdev\b/, /\blocal\b/);
  });

  test('an unknown name to export leaves no file', async () => {
    const output = join(tempDir('spec'), 'chain.json');
    assertRefused(
      await runChainNode(['export-chain-spec', '--chain', 'nonsense', '--output', output]),
      /nonsense/, /\bdev\b/, /\blocal\b/,
    );
    assert.ok(!existsSync(output), 'a file was written');
  });
});

describe('a missing key', () => {
  const validator = ['--chain', 'local', '--validator', ...QUIET];
  const insert = (basePath, type, scheme) => runChainNode(
    ['key', 'insert', '--chain', 'local', '--base-path', basePath, '--key-type', type, '--scheme', scheme, '--suri', '//Alice'],
  );

  test('neither session key', async () => {
    await refused([...validator, ...NODE_KEY], freshBasePath(), /aura/i, /key insert/);
  });

  test('no GRANDPA key', async () => {
    const basePath = freshBasePath();
    assert.equal((await insert(basePath, 'aura', 'sr25519')).code, 0);
    await refused([...validator, ...NODE_KEY], basePath, /gran/i, /key insert/);
  });

  test('no node key', async () => {
    const basePath = freshBasePath();
    for (const [type, scheme] of [['aura', 'sr25519'], ['gran', 'ed25519']]) {
      assert.equal((await insert(basePath, type, scheme)).code, 0);
    }
    await refused(validator, basePath, /node key|network key/i, /generate-node-key/);
  });

  test('a node key that is none', async () => {
    await refused(['--dev', ...QUIET, '--node-key', 'sesame'], freshBasePath(), /node.?key/i);
  });
});

describe('an unsupported flag', () => {
  test('offchain workers', async () => {
    await refused(['--dev', ...QUIET, '--offchain-worker', 'always'], freshBasePath(), /offchain/i);
  });

  const misuses = [
    ['an unknown one', ['--frobnicate'], /--frobnicate/],
    ['an unknown subcommand', ['frobnicate'], /frobnicate/],
    ['RocksDB', ['--database', 'rocksdb'], /rocksdb/i],
    ['an unknown way to sync', ['--sync', 'sideways'], /sideways/],
    ['a bootnode that is no address', ['--bootnodes', 'next-door'], /--bootnodes|next-door/],
    ['two identities', ['--alice', '--bob'], /--alice.*--bob|--bob.*--alice/],
  ];
  for (const [what, flags, ...says] of misuses) {
    test(`${what}`, async () => {
      const result = await runChainNode(flags);
      assertRefused(result, ...says, /--help/);
      assert.equal(result.code, 64);
    });
  }
});

describe('a base path', () => {
  test('that is a file', async () => {
    const file = join(tempDir('state'), 'file');
    writeFileSync(file, 'no folder');
    await refused(['--dev', ...QUIET], file, /file/);
  });
});

describe('without a database', () => {
  const subcommands = [
    ['revert', ['revert', '1']],
    ['chain-info', ['chain-info']],
    ['check-block', ['check-block', '1']],
    ['purge-chain', ['purge-chain', '-y']],
  ];
  for (const [name, args] of subcommands) {
    test(`${name} says so`, async () => {
      const basePath = freshBasePath();
      await refused([...args, '--chain', 'dev'], basePath, /database|chain data/i, new RegExp(basePath));
    });
  }

  test('export-blocks says so and writes no file', async () => {
    const output = join(tempDir('blocks'), 'blocks.json');
    await refused(['export-blocks', output, '--chain', 'dev'], freshBasePath(), /database|chain data/i);
    assert.ok(!existsSync(output), 'a file was written');
  });

  test('import-blocks without its file makes none', async () => {
    const input = join(tempDir('blocks'), 'blocks.json');
    await refused(['import-blocks', input, '--chain', 'dev'], freshBasePath(), /blocks\.json/);
  });
});

describe('with a database', () => {
  let original;

  before(async () => {
    original = join(tempDir('state'), 'base');
    const node = await startChainNode({ args: ['--dev', '--base-path', original] });
    await node.produced(2);
    await node.stop();
    // What a stopped node left in its write-ahead log goes to the tables when the database is opened again.
    await chainInfo(original);
  });

  const chainInfo = async (basePath) => {
    return JSON.parse((await runChainNode(['chain-info', '--chain', 'dev', '--base-path', basePath])).stdout);
  };
  const copy = () => {
    const basePath = freshBasePath();
    copyState(original, basePath);
    return basePath;
  };
  const databaseOf = (basePath) => join(basePath, 'chains', 'quarry_dev', 'paritydb', 'full');
  const filesOf = (database, prefix) => {
    const names = readdirSync(database).filter((name) => name.startsWith(prefix));
    assert.notEqual(names.length, 0, `no ${prefix}* in ${database}`);
    return names.map((name) => join(database, name));
  };
  const start = ['--dev', ...QUIET];

  const damages = [
    ['whose metadata is garbage', (database) => writeFileSync(join(database, 'metadata'), 'garbage\n')],
    ['whose metadata is gone', (database) => rmSync(join(database, 'metadata'))],
    ['whose tables are cut off', (database) => filesOf(database, 'table_').forEach((file) => truncateSync(file, 10))],
    ['whose tables are gone', (database) => filesOf(database, 'table_').forEach((file) => rmSync(file))],
    ['whose tables are garbage', (database) => filesOf(database, 'table_').forEach((file) => writeFileSync(file, Buffer.alloc(65_536, 0xa5)))],
    ['whose indexes are garbage', (database) => filesOf(database, 'index_').forEach((file) => writeFileSync(file, Buffer.alloc(65_536, 0xa5)))],
  ];
  for (const [what, damage] of damages) {
    test(`${what}, the node does not start`, async () => {
      const basePath = copy();
      damage(databaseOf(basePath));
      await refusedByDatabase(start, basePath, /database/i, new RegExp(basePath), /purge-chain/, /backup/);
    });
  }

  test('whose metadata is gone, purge-chain removes it and the node starts anew', async () => {
    const basePath = copy();
    rmSync(join(databaseOf(basePath), 'metadata'));
    const purged = await runChainNode(['purge-chain', '-y', '--chain', 'dev', '--base-path', basePath]);
    assert.equal(purged.code, 0, purged.stderr);
    const node = await startChainNode({ args: ['--dev', '--base-path', basePath] });
    try {
      await node.produced(1);
    } finally {
      await node.stop();
    }
  });

  test('in use by another node, it is left alone', async () => {
    const basePath = copy();
    const first = await startChainNode({ args: ['--dev', '--base-path', basePath] });
    try {
      const best = await first.view.best();
      const second = await runChainNode([...start, '--base-path', basePath]);
      assertRefused(second, /database/i, /another|in use|running/i);
      await first.produced(best + 1);
    } finally {
      await first.stop();
    }
  });

  test('of another chain, the node does not start', async () => {
    const basePath = copy();
    const spec = JSON.parse((await runChainNode(['export-chain-spec', '--chain', 'local'])).stdout);
    spec.id = 'quarry_dev';
    const file = join(tempDir('spec'), 'chain.json');
    writeFileSync(file, JSON.stringify(spec));
    const was = await chainInfo(basePath);
    await refusedByDatabase(['--chain', file, ...QUIET], basePath, /another chain/, /--chain/);
    assert.deepEqual(await chainInfo(basePath), was);
  });

  const imports = [
    ['garbage', 'once upon a time'],
    ['half a block', '2\n{"block":{"header":{"parentHash":"0x00'],
  ];
  for (const [what, content] of imports) {
    test(`importing ${what} fails and changes nothing`, async () => {
      const basePath = copy();
      const was = await chainInfo(basePath);
      const input = join(tempDir('blocks'), 'blocks.json');
      writeFileSync(input, content);
      const result = await runChainNode(['import-blocks', input, '--chain', 'dev', '--base-path', basePath]);
      assertRefused(result, /blocks\.json/);
      assert.deepEqual(await chainInfo(basePath), was);
    });
  }

  test('checking a block that is not there fails', async () => {
    assertRefused(
      await runChainNode(['check-block', '99999', '--chain', 'dev', '--base-path', copy()]),
      /chain-info/,
    );
  });
});
