// The worker is ended at each of its crash points, on libvirt's test driver, whose libvirtd lives on. Each time the
// end has to be the same as without: one domain, one disk, each report landed once, nothing left behind.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CrashSite, EVICT_AFTER, FALSE_IMAGE, WHEN_REPORTED, pointsOf } from '../lib/crash-site.mjs';
import { GuestMarket } from '../lib/guest-market.mjs';
import { endAll } from '../lib/ours.mjs';
import { stepsOf } from '../lib/steps.mjs';
import { testNode } from '../lib/test-nodes.mjs';

const SOURCES = join(import.meta.dirname, '../../offchain-worker/src');

const THROUGH_A_LAUNCH = [
  'before-fetch', 'after-fetch', 'before-make-folder', 'in-make-folder', 'after-make-folder', 'before-define', 'in-define',
  'before-start', 'after-start', 'before-mark-started', 'after-mark-started', 'before-report-launched',
  'after-report-launched',
];
const THROUGH_A_REMOVAL = [
  'before-destroy', 'after-destroy', 'before-mark-orphan', 'after-mark-orphan', 'before-remove-disk', 'in-remove-disk',
  'after-remove-disk', 'before-undefine', 'after-undefine', 'before-remove-folder', 'in-remove-folder',
];

/** No story is about a deadline, and a worker starts many times within one launch. */
const NO_HURRY = { launch_timeout: 300, operation_timeout: 300, delete_timeout: 300 };

/**
 * The story of each node: what is asked of which of its VMs, and where the worker ends meanwhile; where there are
 * several points, its next lives end too. Only a node's first launch fetches the image.
 */
const STORIES = {
  alpha: [
    ['launch', 'a', 'before-fetch'],
    ['stop', 'a', 'before-shut-down'],
    ['first address', 'a', 'before-reseed'],
    ['no address', 'a', 'in-reseed'],
    ['other address', 'a', 'after-reseed'],
    ['delete', 'a', 'before-remove-disk'],
  ],
  beta: [
    ['launch', 'a', 'after-fetch'],
    ['launch', 'b', 'before-define'],
    ['reboot', 'a', 'after-shut-down'],
    ['pause from outside', 'b', 'before-resume'],
    ['delete', 'a', 'before-destroy'],
    ['delete', 'b', 'after-destroy'],
  ],
  gamma: [
    ['launch', 'a', 'before-report-working'],
    ['launch', 'b', 'in-define'],
    ['stop', 'a', 'before-report-done'],
    ['boot', 'a', 'before-retag'],
    ['delete', 'a', 'in-remove-disk'],
    ['delete', 'b', 'after-remove-disk'],
  ],
  delta: [
    ['launch', 'a', 'after-report-working'],
    ['launch', 'b', 'after-define'],
    ['stop', 'b', 'after-report-done'],
    ['boot', 'b', 'after-retag'],
    ['delete', 'a', 'before-undefine'],
    ['delete', 'b', 'after-undefine'],
  ],
  epsilon: [
    ['launch', 'a', 'before-make-folder'],
    ['launch', 'b', 'before-start'],
    ['resize', 'a', 'before-grow'],
    ['resize', 'b', 'in-grow'],
    ['delete', 'a', 'before-remove-folder'],
    ['delete', 'b', 'in-remove-folder'],
  ],
  zeta: [
    ['launch', 'a', 'in-make-folder'],
    ['launch', 'b', 'after-start'],
    ['resize', 'a', 'after-grow'],
    ['pause from outside', 'b', 'after-resume'],
    ['delete', 'a', 'after-remove-folder'],
    ['loss of the disk', 'b', 'before-report-lost'],
  ],
  eta: [
    ['launch', 'a', 'after-make-folder'],
    ['launch', 'b', 'before-mark-started'],
    ['resize of a damaged disk', 'a', 'before-report-failed'],
    ['loss of the disk', 'b', 'after-report-lost'],
  ],
  theta: [
    ['launch', 'a', 'after-mark-started'],
    ['launch', 'b', 'before-report-launched'],
    ['resize of a damaged disk', 'a', 'after-report-failed'],
    ['launch of a false image', 'c', 'before-report-launch-failed'],
    ['launch that is given up meanwhile', 'd', 'in-make-folder'],
  ],
  iota: [
    ['launch', 'a', 'after-report-launched'],
    ['launch', 'b', ...THROUGH_A_LAUNCH],
    ['evacuation', 'a', 'before-mark-orphan'],
    ['closure by the admin', 'b', ...THROUGH_A_REMOVAL],
  ],
  kappa: [
    ['launch', 'a', WHEN_REPORTED],
    ['stop', 'a', WHEN_REPORTED],
    ['launch of a false image', 'b', 'after-report-launch-failed'],
    ['boot', 'a', 'after-start'],
    ['death of the guest', 'a', 'before-start'],
    ['closure by the admin', 'a', 'after-mark-orphan'],
  ],
};

const market = new GuestMarket();

describe('a worker that is ended at any point', () => {
  const sites = [];

  before(async () => {
    const tenants = Object.keys(STORIES).map((name) => market.account(`tenant of ${name}`));
    const hosts = await Promise.all(Object.keys(STORIES).map((name) => testNode(name)));
    await market.open({ hosts, params: { evict_after: EVICT_AFTER, ...NO_HURRY } });
    const image = market.imageOf('busybox', { name: FALSE_IMAGE, digest: new Uint8Array(32).fill(0xfa) });
    sites.push(...hosts.map((node, index) => new CrashSite({ market, node, tenant: tenants[index] })));
    await Promise.all([market.asAdmin(market.api.tx.compute.addImage(image)), ...sites.map((site) => site.open())]);
  });

  after(async () => {
    await Promise.allSettled(sites.map(({ worker }) => worker?.stop()));
    await market.close();
    await endAll();
  });

  test('is ended at every point that its sources have', () => {
    const points = Object.values(STORIES).flat().flatMap(([, , ...points]) => points).filter((point) => point !== WHEN_REPORTED);
    assert.deepEqual([...new Set(points)].sort(), pointsOf(SOURCES));
  });

  describe('ends as if it had not been', { concurrency: true }, () => {
    for (const [index, [name, story]] of Object.entries(STORIES).entries()) {
      test(`on ${name}`, async (t) => {
        const site = sites[index];
        const step = stepsOf(t, () => site.describe());
        for (const [operation, vm, ...points] of story) {
          await step(`${operation} (${vm}): ${points.join(', ')}`, () => site.endure(operation, vm, points));
        }
      });
    }
  });

  test('and it stays so, and no report was refused by the chain', async () => {
    const SOME_BLOCKS = 2;
    await market.untilLive(await market.live() + SOME_BLOCKS);
    const failed = (await Promise.allSettled(sites.map((site) => site.isAsExpected()))).find(({ reason }) => reason);
    if (failed) throw failed.reason;
    const refused = market.chronicle.all('system.ExtrinsicFailed').map(({ block, data }) => `block ${block}: ${data.dispatchError}`);
    assert.deepEqual(refused, []);
  });
});
