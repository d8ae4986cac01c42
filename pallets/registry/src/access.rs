//! How tenants reach a node.

use crate::{nodes::tell_worker, Config, Error, Event, Pallet};
use frame_support::{ensure, traits::Get};
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use quarry_primitives::{
    market::{NodeRegistry, Speaker},
    node::{Access, NodeId, NodeRecord},
    AccountId,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails as [`ensure_may_set_access`](Self::ensure_may_set_access).
    pub(crate) fn do_set_access(who: AccountId, node_id: NodeId, access: Access) -> DispatchResult {
        let owner = Self::change_node(&node_id, |node| {
            if Self::ensure_may_set_access(&who, node, &access)? == Speaker::Worker {
                node.access_moved_at = Some(Self::now());
            }
            node.access = access;
            tell_worker(node);
            Ok(node.owner.clone())
        })?;
        Self::deposit_event(Event::AccessSet { node_id, owner, by: who });
        Ok(())
    }

    /// Whether this is the worker's move of the endpoint, sound, and due.
    pub(crate) fn access_move_is_free(
        origin: &OriginFor<T>,
        node_id: &NodeId,
        access: &Access,
    ) -> bool {
        let Ok(who) = ensure_signed(origin.clone()) else { return false };
        let Ok(node) = Self::existing(node_id) else { return false };
        Self::ensure_may_set_access(&who, &node, access).is_ok_and(|by| by == Speaker::Worker)
            && Self::is_due(node.access_moved_at, T::AccessEvery::get())
    }

    /// Fails with `NodeLeaving`, `InvalidSignature`, `InvalidEndpoint` or `InvalidHostKey`.
    fn ensure_may_set_access(
        who: &AccountId,
        node: &NodeRecord,
        access: &Access,
    ) -> Result<Speaker, Error<T>> {
        Self::ensure_stays(node)?;
        let speaker = Self::speaker(node, who).ok_or(Error::InvalidSignature)?;
        Self::ensure_sound_access(access)?;
        Ok(speaker)
    }

    /// Fails with `InvalidEndpoint` or `InvalidHostKey`.
    pub(crate) fn ensure_sound_access(access: &Access) -> Result<(), Error<T>> {
        ensure!(access.is_sound(), Error::InvalidEndpoint);
        ensure!(access.host_key != [0; 32], Error::InvalidHostKey);
        Ok(())
    }
}
