import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const sorted = (list) => [...list].sort();

const guide = read('docs/operator.md');
const runbook = read('docs/runbook.md');
const example = read('offchain-worker/worker.example.toml');

/** What has no default: the guide says so in its place. */
const WITHOUT_DEFAULT = {
  node_id: 'must be set',
  'chain.endpoints': 'must be set',
  'chain.genesis': 'none',
  'images.local_dir': 'none',
  'network.own': 'none',
  'network.global': 'none',
  'network.private': 'none',
  'access.endpoint': 'none',
  'access.relay': 'none',
  'access.relay_key': 'none',
};

/** The part of a document below a heading, up to the next of its level. */
function section(text, heading) {
  const level = /^#+/.exec(heading)[0];
  const start = text.indexOf(`\n${heading}\n`);
  assert.notEqual(start, -1, `there is no "${heading}"`);
  const rest = text.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level.length}} `, 'm'));
  return end === -1 ? rest : rest.slice(0, end);
}

/** The settings of the example, each with the value that it shows. */
function settings() {
  const found = {};
  let prefix = '';
  for (const line of example.split('\n')) {
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (name) prefix = `${name}.`;
    const [, field, value] = /^#?([a-z_]+) = (.+)$/.exec(line) ?? [];
    if (field) found[`${prefix}${field}`] = value;
  }
  return found;
}

/** All Rust sources below a folder as one text, tests left out. */
function sources(folder) {
  const files = readdirSync(join(ROOT, folder), { recursive: true })
    .filter((path) => path.endsWith('.rs') && !/(^|\/)tests?(\/|\.rs)/.test(path));
  return files.map((path) => read(join(folder, path))).join('\n');
}

describe('docs/operator.md', () => {
  test('has every setting with its default, and no other', () => {
    const rows = section(guide, '## Settings').matchAll(/^\| `([a-z_.]+)` \| (?:`(.+?)`|([a-z ]+)) \|/gm);
    const documented = Object.fromEntries([...rows].map(([, name, value, words]) => [name, value ?? words]));
    assert.deepEqual(documented, { ...settings(), ...WITHOUT_DEFAULT });
  });

  test('has every metric, and no other', () => {
    const metrics = sources('offchain-worker/src/metrics');
    const made = [...metrics.matchAll(/\bmake\s*\.\w+\(\s*"([a-z_]+)"/g)].map(([, name]) => `quarry_worker_${name}`);
    const inFull = [...metrics.matchAll(/"(quarry_worker_[a-z_]+)"/g)].map(([, name]) => name);
    assert.ok(made.length > 0 && inFull.length > 0);
    const rows = [...guide.matchAll(/^\| `(quarry_worker_[a-z_]+)` \|/gm)].map(([, name]) => name);
    assert.deepEqual(sorted(rows), sorted([...made, ...inFull]));
    const named = new Set([...guide.matchAll(/quarry_worker_\w+/g)].map(([name]) => name));
    assert.deepEqual(sorted(named), sorted(rows));
  });

  test('has every path of the HTTP server, and no other', () => {
    const served = [...sources('offchain-worker/src/http').matchAll(/\.route\(\s*"([^"]+)"/g)].map(([, path]) => path);
    const rows = [...section(guide, '## Looking into it').matchAll(/^\| `(\/[^`]+)` \|/gm)].map(([, path]) => path);
    assert.deepEqual(sorted(rows), sorted(served));
  });
});

describe('docs/runbook.md', () => {
  test('quotes what the worker says as it says it', () => {
    // As it is read at run time: texts over several lines are one.
    const said = [sources('offchain-worker'), sources('client')].join('\n')
      .replaceAll(/\\\n\s*/g, '').replaceAll('\\"', '"');
    const tables = [...section(runbook, '## For operators').matchAll(/^\| (.+?) \|/gm)].map(([, cell]) => cell);
    const quotes = tables.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, quote]) => quote));
    assert.ok(quotes.length > 40, `${quotes.length} quotes`);
    const parts = quotes.filter((quote) => !quote.startsWith('/'))
      .flatMap((quote) => quote.split(/…|\d+|\bN\b|=false/)).map((part) => part.trim()).filter((part) => part.length > 5);
    assert.deepEqual(parts.filter((part) => !said.includes(part)), []);
  });
});
