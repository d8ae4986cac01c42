//! Launches, and what happens when they, or VMs that ran, fail.

use crate::{Config, Error, Event, Leases, MinerComputeRequests, Pallet, Params};
use frame_support::{ensure, traits::Get};
use quarry_primitives::{
    market::{NodeRegistry, Outcome},
    node::NodeId,
    request::{
        ComputeRequest, ComputeRequestStatus, DeadlineKind, FailureKind, JobId, OperationKind,
        Reason, RequestId, VmAccess,
    },
    AccountId, Balance,
};
use sp_runtime::DispatchResult;

/// As many miners as must say that a launch fails everywhere.
const TERMINAL_WITNESSES: u8 = 2;

/// Why a launch did not succeed.
pub enum LaunchEnd {
    /// The node said so.
    Reported(FailureKind, Reason),
    /// It took too long.
    TimedOut,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_start(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
        job_id: JobId,
    ) -> DispatchResult {
        let report = Self::ensure_start(who, &node_id, request_id, generation, &job_id)?;
        let mut request = report.request;
        let wait = Params::<T>::get().launch_timeout;
        Self::move_deadline(&mut request, Self::after(wait));
        Self::store(&request);
        Self::change_assignment(&node_id, request_id, |launch| {
            launch.job_id = Some(job_id.clone());
        });
        Self::note_report(Some(report.speaker), &node_id)?;
        let owner = request.owner;
        Self::deposit_event(Event::ComputeRequestStarted { node_id, request_id, owner, job_id });
        Ok(())
    }

    pub(crate) fn do_fulfil_launch(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
        access: VmAccess,
    ) -> DispatchResult {
        let report = Self::ensure_launched(who, &node_id, request_id, generation, &access)?;
        let mut request = report.request;
        Self::note_report(Some(report.speaker), &node_id)?;
        Self::clear_operation(&mut request);
        request.status = ComputeRequestStatus::Running;
        Self::store(&request);
        Self::change_assignment(&node_id, request_id, |launch| {
            launch.fullfilled = true;
            launch.job_id = Some(access.job_id);
            launch.hypervisor_ip = access.hypervisor_ip;
            launch.vnc_port = access.vnc_port;
            launch.ssh_host_key = access.ssh_host_key;
        });
        T::Registry::launched(&node_id)?;
        Self::start_rent(request_id, &node_id)?;
        let owner = request.owner;
        Self::deposit_event(Event::ComputeRequestFulfilled { node_id, request_id, owner });
        Ok(())
    }

    pub(crate) fn do_report_failure(
        who: &AccountId,
        node_id: NodeId,
        request_id: RequestId,
        generation: u64,
        kind: FailureKind,
        reason: Reason,
    ) -> DispatchResult {
        let report = Self::ensure_failure(who, &node_id, request_id, generation, &reason)?;
        Self::note_report(Some(report.speaker), &node_id)?;
        if report.request.status == ComputeRequestStatus::InProgress {
            Self::fail_launch(report.request, LaunchEnd::Reported(kind, reason))
        } else {
            Self::lose_vm(report.request, reason)
        }
    }

    /// Sends the request on to another node, unless none is left that it may go to.
    pub(crate) fn fail_launch(mut request: ComputeRequest, end: LaunchEnd) -> DispatchResult {
        let (outcome, kind, reason) = match end {
            LaunchEnd::Reported(kind, reason) => (Outcome::Failed, kind, reason),
            LaunchEnd::TimedOut => {
                (Outcome::TimedOut, FailureKind::Retryable, text("the launch took too long"))
            }
        };
        let params = Params::<T>::get();
        let node_id = Self::node_of(&request).ok_or(Error::<T>::NotAssigned)?;
        let launch = MinerComputeRequests::<T>::get(&node_id, request.request_id)
            .ok_or(Error::<T>::ComputeRequestNotFound)?;
        if launch.claimed {
            Self::penalize(&node_id, request.request_id);
        }
        Self::unassign(&mut request, Some(outcome), params.ip_quarantine)?;

        request.attempts = request.attempts.saturating_add(1);
        request.terminal_failures =
            request.terminal_failures.saturating_add((kind == FailureKind::Terminal).into());
        request.last_failure = Some(reason.clone());
        let excluded = request.excluded.try_push(launch.miner_account_id).is_ok();
        let last = !excluded
            || request.named_node
            || request.attempts >= params.max_attempts
            || request.terminal_failures >= TERMINAL_WITNESSES;
        if last {
            Self::end(&mut request, ComputeRequestStatus::Failed);
        } else {
            Self::make_pending(&mut request);
            Self::unplace_lease(request.request_id);
        }
        Self::store(&request);
        Self::deposit_failure(node_id, request, reason, !last);
        Ok(())
    }

    /// A VM that ran is gone, with its disk.
    fn lose_vm(mut request: ComputeRequest, reason: Reason) -> DispatchResult {
        // The lease is settled before the node's room is given back, while the chain knows the node.
        if let Some(lease) = Leases::<T>::get(request.request_id) {
            Self::close(&request, lease, false);
        }
        let quarantine = Params::<T>::get().ip_quarantine;
        let node_id = Self::unassign(&mut request, Some(Outcome::Lost), quarantine)?;
        request.last_failure = Some(reason.clone());
        Self::end(&mut request, ComputeRequestStatus::Failed);
        Self::store(&request);
        Self::deposit_failure(node_id, request, reason, false);
        Ok(())
    }

    fn deposit_failure(node_id: NodeId, request: ComputeRequest, reason: Reason, pending: bool) {
        let ComputeRequest { request_id, owner, .. } = request;
        let failed = Event::ComputeRequestFailed { node_id, request_id, owner, reason, pending };
        Self::deposit_event(failed);
    }

    /// A node answers for what it claimed.
    fn penalize(node_id: &NodeId, request_id: RequestId) {
        let price = Leases::<T>::get(request_id).map_or(0, |lease| lease.price);
        let penalty = price.saturating_mul(Balance::from(T::ClaimPenalty::get()));
        let amount = T::Registry::slash(node_id, penalty.max(T::LeastPenalty::get()));
        let node_id = node_id.clone();
        Self::deposit_event(Event::ClaimPenalized { node_id, request_id, amount });
    }

    /// The launch deadline passed.
    pub(crate) fn time_out_launch(request: ComputeRequest) -> DispatchResult {
        let launching = request.pending_operation() == Some(OperationKind::Launch);
        ensure!(launching, Error::<T>::ComputeLaunchRequestNotFound);
        Self::deposit_expired(&request, DeadlineKind::Launch);
        Self::fail_launch(request, LaunchEnd::TimedOut)
    }
}

/// A reason of the chain's own.
pub fn text(reason: &str) -> Reason {
    Reason::try_from(reason).unwrap_or_default()
}
