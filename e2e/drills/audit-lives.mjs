// What became of each request by finalized events, and what each of its assignments was asked and has done.
import { createHash } from 'node:crypto';
import { plain } from '../lib/plain.mjs';

const ASKED = { ComputeBootRequested: 'boot', ComputeStopRequested: 'stop', ComputeRebootRequested: 'reboot', ComputeResizeRequested: 'resize', ComputeDeleteRequested: 'delete' };
const DONE = {
  ComputeBootRequestRemoved: 'boot', ComputeStopRequestRemoved: 'stop', ComputeRebootRequestFulfilled: 'reboot', ComputeResizeRequestFulfilled: 'resize',
};
const STATUS_AFTER = { boot: 'running', stop: 'stopped', reboot: 'running' };

/** By id: `{ id, owner, wish, excuse, plan, gone, assignments: [{ node, name, asked, done, launched, from, until, unfinished }] }`. */
export async function livesOf(api, events) {
  const lives = new Map();
  for (const { block, name, data } of events) {
    if (!name.startsWith('compute.') || data.requestId === undefined) continue;
    const id = plain(data.requestId);
    if (name === 'compute.ComputeRequestCreated') lives.set(id, await born(api, id, data, block));
    const life = lives.get(id);
    if (life) note(life, name.slice('compute.'.length), data, block);
  }
  return lives;
}

async function born(api, id, data, block) {
  const at = await api.at(await api.rpc.chain.getBlockHash(block));
  const request = await at.query.compute.computeRequests(data.owner, data.requestId);
  // One that was deleted in the block in which it was born never had a node that could do anything.
  const birth = request.isSome ? request.unwrap().birth.toU8a() : new Uint8Array(32);
  return { id, owner: plain(data.owner), birth, genesis: api.genesisHash.toU8a(), wish: 'running', excuse: undefined, gone: false, assignments: [], settled: 0 };
}

/** As the worker derives it. */
export function nameOf({ id, genesis, birth }, generation) {
  const assignment = Buffer.alloc(8);
  assignment.writeBigUInt64LE(BigInt(generation));
  const digest = createHash('sha256').update('quarry-vm').update(genesis).update(birth).update(assignment).update('name').digest('hex');
  return `quarry-${id}-${digest.slice(0, 8)}`;
}

function note(life, event, data, block) {
  const current = life.assignments.at(-1);
  if (ASKED[event]) ask(life, current, ASKED[event], block);
  else if (DONE[event]) done(life, current, DONE[event], block, data);
  else NOTES[event]?.(life, current, data, block);
}

function ask(life, current, kind, block) {
  giveUp(current);
  current.asked[kind] += 1;
  current.open = { kind, block, before: life.wish };
  life.excuse = undefined;
  if (kind === 'delete') life.wish = 'gone';
  else life.wish = STATUS_AFTER[kind] ?? life.wish;
}

function done(life, current, kind, block, data) {
  current.done[kind] += 1;
  current.deeds.push({ kind, block });
  current.open = undefined;
  if (kind === 'resize') life.plan = plain(data.planId);
}

/** Something was asked and is not awaited any more: it may have been done, or not. */
function giveUp(current) {
  if (!current?.open) return;
  if (current.open.kind !== 'delete') current.unfinished.push(current.open.kind);
  current.open = undefined;
}

function failed(life, current, reason) {
  const { before } = current.open ?? {};
  giveUp(current);
  life.excuse = reason;
  if (before) life.wish = before;
}

function end(current, block) {
  if (!current || current.until !== undefined) return;
  giveUp(current);
  current.until = block;
}

const counts = () => ({ boot: 0, stop: 0, reboot: 0, resize: 0, delete: 0 });

const NOTES = {
  ComputeRequestSubmitted: (life, current, data, block) => {
    const generation = data.generation.toNumber();
    life.assignments.push({
      node: plain(data.nodeId), generation, name: nameOf(life, generation), asked: counts(), done: counts(), deeds: [], unfinished: [],
      launched: undefined, from: block, until: undefined, open: undefined,
    });
  },
  ComputeRequestFulfilled: (life, current, data, block) => {
    current.launched = block;
    current.deeds.push({ kind: 'launch', block });
  },
  ComputeRequestFailed: (life, current, data, block) => {
    end(current, block);
    life.excuse = plain(data.reason);
    if (!data.pending.isTrue) life.wish = 'failed';
  },
  ComputeRequestCancelled: (life) => (life.wish = 'cancelled'),
  ComputeRequestEvacuated: (life, current, data, block) => {
    end(current, block);
    life.wish = 'running';
  },
  ComputeDeletionRequestRemoved: (life, current, data, block) => {
    current.removed = block;
    end(current, block);
  },
  ComputeRequestDeleted: (life, current, data, block) => {
    end(current, block);
    Object.assign(life, { wish: 'gone', gone: true });
  },
  // A deletion stays queued, with the reason.
  OperationFailed: (life, current, data) => data.operation.isDelete || failed(life, current, plain(data.reason)),
  DeadlineExpired: (life, current, data) => data.kind.isOperation && failed(life, current, 'the node did not do it in time'),
  LeaseExhausted: (life, current, data, block) => {
    const isItsOwnStop = current.open?.kind === 'stop' && current.open.block === block;
    if (!isItsOwnStop) giveUp(current);
    if (life.wish === 'running') Object.assign(life, { wish: 'stopped', excuse: 'only the reserve is left' });
  },
  LeaseSettled: (life, current, data) => {
    life.settled += data.blocks.toNumber();
    if (current) current.billed = (current.billed ?? 0) + data.blocks.toNumber();
  },
};
