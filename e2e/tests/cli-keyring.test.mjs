// Accounts go from polkadot.js's keyring to `quarry key` and back.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { cryptoWaitReady, mnemonicGenerate, randomAsU8a, signatureVerify } from '@polkadot/util-crypto';
import { targetDir } from '../lib/binary.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { run } from '../lib/process.mjs';

const FIXTURES = new URL('../fixtures/keyring/', import.meta.url);
const program = process.env.QUARRY_CLI ?? join(targetDir(), 'release', 'quarry');

describe('an account', () => {
  let home;
  let files = 0;
  const { phrase, password, hexPassword } = JSON.parse(fixture('secrets'));

  before(async () => {
    await cryptoWaitReady();
    home = tempDir('keyring');
  });

  after(endAll);

  function fixture(name) {
    return readFileSync(new URL(`${name}.json`, FIXTURES), 'utf8');
  }

  /** A file of ours that nobody else can read. */
  function file(content) {
    const path = join(home, `file-${files++}`);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  const quarry = (...args) => run(program, args, {
    name: 'quarry', env: { XDG_DATA_HOME: join(home, 'data'), XDG_CONFIG_HOME: join(home, 'config') },
  });
  const does = async (...args) => {
    const { code, stdout, stderr, commandLine } = await quarry(...args);
    assert.equal(code, 0, `${commandLine}\n${stderr}`);
    return stdout;
  };
  const imports = (name, json, secret) => (
    does('key', 'import', file(json), '--name', name, '--password-file', file(`${secret}\n`))
  );
  const exported = async (name, secret) => (
    JSON.parse(await does('key', 'export', name, '--password-file', file(`${secret}\n`)))
  );
  const refuses = async (message, ...args) => {
    const { code, stdout, stderr } = await quarry(...args);
    assert.notEqual(code, 0, stdout);
    assert.match(stderr, message);
    assert.equal(stdout, '');
  };
  const listed = async () => JSON.parse(await does('key', 'list', '--json')).keys;

  /** Unlocks it with polkadot.js, and has it sign what the first pair's account verifies. */
  function opensTo(account, json, secret) {
    const pair = new Keyring().addFromJson(json);
    pair.decodePkcs8(secret);
    const message = randomAsU8a(64);
    assert.ok(signatureVerify(message, pair.sign(message), account.publicKey).isValid);
    assert.deepEqual(pair.publicKey, account.publicKey);
    assert.equal(pair.type, account.type);
  }

  for (const type of ['sr25519', 'ed25519']) {
    test(`of the kind ${type} comes from polkadot.js and goes back`, async () => {
      const account = new Keyring({ type }).addFromUri(`${mnemonicGenerate()}//hard`, { name: 'Their Name' });
      const secret = `påss "word" ${type}`;
      await imports(`wallet-${type}`, JSON.stringify(account.toJson(secret)), secret);
      const json = await exported(`wallet-${type}`, secret);
      opensTo(account, json, secret);
      assert.deepEqual(json.encoding, account.toJson(secret).encoding);
      assert.equal(json.address, account.address);
    });
  }

  test('has the same key whichever way polkadot.js wrote it', async () => {
    const account = new Keyring({ type: 'sr25519' }).addFromUri(phrase);
    for (const [name, secret] of [
      ['sr25519', password],
      ['sr25519-polkadot', password],
      ['sr25519-less-work', password],
      ['sr25519-hex-password', hexPassword],
    ]) {
      await imports(name, fixture(name), secret);
      opensTo(account, await exported(name, secret), secret);
    }
  });

  test('is listed without a password, and kept where nobody else can read it', async () => {
    const { address } = new Keyring({ type: 'sr25519' }).addFromUri(phrase);
    const key = (await listed()).find(({ name }) => name === 'sr25519-polkadot');
    assert.equal(key.address, address, 'as this chain writes it');
    const folder = join(home, 'data', 'quarry', 'keys');
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  });

  test('keeps its name: another is not put in its place', async () => {
    const before = await exported('sr25519', password);
    await refuses(
      /there is a key sr25519 already/,
      'key', 'import', file(fixture('ed25519')), '--name', 'sr25519', '--password-file', file(password),
    );
    assert.deepEqual(await exported('sr25519', password), before);
  });

  test('does not open with another password', async () => {
    const wrong = file(`${password}!\n`);
    await refuses(/password is wrong/, 'key', 'export', 'sr25519', '--password-file', wrong);
    await refuses(
      /password is wrong/, 'key', 'import', file(fixture('sr25519')), '--name', 'wrong', '--password-file', wrong,
    );
    assert.ok((await listed()).every(({ name }) => name !== 'wrong'));
  });

  test('of another kind is refused by name', async () => {
    for (const [name, message] of [
      ['ecdsa', /"ecdsa".*other chains/],
      ['ethereum', /"ethereum".*other chains/],
      ['second-version', /version "2"/],
      ['several', /several accounts/],
      ['not-encrypted', /not encrypted/],
    ]) {
      await refuses(message, 'key', 'import', file(fixture(name)), '--name', name, '--password-file', file(password));
    }
  });
});
