// A validator's disk is lost, and the validator restored from what the runbook says to back up, by its words.
import assert from 'node:assert/strict';
import { chainLike } from '../lib/chain-spec.mjs';
import { connect, developmentAccount, submitAsAdmin } from '../lib/chain.mjs';
import { agreeOn, ask, authors, changed, finalized, havePeers } from '../lib/consensus.mjs';
import { Network } from '../lib/network.mjs';
import { tempDir } from '../lib/ours.mjs';
import { SECONDS, until } from '../lib/until.mjs';
import { auraKeys, grandpaKeys, startOnHost } from '../lib/validators.mjs';
import { OperatedValidator } from './operated-validator.mjs';
import { since } from './sight.mjs';

const BLOCK = 6 * SECONDS;
/** Short, because a new set is in force two session ends after the call. */
const SESSION_LENGTH = 4;
/** While nothing is finalized blocks come more slowly. */
const NEW_SET = (2 * SESSION_LENGTH + 8) * 3 * BLOCK;
const OTHERS = ['alice', 'bob', 'charlie'];

export async function backupsOfValidators(findings, say) {
  const network = new Network();
  const hosts = Object.fromEntries([...OTHERS, 'dave', 'eve'].map((name) => [name, network.addHost(name, 'left')]));
  const chain = await chainLike('local', ({ validators }) => (validators.sessionLength = SESSION_LENGTH));
  const nodes = {};
  const dave = new OperatedValidator({ host: hosts.dave, chain, account: developmentAccount('//Dave'), peers: OTHERS.map((name) => hosts[name]) });
  await Promise.all(OTHERS.map(async (name) => {
    const peers = OTHERS.filter((other) => other !== name).map((other) => hosts[other]);
    nodes[name] = await startOnHost(hosts[name], { chain, basePath: tempDir(name), flags: [`--${name}`], peers });
  }));
  await dave.makeNodeKey();
  await dave.insertKeys('//Dave');
  await dave.start('--validator');
  const scene = { nodes, dave, others: Object.values(nodes), hosts, chain, say };
  scene.api = await connect(nodes.alice.url);
  try {
    await havePeers([...scene.others, dave.node], 3);
    await finalized([...scene.others, dave.node], 3, { within: 180 * SECONDS });
    await withFinality(scene, findings);
    await withoutFinality(scene, findings);
    await withoutKeystore(scene, findings);
    await newcomer(scene, findings);
  } finally {
    await scene.api.disconnect();
    await Promise.all([...scene.others, dave.node].map((node) => node.stop()));
    network.close();
  }
}

async function sessionKeys({ api, nodes }) {
  const at = await nodes.alice.view.call('chain_getFinalizedHead');
  return { aura: await auraKeys(api, at), grandpa: await grandpaKeys(api, at) };
}

/** Everybody has the same blocks, and the restored one has a part in them. */
async function isBack({ api, nodes, dave, others }, key) {
  const best = await nodes.alice.view.best();
  await authors(api, nodes.alice, key, { from: best + 1, within: 20 * BLOCK });
  const final = await nodes.alice.view.finalized();
  await finalized([...others, dave.node], final + 2, { within: 180 * SECONDS });
  return agreeOn([...others, dave.node], final + 2);
}

/** Of four: the other three finalize, and new session keys come into force. */
async function withFinality(scene, findings) {
  const { api, nodes, dave, others, say } = scene;
  await findings.holds('one of four validators is restored from its node key, with new session keys', async () => {
    const former = { peer: await dave.peerId(), keys: await sessionKeys(scene) };
    dave.backUp();
    await dave.loseDisk();
    const lost = Date.now();
    await finalized(others, (await nodes.alice.view.finalized()) + 3, { within: 180 * SECONDS });
    say('the others finalize on');
    dave.restoreNodeKey();
    await dave.start('--sync', 'warp');
    await dave.isSynced();
    assert.equal(await dave.peerId(), former.peer);
    findings.figure('one of four: from the loss of its disk to a node in step again', since(lost));
    const keys = await dave.registerKeys(api);
    await dave.node.stop();
    await dave.start('--validator');
    await changed(api, nodes.alice, keys.aura, true, { within: NEW_SET });
    await isBack(scene, keys.aura);
    findings.figure('and until it authored and voted again', since(lost));
    const now = await sessionKeys(scene);
    for (const kind of ['aura', 'grandpa']) {
      const [gone, come] = [[former.keys, now], [now, former.keys]].map(([of, without]) => of[kind].filter((key) => !without[kind].includes(key)));
      assert.deepEqual([gone.length, come], [1, [keys[kind]]], 'its former key is out of the set, and its new one in it');
    }
    scene.keys = keys;
  });
}

