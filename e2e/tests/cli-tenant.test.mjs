// What a tenant does with `quarry`, against a market of one node on libvirt's test driver.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GuestMarket } from '../lib/guest-market.mjs';
import { startChainNode } from '../lib/chain-node.mjs';
import { endAll, tempDir } from '../lib/ours.mjs';
import { freePort } from '../lib/port.mjs';
import { Process } from '../lib/process.mjs';
import { quarry, quarryOnTerminal, quarryProgram } from '../lib/quarry-cli.mjs';
import { statesOf, testNode } from '../lib/test-nodes.mjs';
import { SECONDS, until } from '../lib/until.mjs';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me';
const PATIENT = { within: 300 * SECONDS };
/** What changes from run to run. */
const steady = (text) => text
  .replace(/\(\d+ s\)/g, '(N s)').replace(/ +\d+\.\d s$/gm, '  N s').replace(/in block \d+/g, 'in block N');

const market = new GuestMarket();

describe('quarry for tenants', () => {
  const { address } = market.account('tenant');
  let node;
  let worker;

  before(async () => {
    node = await testNode('alpha', { country: 'SE' });
    await market.open({ hosts: [node] });
    worker = await market.startWorker(node);
    await worker.isReady();
    // What is finalized counts here.
    await until('the node takes VMs', async () => (await json('nodes')).nodes.length === 1, { within: 120 * SECONDS });
  });

  after(async () => {
    await worker?.stop();
    await market.close();
    await endAll();
  });

  const as = (args, { uri = '//market/tenant', url = market.node.url, ...options } = {}) => (
    quarry([...args, ...(url ? ['--url', url] : []), ...(uri ? ['--uri', uri] : [])], options)
  );
  const does = async (...args) => {
    const { code, stdout, stderr, commandLine } = await as(args, PATIENT);
    assert.equal(code, 0, `${commandLine}\n${stderr}`);
    return { stdout, stderr };
  };
  const json = async (...args) => JSON.parse((await does(...args, '--json')).stdout);
  /** It ends with that code and says that, with nothing on standard output. */
  const refuses = async (code, message, args, options) => {
    const { code: ended, stdout, stderr } = await as([...args, '--json'], options);
    assert.equal(ended, code, stderr);
    assert.match(JSON.parse(stderr).error.message, message);
    assert.equal(stdout, '');
    return JSON.parse(stderr).error;
  };
  const rent = async (...args) => json('rent', '--yes', '--plan', 'tiny', '--ssh-key', KEY, '--for', '2h', '--until', 'running', ...args);

  test('the plans', async () => {
    const { stdout } = await does('plans');
    assert.match(stdout, /^PLAN +VCPU +MEMORY +DISK +WHAT IT IS\n/);
    assert.match(stdout, /^small +1 +2 GiB +20 GiB +1 vCPU, 2 GiB of memory, 20 GiB of disk$/m);
    const { plans } = await json('plans');
    assert.deepEqual(plans.find(({ name }) => name === 'nano'), {
      name: 'nano', description: '1 vCPU, 512 MiB of memory, 5 GiB of disk', enabled: true,
      resources: { vcpus: 1, memory_mib: 512, disk_gib: 5 },
    });
  });

  test('the images', async () => {
    const { stdout } = await does('images');
    assert.match(stdout, /^IMAGE +NEEDS DISK +FORMAT +IN PLACE OF +FROM\nbusybox +2 GiB +qcow2 +- +ipfs:\/\/bafk\w+$/m);
    const [image] = (await json('images')).images;
    assert.deepEqual(Object.keys(image), ['name', 'url', 'sha256', 'format', 'disk_gib', 'supersedes', 'enabled']);
    assert.match(image.sha256, /^[0-9a-f]{64}$/);
  });

  test('the nodes, for a size', async () => {
    const { stdout } = await does('nodes', '--plan', 'tiny');
    assert.match(stdout, /^NODE +IN +FREE VCPU +MEMORY +DISK +UPTIME +VMS +QRY\/HOUR +QRY\/MONTH\nalpha +SE +8 +8 GiB +100 GiB +\S+ % +0 +0\.\d+ +\d/);
    assert.match(stdout, /Prices for 1 vCPU, 128 MiB, 2 GiB disk\./);
    const { nodes: [found], resources } = await json('nodes', '--vcpus', '2', '--memory', '1G', '--disk', '10');
    assert.deepEqual(resources, { vcpus: 2, memory_mib: 1_024, disk_gib: 10 });
    assert.deepEqual([found.node, found.country, found.free], ['alpha', 'SE', { vcpus: 8, memory_mib: 8_192, disk_gib: 100 }]);
    // 2 vCPUs at 1,000,000, 1 GiB at 500,000 and 10 GiB at 10,000 a block, for 600 blocks an hour.
    assert.deepEqual(found.price, { hour: '0.00156', month: '1.1232' });
    for (const none of [['--country', 'NO'], ['--max-price', '0.000001'], ['--vcpus', '64'], ['--ip', 'require']]) {
      assert.deepEqual((await json('nodes', ...none)).nodes, [], none);
    }
  });

  test('a quote', async () => {
    const { stdout } = await does('quote', 'small', 'alpha');
    assert.match(stdout, /^plan +small \(1 vCPU, 2 GiB, 20 GiB disk\)\nnode +alpha\nprice +0\.00132 QRY an hour, 0\.9504 a month$/m);
    const quote = await json('quote', 'large', 'alpha');
    assert.deepEqual([quote.takes_it, quote.because, quote.address_price], [true, null, null]);
    await refuses(3, /there is no plan "smal": did you mean "small"\?/, ['quote', 'smal', 'alpha']);
    await refuses(3, /there is no node "beta"/, ['quote', 'small', 'beta']);
  });

  test('a rent asks nobody without a terminal', async () => {
    await refuses(2, /Nobody can be asked here: add --yes/, ['rent', '--plan', 'tiny', '--ssh-key', KEY]);
    assert.deepEqual((await json('vms')).vms, []);
  });

  test('what cannot be rented is refused before anything is paid', async () => {
    const wish = ['rent', '--yes', '--plan', 'tiny', '--ssh-key', KEY];
    await refuses(3, /there is no plan "huge"/, ['rent', '--yes', '--plan', 'huge']);
    await refuses(3, /there is no image "debiam"/, [...wish, '--image', 'debiam']);
    await refuses(3, /there is no node "beta"/, [...wish, '--node', 'beta']);
    await refuses(2, /a country is two letters/, [...wish, '--country', 'SWE']);
    await refuses(2, /no amount of QRY/, [...wish, '--max-price', 'cheap']);
    await refuses(2, /write it as 24h or 30days/, [...wish, '--for', 'ever']);
    await refuses(2, /invalid value 'maybe' for '--ip/, [...wish, '--ip', 'maybe']);
    await refuses(2, /set ipfs_api/, [...wish, '--cloud-init', new URL(import.meta.url).pathname]);
    assert.equal((await refuses(4, /no node takes .* in NO now/, [...wish, '--country', 'NO'])).kind, 'refused');
    await refuses(4, /alpha does not take it at that price/, [...wish, '--node', 'alpha', '--max-price', '0.000001']);
    await refuses(2, /--wait needs the highest price/, [...wish, '--country', 'NO', '--wait']);
    await refuses(4, /PrepaidTooLong/, [...wish, '--for', '20years']);
    await refuses(4, /InvalidVmName/, [...wish, '--name', '']);
    await refuses(4, /InvalidCloudInitCid/, [...wish, '--cloud-init-cid', 'Qmabc']);
    await refuses(4, /FundsUnavailable.*send it some QRY/, wish, { uri: '//nobody' });
    assert.deepEqual((await json('vms')).vms, []);
  });

  test('a dry run shows the offer, and rents nothing', async () => {
    const offer = await json('rent', '--dry-run', '--plan', 'tiny', '--for', '24h');
    assert.deepEqual([offer.plan, offer.image, offer.node, offer.country, offer.for_seconds], ['tiny', 'busybox', 'alpha', 'SE', 86_400]);
    assert.deepEqual((await json('vms')).vms, []);
  });

  test('a rent, step by step', async () => {
    const { stdout, stderr } = await does('rent', '--yes', '--plan', 'tiny', '--ssh-key', KEY, '--name', 'web', '--until', 'running', '--max-price', '0.002');
    assert.match(steady(stdout), /^\nquarry ssh 0\n$/);
    const told = steady(stderr);
    assert.match(told, /^plan +tiny \(1 vCPU, 128 MiB, 2 GiB disk\)$/m);
    assert.match(told, /^node +alpha \(SE\)$/m);
    assert.match(told, /✓ accepted +VM 0 \(web\), in block N  N s\n/);
    assert.match(told, /✓ image +the node has it  N s\n(.*\n)*✓ booting +the VM runs  N s\n/);
    assert.deepEqual(await statesOf(node.libvirtd), ['running']);
  });

  test('its VM in the list, and whole', async () => {
    const { stdout } = await does('vms');
    assert.match(stdout, /^VM +NAME +STATUS +PLAN +IMAGE +NODE +ADDRESS +QRY\/HOUR +PAID FOR\n0 +web +running +tiny +busybox +alpha +- +0\.\d+ +\w+/);
    const { vms: [vm] } = await json('vms');
    assert.deepEqual([vm.id, vm.name, vm.status, vm.node, vm.exhausted], ['0', 'web', 'running', 'alpha', false]);
    const { vms } = JSON.parse((await as(['vms', '--account', address, '--json'], { uri: null })).stdout);
    assert.equal(vms.length, 1, 'anyone may look');
    const shown = await json('show', 'web');
    assert.equal(shown.id, '0');
    assert.match(shown.ssh_host_key, /^ssh-ed25519 AAAA/);
    assert.deepEqual(shown.ssh_keys, [KEY]);
    assert.match((await does('show', '0')).stdout, /^lets in +ssh-ed25519 /m);
    await refuses(3, /there is no VM 99/, ['show', '99']);
    const text = await as(['show', '99']);
    assert.deepEqual([text.code, text.stdout, text.stderr], [3, '', 'quarry: there is no VM 99: see `quarry vms`\n']);
    await refuses(3, /you have no VM called "nowhere"/, ['show', 'nowhere']);
    await refuses(2, /invalid value/, ['show', '9'.repeat(50)]);
  });

  test('stop, boot, reboot', async () => {
    assert.equal(steady((await does('stop', 'web')).stdout), 'VM 0 is stopped (N s)\n');
    const stopped = await refuses(4, /Compute\.NotRunning; it does not run: `quarry boot` first/, ['stop', '0']);
    assert.equal(stopped.name, 'Compute.NotRunning');
    assert.equal((await json('boot', '0')).status, 'running');
    await refuses(4, /Compute\.NotStopped/, ['boot', '0']);
    assert.equal((await json('reboot', '0')).status, 'running');
    assert.match((await json('stop', '0', '--no-wait')).status, /^stopp(ing|ed)$/);
    await until('it is stopped', async () => (await json('show', '0')).status === 'stopped', { within: 120 * SECONDS });
  });

  test('a resize', async () => {
    assert.equal((await json('resize', '0', 'tiny-grown')).status, 'stopped');
    assert.equal((await json('show', '0')).plan, 'tiny-grown');
    await refuses(4, /Compute\.DiskCannotShrink/, ['resize', '0', 'tiny']);
    await refuses(4, /Compute\.SamePlan/, ['resize', '0', 'tiny-grown']);
    await refuses(4, /Compute\.PriceAboveMax.*higher --max-price/, ['resize', '0', 'large']);
    await refuses(3, /there is no plan/, ['resize', '0', 'none']);
  });

  test('a top-up', async () => {
    const before = (await json('show', '0')).paid_for_seconds;
    const done = await json('top-up', '0', '--for', '1h', '--yes');
    assert.deepEqual([done.id, done.seconds], ['0', 3_600]);
    assert.ok((await json('show', '0')).paid_for_seconds > before + 3_000);
    await refuses(4, /PrepaidTooLong/, ['top-up', '0', '--for', '100years', '--yes']);
    await refuses(2, /required/, ['top-up', '0']);
  });

  test('nobody else’s VM', async () => {
    const other = { uri: '//Dave' };
    await refuses(4, /Compute\.ComputeRequestNotFound; it is not yours/, ['stop', '0'], other);
    await refuses(4, /Compute\.ComputeRequestNotFound/, ['delete', '0', '--yes'], other);
    await refuses(4, /NodeNotGone/, ['evacuate', '0', '--yes']);
  });

  test('a request that waits, says why, and is taken back', async () => {
    const rented = await json('rent', '--yes', '--plan', 'tiny', '--ssh-key', KEY, '--country', 'NO', '--wait', '--max-price', '1', '--until', 'accepted');
    assert.deepEqual([rented.status, rented.node], ['pending', null]);
    const { waits_because: [why] } = await json('show', rented.id);
    assert.deepEqual(why, { nodes: 1, reason: 'the node stands in another country' });
    assert.equal((await json('cancel', rented.id)).status, 'cancelled');
    await refuses(4, /NotPending/, ['cancel', rented.id]);
    assert.equal((await json('vms')).vms.length, 1);
    assert.equal((await json('vms', '--all')).vms.length, 2);
  });

  test('user data goes to IPFS under its content id', async () => {
    const answers = { good: undefined };
    const api = createServer((request, response) => {
      let body = '';
      request.setEncoding('latin1').on('data', (part) => (body += part)).on('end', () => {
        const content = /\r\n\r\n([^]*?)\r\n--/.exec(body)[1];
        assert.equal(request.method, 'POST');
        assert.match(request.url, /^\/api\/v0\/block\/put\?cid-codec=raw&mhtype=sha2-256/);
        response.end(JSON.stringify({ Key: answers.good ?? market.images.addBlock(Buffer.from(content, 'latin1')), Size: content.length }));
      });
    });
    await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));
    try {
      const config = join(tempDir('config'), 'config.toml');
      const ipfs = `http://127.0.0.1:${api.address().port}`;
      writeFileSync(config, `ipfs_api = "${ipfs}"\n`);
      const file = join(tempDir('user-data'), 'setup.yaml');
      writeFileSync(file, '#cloud-config\nhostname: there\n');
      const rented = await rent('--cloud-init', file, '--config', config);
      assert.equal(rented.status, 'running');
      assert.match((await json('show', rented.id)).cloud_init_cid, /^bafkrei/);
      answers.good = 'bafkreiother';
      await refuses(1, /it is not an API of IPFS/, ['rent', '--yes', '--plan', 'tiny', '--ssh-key', KEY, '--cloud-init', file, '--config', config]);
      assert.equal((await json('delete', rented.id, '--yes')).status, null);
    } finally {
      api.close();
    }
    const config = join(tempDir('config'), 'config.toml');
    writeFileSync(config, `ipfs_api = "http://127.0.0.1:${await freePort()}"\n`);
    const file = join(tempDir('user-data'), 'setup.yaml');
    writeFileSync(file, '#cloud-config\n');
    await refuses(5, /the IPFS API at .* does not answer/, ['rent', '--yes', '--plan', 'tiny', '--ssh-key', KEY, '--cloud-init', file, '--config', config]);
  });

  test('what is watched changes, until Ctrl-C', async () => {
    const { program, env } = quarryProgram();
    const watch = new Process(program, ['watch', '--json', '--url', market.node.url, '--uri', '//market/tenant'], { name: 'quarry watch', env });
    await watch.waitForLine(/"status":"stopped"/);
    assert.equal((await json('boot', '0')).status, 'running');
    await watch.waitForLine(/"status":"booting"/);
    await watch.waitForLine(/"status":"running"/);
    watch.signal('SIGINT');
    assert.equal((await watch.ended).code, 0);
  });

  test('on a terminal a rent asks first; no is no', async () => {
    const args = ['rent', '--plan', 'tiny', '--ssh-key', KEY, '--until', 'running', '--url', market.node.url, '--uri', '//market/tenant'];
    const no = await quarryOnTerminal(args, [['Rent it, as .*\\?', 'n']], PATIENT);
    assert.equal(no.code, 130, no.shown);
    assert.match(no.shown, /nothing was done/);
    assert.equal((await json('vms')).vms.length, 1);
    const yes = await quarryOnTerminal(args, [['Rent it, as .*\\?', 'y']], PATIENT);
    assert.equal(yes.code, 0, yes.shown);
    assert.match(yes.shown, /waiting for the chain to take the request/);
    const [, id] = /quarry ssh (\d+)/.exec(yes.shown);
    assert.equal((await json('delete', id, '--yes')).status, null);
  });

  test('Ctrl-C in the middle of a rent loses nothing: it says which VM goes on', async () => {
    const args = ['rent', '--plan', 'tiny', '--ssh-key', KEY, '--until', 'running', '--url', market.node.url, '--uri', '//market/tenant'];
    const early = await quarryOnTerminal(args, [['Rent it, as .*\\?', '\u0003']], PATIENT);
    assert.notEqual(early.code, 0);
    assert.doesNotMatch(early.shown, /was sent/);
    const left = await quarryOnTerminal(args, [
      ['Rent it, as .*\\?', 'y'], ['waiting for the chain to take the request', '\u0003'],
    ], PATIENT);
    assert.equal(left.code, 130, left.shown);
    assert.match(left.shown, /the request was sent already/);
    const [, id] = /VM (\d+) goes on without this command/.exec(left.shown);
    const waits = await quarryOnTerminal(args, [
      ['Rent it, as .*\\?', 'y'], ['waiting for the (node to have the image|VM to start)', '\u0003'],
    ], PATIENT);
    assert.equal(waits.code, 130, waits.shown);
    const [, other] = /VM (\d+) goes on without this command/.exec(waits.shown);
    const ids = (await json('vms')).vms.map((vm) => vm.id);
    assert.deepEqual(ids.sort(), ['0', id, other].sort());
    await does('delete', id, other, '--yes');
  });

  test('delete', async () => {
    await refuses(2, /add --yes/, ['delete', '0']);
    const unsure = await quarryOnTerminal(['delete', '0', '--url', market.node.url, '--uri', '//market/tenant'], [['disk and all\\? \\[y/N\\]', '']], PATIENT);
    assert.equal(unsure.code, 130, unsure.shown);
    assert.equal((await json('delete', 'web', '--yes')).status, null);
    await until('no domain is left', async () => (await statesOf(node.libvirtd)).length === 0, { within: 60 * SECONDS });
    assert.deepEqual((await json('vms')).vms, []);
    assert.match((await does('vms')).stdout, /^no VMs: `quarry rent` gets one/);
  });

  test('an image is put on the market by the admin, and by nobody else', async () => {
    const folder = tempDir('image');
    const file = join(folder, 'tiny.raw');
    writeFileSync(file, 'a disk');
    const url = ['--url', market.node.url];
    const nobody = await as(['image', 'add', file, '--name', 'tiny', '--store', join(folder, 'store'), '--json']);
    assert.equal(nobody.code, 0, nobody.stderr);
    const call = JSON.parse(nobody.stdout);
    assert.deepEqual([call.added, call.url, call.disk_gib, call.format], [false, 'file:///tiny.raw', 1, 'raw']);
    assert.equal(market.api.createType('Call', call.call).method, 'addImage');
    assert.equal(readFileSync(join(folder, 'store', 'tiny.raw'), 'utf8'), 'a disk');
    const admin = await quarry(['image', 'add', file, '--name', 'tiny', '--store', join(folder, 'store'), '--json', '--yes', ...url, '--uri', '//Alice'], PATIENT);
    assert.equal(admin.code, 0, admin.stderr);
    assert.equal(JSON.parse(admin.stdout).added, true);
    assert.ok((await json('images')).images.some(({ name }) => name === 'tiny'));
    await refuses(4, /ImageAlreadyExists/, ['image', 'add', file, '--name', 'tiny', '--store', join(folder, 'store')]);
    await refuses(4, /InvalidImageUrl/, ['image', 'add', file, '--name', 'other', '--from', 'http://images.example/x']);
    await refuses(2, /No such file/, ['image', 'add', join(folder, 'none'), '--store', folder]);
    assert.deepEqual(readdirSync(join(folder, 'store')), ['tiny.raw']);
  });

  test('a chain that does not answer, is another one, or is none to develop on', async () => {
    const nowhere = `ws://127.0.0.1:${await freePort()}`;
    await refuses(5, /does not answer within 2 s/, ['plans', '--timeout', '2'], { url: nowhere });
    await refuses(2, /no chain "main" in the settings/, ['plans', '--chain', 'main'], { url: null });
    const live = await startChainNode({ args: ['--dev', '--chain', await market.chainSpec({ hosts: [], chainType: 'Live' })] });
    try {
      await refuses(2, /--uri is for keys of development chains/, ['vms'], { url: live.url });
      await refuses(2, /there is no key to sign with/, ['vms'], { url: live.url, uri: null });
    } finally {
      await live.stop();
    }
  });

  test('chains have names', async () => {
    const config = join(mkdtempSync(join(tempDir('chains'), 'x')), 'config.toml');
    const chain = (...args) => quarry(['chain', ...args, '--config', config, '--json']);
    assert.equal((await chain('add', 'test', market.node.url, '--genesis', market.api.genesisHash.toHex())).code, 0);
    assert.equal((await chain('use', 'test')).code, 0);
    const { chains } = JSON.parse((await chain('list')).stdout);
    assert.deepEqual(chains.map(({ name, default: is }) => [name, is]), [['dev', false], ['test', true]]);
    assert.equal((await quarry(['plans', '--config', config])).code, 0);
    assert.equal((await chain('add', 'test', 'ws://other')).code, 2);
    assert.equal((await chain('add', 'Bad Name', 'ws://other')).code, 2);
    assert.equal((await chain('add', 'web', 'https://other')).code, 2);
    assert.equal((await chain('add', 'web', 'ws://other', '--genesis', '0x12')).code, 2);
    assert.equal((await chain('use', 'none')).code, 3);
    assert.equal((await chain('remove', 'dev')).code, 2);
    writeFileSync(config, readFileSync(config, 'utf8').replace(/genesis = "0x../, 'genesis = "0x00'));
    const other = await quarry(['plans', '--config', config, '--timeout', '15']);
    assert.equal(other.code, 5, other.stderr);
    assert.match(other.stderr, /serves another chain/);
    assert.equal((await chain('remove', 'test')).code, 0);
    assert.deepEqual(JSON.parse((await chain('list')).stdout).chains.map(({ name }) => name), ['dev']);
  });

  test('help, completions and manual pages', async () => {
    const help = await quarry(['--help']);
    assert.equal(help.code, 0);
    for (const verb of ['rent', 'nodes', 'plans', 'images', 'quote', 'vms', 'show', 'boot', 'stop', 'reboot', 'resize', 'delete',
      'cancel', 'top-up', 'evacuate', 'watch', 'ssh', 'scp', 'console', 'vnc', 'logs', 'stats', 'set-keys', 'ssh-config', 'miner', 'key', 'image']) {
      assert.match(help.stdout, new RegExp(`^  ${verb} `, 'm'));
    }
    for (const shell of ['bash', 'zsh', 'fish']) assert.match((await quarry(['completions', shell])).stdout, /top-up/);
    const folder = tempDir('man');
    assert.equal((await quarry(['man', '--dir', folder])).code, 0);
    assert.ok(readdirSync(folder).includes('quarry-rent.1'));
    const wrong = await quarry(['rnet']);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /similar subcommand.*rent/);
  });
});
