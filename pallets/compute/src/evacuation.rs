//! Taking a VM from a node that is gone.

use crate::{checks, Config, Error, Event, Leases, Pallet, Params};
use frame_support::ensure;
use quarry_primitives::{
    market::{NodeRegistry, Outcome},
    node::NodeRecord,
    request::{OperationKind, RequestId},
    AccountId, Balance,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails with `ComputeRequestNotFound`, `NotAssigned`, `OperationPending` while it is being deleted,
    /// `NodeNotGone`, or `LeaseTooShort`.
    pub(crate) fn do_evacuate(owner: &AccountId, request_id: RequestId) -> DispatchResult {
        let mut request = Self::request_of(owner, request_id)?;
        let node_id = Self::node_of(&request).ok_or(Error::<T>::NotAssigned)?;
        let deleting = request.pending_operation() == Some(OperationKind::Delete);
        ensure!(!deleting, Error::<T>::OperationPending);
        let node = T::Registry::node(&node_id).ok_or(Error::<T>::NodeNotFound)?;
        ensure!(Self::is_gone(&node), Error::<T>::NodeNotGone);
        let params = Params::<T>::get();

        let mut lease = Leases::<T>::get(request_id).ok_or(Error::<T>::LeaseClosed)?;
        Self::settle_lease(&request, &mut lease);
        let least = Balance::from(checks::least_prepaid(&params)).saturating_mul(request.max_price);
        ensure!(lease.held >= least, Error::<T>::LeaseTooShort);
        Leases::<T>::insert(request_id, lease);

        let rest = params.ip_quarantine_evacuated;
        Self::unassign(&mut request, Some(Outcome::Evacuated), rest)?;
        // What went wrong there says nothing about the next node.
        request.attempts = 0;
        request.terminal_failures = 0;
        request.excluded = Default::default();
        Self::make_pending(&mut request);
        Self::unplace_lease(request_id);
        Self::store(&request);
        let owner = owner.clone();
        Self::deposit_event(Event::ComputeRequestEvacuated { node_id, request_id, owner });
        Ok(())
    }

    /// Whether the node has been offline for `evict_after`.
    fn is_gone(node: &NodeRecord) -> bool {
        let seen = node.last_seen.unwrap_or(node.registered_at);
        let gone_at = seen
            .saturating_add(T::Registry::offline_after())
            .saturating_add(Params::<T>::get().evict_after);
        !T::Registry::is_online(node) && Self::now() > gone_at
    }
}
