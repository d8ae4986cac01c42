import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Metadata, TypeRegistry } from '@polkadot/types';
import { u8aToHex } from '@polkadot/util';
import { startChainNode } from '../lib/chain-node.mjs';
import {
  DispatchFailed, EXTENSIONS, QRY, SS58_PREFIX, connect, developmentAccount, errorName, eventOf, failureIn,
  freeBalance, palletAccount, submit, submitAsAdmin,
} from '../lib/chain.mjs';
import { endAll } from '../lib/ours.mjs';
import { occupyPort } from '../lib/port.mjs';
import { run } from '../lib/process.mjs';

const alice = developmentAccount('//Alice');
const bob = developmentAccount('//Bob');
const treasury = palletAccount('qry/trsy');

const funded = [];
let node;
let api;

before(async () => {
  node = await startChainNode();
  api = await connect(node.url);
  const gifts = funded.map(({ address }) => api.tx.balances.transferKeepAlive(address, 100n * QRY));
  await submit(api, api.tx.utility.batchAll(gifts), alice);
});

after(async () => {
  await api?.disconnect();
  await node?.stop();
  const left = node?.temporaryFiles() ?? [];
  await endAll();
  assert.deepEqual(left, [], 'the node left temporary files behind');
});

/** An account that nothing else touches; it has 100 QRY when the tests begin. */
function fundedAccount(name) {
  const account = developmentAccount(`//${name}`);
  funded.push(account);
  return account;
}

/** What an account has more after a block than before it. */
async function gain(block, account) {
  const [was, is] = await Promise.all([block.parent, block.hash].map((hash) => api.at(hash)));
  return (await freeBalance(is, account)) - (await freeBalance(was, account));
}

/** The fees that all transactions of a block paid: other tests' may be among them. */
async function feesOf(block) {
  const events = await (await api.at(block.hash)).query.system.events();
  return events
    .filter(({ event }) => api.events.transactionPayment.TransactionFeePaid.is(event))
    .reduce((sum, { event }) => sum + event.data.actualFee.toBigInt(), 0n);
}

// A stock pallet's, whose documentation is written as a plain comment.
const UNDOCUMENTED = ['txPause.NotFound'];

// Together, so that their transactions share blocks.
const TOGETHER = { concurrency: true };

