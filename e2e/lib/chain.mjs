import { connect as openSocket } from 'node:net';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { inTime, SECONDS } from './until.mjs';

export const QRY = 10n ** 12n;
export const SS58_PREFIX = 42;

/** polkadot.js does not know this extension; it carries nothing. */
export const EXTENSIONS = { AuthorizeCall: { extrinsic: {}, payload: {} } };

/**
 * Keeps no answers. polkadot.js would keep failures, too, and anew each time that it is asked again: what a connection that
 * broke left unanswered would stay so for ever.
 */
class Provider extends WsProvider {
  send(method, params, isCacheable, subscription) {
    return super.send(method, params, false, subscription);
  }
}

export async function connect(url, { within = 30 * SECONDS } = {}) {
  await answers(url, within);
  const provider = new Provider(url);
  try {
    const api = ApiPromise.create({
      provider,
      signedExtensions: EXTENSIONS,
      noInitWarn: true,
      throwOnConnect: true,
    });
    return await inTime(`polkadot.js is ready at ${url}`, api, within);
  } catch (error) {
    await provider.disconnect();
    throw error;
  }
}

/** polkadot.js retries for ever and logs each time; a port that nobody listens on is known at once. */
async function answers(url, within) {
  const { hostname, port, protocol } = new URL(url);
  const socket = openSocket({ host: hostname.replace(/^\[|\]$/g, ''), port: port || (protocol === 'wss:' ? 443 : 80) });
  try {
    await inTime(`an answer from ${url}`, new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (error) => reject(new Error(`no chain node answers at ${url}: ${error.code ?? error.message}`)));
    }), within);
  } finally {
    socket.destroy();
  }
}

export function developmentAccount(uri) {
  return new Keyring({ type: 'sr25519', ss58Format: SS58_PREFIX }).addFromUri(uri);
}

/** The account of a FRAME PalletId. */
export function palletAccount(palletId) {
  const bytes = new Uint8Array(32);
  bytes.set(Buffer.from(`modl${palletId}`));
  return bytes;
}

/** A dispatch error as `pallet.Error`, or `Kind.Variant` where no pallet is behind it. */
export function errorName(registry, error) {
  if (error.isModule) {
    const { section, name } = registry.findMetaError(error.asModule);
    return `${section}.${name}`;
  }
  return error.inner?.type ? `${error.type}.${error.inner.type}` : error.type;
}

export class DispatchFailed extends Error {
  constructor(call, errorName, block) {
    super(`${call} failed with ${errorName} in block ${block.number}`);
    this.errorName = errorName;
    this.block = block;
  }
}

/**
 * Signs, sends and waits until the transaction is in a block (or, with `finalized`, in a finalized one).
 * A call that fails there throws `DispatchFailed`, which names the error.
 */
export async function submit(api, transaction, signer, options = {}) {
  const { finalized = false, nonce = -1, tip = 0, within = 90 * SECONDS } = options;
  const call = `${transaction.method.section}.${transaction.method.method}`;
  let unsubscribe;
  const included = new Promise((resolve, reject) => {
    transaction.signAndSend(signer, { nonce, tip }, (result) => {
      const { status } = result;
      if (finalized ? status.isFinalized : status.isInBlock) resolve(result);
      else if (result.isError) reject(new Error(`${call} was not included: ${status.type}`));
    }).then((handle) => (unsubscribe = handle), reject);
  });
  try {
    const result = await inTime(`${call} is ${finalized ? 'finalized' : 'in a block'}`, included, within);
    const hash = finalized ? result.status.asFinalized : result.status.asInBlock;
    const header = await api.rpc.chain.getHeader(hash);
    const block = {
      hash: hash.toHex(),
      number: header.number.toNumber(),
      parent: header.parentHash.toHex(),
      index: result.txIndex,
      events: result.events.map(({ event }) => event),
    };
    if (result.dispatchError) {
      throw new DispatchFailed(call, errorName(api.registry, result.dispatchError), block);
    }
    return block;
  } finally {
    unsubscribe?.();
  }
}

/** As the admin of a chain of ours, whose own call must not fail either. */
export async function submitAsAdmin(api, call, options) {
  const block = await submit(api, api.tx.sudo.sudo(call), developmentAccount('//Alice'), options);
  const failure = failureIn(api, eventOf(block, 'sudo.Sudid').sudoResult);
  if (failure) throw new Error(`the admin's ${call.method.section}.${call.method.method} failed with ${failure}`);
  return block;
}

/** The only event of that name, as `pallet.Event`. */
export function eventOf(block, name) {
  const names = block.events.map((event) => `${event.section}.${event.method}`);
  const found = block.events.filter((_, index) => names[index] === name);
  if (found.length !== 1) {
    throw new Error(`${found.length} events ${name} instead of one among: ${names.join(', ')}`);
  }
  return found[0].data;
}

/** The name of the error in a `Result<_, DispatchError>`, or undefined where it is Ok. */
export function failureIn(api, result) {
  return result.isErr ? errorName(api.registry, result.asErr) : undefined;
}

export async function freeBalance(api, account) {
  return (await api.query.system.account(account)).data.free.toBigInt();
}
