import { encodeAddress } from '@polkadot/util-crypto';
import { SS58_PREFIX } from './chain.mjs';

const NUMBERS_OUTGROW_JSON_FROM = 128;

/** A decoded answer of `ComputeApi` as `compute_*` writes it in JSON. */
export function plain(value) {
  if (value.toRawType?.() === 'Null') return null;
  if (value.toRawType?.() === 'AccountId') return encodeAddress(value, SS58_PREFIX);
  if (value instanceof Uint8Array) return bytes(value);
  if (typeof value.bitLength === 'function' && typeof value.toBigInt === 'function') return number(value);
  if ('isSome' in value) return value.isSome ? plain(value.unwrap()) : null;
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, field]) => [snakeCase(key), plain(field)]));
  }
  if (value instanceof Array) return value.map(plain);
  if (value instanceof Boolean) return value.valueOf();
  if (value.type === 'V4') return [...value.inner].join('.');
  // What it carries may be a nought, and so be empty.
  const isBare = value.isBasic || value.inner.toRawType() === 'Null';
  return isBare ? snakeCase(value.type) : { [snakeCase(value.type)]: plain(value.inner) };
}

function number(value) {
  return value.bitLength() >= NUMBERS_OUTGROW_JSON_FROM ? value.toString() : value.toNumber();
}

/** Hashes and keys have a fixed length of 32 bytes; all else is text. */
function bytes(value) {
  const isFixed = !value.toRawType().startsWith('Bytes');
  return isFixed && value.length === 32 ? value.toHex() : Buffer.from(value).toString();
}

export function snakeCase(name) {
  return name.replaceAll(/(?<!^)([A-Z])/g, '_$1').toLowerCase();
}
