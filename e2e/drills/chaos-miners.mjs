// What miners do meanwhile.
import { setTimeout as pause } from 'node:timers/promises';
import { SECONDS } from '../lib/until.mjs';

/** They fill up what penalties took of their bonds, as a node takes no new VMs before: how often, once it is over. */
export async function fillBonds(stage, isOver) {
  let filled = 0;
  while (!isOver()) {
    for (const { data } of stage.history.all('registry.BondSlashed').slice(filled)) {
      const { node } = stage.host(data.nodeId.toUtf8());
      await stage.send(node.miner, stage.market.api.tx.registry.updateOffer(node.id, node.offer));
      filled += 1;
    }
    await pause(1 * SECONDS);
  }
  return filled;
}
