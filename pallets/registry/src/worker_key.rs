//! The key on a node's host: whose it is, and that it wants to be there.

use crate::{Config, Error, Event, NodeOfWorker, Pallet};
use core::mem;
use frame_support::ensure;
use frame_system::pallet_prelude::BlockNumberFor;
use quarry_primitives::{
    node::{proof_payload, NodeId},
    AccountId, Signature,
};
use sp_runtime::{
    traits::{Verify, Zero},
    DispatchResult,
};

type System<T> = frame_system::Pallet<T>;

impl<T: Config> Pallet<T> {
    /// Fails as [`change_own_node`](Self::change_own_node) and [`employ_worker`](Self::employ_worker).
    pub(crate) fn do_set_worker(
        miner: &AccountId,
        node_id: NodeId,
        worker: AccountId,
        proof: Signature,
    ) -> DispatchResult {
        let former = Self::change_own_node(miner, &node_id, |node| {
            Self::employ_worker(&node_id, miner, &worker, &proof)?;
            Ok(mem::replace(&mut node.worker, worker.clone()))
        })?;
        Self::dismiss_worker(&former);
        Self::deposit_event(Event::WorkerSet { node_id, owner: miner.clone(), worker });
        Ok(())
    }

    /// Takes the key for the node. Its account exists from now on, for good, without a balance, so that it
    /// can send what is free. Fails with `WorkerIsMiner`, `WorkerTaken` or `InvalidWorkerProof`.
    pub(crate) fn employ_worker(
        node_id: &NodeId,
        miner: &AccountId,
        worker: &AccountId,
        proof: &Signature,
    ) -> Result<(), Error<T>> {
        ensure!(worker != miner, Error::WorkerIsMiner);
        ensure!(!NodeOfWorker::<T>::contains_key(worker), Error::WorkerTaken);
        let genesis = System::<T>::block_hash(BlockNumberFor::<T>::zero());
        let payload = proof_payload(&genesis, node_id, miner);
        ensure!(proof.verify(payload.as_slice(), worker), Error::InvalidWorkerProof);
        System::<T>::inc_providers(worker);
        NodeOfWorker::<T>::insert(worker, node_id);
        Ok(())
    }

    /// Frees the key. Its account keeps our reference, and so its nonce: an account made anew would begin at
    /// zero, and whatever the key signed before would count once more if it is ever employed again.
    pub(crate) fn dismiss_worker(worker: &AccountId) {
        NodeOfWorker::<T>::remove(worker);
    }
}
