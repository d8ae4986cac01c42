//! What the worker knows of each VM, in one place and behind one lock that nothing waits under.

use crate::{
    identity::Identity,
    reconcile::{self, Context, Folder, Found, Memory, Next, Power, Shape, Time, Wanted},
};
use quarry_client::Finalized;
use quarry_hypervisor::{Domain, DomainState, Tag};
use quarry_images::Held;
use quarry_primitives::{
    api::WorkItem,
    node::Access,
    request::{Operation, OperationKind, Params, RequestId},
    BlockNumber, MILLISECS_PER_BLOCK,
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

/// Finality may rest for this part of the time in which no VM can be taken elsewhere.
const MAY_REST: u32 = 2;
/// Beyond those that the time since the last one makes, so many blocks may become final together. A chain node that
/// catches up makes more of them final, and may say that it has caught up when they are read.
const TOGETHER: BlockNumber = 10;
const BLOCK_TIME: Duration = Duration::from_millis(MILLISECS_PER_BLOCK);

/// How finality came to this worker: what is final when it begins to look may be as old as the last power cut, and the
/// chain node's peers as old as itself.
#[derive(Default)]
pub(super) struct Finality {
    /// The chain, by its number in this run, and the highest of its blocks that was read.
    highest: Option<(u32, BlockNumber)>,
    /// When that one came.
    came_at: Time,
    /// Whether it came while the worker looked, when it should, from a chain node that was not syncing.
    is_of_now: bool,
}

impl Finality {
    /// Takes what was read, and says whether it is of now.
    fn judge(&mut self, finalized: Finalized, syncing: bool, now: Time) -> bool {
        let (chain, number) = (finalized.chain_number, finalized.block.number);
        match self.highest.filter(|(of, _)| *of == chain) {
            Some((_, highest)) if number < highest => return false,
            Some((_, highest)) if number == highest => self.is_of_now &= !syncing,
            known => {
                let since = now.saturating_sub(self.came_at);
                let most = blocks_in(since).saturating_add(TOGETHER);
                let in_time =
                    known.is_some_and(|(_, highest)| number.saturating_sub(highest) <= most);
                self.is_of_now = in_time && !syncing;
                (self.highest, self.came_at) = (Some((chain, number)), now);
            }
        }
        self.is_of_now
    }
}

fn blocks_in(time: Duration) -> BlockNumber {
    BlockNumber::try_from(time.as_millis() / BLOCK_TIME.as_millis()).unwrap_or(BlockNumber::MAX)
}

/// A finalized block, and what may be done by its word.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    /// Its number.
    pub block: BlockNumber,
    /// Live blocks at it.
    pub live_block: BlockNumber,
    /// Whether it is of now, as far as it could be told when it was read.
    pub synced: bool,
    /// Whether its chain node is one whose word may be acted on in ways that cannot be undone.
    pub sound: bool,
}

/// All VMs, and what holds for all of them.
#[derive(Default)]
pub(super) struct Table {
    pub vms: HashMap<Uuid, Vm>,
    /// The finalized block that the VMs' items are of.
    pub read: Reading,
    /// How it came.
    pub finality: Finality,
    /// What was told of it: whether it has authority, and whether guests may be started.
    pub told: Option<(bool, bool)>,
    /// The number that the chain gives next: what is not below it is of a future that this chain does
    /// not know.
    pub next_request_id: RequestId,
    /// The chain's waits.
    pub params: Option<Params>,
    /// Live blocks since this node's last sign of life in which no VM can be taken elsewhere.
    pub stays_for: BlockNumber,
    /// Whether the work was read since the start.
    pub has_work: bool,
    /// Whether libvirt's answer is newer than its last silence.
    pub has_seen: bool,
    /// The highest finalized block that was ever read.
    pub seen_block: BlockNumber,
    /// The highest that any domain's tag names.
    pub seen_by_domains: BlockNumber,
    /// The node's `work_version` when all of it was taken; outer none to read it anyway, inner none for no node.
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
    /// Since when it is an orphan, where that could not be written into its folder.
    pub orphan_since: Option<Time>,
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

