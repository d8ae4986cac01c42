// Whether money was lost or made, by whom: what each account had at first, and what finalized events say of it since.
import { encodeAddress } from '@polkadot/util-crypto';
import { SS58_PREFIX, palletAccount } from '../lib/chain.mjs';
import { plain } from '../lib/plain.mjs';
import { Sums } from './audit-chain.mjs';

const addressOf = (palletId) => encodeAddress(palletAccount(palletId), SS58_PREFIX);
export const TREASURY = addressOf('qry/trsy');

/** All that moved, and what there was at first. */
export async function readMoney(api, hash, events) {
  const genesis = await api.at(api.genesisHash);
  const first = (await genesis.query.system.account.entries()).map(([{ args: [account] }, { data }]) => (
    [plain(account), (data.free.toBigInt() + data.reserved.toBigInt()).toString()]
  ));
  const pot = encodeAddress(palletAccount(Buffer.from(api.consts.compute.palletId.toU8a()).toString()), SS58_PREFIX);
  return {
    first, pot, issuance: (await genesis.query.balances.totalIssuance()).toString(), minBilled: api.consts.compute.minBilled.toNumber(),
    moves: events.flatMap(({ name, data }) => MOVES[name]?.(data) ?? []),
  };
}

/** From whom, to whom, how much; a node stands for its miner. */
const MOVES = {
  'transactionPayment.TransactionFeePaid': ({ who, actualFee }) => [[plain(who), TREASURY, plain(actualFee)]],
  'balances.Transfer': ({ from, to, amount }) => [[plain(from), plain(to), plain(amount)]],
  'compute.LeaseSettled': ({ owner, nodeId, minerShare, treasuryShare }) => [
    [plain(owner), { node: plain(nodeId) }, plain(minerShare)], [plain(owner), TREASURY, plain(treasuryShare)],
  ],
  'compute.ClaimPenalized': ({ nodeId, amount }) => [[{ node: plain(nodeId) }, TREASURY, plain(amount)]],
  'compute.CreditAdded': ({ account, amount }) => [[plain(account), 'pot', plain(amount)]],
  'compute.CreditClaimed': ({ account, amount }) => [['pot', plain(account), plain(amount)]],
};

export function moneyDifferences({ accounts, issuance, nodes }, lives, { first, moves, pot, issuance: issued, minBilled }, number) {
  const minerOf = new Map(nodes.map(([[node], { owner }]) => [node, owner]));
  const known = (party) => (party === 'pot' ? pot : typeof party === 'object' ? minerOf.get(party.node) : party);
  const due = new Sums(first);
  for (const [from, to, amount] of moves) {
    due.add(known(from), -BigInt(amount));
    due.add(known(to), amount);
  }
  const found = new Sums(accounts.map(([[account], { data }]) => [account, BigInt(data.free) + BigInt(data.reserved)]));
  return [
    ...(issuance === issued ? [] : [`${issuance} is issued, and ${issued} was at first`]),
    ...due.differences(found).map(([account, is, should]) => `${account} has ${is}, and by what was paid should have ${should}`),
    ...[...lives.values()].flatMap((life) => overbilled(life, minBilled, number)),
  ];
}

/** No assignment pays for more blocks than it ran, but for the least that it must. */
function overbilled({ id, assignments }, minBilled, number) {
  return assignments.filter(({ billed = 0, launched, until = number }) => (
    billed > 0 && (launched === undefined || billed > Math.max(until - launched, minBilled))
  )).map(({ node, billed, launched, until }) => `request ${id} paid ${billed} blocks to ${node}, where it ran from ${launched} to ${until ?? number}`);
}
