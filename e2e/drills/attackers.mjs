// Attackers: tenants, miners, guests, images and strangers that do what they must not.
import { attackByCalls } from './attack-chain.mjs';
import { attackByFlood } from './attack-flood.mjs';
import { attackByGuests } from './attack-guests.mjs';
import { attackByImages } from './attack-images.mjs';
import { attackByPort } from './attack-port.mjs';
import { attackByRpc } from './attack-rpc.mjs';
import { AttackScene } from './attack-scene.mjs';
import { audit } from './audit.mjs';
import { Findings } from './findings.mjs';

export const drill = {
  name: 'attackers',
  about: 'tenants, miners, guests, images and strangers that do what they must not: each is refused, at what cost',
  run,
};

const ATTACKS = {
  calls: attackByCalls, rpc: attackByRpc, flood: attackByFlood, images: attackByImages, guests: attackByGuests, port: attackByPort,
};

async function run({ short, settle, say }) {
  const findings = new Findings(say);
  const scene = await AttackScene.open(say);
  try {
    for (const [name, attack] of Object.entries(ATTACKS)) {
      say(`attack by ${name}`);
      await attack(scene, findings, { short });
    }
    await scene.stage.isQuiet();
    findings.differences.push(...await audit(scene.stage, { within: settle }));
  } catch (error) {
    say(scene.stage.describe());
    throw error;
  } finally {
    await scene.close();
  }
  return findings;
}
