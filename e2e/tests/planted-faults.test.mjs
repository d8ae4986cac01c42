// The list of planted mistakes (drills/planted-faults.mjs) and the patch that plants them say the same.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FAULTS } from '../drills/planted-faults.mjs';

const DRILLS = new URL('../drills/', import.meta.url);
const names = FAULTS.map(({ name }) => name).sort();

test('each mistake in the list is planted once, and no other', () => {
  const patch = readFileSync(new URL('planted-faults.patch', DRILLS), 'utf8');
  const planted = [...patch.matchAll(/^\+.*planted\("([\w-]+)"\)/gm)].map(([, name]) => name);
  assert.deepEqual(planted.sort(), names);
});

test('each has a drill, and stands in docs/reliability.md', () => {
  const text = readFileSync(new URL('../../docs/reliability.md', import.meta.url), 'utf8');
  const [section] = text.split('\n## How we know that the drills see anything\n')[1].split('\n## ');
  assert.deepEqual([...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name).sort(), names);
  assert.deepEqual(FAULTS.filter(({ drill }) => !existsSync(new URL(`${drill}.mjs`, DRILLS))), []);
});
