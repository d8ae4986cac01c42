import { compactAddLength, stringToU8a, u8aConcat } from '@polkadot/util';
import { submit } from './chain.mjs';

/** What a worker signs to say that it works on this node for this miner. */
export function workerProof(api, worker, nodeId, miner) {
  const payload = u8aConcat(
    stringToU8a('quarry-worker'),
    api.genesisHash.toU8a(),
    compactAddLength(stringToU8a(nodeId)),
    miner.publicKey,
  );
  return { Sr25519: worker.sign(payload) };
}

/** The worker's part, played by a script: its account has no balance, so what it sends must be free. */
export class Worker {
  #api;
  #nonce = 0;
  #beating;
  #unsubscribe;

  constructor(api, nodeId, account) {
    this.#api = api;
    this.nodeId = nodeId;
    this.account = account;
    this.accepting = true;
  }

  /** Signs, sends and waits for the block. Several at once come in the order of the calls. */
  send(call) {
    return submit(this.#api, call, this.account, { nonce: this.#nonce++ });
  }

  /** A transaction that this worker could send next. */
  sign(call) {
    return call.signAsync(this.account, { nonce: this.#nonce });
  }

  heartbeat(metrics = null) {
    return this.send(this.#api.tx.registry.submitNodeMetrics(this.nodeId, this.accepting, metrics));
  }

  /** Sends each heartbeat as soon as it is due, the first one with metrics, until it is silenced. */
  async beat(metrics = null) {
    this.#beating = this.heartbeat(metrics);
    await this.#beating;
    let busy = false;
    this.#unsubscribe = await this.#api.rpc.chain.subscribeNewHeads((header) => {
      if (busy) return;
      busy = true;
      this.#beating = this.#beatIfDue(header.hash).finally(() => (busy = false));
      // Told when the worker is silenced.
      this.#beating.catch(() => this.#unsubscribe());
    });
  }

  async #beatIfDue(hash) {
    const at = await this.#api.at(hash);
    const [now, node] = await Promise.all([at.query.liveBlocks.count(), at.query.registry.nodes(this.nodeId)]);
    const last = node.unwrap().lastHeartbeat.unwrap().toNumber();
    if (now.toNumber() >= last + this.#api.consts.registry.heartbeatEvery.toNumber()) await this.heartbeat();
  }

  /** Stops the heartbeats; fails where one of them did. */
  async silence() {
    this.#unsubscribe?.();
    await this.#beating;
  }

  /** What the chain asks of a VM of this node. */
  async workOn(requestId) {
    const { rows } = await this.#api.call.computeApi.workFor(this.nodeId, null, 100);
    const item = rows.find((row) => row.requestId.eq(requestId));
    if (!item) throw new Error(`node ${this.nodeId} has no work on request ${requestId}`);
    return item;
  }

  /** Claims a pending request. */
  claim(request) {
    const { planId, requestId, owner } = request;
    return this.send(
      this.#api.tx.compute.submitComputeRequestAssignment(this.nodeId, planId, requestId, owner),
    );
  }

  /** Does what the chain asks of a VM, and reports it: the block that has the report. */
  async serve(requestId) {
    const { generation, operation } = await this.workOn(requestId);
    const kind = operation.unwrap().kind.type;
    if (kind !== 'Launch') return this.send(this.done(kind, requestId, generation));
    const [, launched] = await Promise.all([
      this.send(this.started(requestId, generation)),
      this.send(this.launched(requestId, generation)),
    ]);
    return launched;
  }

  started(requestId, generation) {
    const jobId = `launch-${requestId}`;
    return this.#api.tx.compute.updateMinerComputeRequest(this.nodeId, requestId, generation, jobId);
  }

  launched(requestId, generation) {
    const access = {
      jobId: `launch-${requestId}`,
      hypervisorIp: { V4: [198, 51, 100, 4] },
      vncPort: 5901,
      // As text: polkadot.js takes the bytes of what is optional for its encoded form.
      sshHostKey: `0x${'5e'.repeat(32)}`,
    };
    return this.#api.tx.compute.markComputeRequestFulfilled(this.nodeId, requestId, generation, access);
  }

  /** The report that an operation is done. */
  done(kind, requestId, generation) {
    const { compute } = this.#api.tx;
    const report = {
      Boot: compute.submitComputeBootRequestFulfillment,
      Stop: compute.markMinerComputeStopRequestFulfilled,
      Reboot: compute.submitComputeRebootRequestFulfillment,
      Resize: compute.submitComputeResizeRequestFulfillment,
      Delete: compute.submitComputeDeletionRequest,
    }[kind];
    return report(this.nodeId, requestId, generation);
  }

  /** Says that a launch failed, or that a VM is lost. */
  async fail(requestId, kind, reason) {
    const { generation } = await this.workOn(requestId);
    return this.send(
      this.#api.tx.compute.handleMinerComputeRequestFailure(this.nodeId, requestId, generation, kind, reason),
    );
  }

  /** Says that what is queued could not be done. */
  async failOperation(requestId, kind, reason) {
    const { generation } = await this.workOn(requestId);
    return this.send(
      this.#api.tx.compute.reportOperationFailure(this.nodeId, requestId, generation, kind, reason),
    );
  }
}
