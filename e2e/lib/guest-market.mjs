// A market whose nodes have real workers: small plans, the test guests' images, each host's own addresses.
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Keyring } from '@polkadot/api';
import { hexToU8a } from '@polkadot/util';
import { startChainNode } from './chain-node.mjs';
import { SS58_PREFIX, connect } from './chain.mjs';
import { Chronicle } from './chronicle.mjs';
import { guestImage } from './guests.mjs';
import { digestOfCid, startImageServer } from './image-server.mjs';
import { Host, Market, imageOf } from './market.mjs';
import { tempDir } from './ours.mjs';
import { plain } from './plain.mjs';
import { RPC_PORT, ownLoopback } from './port.mjs';
import { startWorker } from './quarry-worker.mjs';
import { SECONDS, until } from './until.mjs';

/** What fits the test guests, each with a larger one to grow to. */
export const GUEST_PLANS = {
  tiny: { vcpus: 1, memory_mib: 128, disk_gib: 2 },
  'tiny-grown': { vcpus: 2, memory_mib: 192, disk_gib: 3 },
  debian: { vcpus: 2, memory_mib: 1_024, disk_gib: 4 },
  'debian-grown': { vcpus: 2, memory_mib: 1_280, disk_gib: 6 },
};

/** So short that a test can wait for the end of each, and so long that a busy machine gets its work done. */
const PARAMS = {
  launch_timeout: 60,
  operation_timeout: 25,
  delete_timeout: 25,
  evict_after: 20,
  ip_quarantine: 5,
  ip_quarantine_evacuated: 10,
};
const CAPACITY = { vcpus: 8, memoryMib: 8_192, diskGib: 100 };
const POOL_SIZE = 8;

/** A node of the market whose worker is the real one: its key comes from a seed that the key file holds. */
export class GuestNode extends Host {
  /**
   * `host` is the lab's, whose routed network gives the node its addresses, of IP version `family`; `uri` a test
   * driver instead, or on that host.
   */
  constructor(id, { host, uri, family = 4, addresses = POOL_SIZE, offer = {} }) {
    super(id, { capacity: CAPACITY, ...offer });
    this.host = host;
    this.family = family;
    this.addresses = addresses;
    this.uri = uri;
    this.seed = `0x${createHash('sha256').update(`worker of ${id}`).digest('hex')}`;
    this.workerAccount = new Keyring({ type: 'sr25519', ss58Format: SS58_PREFIX }).addFromSeed(hexToU8a(this.seed));
  }

  /** The calls by which its miner registers it and fills its pool. */
  opening(api) {
    if (!this.host) return [this.registration(api)];
    const { compute } = api.tx;
    const pool = { Node: this.id };
    const { gateway, prefixLen, first } = this.family === 4
      ? { gateway: v4(this.host.publicGateway), prefixLen: this.host.publicPrefixLen, first: v4(this.host.publicAddress(1)) }
      : { gateway: v6(this.host.publicGatewayV6), prefixLen: 64, first: v6(this.host.publicAddressV6(1)) };
    return [
      this.registration(api),
      compute.setIpPool(pool, { prefixLen, gateway, dns: gateway }),
      compute.addIps(pool, first, this.addresses),
    ];
  }
}

const v4 = (address) => ({ V4: address.split('.').map(Number) });

/** Of an address that leaves out some noughts. */
function v6(address) {
  const [head, tail] = address.split('::').map((part) => part.split(':').filter(Boolean));
  const groups = [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail];
  return { V6: groups.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]) };
}

/** What a chain node listens on. */
const portsWith = (rpc) => [
  '--experimental-rpc-endpoint', `listen-addr=${rpc},methods=unsafe`,
  '--port', '0', '--no-prometheus', '--no-telemetry',
];

/** `account` first, then `open`, then workers by `startWorker`. */
export class GuestMarket extends Market {
  #guests;
  #cids;
  #rpc;
  #spec;
  #basePath;

  /**
   * `guests` are names of test guests, whose images are on the market; `address` is where the chain node and the
   * image server listen, LAB_ADDRESS in a lab.
   */
  async open({ hosts, guests = ['busybox'], params = {}, address = ownLoopback() }) {
    this.#guests = guests;
    this.images = await startImageServer({ address });
    const files = await Promise.all(guests.map((guest) => guestImage(guest)));
    this.#cids = new Map(files.map((file, index) => [guests[index], this.images.addFile(file)]));
    const plans = Object.entries(GUEST_PLANS)
      .map(([name, resources]) => ({ name, technical_description: `the test plan ${name}`, resources }));
    this.hosts = hosts;
    this.#spec = await this.chainSpec({ hosts, plans, params: { ...PARAMS, ...params } });
    this.#rpc = `${address}:${RPC_PORT}`;
    await this.#begin();
  }

  /** A new chain, and on it what the admin and the miners do before anybody rents. */
  async #begin() {
    this.#basePath = tempDir('chain');
    this.forgetNonces();
    await this.startNode();
    this.api = await connect(this.node.url);
    this.chronicle = await Chronicle.of(this.api);
    await Promise.all([
      this.asAdmin(...this.#guests.map((guest) => this.api.tx.compute.addImage(this.imageOf(guest)))),
      ...this.hosts.map((host) => this.do(host.miner, ...host.opening(this.api))),
    ]);
  }

