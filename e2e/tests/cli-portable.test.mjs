// What `quarry` is built from, for tenants' machines: nothing that only a hypervisor host has, and no OpenSSL.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../lib/process.mjs';

const REPOSITORY = join(import.meta.dirname, '..', '..');
const NOT_EVERYWHERE = /^(virt|virt-sys|openssl|openssl-sys|native-tls|quarry-hypervisor|quarry-worker|quarry-runtime)$/;

async function crates(name, target) {
  const args = ['tree', '--locked', '--package', name, '--target', target, '--edges', 'normal,build', '--prefix', 'none', '--format', '{p}'];
  const { code, stdout, stderr } = await run('cargo', args, { name: 'cargo-tree', cwd: REPOSITORY });
  assert.equal(code, 0, stderr);
  return [...new Set(stdout.split('\n').filter(Boolean).map((line) => line.split(' ')[0]))];
}

for (const target of ['x86_64-pc-windows-msvc', 'aarch64-apple-darwin', 'x86_64-unknown-linux-gnu']) {
  test(`quarry for ${target} takes neither libvirt nor OpenSSL`, async () => {
    const all = await crates('quarry-cli', target);
    assert.ok(all.includes('quarry-client') && all.includes('subxt'), all.join());
    assert.deepEqual(all.filter((crate) => NOT_EVERYWHERE.test(crate)), []);
  });
}

test('the worker, which takes libvirt, would be found out', async () => {
  assert.ok((await crates('quarry-worker', 'x86_64-unknown-linux-gnu')).some((crate) => NOT_EVERYWHERE.test(crate)));
});
