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
        // A claim names no generation: the same request may be open again later.
        let lasts = !matches!(self, Self::Claim { .. });
        let mut item = Item::new(self.into_call(node_id)?, urgency);
        item.identity = identity;
        item.subject = Some(subject);
        item.newest_only = newest_only;
        item.lasts = lasts;
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
                Call::new(
                    compute.submit_compute_request_assignment(node, plan_id, request_id, owner),
                )
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
            Self::Done { kind, request_id, generation } => {
                done(node_id, kind, request_id, generation)?
            }
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
        OperationKind::Boot => {
            Call::new(compute.submit_compute_boot_request_fulfillment(node, request_id, generation))
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::{call::Binding, chain::runtime::tests::committed, WorkerKey};
    use quarry_primitives::Hash;

    const DONE: [OperationKind; 5] = [
        OperationKind::Boot,
        OperationKind::Stop,
        OperationKind::Reboot,
        OperationKind::Resize,
        OperationKind::Delete,
    ];

    fn node() -> NodeId {
        "alpha".try_into().unwrap()
    }

    fn done(kind: OperationKind) -> Report {
        Report::Done { kind, request_id: 7, generation: 3 }
    }

    fn launched() -> Report {
        let job_id = "job".try_into().unwrap();
        let access = VmAccess { job_id, hypervisor_ip: None, vnc_port: None, ssh_host_key: None };
        Report::Launched { request_id: 7, generation: 3, access }
    }

    fn failed(reason: &str) -> Report {
        let (kind, reason) = (FailureKind::Retryable, reason.try_into().unwrap());
        Report::LaunchFailed { request_id: 7, generation: 3, kind, reason }
    }

    fn lost() -> Report {
        let (kind, reason) = (FailureKind::Terminal, "disk gone".try_into().unwrap());
        Report::Lost { request_id: 7, generation: 3, kind, reason }
    }

    fn operation_failed() -> Report {
        let (kind, reason) = (FailureKind::Terminal, "no".try_into().unwrap());
        Report::OperationFailed { request_id: 7, generation: 3, kind, reason }
    }

    fn working() -> Report {
        Report::Working { request_id: 7, generation: 3, job_id: "job".try_into().unwrap() }
    }

    fn heartbeat(metrics: Option<NodeMetricsData>) -> Report {
        Report::Heartbeat { accepting: true, metrics: metrics.map(Box::new) }
    }

    fn access() -> Report {
        let endpoint = "node.example:2222".try_into().unwrap();
        Report::SetAccess(Access { endpoint, host_key: [7; 32] })
    }

    fn claim() -> Report {
        let owner = AccountId::new([1; 32]);
        Report::Claim { plan_id: Hash::repeat_byte(1), request_id: 7, owner }
    }

    fn identity(report: Report) -> Option<Vec<u8>> {
        report.into_item(&node()).unwrap().identity
    }

    #[test]
    fn every_report_is_a_call_of_the_runtime() {
        let (runtime, key) = (committed(Hash::zero()), WorkerKey::from_uri("//Alice").unwrap());
        let binding = Binding { nonce: 4, number: 100, hash: Hash::repeat_byte(9), tip: 0 };
        let metrics = NodeMetricsData { miner_id: node(), ..Default::default() };
        let reports = [heartbeat(None), heartbeat(Some(metrics)), access(), claim(), working()];
        let others = [launched(), failed("why"), lost(), operation_failed()];
        for report in reports.into_iter().chain(others).chain(DONE.map(done)) {
            let name = report.name();
            let item = report.into_item(&node()).unwrap();
            let signed = item.call.sign(&runtime, binding, &key);
            let signed = signed.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(signed.expires, 164, "{name}");
            // The node's name stands in each as its length, shifted, and its bytes.
            let node = [&[5 << 2], b"alpha".as_slice()].concat();
            assert!(signed.bytes.windows(node.len()).any(|bytes| bytes == node), "{name}");
        }
    }

    #[test]
    fn a_launch_is_not_done_but_launched() {
        let refused = done(OperationKind::Launch).into_item(&node()).err();
        assert_eq!(refused, Some(Refusal::NotAReport));
    }

    #[test]
    fn two_reports_of_one_outcome_are_one() {
        assert_eq!(identity(launched()), identity(launched()));
        assert_eq!(identity(failed("first")), identity(failed("second")));
        assert_eq!(identity(failed("first")), identity(lost()));
    }

    #[test]
    fn reports_of_other_outcomes_or_generations_are_others() {
        let all = [launched(), failed("why"), operation_failed(), working(), claim()];
        let identities: std::collections::BTreeSet<_> =
            all.into_iter().chain(DONE.map(done)).map(identity).collect();
        assert_eq!(identities.len(), 10);
        let later = Report::Done { kind: OperationKind::Stop, request_id: 7, generation: 4 };
        assert_ne!(identity(later), identity(done(OperationKind::Stop)));
    }

    #[test]
    fn a_heartbeat_says_something_new_each_time_and_only_the_newest_counts() {
        let beat = heartbeat(None).into_item(&node()).unwrap();
        assert!(beat.identity.is_none() && beat.newest_only);
        assert!(beat.urgency > launched().into_item(&node()).unwrap().urgency);
    }

    #[test]
    fn how_a_launch_ended_makes_it_needless_to_say_that_it_began() {
        let begun = working().into_item(&node()).unwrap().subject;
        assert_eq!(launched().into_item(&node()).unwrap().makes_needless, begun);
        assert_eq!(failed("why").into_item(&node()).unwrap().makes_needless, begun);
        assert_eq!(done(OperationKind::Stop).into_item(&node()).unwrap().makes_needless, None);
    }

    #[test]
    fn a_finalized_report_holds_for_good_and_a_claim_does_not() {
        assert!(launched().into_item(&node()).unwrap().lasts);
        assert!(!claim().into_item(&node()).unwrap().lasts);
    }
}
