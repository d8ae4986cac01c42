use super::{Action, Context, Folder, Found, Memory, Next, Outcome, Power, Time, Wanted};
use quarry_primitives::{
    api::Desired,
    request::{FailureKind, OperationKind},
};
use std::time::Duration;

/// A guest that does not power off is asked again this often.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Live blocks before the chain stops waiting, from which on a guest is not waited for.
const HURRY: u32 = 5;
/// Tries after which a failure is reported.
const TRIES: u32 = 4;

/// What to do next for a VM that the chain wants so (`None`: finalized state does not have it on this
/// node) and of which this is on the host.
pub fn next(wanted: Option<&Wanted>, found: &Found, memory: &Memory, context: &Context) -> Next {
    let answer = match wanted {
        Some(wanted) => Case { wanted, found, memory, context }.next(),
        None => orphan(found, context),
    };
    match answer {
        Next::Do(action) if action.is_destructive() && !context.authority => Next::Rest,
        Next::Do(action) if action.is_start() && !context.synced => Next::Rest,
        Next::Do(action) => match due(&action, memory) {
            Some(due) if due > context.now => Next::Wait(due),
            _ => Next::Do(action),
        },
        rest => rest,
    }
}

fn due(action: &Action, memory: &Memory) -> Option<Time> {
    match action {
        Action::Report(_) => None,
        action if action.is_start() => memory.not_before.max(memory.start_not_before),
        _ => memory.not_before,
    }
}

fn orphan(found: &Found, context: &Context) -> Next {
    if found.is_active() {
        return Next::Do(Action::Destroy);
    }
    match &found.folder {
        Some(Folder { disk: true, orphan_for: None, .. }) => {
            return match context.authority {
                true => Next::Do(Action::MarkOrphan),
                false => Next::Rest,
            }
        }
        Some(Folder { disk: true, orphan_for: Some(age), started: true, .. })
            if *age < context.orphan_disk_delay =>
        {
            return Next::Wait(context.now + context.orphan_disk_delay.saturating_sub(*age));
        }
        _ => (),
    }
    remove(found).map_or(Next::Rest, Next::Do)
}

/// The next step of a removal: the domain goes after the disk, so that what is half removed is found,
/// and the folder's note of whose it was goes last.
fn remove(found: &Found) -> Option<Action> {
    if found.is_active() {
        Some(Action::Destroy)
    } else if found.has_disk() {
        Some(Action::RemoveDisk)
    } else if found.domain.is_some() {
        Some(Action::Undefine)
    } else if found.folder.is_some() {
        Some(Action::RemoveFolder)
    } else {
        None
    }
}

struct Case<'a> {
    wanted: &'a Wanted,
    found: &'a Found,
    memory: &'a Memory,
    context: &'a Context,
}

