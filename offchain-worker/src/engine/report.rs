//! What the worker tells the chain of a VM.

use super::{
    lane::{failure, lost, name},
    Engine,
};
use crate::{
    crash, metrics,
    reconcile::{Action, Outcome, Reported},
};
use quarry_client::{Outcome as Answer, Report};
use quarry_guest::HostKey;
use quarry_primitives::{
    api::WorkItem,
    request::{JobId, OperationKind, Reason, VmAccess},
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// After the chain said that it did not want a report: by then a newer block was read.
const READ_AGAIN: Duration = Duration::from_secs(15);
/// After the chain refused it for another reason.
const REFUSED: Duration = Duration::from_secs(60);

impl Engine {
    /// Sends a report, and waits for its end beside the lane.
    pub(super) fn report(self: &Arc<Self>, uuid: Uuid, item: Option<Arc<WorkItem>>, what: Outcome) {
        let Some(item) = item else { return };
        let step = name(&Action::Report(what.clone()));
        let generation = item.generation;
        let report = self.report_of(uuid, &item, &what);
        if let Some(vm) = self.table().vms.get_mut(&uuid) {
            vm.memory.reported = Some(Reported { generation, outcome: what.clone(), again: None });
        }
        crash::point("before", step);
        tracing::info!(request = %item.request_id, generation, report = step, "reporting");
        let engine = self.clone();
        let answer = self.signer.now().reports.send(report);
        crash::point("after", step);
        self.runtime.spawn(async move {
            let answer = answer.await;
            engine.reported(uuid, &item, what, step, answer);
        });
    }

    fn reported(
        &self,
        uuid: Uuid,
        item: &WorkItem,
        what: Outcome,
        step: &'static str,
        answer: Answer,
    ) {
        let request = item.request_id;
        let again = match answer {
            Answer::Finalized { number, .. } => {
                tracing::info!(%request, report = step, number, "finalized");
                self.metrics.report(step, metrics::Outcome::Done);
                return;
            }
            Answer::Superseded => return,
            Answer::Stale => {
                tracing::info!(%request, report = step, "not wanted (any more); the chain is read again");
                self.metrics.report(step, metrics::Outcome::Dropped);
                READ_AGAIN
            }
            Answer::Refused { error } => {
                tracing::warn!(%request, report = step, %error, "refused by the chain; it is tried again");
                self.metrics.report(step, metrics::Outcome::Failed);
                REFUSED
            }
        };
        let again = self.now() + again;
        let mut table = self.table();
        if let Some(vm) = table.vms.get_mut(&uuid) {
            if let Some(sent) = &mut vm.memory.reported {
                if sent.generation == item.generation && sent.outcome == what {
                    sent.again = Some(again);
                }
            }
        }
        drop(table);
        self.forget_work_version();
        self.wake.notify_one();
    }

    fn report_of(&self, uuid: Uuid, item: &WorkItem, what: &Outcome) -> Report {
        let (request_id, generation) = (item.request_id, item.generation);
        let (kind, reason) = {
            let table = self.table();
            let (kind, reason) = table.vms.get(&uuid).map(failure).unwrap_or_else(lost);
            (kind, as_reason(&reason))
        };
        match what {
            Outcome::Working => Report::Working { request_id, generation, job_id: job(uuid) },
            Outcome::Launched => {
                Report::Launched { request_id, generation, access: self.access(uuid) }
            }
            Outcome::LaunchFailed => Report::LaunchFailed { request_id, generation, kind, reason },
            Outcome::Lost => Report::Lost { request_id, generation, kind, reason },
            Outcome::Done(OperationKind::Launch) => {
                Report::Launched { request_id, generation, access: self.access(uuid) }
            }
            Outcome::Done(kind) => Report::Done { kind: *kind, request_id, generation },
            Outcome::Failed(_) => Report::OperationFailed { request_id, generation, kind, reason },
        }
    }

    fn access(&self, uuid: Uuid) -> VmAccess {
        let key = self.folders.get(uuid).and_then(|manifest| {
            HostKey::read(&self.folders.paths(&manifest).host_key())
                .inspect_err(|error| tracing::warn!(%uuid, %error, "no host key to report"))
                .ok()
        });
        VmAccess {
            job_id: job(uuid),
            hypervisor_ip: None,
            vnc_port: None,
            ssh_host_key: key.map(|key| key.public()),
        }
    }
}

/// The worker's name for a launch is the domain's id: whoever knows one finds the other.
fn job(uuid: Uuid) -> JobId {
    JobId::try_from(uuid.to_string().as_str()).unwrap_or_default()
}

/// As much of a reason as the chain keeps, without what a terminal would act on.
fn as_reason(text: &str) -> Reason {
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while Reason::try_from(clean.as_str()).is_err() {
        clean.pop();
    }
    Reason::try_from(clean.as_str()).unwrap_or_default()
}
