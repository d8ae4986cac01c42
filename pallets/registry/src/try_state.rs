//! What is always so.

use crate::{
    Config, HoldReason, MetricsHistory, NodeMetrics, NodeOfWorker, Nodes, NodesByOwner, Pallet,
    StatusHistory,
};
use alloc::collections::BTreeMap;
use frame_support::{ensure, traits::fungible::InspectHold};
use quarry_primitives::{
    node::{NodeRecord, StatusChange},
    AccountId, Balance, NodeId,
};
use sp_runtime::TryRuntimeError;

type Checked = Result<(), TryRuntimeError>;

impl<T: Config> Pallet<T> {
    /// Says which invariant is broken, if any is.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        for (node_id, node) in Nodes::<T>::iter() {
            Self::try_node(&node_id, &node)?;
        }
        Self::try_bonds()?;
        Self::try_indexes()?;
        Self::try_histories()
    }

    fn try_node(node_id: &NodeId, node: &NodeRecord) -> Checked {
        let now = Self::now();
        ensure!(node.reserved.fits(&node.offer.capacity), "VMs take more than the node has");
        ensure!(node.vms <= node.offer.max_vms, "a node has more VMs than it takes");
        ensure!(node.worker != node.owner, "a miner's key is on a host");
        ensure!(node.last_seen.is_none_or(|seen| seen <= now), "a report came from the future");
        ensure!(node.last_heartbeat <= node.last_seen, "a heartbeat did not count as a report");
        ensure!(node.last_metrics <= node.last_heartbeat, "metrics came without a heartbeat");
        let lived = node.last_seen.map_or(0, |seen| seen.saturating_sub(node.registered_at));
        let counted = node.served.checked_add(node.downtime);
        ensure!(counted.is_some_and(|counted| counted <= lived), "a live block counts twice");
        ensure!(NodesByOwner::<T>::contains_key(&node.owner, node_id), "an owner misses a node");
        if node.leaves_at.is_some() {
            ensure!(node.vms == 0, "a leaving node has VMs");
        } else {
            let worked_on = NodeOfWorker::<T>::get(&node.worker);
            ensure!(worked_on.as_ref() == Some(node_id), "a worker misses its node");
        }
        Ok(())
    }

    fn try_bonds() -> Checked {
        let mut bonds = BTreeMap::<AccountId, Balance>::new();
        for node in Nodes::<T>::iter_values() {
            let sum = bonds.entry(node.owner).or_default();
            *sum = sum.checked_add(node.bond).ok_or("bonds above all funds")?;
        }
        for (owner, sum) in bonds {
            let held = T::Currency::balance_on_hold(&HoldReason::NodeBond.into(), &owner);
            ensure!(held == sum, "what is on hold is not the sum of the bonds");
        }
        Ok(())
    }

    fn try_indexes() -> Checked {
        for (owner, node_id, ()) in NodesByOwner::<T>::iter() {
            let node = Nodes::<T>::get(&node_id);
            ensure!(node.is_some_and(|node| node.owner == owner), "an owner has a stranger's node");
        }
        for (worker, node_id) in NodeOfWorker::<T>::iter() {
            let works = |node: NodeRecord| node.worker == worker && node.leaves_at.is_none();
            ensure!(Nodes::<T>::get(&node_id).is_some_and(works), "a worker works on no node");
        }
        Ok(())
    }

    fn try_histories() -> Checked {
        for (node_id, history) in StatusHistory::<T>::iter() {
            ensure!(Nodes::<T>::contains_key(&node_id), "a status of no node");
            ensure!(history.is_sorted_by_key(|change| change.at), "statuses are out of order");
            let joins = |pair: &[StatusChange]| matches!(pair, [a, b] if a.to == b.from);
            ensure!(history.windows(2).all(joins), "a status does not follow from the last");
        }
        for (node_id, history) in MetricsHistory::<T>::iter() {
            ensure!(NodeMetrics::<T>::contains_key(&node_id), "samples without metrics");
            ensure!(history.is_sorted_by_key(|sample| sample.at), "metrics are out of order");
        }
        for node_id in NodeMetrics::<T>::iter_keys() {
            ensure!(Nodes::<T>::contains_key(&node_id), "metrics of no node");
        }
        Ok(())
    }
}
