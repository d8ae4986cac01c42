import { patient, SECONDS } from './until.mjs';

/** One JSON-RPC call over HTTP: for watching many nodes, some of which may be down. */
export function rpc(url, method, ...params) {
  return rpcWith(url, method, params);
}

/** As `rpc`, with all parameters at once: an object where they come by name. */
export async function rpcWith(url, method, params) {
  const response = await fetch(url.replace(/^ws/, 'http'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(patient(10 * SECONDS)),
  });
  if (!response.ok) throw new Error(`${method} at ${url}: HTTP ${response.status}`);
  const { result, error } = await response.json();
  if (error) throw new RpcRefused(method, url, error);
  return result;
}

/** The node answered with an error. */
export class RpcRefused extends Error {
  constructor(method, url, { code, message, data }) {
    const details = typeof data === 'object' ? JSON.stringify(data) : (data ?? '');
    super(`${method} at ${url}: ${message} ${details}`.trim());
    this.code = code;
    this.data = data;
  }
}

/** What a chain node says of its chain, as numbers. */
export class ChainView {
  constructor(url) {
    this.url = url;
  }

  call(method, ...params) {
    return rpc(this.url, method, ...params);
  }

  async header(hash) {
    return this.call('chain_getHeader', ...(hash ? [hash] : []));
  }

  async best() {
    return Number((await this.header()).number);
  }

  async finalized() {
    return Number((await this.header(await this.call('chain_getFinalizedHead'))).number);
  }

  hashAt(number) {
    return this.call('chain_getBlockHash', number);
  }

  async peers() {
    return (await this.call('system_health')).peers;
  }
}

/** The Aura slot that a header claims, from its pre-runtime digest. */
export function slotOf(header) {
  const AURA_PRE_RUNTIME = '0x066175726120';
  const digest = header.digest.logs.find((log) => log.startsWith(AURA_PRE_RUNTIME));
  if (!digest) throw new Error(`block ${header.number} has no Aura slot`);
  return Buffer.from(digest.slice(AURA_PRE_RUNTIME.length), 'hex').readBigUInt64LE();
}
