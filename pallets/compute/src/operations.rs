//! The queues: what is asked of a VM, one at a time, and how that ends.

use crate::{
    launch::text, Config, Error, Event, Leases, MinerComputeBootRequests,
    MinerComputeDeletionRequests, MinerComputeRebootRequests, MinerComputeRequests,
    MinerComputeResizeRequests, MinerComputeStopRequests, Pallet, Params, Plans,
};
use frame_support::{defensive, ensure};
use quarry_primitives::{
    market::NodeRegistry,
    node::NodeId,
    request::{
        ComputeRequest, ComputeRequestStatus, DeadlineKind, FailureKind, Operation, OperationKind,
        PlanId, QueuedOperation, Reason, RequestId,
    },
    resources::Resources,
    AccountId, BlockNumber,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails with `ComputeRequestNotFound`, `OperationPending`, `NotStopped` or `LeaseExhausted`.
    pub(crate) fn do_request_boot(owner: &AccountId, request_id: RequestId) -> DispatchResult {
        let mut request = Self::request_of(owner, request_id)?;
        Self::ensure_no_operation(&request)?;
        let stopped = request.status == ComputeRequestStatus::Stopped;
        ensure!(stopped, Error::<T>::NotStopped);
        Self::ensure_not_exhausted(request_id)?;
        Self::enqueue(&mut request, OperationKind::Boot, None)?;
        Self::store(&request);
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound`, `ComputeStopRequestAlreadyExists`, `OperationPending` or
    /// `NotRunning`.
    pub(crate) fn do_request_stop(owner: &AccountId, request_id: RequestId) -> DispatchResult {
        let mut request = Self::request_of(owner, request_id)?;
        let stopping = request.pending_operation() == Some(OperationKind::Stop);
        ensure!(!stopping, Error::<T>::ComputeStopRequestAlreadyExists);
        Self::ensure_no_operation(&request)?;
        ensure!(Self::is_running(&request), Error::<T>::NotRunning);
        Self::enqueue(&mut request, OperationKind::Stop, None)?;
        Self::store(&request);
        Self::leave_stopped(request_id);
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound`, `OperationPending`, `NotRunning` or `LeaseExhausted`.
    pub(crate) fn do_request_reboot(owner: &AccountId, request_id: RequestId) -> DispatchResult {
        let mut request = Self::request_of(owner, request_id)?;
        Self::ensure_no_operation(&request)?;
        ensure!(Self::is_running(&request), Error::<T>::NotRunning);
        Self::ensure_not_exhausted(request_id)?;
        Self::enqueue(&mut request, OperationKind::Reboot, None)?;
        Self::store(&request);
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound`, `OperationPending`, `NotLaunched`, `LeaseExhausted`,
    /// `SamePlan`, `DiskCannotShrink`, `PriceAboveMax`, `LeaseTooShort` or what `PlanNotFound` and
    /// `PlanDisabled` say; also where the node has no room.
    pub(crate) fn do_request_resize(
        owner: &AccountId,
        request_id: RequestId,
        plan_id: PlanId,
    ) -> DispatchResult {
        let mut request = Self::request_of(owner, request_id)?;
        Self::ensure_no_operation(&request)?;
        ensure!(is_launched(&request), Error::<T>::NotLaunched);
        Self::ensure_not_exhausted(request_id)?;
        let plan = Self::rentable_plan(plan_id)?;
        ensure!(request.plan_id != plan_id, Error::<T>::SamePlan);
        let (old, new) = (request.resources, plan.resources);
        ensure!(new.disk_gib >= old.disk_gib, Error::<T>::DiskCannotShrink);
        Self::ensure_affordable(&request, &new)?;
        let node_id = Self::node_of(&request).ok_or(Error::<T>::NotAssigned)?;
        let node = T::Registry::node(&node_id).ok_or(Error::<T>::NodeNotFound)?;
        let larger = old.larger(&new);
        let more = larger.checked_sub(&old).unwrap_or_default();
        ensure!(more.fits(&node.room()), Error::<T>::NodeFull);
        T::Registry::change_reserved(&node_id, &old, &larger)?;
        Self::enqueue(&mut request, OperationKind::Resize, Some(plan_id))?;
        Self::store(&request);
        Ok(())
    }

    pub(crate) fn do_fulfil_boot(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
    ) -> DispatchResult {
        let mut request =
            Self::take_done(who, &node_id, request_id, generation, OperationKind::Boot)?;
        request.status = ComputeRequestStatus::Running;
        Self::store(&request);
        let owner = request.owner;
        Self::deposit_event(Event::ComputeBootRequestRemoved { node_id, request_id, owner });
        Ok(())
    }

    pub(crate) fn do_fulfil_stop(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
    ) -> DispatchResult {
        let mut request =
            Self::take_done(who, &node_id, request_id, generation, OperationKind::Stop)?;
        request.status = ComputeRequestStatus::Stopped;
        Self::store(&request);
        let owner = request.owner;
        Self::deposit_event(Event::ComputeStopRequestRemoved { node_id, request_id, owner });
        Ok(())
    }

    pub(crate) fn do_fulfil_reboot(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
    ) -> DispatchResult {
        let request =
            Self::take_done(who, &node_id, request_id, generation, OperationKind::Reboot)?;
        Self::store(&request);
        let owner = request.owner;
        Self::deposit_event(Event::ComputeRebootRequestFulfilled { node_id, request_id, owner });
        Ok(())
    }

    pub(crate) fn do_fulfil_resize(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
    ) -> DispatchResult {
        let resize = MinerComputeResizeRequests::<T>::get(&node_id, request_id);
        let mut request =
            Self::take_done(who, &node_id, request_id, generation, OperationKind::Resize)?;
        let plan_id = resize.ok_or(Error::<T>::ComputeResizeRequestNotFound)?.plan_id;
        let plan = Plans::<T>::get(plan_id).ok_or(Error::<T>::PlanNotFound)?;
        let (old, new) = (request.resources, plan.resources);
        T::Registry::change_reserved(&node_id, &old.larger(&new), &new)?;
        Self::reprice(&request, &new)?;
        request.resources = new;
        request.plan_id = plan_id;
        request.plan_technical_description = plan.technical_description;
        Self::store(&request);
        Self::change_assignment(&node_id, request_id, |entry| {
            entry.plan_id = plan_id;
        });
        let owner = request.owner;
        Self::deposit_event(Event::ComputeResizeRequestFulfilled {
            node_id,
            request_id,
            owner,
            plan_id,
        });
        Ok(())
    }

    /// Lets in a report that an operation is done, and takes the operation from its queue.
    pub(crate) fn take_done(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        kind: OperationKind,
    ) -> Result<ComputeRequest, sp_runtime::DispatchError> {
        let report = Self::ensure_operation_report(who, node_id, request_id, generation, kind)?;
        Self::note_report(Some(report.speaker), node_id)?;
        let mut request = report.request;
        Self::clear_operation(&mut request);
        Ok(request)
    }

    pub(crate) fn do_report_operation_failure(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
        kind: FailureKind,
        reason: Reason,
    ) -> DispatchResult {
        let (report, operation) =
            Self::ensure_operation_failure(who, &node_id, request_id, generation, &reason)?;
        Self::note_report(Some(report.speaker), &node_id)?;
        let mut request = report.request;
        if operation != OperationKind::Delete {
            Self::drop_operation(&mut request)?;
        }
        Self::note_failure(&mut request, &node_id, reason.clone());
        Self::store(&request);
        let owner = request.owner;
        Self::deposit_event(Event::OperationFailed {
            node_id,
            request_id,
            owner,
            operation,
            kind,
            reason,
        });
        Ok(())
    }

    /// The deadline of a boot, stop, reboot or resize passed.
    pub(crate) fn time_out_operation(mut request: ComputeRequest) -> DispatchResult {
        let node_id = Self::node_of(&request).ok_or(Error::<T>::NotAssigned)?;
        Self::deposit_expired(&request, DeadlineKind::Operation);
        Self::drop_operation(&mut request)?;
        Self::note_failure(&mut request, &node_id, text("the node did not do it in time"));
        Self::store(&request);
        T::Registry::touch(&node_id)
    }

    fn note_failure(request: &mut ComputeRequest, node_id: &NodeId, reason: Reason) {
        request.last_failure = Some(reason.clone());
        Self::change_assignment(node_id, request.request_id, |entry| {
            entry.fail_reason = Some(reason);
        });
    }

    /// Queues an operation for the node that has the request.
    pub(crate) fn enqueue(
        request: &mut ComputeRequest,
        kind: OperationKind,
        new_plan: Option<PlanId>,
    ) -> DispatchResult {
        let node_id = Self::node_of(request).ok_or(Error::<T>::NotAssigned)?;
        let params = Params::<T>::get();
        let wait = match kind {
            OperationKind::Delete => params.delete_timeout,
            _ => params.operation_timeout,
        };
        Self::set_operation(request, kind, wait);
        let (request_id, owner) = (request.request_id, request.owner.clone());
        let entry = QueuedOperation {
            miner_node_id: node_id.clone(),
            job_id: MinerComputeRequests::<T>::get(&node_id, request_id)
                .and_then(|launch| launch.job_id),
            request_id,
            user_id: owner.clone(),
            plan_id: new_plan.unwrap_or(request.plan_id),
            created_at: Self::now(),
            fullfilled: false,
            generation: request.generation,
        };
        let plan_id = entry.plan_id;
        Self::queue_insert(kind, &node_id, request_id, entry);
        T::Registry::touch(&node_id)?;
        let generation = request.generation;
        Self::deposit_event(match kind {
            OperationKind::Launch => {
                defensive!("a launch is not queued");
                return Ok(());
            }
            OperationKind::Boot => {
                Event::ComputeBootRequested { node_id, request_id, owner, generation }
            }
            OperationKind::Stop => {
                Event::ComputeStopRequested { node_id, request_id, owner, generation }
            }
            OperationKind::Reboot => {
                Event::ComputeRebootRequested { node_id, request_id, owner, generation }
            }
            OperationKind::Resize => {
                Event::ComputeResizeRequested { node_id, request_id, owner, generation, plan_id }
            }
            OperationKind::Delete => {
                Event::ComputeDeleteRequested { node_id, request_id, owner, generation }
            }
        });
        Ok(())
    }

    /// Notes an operation and its deadline; the generation rises.
    pub(crate) fn set_operation(
        request: &mut ComputeRequest,
        kind: OperationKind,
        wait: BlockNumber,
    ) {
        let deadline = Self::after(wait);
        request.generation = request.generation.saturating_add(1);
        request.operation = Some(Operation { kind, deadline });
        Self::arm(deadline, request.request_id, kind.deadline_kind());
    }

    /// Ends an operation without its being done: what a resize reserved is free, the generation rises.
    pub(crate) fn drop_operation(request: &mut ComputeRequest) -> DispatchResult {
        let Some(node_id) = Self::node_of(request).filter(|_| request.operation.is_some()) else {
            return Ok(());
        };
        let reserved = Self::reserved_size(request, &node_id);
        if reserved != request.resources {
            T::Registry::change_reserved(&node_id, &reserved, &request.resources)?;
        }
        Self::clear_operation(request);
        request.generation = request.generation.saturating_add(1);
        Ok(())
    }

    /// Takes an operation from its queue, with its deadline.
    pub(crate) fn clear_operation(request: &mut ComputeRequest) {
        let (Some(operation), Some(node_id)) = (request.operation.take(), Self::node_of(request))
        else {
            return;
        };
        let id = request.request_id;
        Self::disarm(operation.deadline, id, operation.kind.deadline_kind());
        match operation.kind {
            OperationKind::Launch => Self::end_claim(&node_id, id),
            OperationKind::Boot => MinerComputeBootRequests::<T>::remove(&node_id, id),
            OperationKind::Stop => MinerComputeStopRequests::<T>::remove(&node_id, id),
            OperationKind::Reboot => MinerComputeRebootRequests::<T>::remove(&node_id, id),
            OperationKind::Resize => MinerComputeResizeRequests::<T>::remove(&node_id, id),
            OperationKind::Delete => MinerComputeDeletionRequests::<T>::remove(&node_id, id),
        }
    }

    fn queue_insert(kind: OperationKind, node_id: &NodeId, id: RequestId, entry: QueuedOperation) {
        match kind {
            OperationKind::Launch => {}
            OperationKind::Boot => MinerComputeBootRequests::<T>::insert(node_id, id, entry),
            OperationKind::Stop => MinerComputeStopRequests::<T>::insert(node_id, id, entry),
            OperationKind::Reboot => MinerComputeRebootRequests::<T>::insert(node_id, id, entry),
            OperationKind::Resize => MinerComputeResizeRequests::<T>::insert(node_id, id, entry),
            OperationKind::Delete => MinerComputeDeletionRequests::<T>::insert(node_id, id, entry),
        }
    }

    /// What a request takes of its node: during a resize, the larger of both sizes.
    pub(crate) fn reserved_size(request: &ComputeRequest, node_id: &NodeId) -> Resources {
        if request.pending_operation() != Some(OperationKind::Resize) {
            return request.resources;
        }
        MinerComputeResizeRequests::<T>::get(node_id, request.request_id)
            .and_then(|resize| Plans::<T>::get(resize.plan_id))
            .map_or(request.resources, |plan| request.resources.larger(&plan.resources))
    }

    fn ensure_no_operation(request: &ComputeRequest) -> Result<(), Error<T>> {
        ensure!(request.operation.is_none(), Error::<T>::OperationPending);
        Ok(())
    }

    fn ensure_not_exhausted(request_id: RequestId) -> Result<(), Error<T>> {
        let exhausted = Leases::<T>::get(request_id).is_some_and(|lease| lease.exhausted);
        ensure!(!exhausted, Error::<T>::LeaseExhausted);
        Ok(())
    }
}

fn is_launched(request: &ComputeRequest) -> bool {
    matches!(request.status, ComputeRequestStatus::Running | ComputeRequestStatus::Stopped)
}
