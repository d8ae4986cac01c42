//! What those who serve tenants may know of the VMs.

use super::{
    perform::keys_of,
    table::{shape, Table},
    Engine,
};
use crate::{folders::Folders, reconcile::Power};
use quarry_access::{Directory, Keys, Vm};
use quarry_hypervisor::Hypervisor;
use quarry_primitives::{
    api::{Desired, WorkItem},
    request::{RequestId, SshKey},
};
use std::{net::IpAddr, sync::Arc};
use tokio::sync::watch;
use uuid::Uuid;

/// A VM that the chain wants here.
#[derive(Clone)]
pub(crate) struct Tenancy {
    pub uuid: Uuid,
    pub item: Arc<WorkItem>,
    /// What its domain does, if there is one.
    pub power: Option<Power>,
}

impl Tenancy {
    /// The address that the chain gave it.
    pub fn address(&self) -> Option<IpAddr> {
        shape(&self.item).address
    }

    /// The tenant's keys.
    pub fn keys(&self) -> Vec<String> {
        keys_of(&self.item)
    }
}

impl Engine {
    /// Whose keys let in to which VM, by finalized work.
    pub(crate) fn directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.directory.subscribe()
    }

    /// The access key that the chain names.
    pub(crate) fn named_access_key(&self) -> Option<[u8; 32]> {
        self.table().access.as_ref().map(|access| access.host_key)
    }

    pub(crate) fn tenancy(&self, vm: RequestId) -> Option<Tenancy> {
        self.tenancies().into_iter().find(|tenancy| tenancy.item.request_id == vm)
    }

    /// All of them but those that are on their way out.
    pub(crate) fn tenancies(&self) -> Vec<Tenancy> {
        tenancies(&self.table()).collect()
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }

    pub(crate) fn hypervisor(&self) -> &Arc<dyn Hypervisor> {
        &self.hypervisor
    }

    pub(super) fn publish_directory(&self, table: &Table) {
        let entry = |tenancy: Tenancy| {
            let lines = tenancy.item.ssh_keys.iter().filter_map(SshKey::as_str);
            (tenancy.item.request_id, Vm { keys: Keys::parse(lines) })
        };
        let directory: Directory = tenancies(table).map(entry).collect();
        self.directory.send_if_modified(|known| {
            let is_new = **known != directory;
            if is_new {
                *known = Arc::new(directory);
            }
            is_new
        });
    }
}

fn tenancies(table: &Table) -> impl Iterator<Item = Tenancy> + '_ {
    table.vms.iter().filter_map(|(uuid, vm)| {
        let item = vm.item.clone().filter(|item| item.desired != Desired::Deleted)?;
        let power = vm.found.domain.as_ref().map(|domain| domain.power);
        Some(Tenancy { uuid: *uuid, item, power })
    })
}
