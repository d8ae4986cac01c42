//! The node's work, as a finalized block has it.

use super::{
    lock,
    table::{Table, Vm},
    Engine,
};
use crate::{identity::Identity, network};
use quarry_client::{Finalized, ReadError};
use quarry_primitives::{api::WorkItem, node::NodeRecord, BlockNumber};
use std::{
    collections::HashMap,
    sync::{atomic::Ordering, Arc},
    time::Instant,
};
use uuid::Uuid;

impl Engine {
    /// Reads what the chain wants at a finalized block. The list itself is read only where the node's
    /// work changed since it was read last with authority.
    pub(super) async fn read_work(&self, finalized: Finalized) -> Result<(), ReadError> {
        let begun = Instant::now();
        let at = self.chain.at(finalized.block.hash);
        let node = at.node(&self.settings.node_id).await?.map(|view| view.node);
        let live_block = at.live_blocks().await?;
        // Whether it is alone says nothing: finality that goes on has all the peers that it needs.
        let syncing = self.chain.network().await?.is_syncing;
        let version = node.as_ref().map(|node| node.work_version);
        let (reading, authority, changed) = {
            let mut table = self.table();
            let reading = table.judge(finalized, live_block, syncing, self.now());
            table.restrict(reading);
            (reading, table.has_authority(reading), table.lacks_work_of(version))
        };
        self.note_block(finalized, !reading.synced, node.as_ref());
        if changed {
            let items = match &node {
                Some(_) => at.work_for(&self.settings.node_id).await?,
                None => Vec::new(),
            };
            let next_request_id = at.next_request_id().await?;
            let params = at.params().await?;
            let stays_for = at.offline_after().await?.saturating_add(params.evict_after);
            let (number, vms, took) = (finalized.block.number, items.len(), begun.elapsed());
            tracing::debug!(number, vms, ?took, "the node's work was read");
            self.guard_against_loss(&items, authority);
            self.want_filter(&items, authority);
            self.take_work(items, |table| {
                table.read = reading;
                table.next_request_id = next_request_id;
                table.params = Some(params);
                table.stays_for = stays_for;
                table.note_work_of(version);
                table.has_work = true;
                table.work_known_at = Some(finalized.told_at);
            });
        } else {
            self.table().read = reading;
        }
        self.tell_authority(finalized);
        self.remember(finalized);
        Ok(())
    }

    /// Makes the next reading a whole one.
    pub(super) fn forget_work_version(&self) {
        self.table().work_version = None;
    }

    /// Takes the work together with what `note` knows of it: no lane sees one without the other.
    fn take_work(&self, items: Vec<WorkItem>, note: impl FnOnce(&mut Table)) {
        let mut items: HashMap<Uuid, Arc<WorkItem>> = items
            .into_iter()
            .map(|item| (Identity::of(self.genesis, &item).uuid(), Arc::new(item)))
            .collect();
        let mut table = self.table();
        note(&mut table);
        let authority = table.authority();
        for (uuid, vm) in table.vms.iter_mut() {
            let item = items.remove(uuid);
            if !authority && vm.knows_better_than(item.as_deref()) {
                continue;
            }
            vm.take(item);
            let is_marked = vm.found.folder.as_ref().is_some_and(|f| f.orphan_for.is_some());
            if authority && is_marked && vm.item.is_some() {
                self.un_orphan(*uuid, vm);
            }
        }
        for (uuid, item) in items {
            let vm = table.vms.entry(uuid).or_default();
            vm.take(Some(item));
            let mut found = std::mem::take(&mut vm.found);
            self.mind_stray_disk(vm, &mut found);
            vm.found = found;
        }
        self.publish_directory(&table);
    }

    /// What was an orphan and is wanted again ages from nought if it is ever one again.
    fn un_orphan(&self, uuid: Uuid, vm: &mut Vm) {
        vm.orphan_since = None;
        if let Err(error) = self.folders.change(uuid, |manifest| manifest.orphan_since = None) {
            tracing::warn!(%uuid, %error, "still marked as an orphan");
        } else if let Some(folder) = &mut vm.found.folder {
            folder.orphan_for = None;
        }
    }