  /** Starts the chain node: each time at the same endpoint, and on what it had before. */
  async startNode() {
    this.node = await startChainNode({
      args: ['--dev', '--chain', this.#spec, '--base-path', this.#basePath],
      ports: portsWith(this.#rpc),
    });
  }

  /** Starts a chain node of its own for a miner, which makes no blocks; `peers` are addresses that it dials. */
  startFollower({ basePath, rpc, peers }) {
    return startChainNode({
      name: 'follower',
      args: ['--chain', this.#spec, '--base-path', basePath, ...peers.flatMap((peer) => ['--bootnodes', peer])],
      ports: [...portsWith(rpc), '--no-mdns'],
    });
  }

  /** Where a chain node is dialled by others. */
  async peerAddress(node = this.node) {
    const addresses = await node.view.call('system_localListenAddresses');
    return addresses.find((address) => address.startsWith('/ip4/127.0.0.1/tcp/'));
  }

  /** Kills the chain node, and starts it again: with the blocks that it had, and nothing in its pool. */
  async restartNode() {
    await this.#disconnect();
    await this.node.kill();
    this.forgetNonces();
    await this.startNode();
    this.api = await connect(this.node.url);
    this.chronicle = await Chronicle.of(this.api);
  }

  /** Kills the chain node, and begins another chain from the same genesis at the same endpoint. */
  async reset() {
    await this.#disconnect();
    await this.node.kill();
    await this.#begin();
  }

  async #disconnect() {
    await this.chronicle?.close();
    await this.api?.disconnect();
  }

  /** The path of a test guest's image on the image server, for faults and counts. */
  pathOf(guest) {
    return `/ipfs/${this.#cids.get(guest)}`;
  }

  /**
   * A test guest's image as the chain has it, on IPFS, for which the image server is a gateway: the chain takes no
   * plain http. `change` makes it another image, or a false one.
   */
  imageOf(guest, change = {}) {
    const cid = this.#cids.get(guest);
    return { ...imageOf(guest, { virtualSizeGib: 2 }), imageUrl: `ipfs://${cid}`, digest: digestOfCid(cid), ...change };
  }

  /**
   * Puts an image of its own on the market, raw and of random bytes, so that a test sees who fetched it and when:
   * its name, and its path on the image server. It starts on the test driver alone.
   */
  async addRandomImage(name, size) {
    const file = join(tempDir('image'), name);
    writeFileSync(file, randomBytes(size));
    const cid = this.images.addFile(file);
    const image = imageOf(name, { virtualSizeGib: 1 });
    const change = { imageUrl: `ipfs://${cid}`, digest: digestOfCid(cid), format: 'Raw' };
    await this.asAdmin(this.api.tx.compute.addImage({ ...image, ...change }));
    return { name, path: `/ipfs/${cid}` };
  }

  /** Starts the worker of a node; see quarry-worker.mjs for the options. */
  startWorker(node, { config = {}, ...options } = {}) {
    return startWorker({
      host: node.host, uri: node.uri, chain: this.node.url, nodeId: node.id, seed: node.seed,
      config: { ...config, images: { gateways: [this.images.url], ...config.images } }, ...options,
    });
  }

  /** Rents a VM of a node and returns the request's number; without a node, whoever claims it has it. */
  async rent(tenant, wish) {
    const [id] = await this.rentAll(tenant, wish);
    return id;
  }

  /** As `rent`, for each wish, in one transaction: those of one tenant at the same time would have one nonce. */
  async rentAll(tenant, ...wishes) {
    const full = wishes.map(({ on, plan = 'tiny', image = 'busybox', userData, ...wish }) => {
      const cloudInit = userData === undefined ? null : this.images.addBlock(userData);
      return { node: on?.id ?? null, plan, image, cloudInit, ...wish };
    });
    const { ids } = await this.createAll(tenant, ...full);
    return ids;
  }

  /** All that the chain says of a VM: see `compute_getVm`. */
  async vm(id) {
    return plain(await this.api.call.computeApi.getVm(id));
  }

  untilStatus(id, wanted, { within = 300 * SECONDS } = {}) {
    return until(`request ${id} is ${wanted}`, async (seen) => {
      const { status, operation, lastFailure } = await this.request(id);
      seen(`${status.type}, asked: ${operation}, failure: ${lastFailure.toHuman()}`);
      return status.type === wanted && operation.isNone;
    }, { within });
  }

  /** The address of a VM that has one of its own. */
  async addressOf(id) {
    const [, address] = (await this.api.query.compute.ipOf(id)).unwrap();
    return plain(address);
  }

  /** The guest's ed25519 host key, as its worker reported it. */
  async hostKeyOf(node, id) {
    const { sshHostKey } = (await this.api.query.compute.minerComputeRequests(node.id, id)).unwrap();
    return sshHostKey.unwrap().toU8a();
  }

  async close() {
    await super.close();
    await this.images?.close();
  }
}
