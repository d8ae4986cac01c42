//! Joining the market and leaving it.

use crate::{
    Config, Error, Event, MetricsHistory, NodeMetrics, Nodes, NodesByOwner, Pallet, StatusHistory,
};
use frame_support::{ensure, traits::Get};
use quarry_primitives::{
    market::Tenancy,
    node::{Access, NodeId, NodeRecord, Offer},
    resources::Resources,
    AccountId, Signature,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails with `InvalidNodeId` or `NodeAlreadyRegistered`, or as the checks of the offer, the access
    /// and the worker do, or when the miner's funds do not reach.
    pub(crate) fn do_register_node(
        miner: AccountId,
        node_id: NodeId,
        offer: Offer,
        access: Access,
        worker: AccountId,
        worker_proof: Signature,
    ) -> DispatchResult {
        ensure!(node_id.is_text(), Error::<T>::InvalidNodeId);
        ensure!(!Nodes::<T>::contains_key(&node_id), Error::<T>::NodeAlreadyRegistered);
        Self::ensure_sound_offer(&offer)?;
        Self::ensure_sound_access(&access)?;
        Self::employ_worker(&node_id, &miner, &worker, &worker_proof)?;
        let mut node = new_node(miner, worker, offer, access);
        node.registered_at = Self::now();
        Self::adjust_bond(&mut node)?;
        NodesByOwner::<T>::insert(&node.owner, &node_id, ());
        Nodes::<T>::insert(&node_id, &node);
        let NodeRecord { owner, worker, bond, .. } = node;
        Self::deposit_event(Event::NodeRegistered { node_id, owner, worker, bond });
        Ok(())
    }

    /// Fails as [`change_own_node`](Self::change_own_node), or with `NodeInUse` or `PoolNotEmpty`.
    pub(crate) fn do_deregister_node(miner: &AccountId, node_id: NodeId) -> DispatchResult {
        let (worker, leaves_at) = Self::change_own_node(miner, &node_id, |node| {
            let idle = node.vms == 0 && node.reserved == Resources::NONE;
            ensure!(idle, Error::<T>::NodeInUse);
            ensure!(T::Tenancy::pool_is_empty(&node_id), Error::<T>::PoolNotEmpty);
            let leaves_at = Self::now().saturating_add(T::Unbonding::get());
            node.leaves_at = Some(leaves_at);
            Ok((node.worker.clone(), leaves_at))
        })?;
        Self::dismiss_worker(&worker);
        let owner = miner.clone();
        Self::deposit_event(Event::NodeDeregistered { node_id, owner, leaves_at });
        Ok(())
    }

    /// Fails with `NodeNotFound`, `NodeNotLeaving`, `UnbondingNotOver` or `PoolNotEmpty`.
    pub(crate) fn do_withdraw_bond(node_id: NodeId) -> DispatchResult {
        let node = Self::existing(&node_id)?;
        let leaves_at = node.leaves_at.ok_or(Error::<T>::NodeNotLeaving)?;
        ensure!(Self::now() >= leaves_at, Error::<T>::UnbondingNotOver);
        // Whoever takes the name next must get neither addresses nor a network with it.
        ensure!(T::Tenancy::pool_is_empty(&node_id), Error::<T>::PoolNotEmpty);
        T::Tenancy::forget_pool(&node_id);
        Self::release_bond(&node.owner, node.bond)?;
        Nodes::<T>::remove(&node_id);
        NodesByOwner::<T>::remove(&node.owner, &node_id);
        NodeMetrics::<T>::remove(&node_id);
        StatusHistory::<T>::remove(&node_id);
        MetricsHistory::<T>::remove(&node_id);
        let NodeRecord { owner, bond, .. } = node;
        Self::deposit_event(Event::BondWithdrawn { node_id, owner, bond });
        Ok(())
    }
}

/// The miner lets it take VMs; whether its host can, its worker has yet to say.
fn new_node(owner: AccountId, worker: AccountId, offer: Offer, access: Access) -> NodeRecord {
    NodeRecord {
        owner,
        worker,
        offer,
        access,
        bond: 0,
        reserved: Resources::NONE,
        vms: 0,
        miner_accepting: true,
        worker_accepting: false,
        registered_at: 0,
        last_seen: None,
        last_heartbeat: None,
        last_metrics: None,
        access_moved_at: None,
        heartbeat_count: 0,
        served: 0,
        downtime: 0,
        rates_raised_at: None,
        leaves_at: None,
        work_version: 0,
        counts: Default::default(),
    }
}