    /// From now on what is not in the data folder is lost.
    pub(super) fn may_lose(&self) {
        match self.folders.mark() {
            Ok(()) => self.may_lose.store(true, Ordering::Relaxed),
            Err(error) => {
                tracing::error!(%error, "the data folder cannot be marked as this node's")
            }
        }
    }

    /// A data folder without any memory, on a node whose VMs ran already, is more likely an unmounted
    /// disk than a loss. A chain node that lags may know of a time before they ran.
    fn guard_against_loss(&self, items: &[WorkItem], authority: bool) {
        if !authority || self.may_lose.load(Ordering::Relaxed) {
            return;
        }
        let ran = items.iter().filter(|item| item.launched).count();
        if ran == 0 {
            self.may_lose();
            return;
        }
        tracing::error!(
            data_dir = %self.settings.data_dir.display(),
            vms = ran,
            "the data folder is new, and the chain has VMs that ran here: mount the disk that they lie \
             on and start again; if they are lost, start with --accept-loss",
        );
    }

    /// Says which filter guests are plugged in behind: as the config and the pools have it now. A node
    /// without VMs leaves none behind.
    fn want_filter(&self, items: &[WorkItem], authority: bool) {
        if !self.settings.network.filter || !self.filters {
            return;
        }
        let name = self.filter_name.clone();
        let wanted = network::policy(name, &self.settings.network, items.iter());
        if items.is_empty() {
            if !authority {
                return;
            }
            lock(&self.policy).forget();
            // An orphan may still be plugged in behind it: then it stays until the next reading.
            let removed =
                tokio::task::block_in_place(|| self.hypervisor.remove_filter(&wanted.name));
            if let Err(error) = removed {
                tracing::debug!(%error, "the network filter stays");
            }
            return;
        }
        lock(&self.policy).wanted = Some(wanted);
        if let Err(error) = tokio::task::block_in_place(|| self.ensure_filter()) {
            tracing::error!(%error, "the network filter cannot be made: no guest is started without it");
        }
    }

    /// Makes the filter as it should be, unless it is so already.
    pub(super) fn ensure_filter(&self) -> quarry_hypervisor::Result<()> {
        let mut policy = lock(&self.policy);
        if policy.in_force != policy.wanted {
            if let Some(wanted) = policy.wanted.clone() {
                self.hypervisor.ensure_filter(&wanted)?;
                policy.in_force = Some(wanted);
            }
        }
        Ok(())
    }

    fn note_block(&self, finalized: Finalized, syncing: bool, node: Option<&NodeRecord>) {
        let number = finalized.block.number;
        self.metrics.set_finalized(number);
        self.board.finalized(number, syncing);
        let registered = node.is_some_and(|node| self.signer.follow(&node.worker));
        self.board.update(|status| status.registered = registered);
        self.table().access = node.map(|node| node.access.clone());
    }

    fn tell_authority(&self, finalized: Finalized) {
        let mut table = self.table();
        let now = (table.authority(), table.read.synced);
        let told = table.told.replace(now);
        if told.is_none() && !now.1 {
            tracing::info!(
                "waiting for finality to go on: until then no guest is started or stopped"
            );
        } else if told != Some(now) {
            log_authority(now, finalized, table.highest_seen());
        }
    }

    fn remember(&self, finalized: Finalized) {
        // A chain that was reset would else never count as one that lags behind.
        let taken = self.may_lose.load(Ordering::Relaxed);
        if !finalized.may_act() || !taken {
            return;
        }
        let mut state = lock(&self.state);
        if let Err(error) = state.saw(finalized.block.number) {
            tracing::error!(%error, "the highest finalized block is not remembered");
        }
        let seen = state.seen();
        drop(state);
        self.table().seen_block = seen;
    }
}

fn log_authority((authority, synced): (bool, bool), finalized: Finalized, seen: BlockNumber) {
    let number = finalized.block.number;
    match (authority, synced) {
        (true, _) => tracing::info!(number, "the chain's word is good for all"),
        (false, false) => tracing::warn!(
            number,
            "the chain node is syncing, or behind: no guest is started or stopped, and nothing removed, by its word",
        ),
        (false, true) => tracing::warn!(
            number,
            seen,
            standing = ?finalized.standing,
            "the chain is behind what was seen of it, or was reset: nothing is stopped or removed by its word",
        ),
    }
}