    /// Says of what was found how long it has been an orphan, where its folder does not.
    pub fn mind_mark(&self, found: &mut Found, now: Time) {
        if let (Some(folder), Some(since)) = (&mut found.folder, self.orphan_since) {
            folder.orphan_for = folder.orphan_for.or(Some(now.saturating_sub(since)));
        }
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
        reconcile::next(vm.wanted(self.read.live_block).as_ref(), &vm.found, &vm.memory, context)
    }

    /// What may be done by the word of a finalized block.
    pub fn judge(
        &mut self,
        finalized: Finalized,
        live_block: BlockNumber,
        syncing: bool,
        now: Time,
    ) -> Reading {
        let synced = self.finality.judge(finalized, syncing, now);
        let block = finalized.block.number;
        Reading { block, live_block, synced, sound: synced && finalized.may_act() }
    }

    /// Whether guests may be started by what was read last. While finality rests, a VM may be taken elsewhere, and its
    /// chain node not hear of it.
    pub fn is_of_now(&self, now: Time) -> bool {
        let rests = BLOCK_TIME.saturating_mul(self.stays_for) / MAY_REST;
        self.read.synced && now.saturating_sub(self.finality.came_at) <= rests
    }

    /// What a reading takes away counts at once, and what it gives only with the items that it is of.
    pub fn restrict(&mut self, reading: Reading) {
        self.read.synced &= reading.synced;
        self.read.sound &= reading.sound;
    }

    /// Whether the node's work of that version is still to be read.
    pub fn lacks_work_of(&self, version: Option<u64>) -> bool {
        self.work_version != Some(version)
    }

    /// Takes up that the node's work of that version was read. Without authority not all of it was taken, and it is read
    /// again when a block has it.
    pub fn note_work_of(&mut self, version: Option<u64>) {
        self.work_version = self.authority().then_some(version);
    }

    /// Live blocks since an operation was queued, as far as its deadline tells.
    pub fn queued_for(&self, operation: &Operation) -> Option<BlockNumber> {
        let params = self.params.as_ref()?;
        let wait = match operation.kind {
            OperationKind::Launch => params.launch_timeout,
            OperationKind::Delete => params.delete_timeout,
            _ => params.operation_timeout,
        };
        Some((self.read.live_block + wait).saturating_sub(operation.deadline))
    }

    /// Whether the block that was read last may be acted on in ways that cannot be undone. Domains may
    /// know of a higher one when this worker's own memory is gone.
    pub fn authority(&self) -> bool {
        self.has_authority(self.read)
    }

