//! Deletion, which always wins.

use crate::{Config, Error, Event, Leases, Pallet, Params};
use quarry_primitives::{
    market::NodeRegistry,
    node::NodeId,
    request::{ComputeRequest, ComputeRequestStatus, DeadlineKind, OperationKind, RequestId},
    AccountId,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails with `ComputeRequestNotFound` only.
    pub(crate) fn do_request_delete(owner: &AccountId, request_id: RequestId) -> DispatchResult {
        let request = Self::request_of(owner, request_id)?;
        match request.status {
            ComputeRequestStatus::Pending => Self::cancel(request),
            ComputeRequestStatus::Failed | ComputeRequestStatus::Cancelled => {
                Self::forget(&request, None)
            }
            ComputeRequestStatus::InProgress
            | ComputeRequestStatus::Running
            | ComputeRequestStatus::Stopped => Self::order_deletion(request, true)?,
        }
        Ok(())
    }

    /// Replaces what is queued by a deletion, and closes the lease. Where the node is gone, the chain does
    /// it alone. A deletion that is queued already stays as it is. `at_will`: as [`close`](Self::close) has it.
    pub(crate) fn order_deletion(mut request: ComputeRequest, at_will: bool) -> DispatchResult {
        let node_id = Self::node_of(&request).ok_or(Error::<T>::NotAssigned)?;
        if let Some(lease) = Leases::<T>::get(request.request_id) {
            Self::close(&request, lease, at_will);
        }
        let online = T::Registry::node(&node_id).is_some_and(|node| T::Registry::is_online(&node));
        if !online {
            return Self::finish_deletion(request);
        }
        if request.pending_operation() == Some(OperationKind::Delete) {
            return Ok(());
        }
        Self::drop_operation(&mut request)?;
        Self::change_assignment(&node_id, request.request_id, |entry| {
            entry.fail_reason = None;
        });
        Self::enqueue(&mut request, OperationKind::Delete, None)?;
        Self::store(&request);
        Ok(())
    }

    pub(crate) fn do_fulfil_deletion(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
    ) -> DispatchResult {
        let kind = OperationKind::Delete;
        let report = Self::ensure_operation_report(who, &node_id, request_id, generation, kind)?;
        Self::note_report(Some(report.speaker), &node_id)?;
        Self::finish_deletion(report.request)
    }

    /// The worker did not delete it in time.
    pub(crate) fn time_out_deletion(request: ComputeRequest) -> DispatchResult {
        Self::deposit_expired(&request, DeadlineKind::Deletion);
        Self::finish_deletion(request)
    }

    fn finish_deletion(mut request: ComputeRequest) -> DispatchResult {
        let quarantine = Params::<T>::get().ip_quarantine;
        let node_id = Self::unassign(&mut request, None, quarantine)?;
        Self::deposit_event(Event::ComputeDeletionRequestRemoved {
            node_id: node_id.clone(),
            request_id: request.request_id,
            owner: request.owner.clone(),
        });
        Self::forget(&request, Some(node_id));
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound` only.
    pub(crate) fn do_force_close(request_id: RequestId) -> DispatchResult {
        let mut request = Self::request(request_id)?;
        if let Some(lease) = Leases::<T>::get(request_id) {
            Self::close(&request, lease, false);
        }
        let node_id = if request.is_assigned {
            let quarantine = Params::<T>::get().ip_quarantine;
            Some(Self::unassign(&mut request, None, quarantine)?)
        } else {
            None
        };
        Self::forget(&request, node_id);
        Ok(())
    }
}
