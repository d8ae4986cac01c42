//! Sends a worker's reports, each once, until the chain has finalized it or does not want it any more.

use crate::{
    chain::Chain,
    key::WorkerKey,
    report::Report,
    sender::{self, Handle, Refusal, SenderStatus, Verdict},
};
use quarry_primitives::{BlockNumber, Hash, NodeId};
use std::future::Future;
use tokio::sync::watch;

/// What became of a report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It stands in a finalized block, and did what it says.
    Finalized {
        /// The block's height.
        number: BlockNumber,
        /// The block's hash.
        hash: Hash,
    },
    /// The chain refuses it and always will.
    Refused {
        /// Why.
        error: Refusal,
    },
    /// A later report took its place before it was sent.
    Superseded,
    /// The chain has moved on, or was reset: read the work again.
    Stale,
}

/// Errors by which the chain says that it moved on since the work was read.
const STALE: &[&str] = &[
    "StaleGeneration",
    "ComputeRequestNotFound",
    "ComputeDeletionRequestNotFound",
    "ComputeStopRequestNotFound",
    "ComputeBootRequestNotFound",
    "ComputeRebootRequestNotFound",
    "ComputeResizeRequestNotFound",
    "ComputeLaunchRequestNotFound",
    "OperationNotFound",
    "OperationPending",
    "AlreadyStarted",
    "NotPending",
];

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Included(at) => {
                Self::Finalized { number: at.block.number, hash: at.block.hash }
            }
            Verdict::Superseded => Self::Superseded,
            Verdict::Refused(error) if is_stale(&error) => Self::Stale,
            Verdict::Refused(error) => Self::Refused { error },
        }
    }
}

/// A report that is not free any more cannot be paid for: what made it free is gone.
fn is_stale(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Payment | Refusal::ChainReplaced | Refusal::Unknown => true,
        Refusal::Dispatch { pallet, error } => {
            pallet == "Compute" && STALE.contains(&error.as_str())
        }
        _ => false,
    }
}

/// The actor that sends reports.
pub struct Reports;

impl Reports {
    /// Starts it, within a tokio runtime. It ends when its last handle is dropped and nothing is left to
    /// send. `seen` is the last block that a former run with this key saw: what that run signed may still land,
    /// also where this one begins with a chain node that is behind.
    pub fn spawn(
        chain: Chain,
        key: WorkerKey,
        node_id: NodeId,
        seen: BlockNumber,
    ) -> ReportsHandle {
        ReportsHandle { sender: sender::spawn(chain, key, seen), node_id }
    }
}

/// Takes reports for the actor. Copies are cheap.
#[derive(Clone)]
pub struct ReportsHandle {
    sender: Handle,
    node_id: NodeId,
}

impl ReportsHandle {
    /// Queues a report, at once, and tells in the end what became of it. A report that says what another
    /// one under way says shares its outcome.
    pub fn send(&self, report: Report) -> impl Future<Output = Outcome> + Send + 'static {
        let queued = report.into_item(&self.node_id).map(|item| self.sender.send(item));
        async move {
            match queued {
                Ok(verdict) => verdict.await.into(),
                Err(error) => Outcome::Refused { error },
            }
        }
    }

    /// Queues a report whose outcome nobody waits for.
    pub fn tell(&self, report: Report) {
        drop(self.send(report));
    }

    /// What the actor does, for metrics, status pages, and to see whether another instance uses its key.
    pub fn status(&self) -> watch::Receiver<SenderStatus> {
        self.sender.status()
    }
}