    pub fn has_authority(&self, reading: Reading) -> bool {
        reading.sound && reading.block >= self.highest_seen()
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
    use quarry_client::{Block, Standing};
    use quarry_primitives::Hash;

    fn finalized(number: u8) -> Finalized {
        let hash = Hash::repeat_byte(number);
        Finalized {
            block: Block { number: number.into(), hash, parent: Hash::zero() },
            standing: Standing::Ahead,
            chain_number: 0,
            told_at: Instant::now(),
        }
    }

    fn table(block: BlockNumber) -> Table {
        let read = Reading { block, live_block: block, synced: true, sound: true };
        Table { read, ..Table::default() }
    }

    #[test]
    fn a_block_below_what_a_domain_knows_of_removes_nothing() {
        assert!(table(12).authority());
        assert!(!Table { seen_by_domains: 40, ..table(12) }.authority());
        assert!(!Table { seen_block: 40, ..table(12) }.authority());
    }

    #[test]
    fn before_the_first_reading_nothing_is_started_or_removed() {
        let table = Table::default();
        assert!(!table.read.synced && !table.authority());
    }

    /// What each of these blocks is good for, read one after the other.
    fn judged(blocks: &[(Finalized, bool)]) -> Vec<(bool, bool)> {
        let mut table = Table::default();
        let mut judge = |(finalized, syncing): &(Finalized, bool)| {
            let reading = table.judge(*finalized, 1, *syncing, Time::ZERO);
            (reading.synced, reading.sound)
        };
        blocks.iter().map(&mut judge).collect()
    }

    const NONE: (bool, bool) = (false, false);
    const ALL: (bool, bool) = (true, true);

    #[test]
    fn what_was_final_before_the_worker_looked_is_old() {
        let read = [7, 7, 8, 8, 9].map(|number| (finalized(number), false));
        assert_eq!(judged(&read), [NONE, NONE, ALL, ALL, ALL]);
    }

    #[test]
    fn what_was_final_while_the_chain_node_was_syncing_is_old_also_when_it_has_caught_up() {
        let read =
            [(6, false), (7, true), (7, false), (8, false), (8, true), (8, false), (9, false)]
                .map(|(number, syncing)| (finalized(number), syncing));
        assert_eq!(judged(&read), [NONE, NONE, NONE, ALL, NONE, NONE, ALL]);
    }

    #[test]
    fn what_became_final_faster_than_blocks_are_made_is_old() {
        let mut table = Table::default();
        let read = [(7, 0, false), (18, 5, false), (19, 6, true), (40, 72, true), (54, 84, false)];
        for (number, second, of_now) in read {
            let now = Time::from_secs(second);
            let reading = table.judge(finalized(number), 1, false, now);
            assert_eq!(reading.synced, of_now, "{number}");
        }
    }

    #[test]
    fn two_chain_nodes_that_are_both_old_do_not_make_each_other_new() {
        let read = [7, 5, 7, 5, 6, 7].map(|number| (finalized(number), false));
        assert_eq!(judged(&read), [NONE; 6]);
    }

    #[test]
    fn a_chain_that_began_anew_starts_guests_and_stops_none() {
        let reset = |number| Finalized {
            standing: Standing::Replaced,
            chain_number: 1,
            ..finalized(number)
        };
        let read = [finalized(7), finalized(8), reset(2), reset(3)].map(|block| (block, false));
        assert_eq!(judged(&read), [NONE, ALL, NONE, (true, false)]);
    }

    #[test]
    fn while_finality_rests_for_long_no_guest_is_started() {
        let at = Time::from_secs;
        let mut table = Table { stays_for: 20, ..Table::default() };
        for (number, second) in [(7, 0), (8, 6), (8, 60)] {
            table.read = table.judge(finalized(number), 1, false, at(second));
        }
        assert!(table.is_of_now(at(66)));
        assert!(!table.is_of_now(at(67)));
        table.read = table.judge(finalized(9), 1, false, at(70));
        assert!(table.is_of_now(at(70)));
    }

    #[test]
    fn a_reading_takes_authority_away_before_its_items_are_known_and_does_not_give_it() {
        let mut table = table(12);
        table.judge(finalized(12), 12, false, Time::ZERO);
        let sound = table.judge(finalized(13), 13, false, Time::ZERO);
        let unsound = table.judge(finalized(13), 13, true, Time::ZERO);
        table.restrict(sound);
        assert!(table.read.synced && table.authority());
        table.restrict(unsound);
        assert!(!table.read.synced && !table.authority());
        table.restrict(sound);
        assert!(!table.read.synced && !table.authority());
    }

    #[test]
    fn work_that_was_read_without_authority_is_read_again_when_there_is_some() {
        let mut table = table(12);
        table.read.sound = false;
        table.note_work_of(Some(7));
        assert!(table.lacks_work_of(Some(7)));
        table.read.sound = true;
        table.note_work_of(Some(7));
        assert!(!table.lacks_work_of(Some(7)));
        assert!(table.lacks_work_of(Some(8)) && table.lacks_work_of(None));
    }

    #[test]
    fn an_orphan_whose_folder_cannot_be_written_ages_all_the_same() {
        let at = Duration::from_secs;
        let shape = Shape { vcpus: 1, memory_mib: 512, disk_gib: 5, address: None };
        let folder = Folder { disk: true, started: true, shape, orphan_for: None };
        let mut found = Found { folder: Some(folder), domain: None };
        let vm = Vm { orphan_since: Some(at(100)), ..Vm::default() };
        vm.mind_mark(&mut found, at(160));
        assert_eq!(found.folder.and_then(|folder| folder.orphan_for), Some(at(60)));
    }
}