describe('a development chain', TOGETHER, () => {
  describe('what the chain says of itself', TOGETHER, () => {
    test('name, version and token', async () => {
      const [name, version] = await Promise.all([api.rpc.system.name(), api.rpc.system.version()]);
      assert.match(name.toString(), /quarry/i);
      assert.match(version.toString(), /^\d+\.\d+\.\d+/);
      assert.equal(api.runtimeVersion.specName.toString(), 'quarry');
      assert.deepEqual(api.registry.chainTokens, ['QRY']);
      assert.deepEqual(api.registry.chainDecimals, [12]);
      assert.equal(api.registry.chainSS58, SS58_PREFIX);
    });

    for (const version of [14, 15, 16]) {
      test(`metadata V${version} decodes and names the same pallets`, async () => {
        const metadata = await metadataAt(version);
        assert.equal(metadata.version, version);
        assert.deepEqual(palletsOf(metadata), palletsOf(api.runtimeMetadata));
        const registry = new TypeRegistry();
        registry.setMetadata(metadata, undefined, EXTENSIONS);
        const call = api.tx.balances.transferKeepAlive(bob.address, QRY).method;
        const { method, section, args } = registry.createType('Call', call.toU8a());
        assert.deepEqual([section, method, args[1].toBigInt()], ['balances', 'transferKeepAlive', QRY]);
      });
    }

    test('its runtime APIs are there under api.call', () => {
      const expected = [
        'core', 'metadata', 'blockBuilder', 'taggedTransactionQueue', 'accountNonceApi', 'auraApi', 'grandpaApi',
        'genesisBuilder', 'sessionKeys', 'transactionPaymentApi', 'transactionPaymentCallApi',
      ];
      assert.deepEqual(expected.filter((name) => !api.call[name]), []);
    });

    test('live blocks rise with the blocks', async () => {
      const first = (await api.rpc.chain.getHeader()).number.toNumber();
      await node.produced(first + 2);
      for (const number of [first + 1, first + 2]) {
        const at = await api.at(await api.rpc.chain.getBlockHash(number));
        assert.equal((await at.query.liveBlocks.count()).toNumber(), number);
      }
    });
  });

  describe('money', TOGETHER, () => {
    const sender = fundedAccount('money/sender');
    const tipper = fundedAccount('money/tipper');

    test('a transfer moves the amount, and the fee goes from the sender to the treasury', async () => {
      const receiver = developmentAccount('//money/receiver');
      const amount = 3n * QRY + 7n;
      const transfer = api.tx.balances.transferKeepAlive(receiver.address, amount);
      const signed = await transfer.signAsync(sender, { nonce: -1 });
      const block = await submit(api, transfer, sender);

      const paid = eventOf(block, 'transactionPayment.TransactionFeePaid');
      const fee = paid.actualFee.toBigInt();
      assert.equal(paid.who.toString(), sender.address);
      assert.equal(paid.tip.toBigInt(), 0n);
      assert.ok(fee > 0n);
      assert.equal(await gain(block, receiver.address), amount);
      assert.equal(await gain(block, sender.address), -amount - fee);
      assert.equal(await gain(block, treasury), await feesOf(block));

      const estimate = await node.view.call('payment_queryInfo', signed.toHex(), block.parent);
      assert.equal(BigInt(estimate.partialFee), fee);
      const { partialFee } = await (await api.at(block.parent)).call.transactionPaymentApi
        .queryInfo(signed.toU8a(), signed.encodedLength);
      assert.equal(partialFee.toBigInt(), fee);
    });

    test('a tip goes to the treasury too', async () => {
      const remark = api.tx.system.remark('0x00');
      const block = await submit(api, remark, tipper, { tip: QRY });
      const { actualFee, tip } = eventOf(block, 'transactionPayment.TransactionFeePaid');
      assert.equal(tip.toBigInt(), QRY);
      assert.ok(actualFee.toBigInt() > QRY);
      assert.equal(await gain(block, tipper.address), -actualFee.toBigInt());
      assert.equal(await gain(block, treasury), await feesOf(block));
    });
  });

  describe('a proxy', TOGETHER, () => {
    const transfer = (to) => api.tx.balances.transferKeepAlive(to, QRY);
    const remark = () => api.tx.system.remark('0x00');
    const batch = (...calls) => api.tx.utility.batchAll(calls);

    const cases = [
      ['NonTransfer', 'a transfer', transfer, 'system.CallFiltered'],
      ['NonTransfer', 'a transfer in a batch', (to) => batch(remark(), transfer(to)), 'system.CallFiltered'],
      ['NonTransfer', 'a remark', remark, undefined],
      ['Compute', 'a transfer', transfer, 'system.CallFiltered'],
      ['Compute', 'a transfer in a batch', (to) => batch(transfer(to)), 'system.CallFiltered'],
      ['Compute', 'a remark', remark, 'system.CallFiltered'],
      ['Any', 'a transfer', transfer, undefined],
      ['Any', 'a transfer in a batch', (to) => batch(remark(), transfer(to)), undefined],
    ];

    for (const [type, what, call, refusal] of cases) {
      const seed = `proxy/${type}/${what.replaceAll(' ', '-')}`;
      const real = fundedAccount(`${seed}/real`);
      const delegate = fundedAccount(`${seed}/delegate`);
      const receiver = fundedAccount(`${seed}/receiver`);

      test(`of type ${type} ${refusal ? 'refuses' : 'allows'} ${what}`, async () => {
        await submit(api, api.tx.proxy.addProxy(delegate.address, type, 0), real);
        const proxied = api.tx.proxy.proxy(real.address, null, call(receiver.address));
        const block = await submit(api, proxied, delegate);
        const { result } = eventOf(block, 'proxy.ProxyExecuted');
        assert.equal(failureIn(api, result), refusal);
        const moves = what.startsWith('a transfer') && !refusal;
        assert.equal(await gain(block, receiver.address), moves ? QRY : 0n);
      });
    }
  });

  describe('errors', TOGETHER, () => {
    test('every error of every pallet decodes to its name and documentation', () => {
      const seen = [];
      for (const pallet of api.runtimeMetadata.asLatest.pallets) {
        if (pallet.errors.isNone) continue;
        const { def } = api.registry.lookup.getSiType(pallet.errors.unwrap().type);
        for (const variant of def.asVariant.variants) {
          const MODULE = 3;
          const bytes = Uint8Array.of(MODULE, pallet.index.toNumber(), variant.index.toNumber(), 0, 0, 0);
          const error = api.registry.createType('DispatchError', bytes);
          const { docs, name, section } = api.registry.findMetaError(error.asModule);
          assert.equal(section.toLowerCase(), pallet.name.toString().toLowerCase());
          assert.equal(name, variant.name.toString());
          seen.push(errorName(api.registry, error));
          if (!UNDOCUMENTED.includes(seen.at(-1))) {
            assert.notEqual(docs.join('').trim(), '', `${seen.at(-1)} has no documentation`);
          }
        }
      }
      assert.equal(new Set(seen).size, seen.length, 'two errors have one name');
      for (const name of ['system.CallFiltered', 'balances.InsufficientBalance', 'sudo.RequireSudo',
        'validators.LastValidator', 'session.InvalidProof', 'proxy.NotProxy', 'multisig.NotFound']) {
        assert.ok(seen.includes(name), `${name} is not among ${seen.length} errors`);
      }
    });

    const sender = fundedAccount('errors/sender');
    const nobody = developmentAccount('//errors/nobody');
    const remark = () => api.tx.system.remark('0x00');
    const provoked = [
      ['Token.FundsUnavailable', () => api.tx.balances.transferKeepAlive(bob.address, 1_000n * QRY)],
      ['Token.BelowMinimum', () => api.tx.balances.transferKeepAlive(nobody.address, 1n)],
      ['sudo.RequireSudo', () => api.tx.sudo.sudo(remark())],
      ['BadOrigin', () => api.tx.validators.addValidator(bob.address)],
      ['proxy.NotProxy', () => api.tx.proxy.proxy(bob.address, null, remark())],
      ['session.InvalidProof', () => api.tx.session.setKeys(u8aToHex(new Uint8Array(64).fill(1)), '0x00')],
    ];

    test('those that a transaction provokes are named', async () => {
      await Promise.all(provoked.map(([name, call], nonce) =>
        assert.rejects(submit(api, call(), sender, { nonce }), (error) => {
          assert.ok(error instanceof DispatchFailed, error.stack);
          assert.equal(error.errorName, name);
          return true;
        })));
    });

    test('those of the validator set, behind sudo, are named', async () => {
      const { addValidator, removeValidator } = api.tx.validators;
      const cases = [
        ['validators.AlreadyValidator', addValidator(alice.address)],
        ['validators.NoSessionKeys', addValidator(bob.address)],
        ['validators.NotValidator', removeValidator(bob.address)],
        ['validators.LastValidator', removeValidator(alice.address)],
      ];
      const first = (await api.rpc.system.accountNextIndex(alice.address)).toNumber();
      await Promise.all(cases.map(async ([name, call], index) => {
        const block = await submit(api, api.tx.sudo.sudo(call), alice, { nonce: first + index });
        assert.equal(failureIn(api, eventOf(block, 'sudo.Sudid').sudoResult), name);
      }));
    });

    test('a sender who cannot pay the fee is told so', async () => {
      const pauper = developmentAccount('//errors/pauper');
      const signed = await remark().signAsync(pauper, { nonce: 0 });
      const answer = node.view.call('author_submitExtrinsic', signed.toHex());
      await assert.rejects(answer, /Inability to pay some fees/);
    });
  });
});