/** Of three: nothing is finalized without it, so that new keys could not come into force; its keystore brings finality back. */
async function withoutFinality(scene, findings) {
  const { api, nodes, dave, say } = scene;
  await findings.holds('one of three validators is restored from its node key and its keystore, and finality with it', async () => {
    await toThree(scene);
    const { aura } = scene.keys;
    const peer = await dave.peerId();
    dave.backUp();
    await dave.loseDisk();
    const lost = Date.now();
    await standsStill(scene);
    say('nothing is finalized');
    dave.restoreNodeKey();
    dave.restoreKeystore();
    await dave.start('--validator', '--sync', 'warp');
    await isBack(scene, aura);
    assert.equal(await dave.peerId(), peer);
    assert.ok((await auraKeys(api, await nodes.alice.view.call('chain_getFinalizedHead'))).includes(aura));
    findings.figure('one of three: from the loss of its disk until it authored and voted again', since(lost));
  });
}

/** The admin takes one of the four from the set. */
async function toThree(scene) {
  const { api, nodes } = scene;
  await submitAsAdmin(api, api.tx.validators.removeValidator(developmentAccount('//Charlie').address));
  await until('three are left', async () => (
    (await grandpaKeys(api, await nodes.alice.view.call('chain_getFinalizedHead'))).length === 3
  ), { within: NEW_SET });
}

async function standsStill({ others, nodes }) {
  const best = await nodes.alice.view.best();
  await until('blocks go on', async () => (await nodes.alice.view.best()) >= best + 4, { within: 30 * BLOCK });
  const settled = await ask(others, 'finalized');
  await until('blocks go on', async () => (await nodes.alice.view.best()) >= best + 8, { within: 30 * BLOCK });
  assert.deepEqual(await ask(others, 'finalized'), settled, 'blocks are finalized without it');
}

/** Of three, with nothing but the node key left: new session keys, and the admin's word from where on they count. */
async function withoutKeystore(scene, findings) {
  const { api, nodes, dave, say } = scene;
  await findings.holds('one of three validators that has no keystore any more: with new keys finality comes back by the admin’s word', async () => {
    dave.backUp();
    await dave.loseDisk();
    const lost = Date.now();
    await standsStill(scene);
    dave.restoreNodeKey();
    await dave.start('--sync', 'warp');
    await dave.isSynced();
    const keys = await dave.registerKeys(api);
    await dave.node.stop();
    await dave.start('--validator');
    await changed(api, nodes.alice, keys.aura, true, { within: NEW_SET });
    await standsStill(scene);
    say('the new keys are in the set, and still nothing is finalized');
    const final = await nodes.alice.view.finalized();
    await submitAsAdmin(api, api.tx.grandpa.noteStalled(SESSION_LENGTH, final));
    await isBack(scene, keys.aura);
    findings.figure('one of three without its keystore: from the loss until finality was back', since(lost));
  });
}

/** A node that joins afterwards: it goes through all blocks, as a warp proof does not lead over a change that was not finalized. */
async function newcomer({ nodes, hosts, chain }, findings) {
  await findings.holds('a node that joins after that syncs in full, and finalizes', async () => {
    const begun = Date.now();
    const peers = OTHERS.map((name) => hosts[name]);
    const eve = await startOnHost(hosts.eve, { chain, basePath: tempDir('eve'), flags: ['--sync', 'full'], peers });
    const goal = await nodes.alice.view.finalized();
    await finalized([eve], goal, { within: 300 * SECONDS });
    await agreeOn([eve, nodes.alice], goal);
    findings.figure('a full sync after that, until the last finalized block', since(begun));
    await eve.stop();
  });
}
