// Drill 4: the chain gets a runtime that moves its state over many blocks, as docs/runbook.md says, while VMs run and
// operations wait. One worker is updated before, one after, and one dies in the middle of it and is updated then.
import { SECONDS, until } from '../lib/until.mjs';
import { audit } from './audit.mjs';
import { NEXT, Release } from './upgrade-release.mjs';
import { Scene } from './upgrade-scene.mjs';
import { Stage } from './stage.mjs';
import { RPC } from './stage-chain.mjs';

export const drill = { name: 'upgrade', about: 'a runtime upgrade with a migration of many blocks, while VMs run and operations wait', run };

/** Nothing that waits for an update runs out of time. */
const PARAMS = { launch_timeout: 150, operation_timeout: 300, delete_timeout: 300, evict_after: 600 };
const TOO_OLD = /is too old for the chain's runtime: .* differs between the chain's version 2 and 1/;
const TOO_NEW = /is too new for the chain's runtime: .* differs between the chain's version 1 and 2/;
const READ = /the node's work was read number=(\d+)/;
/** How many VMs for each thing that is asked: with each, the migration takes six blocks longer. */
const EACH = { short: 1, full: 5 };

async function run({ short = false, settle, seed, say }) {
  const hosts = [{ driver: 'qemu' }, { driver: 'test' }, { driver: 'test' }];
  const stage = await Stage.open({ hosts, tenants: hosts.length + 1, params: PARAMS, say });
  try {
    return await play(stage, { many: short ? EACH.short : EACH.full, settle, seed, say });
  } catch (error) {
    console.error(stage.describe());
    throw error;
  } finally {
    await stage.close();
  }
}

async function play(stage, { many, settle, seed, say }) {
  const [late, early, killed] = stage.hosts;
  const scenes = stage.hosts.map((host, index) => new Scene(stage, host, stage.tenants[index], seed));
  const release = new Release(stage, stage.tenants.at(-1));
  say('VMs are rented');
  await Promise.all(scenes.map((scene) => scene.open(scene.host === early ? many : 1)));
  const before = await release.requests();

  say('one worker is updated before its time');
  await updated(early);
  const heldBefore = await said(early, TOO_NEW);

  say('the admin authorizes the upgrade, tenants ask for operations, and it is applied');
  await release.authorize();
  await Promise.all(scenes.map((scene) => scene.ask()));
  const domains = await Promise.all([late, killed].map(seen));
  const applied = await release.apply();
  await stage.reconnect();

  const saidOld = await said(late, TOO_OLD);
  say('a worker dies while the state is moved');
  await killed.killWorker();
  await killed.startWorker();
  const saidOldAtStart = await said(killed, TOO_OLD);
  const moved = await release.isMoved();
  say(`the state was moved in ${moved.blocks} blocks; the updated worker goes on`);
  await scenes[1].isDone();
  const earlyAfter = (Date.now() - applied.at) / SECONDS;

  say('tenants ask on, of hosts whose workers wait for their update');
  await Promise.all([scenes[0], scenes[2]].map((scene) => scene.askMore()));
  const untouched = await Promise.all([late, killed].map(seen));
  say('the other workers are updated');
  const updatedAt = Date.now();
  await Promise.all([late, killed].map(updated));
  await stage.isReady();
  await Promise.all(scenes.map((scene) => scene.isDone()));
  const lateAfter = (Date.now() - updatedAt) / SECONDS;
  const { chain } = stage;
  const toldBefore = await release.isToldByOneOfBefore(chain.nodes[RPC], early.id, moved.block);
  say('the RPC node is updated');
  chain.update(RPC, NEXT.node);
  await stage.restartRpc();
  await stage.reconnect();
  const toldAfter = await release.isToldByOneOfAfter(chain.nodes[RPC], early.id, moved.block);
  await stage.isQuiet();
  say('everything is compared');
  const outcomes = await Promise.all(scenes.map((scene) => scene.differences()));
  return {
    held: [
      ['all chain nodes have the next runtime', await release.isEverywhere()],
      ['every request was moved, and none is gone', await release.hasMoved(before, moved.block)],
      ['that took several blocks', moved.blocks > 1 || `it took ${moved.blocks}`],
      ['the clock of the market stood still meanwhile', moved.stoodStill],
      ['a worker of before says in one line that it is too old', saidOld],
      ['and so it does where it starts again', saidOldAtStart],
      ['a worker of after says before that it is too new', heldBefore],
      ['and reads no state that is moved by half', readFrom(early, moved.block)],
      ['nor does a chain node tell of one, nor one of before of what it would misread', toldBefore],
      ['a chain node that is updated tells of the market again', toldAfter],
      ['no worker that waited touched a VM', JSON.stringify(untouched) === JSON.stringify(domains) || `${JSON.stringify(domains)} became ${JSON.stringify(untouched)}`],
      ['all that was asked before and meanwhile was done', outcomes.flat().length === 0 || outcomes.flat().join('; ')],
    ],
    figures: [
      ['requests', before.length],
      ['blocks that the migration took', moved.blocks],
      ['until the worker that was updated before had done all, from the upgrade', `${earlyAfter.toFixed(0)} s`],
      ['until the others had, from their update', `${lateAfter.toFixed(0)} s`],
    ],
    differences: await audit(stage, { within: settle }),
  };
}

/** Replaces a host's worker by that of the next release. */
async function updated(host) {
  await host.stopWorker();
  host.worker.program = NEXT.worker;
  await host.startWorker();
}

const said = (host, pattern) => host.worker.waitForLine(pattern, { within: 180 * SECONDS }).then(() => true, (error) => error.message);

/** Whether a worker read its work, and none of it before that block. */
function readFrom(host, block) {
  const read = host.worker.process.lines.map((line) => Number(READ.exec(line)?.[1])).filter(Boolean);
  return (read.length > 0 && read[0] >= block) || `it read that of block ${read[0]}, and the state was moved by block ${block}`;
}

/** The id of a domain is another after each start. */
async function seen(host) {
  return until(`${host.id} tells of its domains`, async () => (await host.domains()).map(({ name, id, state }) => `${name} ${id} ${state}`).sort(), { within: 60 * SECONDS });
}
