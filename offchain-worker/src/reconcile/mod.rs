//! What to do next for one VM: a pure function of what the chain wants, what is on the host, and what
//! this worker tried already.
//!
//! One action at a time. After each the question is asked anew, so a crash between any two of them
//! leaves nothing that the next start would not find and finish.

mod decide;
#[cfg(test)]
mod tests;

pub use decide::next;

use quarry_primitives::{
    api::Desired,
    request::{FailureKind, OperationKind, RequestId},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A point in time, counted from the worker's start.
pub type Time = Duration;

/// What the chain wants of a VM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Its number.
    pub request_id: RequestId,
    /// What a report names.
    pub generation: u64,
    /// What it should be.
    pub desired: Desired,
    /// What is asked of it now.
    pub operation: Option<OperationKind>,
    /// Live blocks until the chain stops waiting for that.
    pub blocks_left: Option<u32>,
    /// Whether it was launched once, as far as the chain knows.
    pub launched: bool,
    /// What it should have.
    pub shape: Shape,
}

/// What of a VM can change during its life.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Shape {
    /// CPUs.
    pub vcpus: u16,
    /// Memory.
    pub memory_mib: u32,
    /// Disk.
    pub disk_gib: u32,
    /// The address that the chain gave it.
    pub address: Option<std::net::IpAddr>,
}

/// What is on the host.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// Its folder.
    pub folder: Option<Folder>,
    /// Its domain.
    pub domain: Option<Domain>,
}

impl Found {
    /// Whether there is no trace of it.
    pub fn is_nothing(&self) -> bool {
        self.folder.is_none() && self.domain.is_none()
    }

    fn is_active(&self) -> bool {
        self.domain.as_ref().is_some_and(|domain| domain.power != Power::Off)
    }

    fn is_running(&self) -> bool {
        self.domain.as_ref().is_some_and(|domain| domain.power == Power::On)
    }

    fn has_disk(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.disk)
    }
}

/// A VM's folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Folder {
    /// Whether the disk is in it.
    pub disk: bool,
    /// Whether the VM was ever started from it.
    pub started: bool,
    /// What the disk and the seed were made for.
    pub shape: Shape,
    /// How long it has been known that the chain no longer has the VM here.
    pub orphan_for: Option<Duration>,
}

/// A VM's domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    /// Whether the guest runs.
    pub power: Power,
    /// The generation in its stored config; none if it is transient.
    pub stored: Option<u64>,
    /// The generation that it was started with.
    pub live: Option<u64>,
    /// What its stored config was written for, as far as is known. The disk does not stand in it.
    pub shape: Option<Shape>,
}

/// Whether a guest runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Power {
    /// It does.
    On,
    /// It is in memory and stands still: its disk could not be written, or somebody paused it.
    Paused,
    /// It does not.
    Off,
}

/// What this worker did and saw of a VM since it started.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// Tries in a row that failed, of what is tried now.
    pub failures: u32,
    /// When the next try is due.
    pub not_before: Option<Time>,
    /// When the guest may be started again by the worker's own will, after it died by itself.
    pub start_not_before: Option<Time>,
    /// Why the last try failed, and whether it would on any node.
    pub last_failure: Option<(FailureKind, String)>,
    /// The shutdown under way.
    pub shutdown: Option<Shutdown>,
    /// The report that was sent last.
    pub reported: Option<Reported>,
    /// Whether all that a launch needs from elsewhere is at hand: the image, and user data if any.
    pub provisions: bool,
    /// Whether that is being fetched.
    pub fetching: bool,
}

/// A report that was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reported {
    /// For which generation.
    pub generation: u64,
    /// What it says.
    pub outcome: Outcome,
    /// When to say it again although nothing changed: the chain did not take it.
    pub again: Option<Time>,
}

/// A guest that was asked to power off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shutdown {
    /// For which generation.
    pub generation: u64,
    /// When it was asked first.
    pub since: Time,
    /// When it was asked last.
    pub asked: Time,
}

/// What holds for all VMs alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context {
    /// Now.
    pub now: Time,
    /// Whether the finalized state may be acted on in ways that cannot be undone: its chain node is not
    /// syncing, and it is as high as any seen before.
    pub authority: bool,
    /// Whether it is of now: it came not long ago, from a chain node that has caught up with its network. What is older
    /// may want a guest that runs elsewhere by now.
    pub synced: bool,
    /// How long a guest may take to power off.
    pub shutdown_grace: Duration,
    /// How long the disk of an orphan is kept.
    pub orphan_disk_delay: Duration,
}

/// What a report says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The launch is under way.
    Working,
    /// The VM runs.
    Launched,
    /// The launch failed.
    LaunchFailed,
    /// The VM is gone, and what was on it.
    Lost,
    /// The operation is done.
    Done(OperationKind),
    /// The operation failed.
    Failed(OperationKind),
}

/// One step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Get the image and the user data, and hold them.
    Fetch,
    /// Make folder, disk and seed.
    MakeFolder,
    /// Remember that the VM was started from its folder.
    MarkStarted,
    /// Make the seed anew for another address.
    Reseed,
    /// Define the domain, or define it anew, for this generation.
    Define,
    /// Write this generation to the stored config.
    Retag,
    /// Start it.
    Start,
    /// Let it go on.
    Resume,
    /// Ask the guest to power off.
    ShutDown,
    /// Pull the plug.
    Destroy,
    /// Grow the disk.
    Grow,
    /// Note that the chain no longer has the VM here.
    MarkOrphan,
    /// Remove disk, seed and logs; what tells whose they were stays.
    RemoveDisk,
    /// Forget the domain.
    Undefine,
    /// Remove what is left of the folder.
    RemoveFolder,
    /// Tell the chain.
    Report(Outcome),
}

impl Action {
    /// Whether a guest runs by it that did not.
    pub fn is_start(&self) -> bool {
        matches!(self, Self::Start | Self::Resume)
    }

    /// Whether it cannot be undone.
    pub fn is_destructive(&self) -> bool {
        match self {
            // A guest that was stopped by mistake has lost what it was at.
            Self::ShutDown | Self::Destroy => true,
            Self::RemoveDisk | Self::Undefine | Self::RemoveFolder => true,
            Self::Report(outcome) => *outcome == Outcome::Lost,
            _ => false,
        }
    }
}

/// The answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// Nothing, until something changes.
    Rest,
    /// Nothing before then.
    Wait(Time),
    /// This.
    Do(Action),
}
