// The validators are parted, and workers, their chain node and the tenants who ask are where the branch that does not
// survive grows. What is asked there, and asked otherwise where the surviving branch grows, must not be done.
//
//   alice, bob          two of three slots, so this branch grows faster and survives
//   charlie, rpc        and beyond rpc the workers: this branch has blocks of its own, and none of them survives
import { SECONDS } from '../lib/until.mjs';
import { audit } from './audit.mjs';
import { Chance } from './chance.mjs';
import { merged } from './outcome.mjs';
import { CASES, PARAMS, Split } from './partition-split.mjs';
import { Stage } from './stage.mjs';

export const drill = { name: 'partition', about: 'a part of the validators makes blocks that do not survive', run };

async function run({ short = false, seed, minutes = 15, settle, say }) {
  const tenants = [...Object.keys(CASES), 'loser', 'winner'];
  const stage = await Stage.open({ tenants, params: PARAMS, say });
  const chance = new Chance(seed, 'partition');
  const end = Date.now() + minutes * 60 * SECONDS;
  const splits = [];
  try {
    for (;;) {
      const split = new Split(stage, chance, { blocks: short ? 1 : chance.between(1, 3), say });
      await split.play();
      splits.push(split);
      if (short || Date.now() >= end) break;
      await split.end();
    }
    say('everything is compared');
    return { held: merged(splits), figures: splits.flatMap(({ figures }) => figures), differences: await audit(stage, { within: settle }) };
  } catch (error) {
    say(stage.describe());
    throw error;
  } finally {
    await stage.close();
  }
}