impl Case<'_> {
    fn next(&self) -> Next {
        if self.is_outdated() {
            return Next::Rest;
        }
        if let Some(failure) = self.give_up() {
            return failure;
        }
        match self.wanted.desired {
            Desired::Deleted => match remove(self.found) {
                Some(action) => Next::Do(action),
                None => self.report(Outcome::Done(OperationKind::Delete)),
            },
            _ if self.is_lost() => self.report(Outcome::Lost),
            Desired::Launch => self.launch(),
            Desired::Running => self.run(),
            Desired::Stopped => self.stop(),
        }
    }

    /// Something newer was done to it already, or it was found to be an orphan: the chain node that says this lags
    /// behind.
    fn is_outdated(&self) -> bool {
        let done = self.found.domain.as_ref().map(|domain| domain.stored.max(domain.live));
        let was_orphan = self.found.folder.as_ref().is_some_and(|f| f.orphan_for.is_some());
        done.flatten() > Some(self.wanted.generation) || (was_orphan && !self.context.authority)
    }

    /// What ran once has its data on its disk; where that is gone there is nothing to start.
    fn is_lost(&self) -> bool {
        let has_data =
            self.wanted.launched || self.found.folder.as_ref().is_some_and(|f| f.started);
        has_data && !self.found.has_disk() && self.wanted.desired != Desired::Launch
    }

    /// After some tries in vain the chain is told, so that the tenant does not wait for the deadline.
    fn give_up(&self) -> Option<Next> {
        let kind = self.wanted.operation?;
        let terminal = self
            .memory
            .last_failure
            .as_ref()
            .is_some_and(|(kind, _)| *kind == FailureKind::Terminal);
        if self.memory.failures == 0 || (self.memory.failures < TRIES && !terminal) {
            return None;
        }
        match kind {
            OperationKind::Launch => Some(self.report(Outcome::LaunchFailed)),
            // A deletion is told of, and never given up.
            OperationKind::Delete => {
                Some(self.report(Outcome::Failed(kind))).filter(|next| matches!(next, Next::Do(_)))
            }
            kind => Some(self.report(Outcome::Failed(kind))),
        }
    }

    fn report(&self, outcome: Outcome) -> Next {
        match &self.memory.reported {
            Some(sent) if sent.generation == self.wanted.generation && sent.outcome == outcome => {
                match sent.again {
                    None => Next::Rest,
                    Some(again) if again > self.context.now => Next::Wait(again),
                    Some(_) => Next::Do(Action::Report(outcome)),
                }
            }
            _ => Next::Do(Action::Report(outcome)),
        }
    }

    fn launch(&self) -> Next {
        let folder = match &self.found.folder {
            // A disk that vanished under a launch: it is not made again where the guest ran already.
            Some(Folder { disk: false, started: true, .. }) => {
                return self.report(Outcome::LaunchFailed)
            }
            Some(folder @ Folder { disk: true, .. }) => folder,
            _ if self.memory.fetching => return Next::Rest,
            _ if !self.memory.provisions => return Next::Do(Action::Fetch),
            _ => return Next::Do(Action::MakeFolder),
        };
        if let Some(action) = self.bring_up(folder) {
            return Next::Do(action);
        }
        self.report(Outcome::Launched)
    }

    fn run(&self) -> Next {
        let Some(folder) = &self.found.folder else { return Next::Rest };
        if self.wanted.operation == Some(OperationKind::Reboot) && !self.rebooted() {
            return self.reboot(folder);
        }
        if let Some(action) = self.bring_up(folder).or_else(|| self.adjust(folder)) {
            return Next::Do(action);
        }
        self.report_done()
    }

    /// From a folder with a disk to a guest that runs.
    fn bring_up(&self, folder: &Folder) -> Option<Action> {
        match &self.found.domain {
            Some(domain) if domain.power == Power::Paused => Some(Action::Resume),
            Some(domain) if domain.power == Power::On => {
                (!folder.started).then_some(Action::MarkStarted)
            }
            _ => Some(self.prepare_start(folder).unwrap_or(Action::Start)),
        }
    }

    /// What must be so before a start: the disk, the seed and the config as the chain has the VM now,
    /// and for what is asked now.
    fn prepare_start(&self, folder: &Folder) -> Option<Action> {
        self.adjust(folder).or_else(|| self.retag())
    }

    /// Writes for what it is started or stopped, so that no chain node that lags has that undone.
    fn retag(&self) -> Option<Action> {
        let stored = self.found.domain.as_ref()?.stored?;
        let asked = match self.wanted.operation? {
            OperationKind::Launch | OperationKind::Boot | OperationKind::Reboot => true,
            // A guest is stopped also where that cannot be written, as on a full disk.
            OperationKind::Stop => self.memory.failures == 0,
            OperationKind::Resize | OperationKind::Delete => false,
        };
        (asked && stored < self.wanted.generation).then_some(Action::Retag)
    }

    /// Disk, seed and stored config as the chain has the VM now.
    fn adjust(&self, folder: &Folder) -> Option<Action> {
        let wanted = &self.wanted.shape;
        if folder.shape.disk_gib < wanted.disk_gib {
            return Some(Action::Grow);
        }
        if folder.shape.address != wanted.address && !self.found.is_active() {
            return Some(Action::Reseed);
        }
        let Some(domain) = &self.found.domain else { return Some(Action::Define) };
        let fits = domain.stored.is_some()
            && domain.shape.as_ref().is_some_and(|shape| {
                (shape.vcpus, shape.memory_mib) == (wanted.vcpus, wanted.memory_mib)
                    && (shape.address == wanted.address || self.found.is_active())
            });
        (!fits).then_some(Action::Define)
    }

    /// Whether the guest was started for the reboot that is asked.
    fn rebooted(&self) -> bool {
        let live = self.found.domain.as_ref().and_then(|domain| domain.live);
        self.found.is_running() && live >= Some(self.wanted.generation)
    }

    fn reboot(&self, folder: &Folder) -> Next {
        // Written before anything is done to the guest, so that a restart of the worker in between
        // knows which start was the right one.
        if let Some(action) = self.prepare_start(folder) {
            return Next::Do(action);
        }
        match self.found.is_active() {
            true => self.power_off(),
            false => Next::Do(Action::Start),
        }
    }

    fn stop(&self) -> Next {
        let Some(folder) = &self.found.folder else { return Next::Rest };
        if let Some(action) = self.retag() {
            return Next::Do(action);
        }
        if self.found.is_active() {
            return self.power_off();
        }
        if let Some(action) = self.adjust(folder) {
            return Next::Do(action);
        }
        self.report_done()
    }

    fn report_done(&self) -> Next {
        match self.wanted.operation {
            Some(kind) => self.report(Outcome::Done(kind)),
            None => Next::Rest,
        }
    }

    /// The guest is asked, asked again, and when its time is up the plug is pulled.
    fn power_off(&self) -> Next {
        let now = self.context.now;
        let hurry = self.wanted.blocks_left.is_some_and(|left| left <= HURRY);
        match self.memory.shutdown {
            _ if hurry => Next::Do(Action::Destroy),
            Some(shutdown) if shutdown.generation == self.wanted.generation => {
                let deadline: Time = shutdown.since + self.context.shutdown_grace;
                let again = shutdown.asked + ASK_AGAIN;
                if now >= deadline {
                    Next::Do(Action::Destroy)
                } else if now >= again {
                    Next::Do(Action::ShutDown)
                } else {
                    Next::Wait(again.min(deadline))
                }
            }
            _ => Next::Do(Action::ShutDown),
        }
    }
}
