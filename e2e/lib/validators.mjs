// Chain nodes of the `local` chain on the hosts of network.mjs.
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { base58Encode } from '@polkadot/util-crypto';
import { startChainNode } from './chain-node.mjs';
import { RPC_PORT } from './port.mjs';
import { slotOf } from './rpc.mjs';

const P2P_PORT = 30333;

/**
 * Starts a host's chain node; `flags` say what role it has, `peers` are the hosts that it dials first, `program` is
 * another than the one under test. With `keyOnDisk` its node key lies in `basePath`, as at an operator's.
 */
export function startOnHost(host, { chain, basePath, flags, peers, program, keyOnDisk = false }) {
  const bootnodes = peers.map((peer) => `/ip4/${peer.address}/tcp/${P2P_PORT}/p2p/${peerId(peer.name)}`);
  return startChainNode({
    name: host.name,
    host,
    program,
    args: ['--chain', chain, '--base-path', basePath, ...(keyOnDisk ? [] : ['--node-key', nodeKey(host.name)]), ...flags],
    ports: [
      '--listen-addr', `/ip4/${host.address}/tcp/${P2P_PORT}`,
      '--experimental-rpc-endpoint', `listen-addr=${host.management}:${RPC_PORT},methods=unsafe`,
      ...bootnodes.flatMap((address) => ['--bootnodes', address]),
      '--no-mdns', '--no-prometheus', '--no-telemetry',
    ],
  });
}

function nodeKey(name) {
  return createHash('sha256').update(`quarry e2e ${name}`).digest('hex');
}

/** The libp2p id of a node key: base58 over the multihash of the protobuf-encoded public key. */
export function peerId(name) {
  const PKCS8_ED25519 = '302e020100300506032b657004220420';
  const IDENTITY_HASH_OF_ED25519_KEY = '002408011220';
  const der = Buffer.from(PKCS8_ED25519 + nodeKey(name), 'hex');
  const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32);
  return base58Encode(Buffer.concat([Buffer.from(IDENTITY_HASH_OF_ED25519_KEY, 'hex'), publicKey]));
}

/** The Aura keys in force for the block after this one. */
export async function auraKeys(api, hash) {
  const keys = await (await api.at(hash)).call.auraApi.authorities();
  return keys.map((key) => key.toHex());
}

export async function grandpaKeys(api, hash) {
  const authorities = await (await api.at(hash)).call.grandpaApi.grandpaAuthorities();
  return authorities.map(([key]) => key.toHex());
}

/** The Aura key that authored a block: its slot picks it from the set that its parent left. */
export async function authorOf(api, view, hash) {
  const header = await view.header(hash);
  const keys = await auraKeys(api, header.parentHash);
  return keys[Number(slotOf(header) % BigInt(keys.length))];
}
