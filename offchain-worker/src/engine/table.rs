//! What the worker knows of each VM, in one place and behind one lock that nothing waits under.

use crate::{
    identity::Identity,
    reconcile::{self, Context, Folder, Found, Memory, Next, Power, Shape, Time, Wanted},
};
use quarry_hypervisor::{Domain, DomainState, Tag};
use quarry_images::Held;
use quarry_primitives::{
    api::WorkItem,
    node::Access,
    request::{Operation, OperationKind, Params, RequestId},
    BlockNumber,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A guest that lives so long is none that dies at every start.
const STABLE: Duration = Duration::from_secs(600);
/// Before the first new start of a guest that died by itself.
const REVIVE_AFTER: Duration = Duration::from_secs(5);
/// Before any later one at most.
const REVIVE_AFTER_MOST: Duration = Duration::from_secs(300);

/// All VMs, and what holds for all of them.
#[derive(Default)]
pub(super) struct Table {
    pub vms: HashMap<Uuid, Vm>,
    /// Live blocks at the finalized block that was read last.
    pub live_block: BlockNumber,
    /// The number of that block.
    pub read_block: BlockNumber,
    /// Whether its chain node is one whose word may be acted on in ways that cannot be undone.
    pub sound: bool,
    /// What was told of both.
    pub told: Option<bool>,
    /// The number that the chain gives next: what is not below it is of a future that this chain does
    /// not know.
    pub next_request_id: RequestId,
    /// The chain's waits.
    pub params: Option<Params>,
    /// Whether the work was read since the start.
    pub has_work: bool,
    /// Whether libvirt's answer is newer than its last silence.
    pub has_seen: bool,
    /// The highest finalized block that was ever read.
    pub seen_block: BlockNumber,
    /// The highest that any domain's tag names.
    pub seen_by_domains: BlockNumber,
    /// The node's `work_version` when that was; outer none to read it anyway, inner none for no node.
    pub work_version: Option<Option<u64>>,
    /// How tenants reach the node, as the chain has it.
    pub access: Option<Access>,
    /// When that work was known, until the first call to libvirt that it led to.
    pub work_known_at: Option<Instant>,
}

/// One VM.
#[derive(Default)]
pub(super) struct Vm {
    pub item: Option<Arc<WorkItem>>,
    /// For orphans, which have no item.
    pub request_id: RequestId,
    pub found: Found,
    pub memory: Memory,
    /// What its launch needs.
    pub image: Option<Held>,
    pub user_data: Option<Vec<u8>>,
    /// Whether a lane is at it.
    pub busy: bool,
    /// Actions of this worker on it.
    pub acts: u64,
    /// When the question is due again although nothing changed.
    pub due: Option<Time>,
    /// Starts in a row after which it soon was off again.
    pub deaths: u32,
    pub started_at: Option<Time>,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
    /// What is being done, for people.
    pub progress: Option<&'static str>,
    /// What the status says of it, and since when.
    pub shown: Option<super::publish::Shown>,
    /// The generation whose first step was taken.
    pub begun: Option<u64>,
}

impl Vm {
    pub fn wanted(&self, live_block: BlockNumber) -> Option<Wanted> {
        self.item.as_ref().map(|item| wanted(item, live_block))
    }

    /// Whether what was read before is newer than what a chain node says that lags behind.
    pub fn knows_better_than(&self, item: Option<&WorkItem>) -> bool {
        match (&self.item, item) {
            (Some(known), Some(item)) => known.generation > item.generation,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Takes what the chain says now. What was tried for an earlier generation counts no more.
    pub fn take(&mut self, item: Option<Arc<WorkItem>>) {
        let key = |item: &Option<Arc<WorkItem>>| item.as_ref().map(|i| (i.generation, i.desired));
        if key(&item) != key(&self.item) {
            self.memory = Memory {
                provisions: self.memory.provisions,
                fetching: self.memory.fetching,
                shutdown: self.memory.shutdown,
                ..Memory::default()
            };
        }
        if let Some(item) = &item {
            self.request_id = item.request_id;
        }
        self.item = item;
    }

    /// Says when the guest may be started again if it dies by itself: later each time that it did soon
    /// after its start.
    pub fn started(&mut self, now: Time) {
        let stable = self.started_at.is_some_and(|at| now.saturating_sub(at) > STABLE);
        let asked = self.item.as_ref().is_some_and(|item| item.operation.is_some());
        self.deaths = if stable || asked { 0 } else { self.deaths.saturating_add(1) };
        self.started_at = Some(now);
        let wait = REVIVE_AFTER.saturating_mul(1 << self.deaths.min(6)).min(REVIVE_AFTER_MOST);
        self.memory.start_not_before = Some(now + wait);
    }
}

impl Table {
    pub fn next(&self, vm: &Vm, context: &Context) -> Next {
        if vm.item.is_none() && vm.request_id >= self.next_request_id {
            return Next::Rest;
        }
        reconcile::next(vm.wanted(self.live_block).as_ref(), &vm.found, &vm.memory, context)
    }

    /// Live blocks since an operation was queued, as far as its deadline tells.
    pub fn queued_for(&self, operation: &Operation) -> Option<BlockNumber> {
        let params = self.params.as_ref()?;
        let wait = match operation.kind {
            OperationKind::Launch => params.launch_timeout,
            OperationKind::Delete => params.delete_timeout,
            _ => params.operation_timeout,
        };
        Some((self.live_block + wait).saturating_sub(operation.deadline))
    }

    /// Whether the block that was read last may be acted on in ways that cannot be undone. Domains may
    /// know of a higher one when this worker's own memory is gone.
    pub fn authority(&self) -> bool {
        self.sound && self.read_block >= self.highest_seen()
    }

    /// The highest finalized block of which anything here knows.
    pub fn highest_seen(&self) -> BlockNumber {
        self.seen_block.max(self.seen_by_domains)
    }

    /// Drops those of which there is nothing left, neither on the chain nor here.
    pub fn prune(&mut self) {
        self.vms.retain(|_, vm| vm.busy || vm.item.is_some() || !vm.found.is_nothing());
    }
}

fn wanted(item: &WorkItem, live_block: BlockNumber) -> Wanted {
    Wanted {
        request_id: item.request_id,
        generation: item.generation,
        desired: item.desired,
        operation: item.operation.map(|operation| operation.kind),
        blocks_left: item.operation.map(|operation| operation.deadline.saturating_sub(live_block)),
        launched: item.launched,
        shape: shape(item),
    }
}

/// What of a VM can change, as the chain has it.
pub(super) fn shape(item: &WorkItem) -> Shape {
    Shape {
        vcpus: item.resources.vcpus,
        memory_mib: item.resources.memory_mib,
        disk_gib: item.resources.disk_gib,
        address: item.address.as_ref().map(|address| address.address.into()),
    }
}

/// A domain as the decision sees it.
pub(super) fn domain_view(domain: &Domain, defined: Option<Shape>) -> reconcile::Domain {
    reconcile::Domain {
        power: match domain.state {
            DomainState::Running | DomainState::ShuttingDown => Power::On,
            DomainState::Paused => Power::Paused,
            DomainState::Off | DomainState::Crashed => Power::Off,
        },
        stored: domain.stored.as_ref().map(|tag| tag.generation),
        live: domain.live.as_ref().map(|tag| tag.generation),
        shape: defined,
    }
}

/// A folder as the decision sees it.
pub(super) fn folder_view(manifest: &crate::folders::Manifest, disk: bool) -> Folder {
    Folder {
        disk,
        started: manifest.started,
        shape: manifest.shape.clone(),
        orphan_for: manifest.orphan_for(),
    }
}

/// Whether a domain is what its tag says: of this chain and this node, under the id that follows.
pub(super) fn is_ours(domain: &Domain, genesis: &[u8; 32], node_id: &str) -> Option<Tag> {
    let tag = domain.stored.as_ref().or(domain.live.as_ref())?;
    let ours = tag.genesis == *genesis
        && tag.node_id == node_id
        && Identity::of_tag(tag).uuid() == domain.uuid;
    ours.then(|| tag.clone())
}

/// What an operation is called in logs, metrics and the status.
pub(super) fn kind_name(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Launch => "launch",
        OperationKind::Boot => "boot",
        OperationKind::Stop => "stop",
        OperationKind::Reboot => "reboot",
        OperationKind::Resize => "resize",
        OperationKind::Delete => "delete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_below_what_a_domain_knows_of_removes_nothing() {
        let table = Table { read_block: 12, sound: true, ..Table::default() };
        assert!(table.authority());
        assert!(!Table { seen_by_domains: 40, ..table }.authority());
        let table = Table { read_block: 12, sound: true, seen_block: 40, ..Table::default() };
        assert!(!table.authority());
    }
}
