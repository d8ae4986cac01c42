// The short form of a drill as a test.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { endAll } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { patient, SECONDS } from '../lib/until.mjs';
import { anySeed } from './chance.mjs';

export function testShort(file, drill, { minutes = 15 } = {}) {
  return inSandbox(file, () => {
    after(endAll);
    test(drill.about, { timeout: patient(minutes * 60 * SECONDS) }, async (t) => {
      const seed = Number(process.env.QUARRY_DRILL_SEED ?? anySeed());
      t.diagnostic(`seed ${seed}: QUARRY_DRILL_SEED plays it again`);
      const { held, figures, differences } = await drill.run({ short: true, seed, say: (text) => t.diagnostic(text) });
      for (const [what, figure] of figures) t.diagnostic(`${what}: ${figure}`);
      assert.deepEqual(differences, []);
      assert.deepEqual(held.filter(([, answer]) => answer !== true), []);
    });
  });
}
