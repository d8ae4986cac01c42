//! What a worker has to say.

use crate::{
    bindings,
    call::Call,
    sender::{Item, Refusal, Urgency},
};
use codec::Encode;
use quarry_primitives::{
    node::{Access, NodeMetricsData},
    request::{FailureKind, JobId, OperationKind, PlanId, Reason, VmAccess},
    AccountId, NodeId, RequestId,
};
use subxt::utils::AccountId32;

/// One thing that a worker tells the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Report {
    /// The node is there, and takes new VMs or not. Free when due, as are metrics.
    Heartbeat {
        /// Whether it takes new VMs.
        accepting: bool,
        /// What the worker says of its host.
        metrics: Option<Box<NodeMetricsData>>,
    },
    /// The node takes an open request.
    Claim {
        /// The request's plan.
        plan_id: PlanId,
        /// The request.
        request_id: RequestId,
        /// Its tenant.
        owner: AccountId,
    },
    /// The worker is at a launch.
    Working {
        /// The VM.
        request_id: RequestId,
        /// Its generation.
        generation: u64,
        /// The worker's name for the launch.
        job_id: JobId,
    },
    /// The VM runs for the first time.
    Launched {
        /// The VM.
        request_id: RequestId,
        /// Its generation.
        generation: u64,
        /// How to reach it.
        access: VmAccess,
    },
    /// The VM could not be launched.
    LaunchFailed {
        /// The VM.
        request_id: RequestId,
        /// Its generation.
        generation: u64,
        /// Whether another node may do it.
        kind: FailureKind,
        /// Why.
        reason: Reason,
    },
    /// The VM ran and is lost.
    Lost {
        /// The VM.
        request_id: RequestId,
        /// Its generation.
        generation: u64,
        /// Whether another node may do it.
        kind: FailureKind,
        /// Why.
        reason: Reason,
    },
    /// What was asked is done: a boot, a stop, a reboot, a resize or a deletion. A launch is told by
    /// [`Launched`](Self::Launched).
    Done {
        /// What it was.
        kind: OperationKind,
        /// The VM.
        request_id: RequestId,
        /// Its generation.
        generation: u64,
    },
    /// What was asked could not be done.
    OperationFailed {
        /// The VM.
        request_id: RequestId,
        /// Its generation.
        generation: u64,
        /// Whether another try makes sense.
        kind: FailureKind,
        /// Why.
        reason: Reason,
    },
    /// The node is reached in another way.
    SetAccess(Access),
}

