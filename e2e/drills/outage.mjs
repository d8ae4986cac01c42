// Hosts that are gone for longer than EvictAfter, one cut off and one without power, and that come back. What its tenant
// took elsewhere runs there and nowhere else, what its tenant left goes on, and nobody pays for the time between.
import { audit } from './audit.mjs';
import { Chance } from './chance.mjs';
import { Ledger } from './ledger.mjs';
import { merged } from './outcome.mjs';
import { FATES, PARAMS, Round, WAYS } from './outage-round.mjs';
import { Stage } from './stage.mjs';
import { SECONDS } from '../lib/until.mjs';

export const drill = { name: 'outage', about: 'hosts gone for longer than EvictAfter, and back', run };

/** No address comes back: the one that was evacuated first stays in quarantine, and what is returned waits behind it. */
const HOSTS = Array.from({ length: 3 }, () => ({ addresses: 100 }));

async function run({ short = false, seed, minutes = 15, settle, say }) {
  const tenants = WAYS.flatMap((way) => FATES.map((fate) => `${way}-${fate}`));
  const stage = await Stage.open({ hosts: HOSTS, tenants, params: PARAMS, say });
  const chance = new Chance(seed, 'outage');
  const end = Date.now() + minutes * 60 * SECONDS;
  const rounds = [];
  try {
    do {
      const round = new Round(stage, chance, { early: !short && rounds.length % 2 === 1, say });
      await round.play();
      rounds.push(round);
    } while (!short && Date.now() < end);
    say('everything is compared');
    const { hash } = await stage.chain.agreed();
    const ledger = await Ledger.at(stage.market.api, hash);
    return {
      held: merged(rounds),
      figures: [...rounds.flatMap(({ figures }) => figures), ...paid(ledger, rounds)],
      differences: [...await ledger.compare(stage.market.api, hash), ...await audit(stage, { within: settle })],
    };
  } catch (error) {
    say(stage.describe());
    throw error;
  } finally {
    await stage.close();
  }
}

function paid(ledger, rounds) {
  return rounds.flatMap(({ vms }) => vms).map(({ way, fate, id }) => {
    const lease = ledger.leases.get(String(id));
    return [`paid for request ${id}, ${fate}, of the host that was ${way}`, `${lease.billed} blocks, ${lease.paid}`];
  });
}
