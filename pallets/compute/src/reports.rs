//! Who may report what. The feeless check and the call ask the same function, so that what is free is
//! just what succeeds.

use crate::{checks, Config, Error, MinerComputeRequests, Pallet};
use frame_support::ensure;
use frame_system::ensure_signed;
use quarry_primitives::{
    market::{NodeRegistry, Speaker},
    node::NodeId,
    request::{
        ComputeRequest, ComputeRequestStatus, JobId, OperationKind, Reason, RequestId, VmAccess,
    },
    AccountId,
};
use sp_runtime::{traits::BlockNumberProvider, DispatchResult};

/// A report that was let in.
pub struct Report {
    /// Who signed it.
    pub speaker: Speaker,
    /// What it is on.
    pub request: ComputeRequest,
}

impl<T: Config> Pallet<T> {
    /// Fails with `NodeNotFound`, `InvalidSignature`, `ComputeRequestNotFound` or `StaleGeneration`.
    fn ensure_report(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
    ) -> Result<Report, Error<T>> {
        let node = T::Registry::node(node_id).ok_or(Error::<T>::NodeNotFound)?;
        let speaker = T::Registry::speaker(&node, who).ok_or(Error::<T>::InvalidSignature)?;
        let request = Self::request(request_id)?;
        let here = Self::node_of(&request).as_ref() == Some(node_id);
        ensure!(here, Error::<T>::ComputeRequestNotFound);
        ensure!(request.generation == generation, Error::<T>::StaleGeneration);
        Ok(Report { speaker, request })
    }

    /// Fails as any report, or with the `…NotFound` of the operation where another or none is under way.
    pub(crate) fn ensure_operation_report(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        kind: OperationKind,
    ) -> Result<Report, Error<T>> {
        let report = Self::ensure_report(who, node_id, request_id, generation)?;
        ensure!(report.request.pending_operation() == Some(kind), not_found::<T>(kind));
        Ok(report)
    }

    /// Fails as a report on a launch, or with `AlreadyStarted` or `InvalidJobId`.
    pub(crate) fn ensure_start(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        job_id: &JobId,
    ) -> Result<Report, Error<T>> {
        let launch = OperationKind::Launch;
        let report = Self::ensure_operation_report(who, node_id, request_id, generation, launch)?;
        let started = MinerComputeRequests::<T>::get(node_id, request_id)
            .is_none_or(|launch| launch.job_id.is_some());
        ensure!(!started, Error::<T>::AlreadyStarted);
        checks::job_id::<T>(job_id)?;
        Ok(report)
    }

    /// Fails as a report on a launch, or with the error of a wrong field.
    pub(crate) fn ensure_launched(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        access: &VmAccess,
    ) -> Result<Report, Error<T>> {
        let launch = OperationKind::Launch;
        let report = Self::ensure_operation_report(who, node_id, request_id, generation, launch)?;
        checks::vm_access::<T>(access)?;
        Ok(report)
    }

    /// Fails as any report, with `OperationPending` where the VM is being deleted anyway, or with
    /// `InvalidReason`.
    pub(crate) fn ensure_failure(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        reason: &Reason,
    ) -> Result<Report, Error<T>> {
        let report = Self::ensure_report(who, node_id, request_id, generation)?;
        let deleting = report.request.pending_operation() == Some(OperationKind::Delete);
        ensure!(!deleting, Error::<T>::OperationPending);
        checks::reason::<T>(reason)?;
        Ok(report)
    }

    /// Fails as any report, with `OperationNotFound` where nothing is queued, or with `InvalidReason`.
    pub(crate) fn ensure_operation_failure(
        who: &AccountId,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        reason: &Reason,
    ) -> Result<(Report, OperationKind), Error<T>> {
        let report = Self::ensure_report(who, node_id, request_id, generation)?;
        let queued = report.request.pending_operation();
        let kind = queued.filter(|kind| *kind != OperationKind::Launch);
        let kind = kind.ok_or(Error::<T>::OperationNotFound)?;
        checks::reason::<T>(reason)?;
        Ok((report, kind))
    }

    pub(crate) fn is_feeless_report(
        origin: &T::RuntimeOrigin,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        kind: OperationKind,
    ) -> bool {
        Self::signer(origin).is_some_and(|who| {
            Self::ensure_operation_report(&who, node_id, request_id, generation, kind).is_ok()
        })
    }

    pub(crate) fn is_feeless_start(
        origin: &T::RuntimeOrigin,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        job_id: &JobId,
    ) -> bool {
        Self::signer(origin).is_some_and(|who| {
            Self::ensure_start(&who, node_id, request_id, generation, job_id).is_ok()
        })
    }

    pub(crate) fn is_feeless_launch(
        origin: &T::RuntimeOrigin,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        access: &VmAccess,
    ) -> bool {
        Self::signer(origin).is_some_and(|who| {
            Self::ensure_launched(&who, node_id, request_id, generation, access).is_ok()
        })
    }

    pub(crate) fn is_feeless_failure(
        origin: &T::RuntimeOrigin,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        reason: &Reason,
    ) -> bool {
        Self::signer(origin).is_some_and(|who| {
            Self::ensure_failure(&who, node_id, request_id, generation, reason).is_ok()
        })
    }

    /// A deletion that fails stays queued, so it is free to say so once; saying it again pays.
    pub(crate) fn is_feeless_operation_failure(
        origin: &T::RuntimeOrigin,
        node_id: &NodeId,
        request_id: RequestId,
        generation: u64,
        reason: &Reason,
    ) -> bool {
        Self::signer(origin).is_some_and(|who| {
            Self::ensure_operation_failure(&who, node_id, request_id, generation, reason).is_ok_and(
                |(_, kind)| kind != OperationKind::Delete || !Self::has_failed(node_id, request_id),
            )
        })
    }

    fn has_failed(node_id: &NodeId, request_id: RequestId) -> bool {
        MinerComputeRequests::<T>::get(node_id, request_id)
            .is_some_and(|entry| entry.fail_reason.is_some())
    }

    /// A valid report of the worker shows that the node is there; of one of the miner the worker must hear.
    pub(crate) fn note_report(speaker: Option<Speaker>, node_id: &NodeId) -> DispatchResult {
        match speaker {
            Some(Speaker::Worker) => T::Registry::seen(node_id),
            Some(Speaker::Miner) => T::Registry::touch(node_id),
            None => Ok(()),
        }
    }

    pub(crate) fn signer(origin: &T::RuntimeOrigin) -> Option<AccountId> {
        ensure_signed(origin.clone()).ok()
    }

    pub(crate) fn is_running(request: &ComputeRequest) -> bool {
        request.status == ComputeRequestStatus::Running
    }

    /// The clock of every wait.
    pub(crate) fn now() -> quarry_primitives::BlockNumber {
        T::LiveBlocks::current_block_number()
    }
}

fn not_found<T: Config>(kind: OperationKind) -> Error<T> {
    match kind {
        OperationKind::Launch => Error::<T>::ComputeLaunchRequestNotFound,
        OperationKind::Boot => Error::<T>::ComputeBootRequestNotFound,
        OperationKind::Stop => Error::<T>::ComputeStopRequestNotFound,
        OperationKind::Reboot => Error::<T>::ComputeRebootRequestNotFound,
        OperationKind::Resize => Error::<T>::ComputeResizeRequestNotFound,
        OperationKind::Delete => Error::<T>::ComputeDeletionRequestNotFound,
    }
}