impl Report {
    /// A word for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Heartbeat { .. } => "heartbeat",
            Self::Claim { .. } => "claim",
            Self::Working { .. } => "working",
            Self::Launched { .. } => "launched",
            Self::LaunchFailed { .. } => "launch-failed",
            Self::Lost { .. } => "lost",
            Self::Done { .. } => "done",
            Self::OperationFailed { .. } => "operation-failed",
            Self::SetAccess(_) => "set-access",
        }
    }

    /// The report as something to send, of which the pool keeps one on each subject.
    pub(crate) fn into_item(self, node_id: &NodeId) -> Result<Item, Refusal> {
        let (subject, identity, urgency) = (self.subject(), self.identity(), self.urgency());
        let newest_only = matches!(self, Self::Heartbeat { .. } | Self::SetAccess(_));
        let ended = self.launch_ended();
        let mut item = Item::new(self.into_call(node_id)?, urgency);
        item.identity = identity;
        item.subject = Some(subject);
        item.newest_only = newest_only;
        item.makes_needless = ended.map(|(request_id, generation)| start(request_id, generation));
        Ok(item)
    }

    fn urgency(&self) -> Urgency {
        match self {
            Self::Heartbeat { .. } => Urgency::Heartbeat,
            Self::SetAccess(_) => Urgency::Access,
            _ => Urgency::Report,
        }
    }

    /// As the runtime names it: see its `feeless.rs`.
    fn subject(&self) -> Vec<u8> {
        match self {
            Self::Heartbeat { .. } => "heartbeat".encode(),
            Self::SetAccess(_) => "access".encode(),
            Self::Claim { request_id, .. } => ("claim", request_id).encode(),
            Self::Working { request_id, generation, .. } => start(*request_id, *generation),
            Self::Launched { request_id, generation, .. }
            | Self::LaunchFailed { request_id, generation, .. }
            | Self::Lost { request_id, generation, .. }
            | Self::Done { request_id, generation, .. }
            | Self::OperationFailed { request_id, generation, .. } => {
                ("report", request_id, generation).encode()
            }
        }
    }

    /// Two reports of one identity say the same. A heartbeat says something new each time.
    fn identity(&self) -> Option<Vec<u8>> {
        let outcome = match self {
            Self::Heartbeat { .. } | Self::SetAccess(_) => return None,
            Self::Lost { .. } => Self::name(self).replace("lost", "launch-failed"),
            Self::Done { kind, .. } => format!("done {kind:?}"),
            other => other.name().to_owned(),
        };
        Some((self.subject(), outcome).encode())
    }

    /// The launch that this ends, of which nobody needs to hear any more that it is under way.
    fn launch_ended(&self) -> Option<(RequestId, u64)> {
        match self {
            Self::Launched { request_id, generation, .. }
            | Self::LaunchFailed { request_id, generation, .. } => Some((*request_id, *generation)),
            _ => None,
        }
    }

    fn into_call(self, node_id: &NodeId) -> Result<Call, Refusal> {
        let node = node_id.into();
        let (compute, registry) = (bindings::tx().compute(), bindings::tx().registry());
        Ok(match self {
            Self::Heartbeat { accepting, metrics } => {
                let metrics = metrics.map(|metrics| (*metrics).into());
                Call::new(registry.submit_node_metrics(node, accepting, metrics))
            }
            Self::SetAccess(access) => Call::new(registry.set_access(node, access.into())),
            Self::Claim { plan_id, request_id, owner } => {
                let owner = AccountId32(*owner.as_ref());
                Call::new(compute.submit_compute_request_assignment(node, plan_id, request_id, owner))
            }
            Self::Working { request_id, generation, job_id } => Call::new(
                compute.update_miner_compute_request(node, request_id, generation, job_id.into()),
            ),
            Self::Launched { request_id, generation, access } => Call::new(
                compute.mark_compute_request_fulfilled(node, request_id, generation, access.into()),
            ),
            Self::LaunchFailed { request_id, generation, kind, reason }
            | Self::Lost { request_id, generation, kind, reason } => {
                Call::new(compute.handle_miner_compute_request_failure(
                    node,
                    request_id,
                    generation,
                    kind.into(),
                    reason.into(),
                ))
            }
            Self::OperationFailed { request_id, generation, kind, reason } => {
                Call::new(compute.report_operation_failure(
                    node,
                    request_id,
                    generation,
                    kind.into(),
                    reason.into(),
                ))
            }
            Self::Done { kind, request_id, generation } => done(node_id, kind, request_id, generation)?,
        })
    }
}

fn done(
    node_id: &NodeId,
    kind: OperationKind,
    request_id: RequestId,
    generation: u64,
) -> Result<Call, Refusal> {
    let (node, compute) = (node_id.into(), bindings::tx().compute());
    Ok(match kind {
        OperationKind::Launch => return Err(Refusal::NotAReport),
        OperationKind::Boot => Call::new(
            compute.submit_compute_boot_request_fulfillment(node, request_id, generation),
        ),
        OperationKind::Stop => Call::new(
            compute.mark_miner_compute_stop_request_fulfilled(node, request_id, generation),
        ),
        OperationKind::Reboot => Call::new(
            compute.submit_compute_reboot_request_fulfillment(node, request_id, generation),
        ),
        OperationKind::Resize => Call::new(
            compute.submit_compute_resize_request_fulfillment(node, request_id, generation),
        ),
        OperationKind::Delete => {
            Call::new(compute.submit_compute_deletion_request(node, request_id, generation))
        }
    })
}

fn start(request_id: RequestId, generation: u64) -> Vec<u8> {
    ("start", request_id, generation).encode()
}
