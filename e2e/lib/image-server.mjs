// Serves disk images and IPFS blocks over HTTP as a good server does, and as bad ones do.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const CHUNK = 64 * 1024;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** The CIDv1 of bytes as one raw block, hashed with SHA-256: in base32, as gateways take it. */
export function rawCid(bytes) {
  return cidOfDigest(sha256(bytes));
}

function cidOfDigest(digest) {
  const VERSION_RAW_SHA256_LENGTH = [0x01, 0x55, 0x12, 0x20];
  const binary = [...VERSION_RAW_SHA256_LENGTH, ...digest];
  const bits = binary.map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const digits = bits.match(/.{1,5}/g).map((five) => ALPHABET[parseInt(five.padEnd(5, '0'), 2)]);
  return `b${digits.join('')}`;
}

/** The SHA-256 that such a CID names. */
export function digestOfCid(cid) {
  const bits = [...cid.slice(1)].map((digit) => ALPHABET.indexOf(digit).toString(2).padStart(5, '0')).join('');
  return Uint8Array.from(bits.match(/.{8}/g), (byte) => parseInt(byte, 2)).slice(-32);
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest();
}

/**
 * What may go wrong with a path, each `times` times (for ever without it):
 * `status` is answered instead; the connection breaks after `breakAfter` bytes of an answer, or stands still
 * after `stallAfter`; it goes at `rate` bytes a second; the byte at `wrongByteAt` of the file is another;
 * `ignoresRange` sends all from the start; `hidesLength` does not say how much there is.
 */
export class ImageServer {
  #folder;
  #faults = new Map();
  #blocks = new Map();
  #files = new Map();
  #server = createServer((request, response) => this.#answer(request, response).catch(() => response.destroy()));
  /** Every request so far: method, path without query, query, range, and how many bytes of the file it got. */
  requests = [];

  constructor(folder) {
    this.#folder = folder;
  }

  async listen(address) {
    this.#server.listen({ host: address, port: 0 });
    await once(this.#server, 'listening');
    this.url = `http://${address}:${this.#server.address().port}`;
    return this;
  }

  urlOf(name) {
    return `${this.url}/${name}`;
  }

  /** Serves bytes as a raw block at /ipfs/CID; returns the CID. */
  addBlock(bytes) {
    const cid = rawCid(bytes);
    this.#blocks.set(`/ipfs/${cid}`, Buffer.from(bytes));
    return cid;
  }

  /** Serves a file as one raw block, however large; returns its CID. */
  addFile(path) {
    const cid = rawCid(readFileSync(path));
    this.#files.set(`/ipfs/${cid}`, path);
    return cid;
  }

  /** Serves a file under a content id that is not its own. */
  addFalseFile(cid, path) {
    this.#files.set(`/ipfs/${cid}`, path);
  }

  /** Serves bytes at a path, whatever their hash is. */
  serve(path, bytes) {
    this.#blocks.set(path, Buffer.from(bytes));
  }

  fail(path, { times = Infinity, ...fault }) {
    this.#faults.set(path, { ...fault, times });
  }

  heal(path) {
    this.#faults.delete(path);
  }

  requestsOf(path) {
    return this.requests.filter((request) => request.path === path);
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #takeFault(path) {
    const fault = this.#faults.get(path);
    if (!fault || fault.times <= 0) return {};
    fault.times -= 1;
    return fault;
  }

  async #answer(request, response) {
    const { pathname, search } = new URL(request.url, this.url);
    const path = decodeURIComponent(pathname);
    const entry = { method: request.method, path, query: search.slice(1), range: request.headers.range, sent: 0 };
    this.requests.push(entry);
    const fault = this.#takeFault(path);
    if (fault.status) return response.writeHead(fault.status).end();
    const content = this.#content(path);
    if (!content) return response.writeHead(404).end();
    const { size, etag } = content;
    const { start, end, partial } = fault.ignoresRange ? { start: 0, end: size } : rangeOf(request, etag, size);
    if (start >= size && partial) return response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    response.writeHead(partial ? 206 : 200, {
      'accept-ranges': 'bytes',
      ...(!fault.hidesLength && { 'content-length': end - start }),
      'content-type': 'application/octet-stream',
      etag,
      ...(partial && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    });
    if (request.method === 'HEAD') return response.end();
    return this.#send(response, content, { start, end }, fault, entry);
  }

  /** What lies at a path: its size, its tag, and how to read it. */
  #content(path) {
    const block = this.#blocks.get(path);
    if (block) {
      const etag = `"${sha256(block).toString('hex').slice(0, 16)}"`;
      return { size: block.length, etag, open: () => ({ read: (from, to) => block.subarray(from, to), close() {} }) };
    }
    const file = this.#files.get(path) ?? (this.#folder && !path.includes('..') && join(this.#folder, path));
    if (!file) return undefined;
    const found = statSync(file, { throwIfNoEntry: false });
    if (!found?.isFile()) return undefined;
    return { size: found.size, etag: `"${found.size}-${Math.trunc(found.mtimeMs)}"`, open: () => readerOf(file) };
  }

  async #send(response, content, { start, end }, fault, entry) {
    const { breakAfter = Infinity, stallAfter = Infinity, rate, wrongByteAt } = fault;
    const closed = once(response, 'close');
    const reader = await content.open();
    try {
      for (let at = start; at < end && !response.destroyed;) {
        const limit = Math.min(breakAfter, stallAfter) - entry.sent;
        if (limit <= 0) {
          if (stallAfter > breakAfter) return response.destroy();
          await closed;
          return undefined;
        }
        const step = rate ? Math.max(1, Math.floor(rate / 10)) : CHUNK;
        const bytes = Buffer.from(await reader.read(at, Math.min(end, at + Math.min(step, limit))));
        if (wrongByteAt >= at && wrongByteAt < at + bytes.length) bytes[wrongByteAt - at] ^= 0xff;
        at += bytes.length;
        entry.sent += bytes.length;
        if (!response.write(bytes)) await Promise.race([once(response, 'drain'), closed]);
        if (rate) await pause(100);
      }
      return response.end();
    } finally {
      await reader.close();
    }
  }
}

export function startImageServer({ folder, address = '127.0.0.1' } = {}) {
  return new ImageServer(folder).listen(address);
}

async function readerOf(file) {
  const handle = await open(file);
  return {
    async read(from, to) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
      return buffer.subarray(0, bytesRead);
    },
    close: () => handle.close(),
  };
}

/** The part of a file that a request asks for, as [start, end). */
function rangeOf(request, etag, size) {
  const { range, 'if-range': ifRange } = request.headers;
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (from === undefined || (ifRange && ifRange !== etag)) return { start: 0, end: size, partial: false };
  return { start: Number(from), end: to ? Math.min(size, Number(to) + 1) : size, partial: true };
}
