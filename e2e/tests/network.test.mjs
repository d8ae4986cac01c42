import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, developmentAccount, submit, submitAsAdmin } from '../lib/chain.mjs';
import { chainLike } from '../lib/chain-spec.mjs';
import { agreeOn, ask, authors, changed, finalized, havePeers, made } from '../lib/consensus.mjs';
import { Network } from '../lib/network.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { inSandbox } from '../lib/sandbox.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { SECONDS, patient, until } from '../lib/until.mjs';
import { auraKeys, grandpaKeys, startOnHost } from '../lib/validators.mjs';

const BLOCK = 6 * SECONDS;
/** Short, because a new set is in force two session ends after the call. */
const SESSION_LENGTH = 4;
const NEW_SET = (2 * SESSION_LENGTH + 5) * BLOCK;

await inSandbox(import.meta.filename, () => {
  after(endAll);
  test('four validators in namespaces of their own', { timeout: patient(30 * 60 * SECONDS) }, drill);
});

async function drill(t) {
  const network = new Network();
  const hosts = Object.fromEntries(
    [['alice', 'left'], ['bob', 'left'], ['charlie', 'right'], ['dave', 'right'], ['eve', 'left']]
      .map(([name, side]) => [name, network.addHost(name, side)]),
  );
  const chain = await chainLike('local', ({ validators }) => (validators.sessionLength = SESSION_LENGTH));
  const folders = Object.fromEntries(Object.keys(hosts).map((name) => [name, tempDir(name)]));
  const nodes = {};
  const start = async (name, flags = [`--${name}`]) => {
    const peers = Object.values(hosts).filter((host) => host.name !== name && host.name !== 'eve');
    nodes[name] = await startOnHost(hosts[name], { chain, basePath: folders[name], flags, peers });
  };
  const all = () => Object.values(nodes);
  const step = stepsOf(t, () => all().map((node) => node.process.tail(40)).join('\n'));

  await step('they find each other and finalize', async (t) => {
    await Promise.all(['alice', 'bob', 'charlie', 'dave'].map((name) => start(name)));
    await havePeers(all(), 3);
    await finalized(all(), 3, { within: 90 * SECONDS });
    await agreeOn(all(), 3);
    t.diagnostic(`finalized block 3 is ${await nodes.alice.view.hashAt(3)} on all four`);
  });

  await step('one that is killed comes back, catches up and authors again', async (t) => {
    const key = await authorKey(nodes.dave);
    await nodes.dave.kill();
    const without = [nodes.alice, nodes.bob, nodes.charlie];
    const gone = await nodes.alice.view.finalized();
    await finalized(without, gone + 3, { within: 90 * SECONDS });
    const returned = Date.now();
    await start('dave');
    const missed = await nodes.alice.view.finalized();
    await finalized([nodes.dave], missed, { within: 60 * SECONDS });
    t.diagnostic(`caught up to finalized block ${missed} after ${secondsSince(returned)} s`);
    const api = await connect(nodes.alice.url);
    try {
      await authors(api, nodes.alice, key, { from: missed + 1, within: 15 * BLOCK });
    } finally {
      await api.disconnect();
    }
    await finalized(all(), missed + 1, { within: 60 * SECONDS });
    await agreeOn(all(), missed + 1);
  });

  await step('cut in halves, both make blocks and neither finalizes; healed, one fork is left', async (t) => {
    const left = [nodes.alice, nodes.bob];
    const right = [nodes.charlie, nodes.dave];
    network.cut();
    const cutAt = Math.max(...(await ask(all(), 'best')));
    await made(all(), cutAt + 1, { within: 12 * BLOCK });
    const settled = await ask(all(), 'finalized');
    await made(all(), cutAt + 3, { within: 16 * BLOCK });

    const forks = [await agreeOn(left, cutAt + 1), await agreeOn(right, cutAt + 1)];
    assert.notEqual(forks[0], forks[1], `both halves have the same block ${cutAt + 1}`);
    assert.ok(Math.max(...(await ask(all(), 'finalized'))) <= cutAt, 'a half of the validators finalized a block');

    const contested = Math.max(...(await ask(all(), 'best')));
    network.heal();
    const healed = Date.now();
    await finalized(all(), contested + 1, { within: 240 * SECONDS });
    t.diagnostic(`finality passed the forks ${secondsSince(healed)} s after the healing`);
    for (let number = Math.min(...settled); number <= contested + 1; number++) {
      await agreeOn(all(), number);
    }
    const winner = await agreeOn(all(), cutAt + 1);
    assert.ok(forks.includes(winner), `block ${cutAt + 1} is of neither fork`);
  });

  let api;
  try {
    await step('a fifth node joins by warp sync', async (t) => {
      api = await connect(nodes.alice.url);
      const joined = Date.now();
      await start('eve', ['--sync', 'warp']);
      await nodes.eve.process.waitForLine(/Warp sync is complete/, { within: 90 * SECONDS });
      await nodes.eve.process.waitForLine(/State sync is complete/, { within: 60 * SECONDS });
      const target = await nodes.alice.view.finalized();
      await finalized([nodes.eve], target, { within: 60 * SECONDS });
      t.diagnostic(`synced to finalized block ${target} ${secondsSince(joined)} s after its start`);
      await agreeOn(all(), target);
      await until('the fifth node has fetched the history', async () => {
        return (await nodes.eve.view.hashAt(1)) === (await nodes.alice.view.hashAt(1));
      }, { within: 60 * SECONDS });
    });

    const eve = developmentAccount('//Eve');
    let keys;
    await step('the admin makes it a validator', async (t) => {
      const rotated = await nodes.eve.view.call('author_rotateKeysWithOwner', hex(eve.publicKey));
      const four = await grandpaKeys(api, await nodes.alice.view.call('chain_getFinalizedHead'));
      keys = { aura: rotated.keys.slice(0, 66), grandpa: `0x${rotated.keys.slice(66)}` };
      await submit(api, api.tx.session.setKeys(rotated.keys, rotated.proof), eve, { finalized: true });
      await submitAsAdmin(api, api.tx.validators.addValidator(eve.address));
      await nodes.eve.stop();
      await start('eve', ['--validator']);

      const asked = Date.now();
      const number = await changed(api, nodes.alice, keys.aura, true, { within: NEW_SET });
      t.diagnostic(`in the set at block ${number}, ${secondsSince(asked)} s after the call`);
      await authors(api, nodes.alice, keys.aura, { from: number, within: 15 * BLOCK });
      await finalized(all(), number + 1, { within: 60 * SECONDS });
      const five = await grandpaKeys(api, await nodes.alice.view.hashAt(number + 1));
      assert.deepEqual(five, [...four, keys.grandpa]);
    });

    await step('its votes count: with one of the five killed, finality goes on', async () => {
      await nodes.bob.kill();
      const rest = all().filter((node) => node !== nodes.bob);
      const gone = Math.max(...(await ask(rest, 'best')));
      await finalized(rest, gone + 2, { within: 20 * BLOCK });
      await start('bob');
      await finalized(all(), gone + 2, { within: 60 * SECONDS });
    });

    await step('the admin removes it and four go on', async (t) => {
      await submitAsAdmin(api, api.tx.validators.removeValidator(eve.address));
      const asked = Date.now();
      const number = await changed(api, nodes.alice, keys.aura, false, { within: NEW_SET });
      t.diagnostic(`out of the set at block ${number}, ${secondsSince(asked)} s after the call`);
      await finalized(all(), number + 2, { within: 15 * BLOCK });
      const hash = await agreeOn(all(), number + 2);
      assert.equal((await auraKeys(api, hash)).length, 4);
      const four = await grandpaKeys(api, hash);
      assert.equal(four.length, 4);
      assert.ok(!four.includes(keys.grandpa), 'the removed validator still votes');
    });
  } finally {
    await api?.disconnect();
  }
}

const hex = (bytes) => `0x${Buffer.from(bytes).toString('hex')}`;

const secondsSince = (time) => ((Date.now() - time) / SECONDS).toFixed(1);

/** In the `local` chain a validator's Aura key is its account's. */
async function authorKey(node) {
  const name = node.name[0].toUpperCase() + node.name.slice(1);
  return hex(developmentAccount(`//${name}`).publicKey);
}
