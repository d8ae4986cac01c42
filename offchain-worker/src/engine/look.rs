//! What is on the host: libvirt's domains and the folders, and to which VM each belongs.

use super::{
    table::{domain_view, folder_view, is_ours, shape, Vm},
    Engine,
};
use crate::{
    folders::Manifest,
    identity::Identity,
    reconcile::{Domain, Folder, Found},
};
use quarry_primitives::request::RequestId;
use std::{
    collections::HashMap,
    sync::{atomic::Ordering, Arc},
};
use uuid::Uuid;

struct Seen {
    request_id: RequestId,
    found: Found,
    seen_block: u32,
}

impl Engine {
    /// Looks at libvirt and the folders, off the async threads. Where libvirt does not answer nothing is
    /// concluded from its silence.
    pub(super) async fn look(self: &Arc<Self>) {
        let engine = self.clone();
        let look = tokio::task::spawn_blocking(move || engine.look_now());
        if let Err(error) = look.await {
            tracing::error!(%error, "looking at the host broke off");
        }
    }

    fn look_now(&self) {
        let before = self.table().vms.iter().map(|(uuid, vm)| (*uuid, vm.acts)).collect();
        if self.may_lose.load(Ordering::Relaxed) && !self.folders.are_there() {
            tracing::error!(
                data_dir = %self.settings.data_dir.display(),
                "the folder of the VMs is gone: mount the disk that it lies on; nothing is done until it is there",
            );
            self.table().has_seen = false;
            return;
        }
        match self.hypervisor.domains() {
            Ok(domains) => {
                self.connected(true);
                let seen = self.seen(domains);
                self.take_seen(seen, &before);
            }
            Err(error) => {
                self.connected(false);
                tracing::warn!(%error, "libvirt cannot be looked at; nothing is done until it can");
                self.table().has_seen = false;
            }
        }
    }

    fn seen(&self, domains: Vec<quarry_hypervisor::Domain>) -> HashMap<Uuid, Seen> {
        let mut seen = HashMap::new();
        for (uuid, manifest) in self.folders.list() {
            if manifest.genesis == self.genesis {
                let disk = self.folders.paths(&manifest).has_disk();
                let folder = folder_view(&manifest, disk);
                let found = Found { folder: Some(folder), domain: None };
                seen.insert(uuid, Seen { request_id: manifest.request_id, found, seen_block: 0 });
            }
        }
        for domain in domains {
            let Some(tag) = is_ours(&domain, &self.genesis, self.node_name()) else { continue };
            let defined = self.folders.get(domain.uuid).and_then(|m: Manifest| m.defined);
            let view: Domain = domain_view(&domain, defined);
            let entry = seen.entry(domain.uuid).or_insert(Seen {
                request_id: tag.request_id,
                found: Found::default(),
                seen_block: 0,
            });
            entry.found.domain = Some(view);
            entry.seen_block = tag.seen;
        }
        seen
    }

    /// A disk whose manifest cannot be read is there all the same: its VM is not lost.
    pub(super) fn mind_stray_disk(&self, vm: &mut Vm, found: &mut Found) {
        let Some(item) = vm.item.as_ref().filter(|_| found.folder.is_none()) else { return };
        let name = Identity::of(self.genesis, item).name(item.request_id);
        if self.folders.has_stray_disk(&name) {
            found.folder =
                Some(Folder { disk: true, started: true, shape: shape(item), orphan_for: None });
            vm.last_error = Some(format!("vm.json in {name} cannot be read: restore it"));
        }
    }

    fn take_seen(&self, mut seen: HashMap<Uuid, Seen>, before: &HashMap<Uuid, u64>) {
        let highest = seen.values().map(|seen| seen.seen_block).max().unwrap_or_default();
        let mut table = self.table();
        table.has_seen = true;
        table.seen_by_domains = table.seen_by_domains.max(highest);
        for (uuid, vm) in table.vms.iter_mut() {
            let mut found = seen.remove(uuid).map(|seen| seen.found).unwrap_or_default();
            self.mind_stray_disk(vm, &mut found);
            vm.mind_mark(&mut found, self.now());
            // A lane that acted meanwhile knows better than what was listed.
            if !vm.busy && before.get(uuid).is_none_or(|acts| *acts == vm.acts) {
                vm.found = found;
            }
        }
        for (uuid, Seen { request_id, found, .. }) in seen {
            let vm = table.vms.entry(uuid).or_default();
            vm.request_id = request_id;
            vm.found = found;
        }
    }
}
