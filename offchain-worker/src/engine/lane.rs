//! One lane for each VM: the next action, then the question anew, until there is nothing to do.

use super::{
    perform::ActionError,
    table::{kind_name, shape, Table, Vm},
    Engine,
};
use crate::{
    crash,
    metrics::Outcome as Ended,
    reconcile::{self, Action, Domain, Folder, Next, Outcome, Power, Shutdown, Time},
};
use quarry_primitives::{api::WorkItem, request::FailureKind};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

const RETRY_AFTER: Duration = Duration::from_secs(2);
const RETRY_AFTER_MOST: Duration = Duration::from_secs(60);

/// An action's name in logs, metrics and the status, and of its crash point.
pub(super) fn name(action: &Action) -> &'static str {
    match action {
        Action::Fetch => "fetch",
        Action::MakeFolder => "make-folder",
        Action::MarkStarted => "mark-started",
        Action::Reseed => "reseed",
        Action::Define => "define",
        Action::Retag => "retag",
        Action::Start => "start",
        Action::Resume => "resume",
        Action::ShutDown => "shut-down",
        Action::Destroy => "destroy",
        Action::Grow => "grow",
        Action::MarkOrphan => "mark-orphan",
        Action::RemoveDisk => "remove-disk",
        Action::Undefine => "undefine",
        Action::RemoveFolder => "remove-folder",
        Action::Report(Outcome::Working) => "report-working",
        Action::Report(Outcome::Launched) => "report-launched",
        Action::Report(Outcome::LaunchFailed) => "report-launch-failed",
        Action::Report(Outcome::Lost) => "report-lost",
        Action::Report(Outcome::Done(_)) => "report-done",
        Action::Report(Outcome::Failed(_)) => "report-failed",
    }
}

/// Whether it is more than a change of files.
fn calls_libvirt(action: &Action) -> bool {
    !matches!(
        action,
        Action::MakeFolder
            | Action::MarkStarted
            | Action::MarkOrphan
            | Action::Reseed
            | Action::RemoveDisk
            | Action::RemoveFolder
    )
}

/// Frees the VM for another lane, however this one ends.
struct Busy<'a> {
    engine: &'a Engine,
    uuid: Uuid,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Some(vm) = self.engine.table().vms.get_mut(&self.uuid) {
            vm.busy = false;
        }
        self.engine.wake.notify_one();
    }
}

impl Engine {
    /// Starts a lane for a VM that has none; it waits for its turn.
    pub(super) fn spawn_lane(self: &Arc<Self>, uuid: Uuid) {
        let engine = self.clone();
        tokio::spawn(async move {
            let Ok(permit) = engine.permits.clone().acquire_owned().await else { return };
            let lane = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let busy = Busy { engine: &engine, uuid };
                engine.run_lane(uuid);
                drop(busy);
            });
            if let Err(error) = lane.await {
                tracing::error!(%uuid, %error, "a lane broke off; the VM is looked at anew");
            }
        });
    }

    fn run_lane(self: &Arc<Self>, uuid: Uuid) {
        while let Some((action, item)) = self.next_action(uuid) {
            match &action {
                Action::Fetch => self.fetch_for(uuid, item),
                Action::Report(outcome) => self.report(uuid, item, outcome.clone()),
                _ => {
                    if !self.act(uuid, &action, item.as_deref()) {
                        return;
                    }
                    if action == Action::Start && self.permits.available_permits() == 0 {
                        // What is to be told of it comes after the starts that wait for their turn.
                        return;
                    }
                }
            }
        }
    }

    fn next_action(&self, uuid: Uuid) -> Option<(Action, Option<Arc<WorkItem>>)> {
        let mut table = self.table();
        let context = self.context(&table);
        let next = table.vms.get(&uuid).map(|vm| table.next(vm, &context))?;
        let vm = table.vms.get_mut(&uuid)?;
        match next {
            Next::Do(action) => {
                vm.progress = Some(name(&action));
                vm.acts = vm.acts.wrapping_add(1);
                let item = vm.item.clone();
                if let Some(item) = item.as_deref() {
                    let is_first = vm.begun.replace(item.generation) != Some(item.generation);
                    self.tell_queued(&table, item, is_first);
                }
                Some((action, item))
            }
            Next::Wait(due) => {
                vm.due = Some(due);
                None
            }
            Next::Rest => {
                vm.due = None;
                vm.progress = None;
                None
            }
        }
    }

    fn tell_queued(&self, table: &Table, item: &WorkItem, is_first: bool) {
        if let Some(operation) = item.operation.as_ref().filter(|_| is_first) {
            if let Some(blocks) = table.queued_for(operation) {
                self.metrics.operation_begun(kind_name(operation.kind), blocks);
            }
        }
    }

    /// Whether it worked, so that the lane may go on without looking.
    fn act(&self, uuid: Uuid, action: &Action, item: Option<&WorkItem>) -> bool {
        let what = name(action);
        let request = item.map_or(0, |item| item.request_id);
        let generation = item.map(|item| item.generation);
        let span = tracing::info_span!("vm", node = self.node_name(), request, generation);
        let _entered = span.enter();
        if calls_libvirt(action) {
            self.first_call();
        }
        crash::point("before", what);
        let begun = Instant::now();
        let timer = self.metrics.begin_action(what);
        let result = self.perform(uuid, action, item);
        timer.finish(if result.is_ok() { Ended::Done } else { Ended::Failed });
        crash::point("after", what);
        match &result {
            Ok(()) => tracing::info!(action = what, took = ?begun.elapsed(), "done"),
            Err(error) => tracing::warn!(action = what, %error, "failed; it is tried again"),
        }
        self.note(uuid, action, item, result)
    }

    /// Remembers what an action did, as a look at libvirt would show it.
    fn note(
        &self,
        uuid: Uuid,
        action: &Action,
        item: Option<&WorkItem>,
        result: Result<(), ActionError>,
    ) -> bool {
        let now = self.now();
        let mut table = self.table();
        let Some(vm) = table.vms.get_mut(&uuid) else { return false };
        vm.acts = vm.acts.wrapping_add(1);
        let generation = |item: Option<&WorkItem>| item.map(|item| item.generation);
        let asked = generation(vm.item.as_deref()) == generation(item);
        match result {
            Ok(()) => {
                vm.memory.failures = 0;
                vm.memory.not_before = None;
                vm.memory.last_failure = None;
                vm.last_error = None;
                succeeded(vm, action, item, now);
                true
            }
            Err(error) => {
                vm.last_error = Some(error.to_string());
                if *action == Action::MarkOrphan {
                    // On a full disk it would else never go, and may be what fills the disk.
                    vm.orphan_since = vm.orphan_since.or(Some(now));
                }
                // What is asked by now has not failed.
                if asked {
                    failed(vm, &error, now);
                }
                if error.is_silence() {
                    table.has_seen = false;
                }
                self.look_soon();
                false
            }
        }
    }
}

