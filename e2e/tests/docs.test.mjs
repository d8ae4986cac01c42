import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { stringCamelCase } from '@polkadot/util';
import { startChainNode } from '../lib/chain-node.mjs';
import { connect } from '../lib/chain.mjs';
import { endAll } from '../lib/ours.mjs';

const PALLETS = ['compute', 'registry'];
/** What the document may name beside what is the market's. */
const FOREIGN = ['BadOrigin', 'SE', 'Uint8Array', 'sudo'];

const text = readFileSync(new URL('../../docs/chain.md', import.meta.url), 'utf8');
const prose = text.replaceAll(/^```.*?^```$/gms, '');
const code = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, lines]) => lines).join('\n');
const diagram = /^```mermaid\n(.*?)^```$/ms.exec(text)[1];
const spans = [...prose.matchAll(/`([^`]+)`/g)].map(([, span]) => span.replaceAll(/\s+/g, ' '));

let node;
let api;

before(async () => {
  node = await startChainNode();
  api = await connect(node.url);
});

after(async () => {
  await api?.disconnect();
  await node?.stop();
  await endAll();
});

/** The part of the document below a heading, up to the next of its level. */
function section(heading) {
  const level = /^#+/.exec(heading)[0];
  const start = text.indexOf(`\n${heading}\n`);
  assert.notEqual(start, -1, `there is no "${heading}"`);
  const rest = text.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level.length}} `, 'm'));
  return end === -1 ? rest : rest.slice(0, end);
}

