//! Reaching a node's record.

use crate::{Config, Error, Nodes, Pallet};
use frame_support::ensure;
use quarry_primitives::{
    node::{NodeId, NodeRecord},
    AccountId, BlockNumber,
};
use sp_runtime::{traits::BlockNumberProvider, DispatchError};

impl<T: Config> Pallet<T> {
    pub(crate) fn now() -> BlockNumber {
        T::LiveBlocks::current_block_number()
    }

    /// Fails with `NodeNotFound`.
    pub(crate) fn existing(node_id: &NodeId) -> Result<NodeRecord, Error<T>> {
        Nodes::<T>::get(node_id).ok_or(Error::NodeNotFound)
    }

    /// The nodes in the order of storage, from the one after the cursor on. For reading only: a call that
    /// went through them would have no bound.
    pub fn nodes_after(cursor: Option<NodeId>) -> impl Iterator<Item = (NodeId, NodeRecord)> {
        match cursor {
            None => Nodes::<T>::iter(),
            Some(node_id) => Nodes::<T>::iter_from(Nodes::<T>::hashed_key_for(node_id)),
        }
    }

    /// Fails with `NodeNotFound`, or as `change` does; then the record stays as it was.
    pub(crate) fn change_node<R>(
        node_id: &NodeId,
        change: impl FnOnce(&mut NodeRecord) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Nodes::<T>::try_mutate(node_id, |node| {
            change(node.as_mut().ok_or(Error::<T>::NodeNotFound)?)
        })
    }

    /// Changes a node in its miner's name, of which the worker must know. Fails with `NodeNotFound`,
    /// `NotNodeOwner` or `NodeLeaving`, or as `change` does.
    pub(crate) fn change_own_node<R>(
        miner: &AccountId,
        node_id: &NodeId,
        change: impl FnOnce(&mut NodeRecord) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Self::change_node(node_id, |node| {
            ensure!(node.owner == *miner, Error::<T>::NotNodeOwner);
            Self::ensure_stays(node)?;
            tell_worker(node);
            change(node)
        })
    }

    /// Fails with `NodeLeaving`.
    pub(crate) fn ensure_stays(node: &NodeRecord) -> Result<(), Error<T>> {
        ensure!(node.leaves_at.is_none(), Error::NodeLeaving);
        Ok(())
    }
}

/// The worker reads its work again when it sees another version.
pub(crate) fn tell_worker(node: &mut NodeRecord) {
    node.work_version = node.work_version.saturating_add(1);
}