fn failed(vm: &mut Vm, error: &ActionError, now: Time) {
    if !error.is_silence() {
        vm.memory.failures = vm.memory.failures.saturating_add(1);
        vm.memory.last_failure = Some((error.kind(), error.to_string()));
    }
    vm.memory.not_before = Some(now + wait_after(vm.memory.failures));
}

/// Before the next try, after so many failed in a row.
pub(super) fn wait_after(failures: u32) -> Duration {
    RETRY_AFTER.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(RETRY_AFTER_MOST)
}

fn succeeded(vm: &mut Vm, action: &Action, item: Option<&WorkItem>, now: Time) {
    let generation = item.map(|item| item.generation);
    let wanted_shape = item.map(shape);
    match action {
        Action::MakeFolder => {
            vm.found.folder = wanted_shape.map(|shape| Folder {
                disk: true,
                started: false,
                shape,
                orphan_for: None,
            });
            // The folder holds the image from now on.
            vm.image = None;
            vm.user_data = None;
            vm.memory.provisions = false;
        }
        Action::Define => {
            let domain = vm.found.domain.get_or_insert(reconcile::Domain {
                power: Power::Off,
                stored: None,
                live: None,
                shape: None,
            });
            domain.stored = generation;
            domain.shape = wanted_shape;
        }
        Action::Start => {
            vm.started(now);
            vm.memory.shutdown = None;
            change_domain(vm, |domain| (domain.power, domain.live) = (Power::On, domain.stored));
        }
        Action::Resume => {
            vm.started(now);
            change_domain(vm, |domain| domain.power = Power::On);
        }
        Action::Destroy => {
            vm.memory.shutdown = None;
            change_domain(vm, |domain| (domain.power, domain.live) = (Power::Off, None));
        }
        Action::ShutDown => {
            let generation = generation.unwrap_or_default();
            let since = vm.memory.shutdown.filter(|asked| asked.generation == generation);
            vm.memory.shutdown = Some(Shutdown {
                generation,
                since: since.map_or(now, |asked| asked.since),
                asked: now,
            });
        }
        Action::Retag => change_domain(vm, |domain| domain.stored = generation),
        Action::Undefine => vm.found.domain = None,
        Action::RemoveFolder => vm.found.folder = None,
        Action::MarkStarted => change_folder(vm, |folder| folder.started = true),
        Action::MarkOrphan => change_folder(vm, |folder| folder.orphan_for = Some(Duration::ZERO)),
        Action::RemoveDisk => change_folder(vm, |folder| folder.disk = false),
        Action::Reseed => change_folder(vm, |folder| {
            folder.shape.address = wanted_shape.and_then(|shape| shape.address);
        }),
        Action::Grow => change_folder(vm, |folder| {
            folder.shape.disk_gib = wanted_shape.map_or(folder.shape.disk_gib, |s| s.disk_gib);
        }),
        Action::Fetch | Action::Report(_) => (),
    }
}

fn change_domain(vm: &mut Vm, change: impl FnOnce(&mut Domain)) {
    if let Some(domain) = &mut vm.found.domain {
        change(domain);
    }
}

fn change_folder(vm: &mut Vm, change: impl FnOnce(&mut Folder)) {
    if let Some(folder) = &mut vm.found.folder {
        change(folder);
    }
}

/// Why a launch or an operation failed, for the chain.
pub(super) fn failure(vm: &Vm) -> (FailureKind, String) {
    vm.memory.last_failure.clone().unwrap_or_else(lost)
}

/// Where nothing failed there was nothing left to fail.
pub(super) fn lost() -> (FailureKind, String) {
    (FailureKind::Retryable, "the VM's disk is gone".into())
}

/// What is asked of a VM, for people.
pub(super) fn operation_name(item: &WorkItem) -> Option<&'static str> {
    item.operation.map(|operation| kind_name(operation.kind))
}