/** The first column of the tables of a section. */
function rows(heading) {
  return [...section(heading).matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
}

/** A pallet in the metadata. */
function pallet(name) {
  return api.runtimeMetadata.asLatest.pallets.find((each) => stringCamelCase(each.name.toString()) === name);
}

function variants(type) {
  return api.registry.lookup.getSiType(type).def.asVariant.variants;
}

const names = (list) => list.map(({ name }) => name.toString());
const namesOf = (option) => names(variants(option.unwrap().type));

/** Names with a capital letter that a text has, and the list has not. */
function unknownIn(part, list) {
  return [...part.matchAll(/`([A-Z]\w+)`/g)].map(([, name]) => name).filter((name) => !list.includes(name));
}

const sorted = (list) => [...list].sort();

/** All types that the market's pallets and their API define. */
function ownTypes() {
  const own = /^(quarry_primitives|pallet_compute|pallet_registry|quarry_runtime::proxy_type)/;
  return api.registry.lookup.types
    .map(({ type }) => type)
    .filter(({ path }) => own.test(path.join('::')));
}

/** Every name that the market has: of calls, arguments, storage, constants, events, errors, types, fields, variants. */
function vocabulary() {
  const known = new Set(FOREIGN);
  const add = (name) => known.add(name).add(stringCamelCase(name));
  for (const { path, def } of ownTypes()) {
    add(path.at(-1).toString());
    if (def.isComposite) def.asComposite.fields.forEach(({ name }) => name.isSome && add(name.unwrap().toString()));
    if (!def.isVariant) continue;
    for (const { name, fields } of def.asVariant.variants) {
      add(name.toString());
      fields.forEach((field) => field.name.isSome && add(field.name.unwrap().toString()));
    }
  }
  for (const name of PALLETS) {
    known.add(name);
    names(pallet(name).storage.unwrap().items).forEach(add);
    names(pallet(name).constants).forEach(add);
  }
  for (const method of Object.keys(api.call.computeApi)) known.add(method);
  return known;
}

/** Whether `pallet.name` is a call, storage item, constant, event or error, or a reason for a hold. */
function exists(section, name) {
  const holds = { Compute: ['Lease', 'StorageDeposit'], Registry: ['NodeBond'] };
  const { type: token } = api.registry.lookup.types.find(({ type }) => type.path.join('::') === 'sp_runtime::TokenError');
  return [api.tx, api.query, api.consts, api.events, api.errors].some((kind) => kind[section]?.[name])
    || holds[section]?.includes(name)
    || (section === 'Token' && names(token.def.asVariant.variants).includes(name));
}

for (const name of PALLETS) {
  describe(`docs/chain.md on ${name}`, () => {
    test('has every call with its arguments', () => {
      const documented = [...section(`## Calls of ${name}`).matchAll(/^#### `([^`]+)`$/gm)].map(([, call]) => call);
      const expected = variants(pallet(name).calls.unwrap().type).map((call) => {
        const args = call.fields.map((field) => stringCamelCase(field.name.unwrap().toString()));
        return `${stringCamelCase(call.name.toString())}(${args.join(', ')})`;
      });
      assert.deepEqual(sorted(documented), sorted(expected));
    });

    test('says how each call fails, and what events it brings', () => {
      const { errors, events } = pallet(name);
      const of = { errors: [...namesOf(errors), 'BadOrigin'], events: namesOf(events) };
      const parts = section(`## Calls of ${name}`).split(/^#{3,4} /m);
      for (const [title, ...rest] of parts.map((part) => part.split('\n'))) {
        if (!title.startsWith('`')) continue;
        const [fails, brings] = rest.join(' ').split(/ - (?=Fails|A report fails|Events:)/).slice(1);
        assert.ok(fails && brings?.startsWith('Events:'), `${title} lacks one of both`);
        const wrong = [...unknownIn(fails, of.errors), ...unknownIn(brings, of.events)];
        assert.deepEqual(wrong, [], title);
      }
    });

    test('has every storage item', () => {
      const expected = names(pallet(name).storage.unwrap().items).map((item) => stringCamelCase(item));
      assert.deepEqual(sorted(rows(`### Storage of ${name}`)), sorted(expected));
    });

    test('has every event', () => {
      assert.deepEqual(sorted(rows(`### Events of ${name}`)), sorted(namesOf(pallet(name).events)));
    });

    test('has every error', () => {
      assert.deepEqual(sorted(rows(`### Errors of ${name}`)), sorted(namesOf(pallet(name).errors)));
    });

    test('has every constant', () => {
      const constants = rows('## Deadlines and parameters').filter((row) => row.startsWith(`${name}.`));
      const expected = names(pallet(name).constants).map((constant) => `${name}.${stringCamelCase(constant)}`);
      assert.deepEqual(sorted(constants), sorted(expected));
    });
  });
}

describe('docs/chain.md', () => {
  test('has every parameter, with the value that the chain has', async () => {
    const params = (await api.query.compute.params()).toJSON();
    const table = [...section('## Deadlines and parameters').matchAll(/^\| `([a-zA-Z]+)` \| ([\d,]+)/gm)];
    const documented = Object.fromEntries(table.map(([, name, value]) => [name, Number(value.replaceAll(',', ''))]));
    assert.deepEqual(documented, params);
  });

  test('shows every state of a request, and no other', () => {
    const states = [...diagram.matchAll(/^ +(\S+) --> (\S+):/gm)].flatMap(([, from, to]) => [from, to]);
    const [type] = ownTypes().filter(({ path }) => path.at(-1).eq('ComputeRequestStatus'));
    assert.deepEqual(sorted(new Set(states)), sorted(['[*]', ...names(type.def.asVariant.variants)]));
  });

  test('names nothing that does not exist', () => {
    const known = vocabulary();
    const unknown = spans.filter((span) => {
      if (/^[A-Za-z]\w*$/.test(span)) return !known.has(span);
      const dotted = /^(\w+)\.(\w+)$/.exec(span);
      if (!dotted || dotted[1] === 'api') return false;
      const [, section, name] = dotted;
      return !(exists(section, name) || (known.has(section) && known.has(name)));
    });
    assert.deepEqual(unknown, []);
    for (const [, kind, section, name] of `${code}\n${prose}`.matchAll(/\bapi\.(tx|query|call|consts|events)\.(\w+)\.(\w+)/g)) {
      assert.ok(api[kind][section]?.[name], `there is no api.${kind}.${section}.${name}`);
    }
  });
});
