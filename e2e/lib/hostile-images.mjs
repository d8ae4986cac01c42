// Images that would harm a node which took them: made, put on the market, and seen to be refused.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { digestOfCid } from './image-server.mjs';
import { tempDir } from './ours.mjs';

/** A qcow2 file made by qemu-img with these options. */
export function qcow2File(name, options, size = '1G') {
  const file = join(tempDir('image'), `${name}.qcow2`);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, file, size]);
  // What makes it another file than any other.
  execFileSync('qemu-io', ['-c', `write -q -P ${randomBytes(1)[0]} 0 64k`, file]);
  return file;
}

/** Puts a file on the market as an image of that name. */
export async function publish(market, name, file, change = {}) {
  const cid = market.images.addFile(file);
  const image = market.imageOf('busybox', { name, imageUrl: `ipfs://${cid}`, digest: digestOfCid(cid), ...change });
  await market.asAdmin(market.api.tx.compute.addImage(image));
  return { cid, digest: Buffer.from(image.digest).toString('hex') };
}

/** The names in a worker's store of images, those on their way too. */
export function stored({ dataDir }) {
  return ['images', 'partial'].flatMap((shelf) => readdirSync(join(dataDir, 'images', shelf)));
}

/** A request for a VM ends for good, and nothing of the VM, or of an image with that digest, stays. */
export async function isRefusedForGood({ market, worker }, vm, reason, digest) {
  await vm.untilStatus('Failed');
  assert.match(await vm.failure(), reason);
  assert.equal((await market.request(vm.id)).terminalFailures.toNumber(), 1);
  await vm.isGone();
  assert.ok(!stored(worker).some((file) => digest && file.startsWith(digest)), `the store has ${stored(worker)}`);
}