describe('the admin', () => {
  const transfer = () => submit(api, api.tx.balances.transferKeepAlive(alice.address, QRY), bob);
  const refused = (error) => error instanceof DispatchFailed && error.errorName === 'system.CallFiltered';

  test('closes the chain and opens it again', async () => {
    await submitAsAdmin(api, api.tx.safeMode.forceEnter());
    await assert.rejects(transfer(), refused);
    await submitAsAdmin(api, api.tx.safeMode.forceExit());
    await transfer();
  });

  test('pauses a call by its name and lets it in again', async () => {
    const name = ['Balances', 'transfer_keep_alive'];
    await submitAsAdmin(api, api.tx.txPause.pause(name));
    await assert.rejects(transfer(), refused);
    await submitAsAdmin(api, api.tx.txPause.unpause(name));
    await transfer();
  });
});

describe('the transfer example', () => {
  const example = (endpoint) => run(process.execPath, [fileURLToPath(new URL('../examples/transfer.mjs', import.meta.url)), endpoint]);

  test('sends 1 QRY and shows block, fee, events and balances', async () => {
    const was = await freeBalance(api, bob.address);
    const { code, stdout, stderr } = await example(node.url);
    assert.equal(code, 0, stderr);
    assert.equal((await freeBalance(api, bob.address)) - was, QRY);
    for (const part of [/block +\d+ +0x[0-9a-f]{64}/, /fee +0\.\d+ QRY/, /balances\.Transfer/, /Alice .* QRY → .* QRY/, /Bob .* QRY → .* QRY/]) {
      assert.match(stdout, part);
    }
    assert.equal(stderr, '');
  });

  test('says so where no node answers', async () => {
    const occupied = await occupyPort('127.0.0.1');
    await occupied.release();
    const { code, stderr } = await example(`ws://127.0.0.1:${occupied.port}`);
    assert.equal(code, 1);
    assert.match(stderr, /^transfer: no chain node answers at .*scripts\/dev.*\n$/);
  });

  test('explains itself where its endpoint is none', async () => {
    const { code, stderr } = await example('127.0.0.1:9944');
    assert.equal(code, 64);
    assert.match(stderr, /127\.0\.0\.1:9944 is no endpoint/);
  });
});

async function metadataAt(version) {
  const argument = u8aToHex(Uint8Array.of(version, 0, 0, 0));
  const answer = await api.rpc.state.call('Metadata_metadata_at_version', argument);
  const opaque = api.createType('Option<Bytes>', answer.toU8a(true));
  assert.ok(opaque.isSome, `the runtime has no metadata V${version}`);
  return new Metadata(new TypeRegistry(), opaque.unwrap().toHex());
}

function palletsOf(metadata) {
  return metadata.asLatest.pallets.map(({ name, index }) => [name.toString(), index.toNumber()]);
}

