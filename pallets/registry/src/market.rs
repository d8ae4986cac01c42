//! What the compute pallet asks and tells: who speaks for a node, what its VMs take, what became of them.

use crate::{nodes::tell_worker, Config, Error, Nodes, Pallet};
use frame_support::{ensure, traits::Get};
use quarry_primitives::{
    market::{NodeRegistry, Outcome, Speaker},
    node::{NodeCounts, NodeId, NodeRecord},
    resources::Resources,
    AccountId, Balance, BlockNumber,
};
use sp_runtime::DispatchResult;

impl<T: Config> NodeRegistry for Pallet<T> {
    fn offline_after() -> BlockNumber {
        T::OfflineAfter::get()
    }

    fn node(node_id: &NodeId) -> Option<NodeRecord> {
        Nodes::<T>::get(node_id)
    }

    fn is_online(node: &NodeRecord) -> bool {
        Self::is_present(node)
    }

    fn bond_suffices(node: &NodeRecord) -> bool {
        Self::bond_for(&node.offer.capacity).is_some_and(|need| node.bond >= need)
    }

    /// The worker's key is free once its node leaves; it speaks for that one no more.
    fn speaker(node: &NodeRecord, who: &AccountId) -> Option<Speaker> {
        if node.owner == *who {
            Some(Speaker::Miner)
        } else {
            (node.worker == *who && node.leaves_at.is_none()).then_some(Speaker::Worker)
        }
    }

    /// Fails with `NodeNotFound`, `NodeLeaving`, `TooManyVms` or `NodeFull`.
    fn reserve(node_id: &NodeId, size: &Resources) -> DispatchResult {
        Self::change_node(node_id, |node| {
            Self::ensure_stays(node)?;
            ensure!(node.vms < node.offer.max_vms, Error::<T>::TooManyVms);
            let reserved = node.reserved.checked_add(size).ok_or(Error::<T>::NodeFull)?;
            ensure!(reserved.fits(&node.offer.capacity), Error::<T>::NodeFull);
            node.reserved = reserved;
            node.vms = node.vms.saturating_add(1);
            tell_worker(node);
            Ok(())
        })
    }

    /// Fails with `NodeNotFound`, `ReservedUnderflow` or `NodeFull`.
    fn change_reserved(node_id: &NodeId, old: &Resources, new: &Resources) -> DispatchResult {
        Self::change_node(node_id, |node| {
            let others = node.reserved.checked_sub(old).ok_or(Error::<T>::ReservedUnderflow)?;
            let reserved = others.checked_add(new).ok_or(Error::<T>::NodeFull)?;
            let has_room = new.fits(old) || reserved.fits(&node.offer.capacity);
            ensure!(has_room, Error::<T>::NodeFull);
            node.reserved = reserved;
            tell_worker(node);
            Ok(())
        })
    }

    /// Fails with `NodeNotFound` or `ReservedUnderflow`.
    fn release(node_id: &NodeId, size: &Resources, outcome: Option<Outcome>) -> DispatchResult {
        Self::change_node(node_id, |node| {
            let underflow = Error::<T>::ReservedUnderflow;
            node.reserved = node.reserved.checked_sub(size).ok_or(underflow)?;
            node.vms = node.vms.checked_sub(1).ok_or(Error::<T>::ReservedUnderflow)?;
            if let Some(outcome) = outcome {
                count(&mut node.counts, outcome);
            }
            tell_worker(node);
            Ok(())
        })
    }

    /// Fails with `NodeNotFound`.
    fn launched(node_id: &NodeId) -> DispatchResult {
        Self::change_node(node_id, |node| {
            count(&mut node.counts, Outcome::Launched);
            Ok(())
        })
    }

    /// Fails with `NodeNotFound` or `NodeLeaving`.
    fn seen(node_id: &NodeId) -> DispatchResult {
        Self::change_node(node_id, |node| {
            Self::ensure_stays(node)?;
            Self::refresh(node_id, node);
            Ok(())
        })
    }

    /// Fails with `NodeNotFound`.
    fn touch(node_id: &NodeId) -> DispatchResult {
        Self::change_node(node_id, |node| {
            tell_worker(node);
            Ok(())
        })
    }

    fn slash(node_id: &NodeId, amount: Balance) -> Balance {
        Self::take_from_bond(node_id, amount)
    }
}

fn count(counts: &mut NodeCounts, outcome: Outcome) {
    let field = match outcome {
        Outcome::Launched => &mut counts.launched,
        Outcome::Failed => &mut counts.failed,
        Outcome::TimedOut => &mut counts.timed_out,
        Outcome::Evacuated => &mut counts.evacuated,
        Outcome::Lost => &mut counts.lost,
    };
    *field = field.saturating_add(1);
}
