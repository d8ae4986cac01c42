//! The actions themselves. Each is short, can be done twice, and says what went wrong.

use super::{table::shape, Engine};
use crate::{
    crash,
    folders::{FolderError, GuestKeys, Manifest, Paths},
    identity::Identity,
    network::{self, NetworkError, Place},
    reconcile::{Action, Shape},
};
use quarry_guest::{host_name, GuestNetwork, GuestSetup, HostKey, HostKeyError, SeedError};
use quarry_hypervisor::{Accelerator, DomainSpec, GuestAddress, Tag};
use quarry_images::{create_overlay, grow_overlay, OverlayError};
use quarry_primitives::{
    api::WorkItem,
    request::{FailureKind, SshKey},
};
use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::Ipv4Addr,
    ops::Not,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use uuid::Uuid;

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActionError {
    #[error(transparent)]
    Hypervisor(#[from] quarry_hypervisor::Error),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("disk: {0}")]
    Disk(#[from] OverlayError),
    #[error("seed: {0}")]
    Seed(#[from] SeedError),
    #[error("guest's host key: {0}")]
    HostKey(#[from] HostKeyError),
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
    #[error("guests are not plugged in while their network filter cannot be made: {0}")]
    NoFilter(quarry_hypervisor::Error),
    #[error("what the launch needs is no longer at hand")]
    NoProvisions,
}

impl ActionError {
    /// Whether it says nothing about the VM: libvirt was not there, or not ready for any.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Hypervisor(error) => error.is_silence(),
            Self::NoFilter(_) => true,
            _ => false,
        }
    }

    /// Whether it would fail on any node.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Seed(_) => FailureKind::Terminal,
            _ => FailureKind::Retryable,
        }
    }
}

type Done = Result<(), ActionError>;

impl Engine {
    /// Does what can be done at once. Fetching and reporting go on by themselves: see the lane.
    pub(super) fn perform(&self, uuid: Uuid, action: &Action, item: Option<&WorkItem>) -> Done {
        match (action, item) {
            (Action::Destroy, _) => Ok(self.hypervisor.destroy(uuid)?),
            (Action::Undefine, _) => Ok(self.hypervisor.undefine(uuid)?),
            (Action::Start, _) => {
                self.ensure_filter().map_err(ActionError::NoFilter)?;
                Ok(self.hypervisor.start(uuid)?)
            }
            (Action::Resume, _) => Ok(self.hypervisor.resume(uuid)?),
            (Action::ShutDown, _) => Ok(self.hypervisor.shut_down(uuid)?),
            (Action::MarkStarted, _) => self.change(uuid, |manifest| manifest.started = true),
            (Action::MarkOrphan, _) => self.change(uuid, |manifest| {
                manifest.orphan_since = Some(std::time::SystemTime::now())
            }),
            (Action::RemoveDisk, _) => self.remove_disk(uuid, item),
            (Action::RemoveFolder, _) => match self.folder_name(uuid, item) {
                Some(name) => Ok(self.folders.remove(uuid, &name)?),
                None => Ok(()),
            },
            (Action::MakeFolder, Some(item)) => self.make_folder(uuid, item),
            (Action::Reseed, Some(item)) => self.reseed(uuid, item),
            (Action::Define, Some(item)) => self.define(uuid, item),
            (Action::Retag, Some(item)) => Ok(self.hypervisor.retag(uuid, &self.tag(item))?),
            (Action::Grow, Some(item)) => self.grow(uuid, item),
            // An orphan has none of these, and these two are not done here.
            (
                Action::MakeFolder | Action::Reseed | Action::Define | Action::Retag | Action::Grow,
                None,
            )
            | (Action::Fetch | Action::Report(_), _) => Ok(()),
        }
    }

    fn change(&self, uuid: Uuid, change: impl FnOnce(&mut Manifest)) -> Done {
        self.folders.change(uuid, change)?;
        Ok(())
    }

    /// By its manifest, or, where that cannot be read, by what the chain has.
    fn folder_name(&self, uuid: Uuid, item: Option<&WorkItem>) -> Option<String> {
        let manifest = self.folders.get(uuid).map(|manifest| manifest.name());
        let derive = |item| Identity::of(self.genesis, item).name(item.request_id);
        manifest.or_else(|| item.map(derive))
    }

    fn remove_disk(&self, uuid: Uuid, item: Option<&WorkItem>) -> Done {
        let Some(name) = self.folder_name(uuid, item) else { return Ok(()) };
        self.folders.remove_files(&name)?;
        if let Some(manifest) = self.folders.get(uuid) {
            self.images.release_image(manifest.image);
        }
        Ok(())
    }

    fn make_folder(&self, uuid: Uuid, item: &WorkItem) -> Done {
        let (base, user_data, has_domain) = {
            let table = self.table();
            let vm = table.vms.get(&uuid).ok_or(ActionError::NoProvisions)?;
            let image = vm.image.as_ref().ok_or(ActionError::NoProvisions)?;
            (image.path().to_owned(), vm.user_data.clone(), vm.found.domain.is_some())
        };
        let promise = match item.address {
            Some(_) => None,
            None => {
                let network = network::private_network(&self.settings.network)?;
                let free = self.folders.take_address(network::candidates(network));
                Some(free.ok_or(NetworkError::NoPrivateAddress)?)
            }
        };
        let identity = Identity::of(self.genesis, item);
        let shape = shape(item);
        let manifest = Manifest {
            genesis: identity.genesis,
            birth: identity.birth,
            assignment: identity.assignment,
            request_id: item.request_id,
            image: item.image.digest,
            private_address: promise.as_ref().map(|promise| promise.address),
            // As it is about to be: so this need not be written once more when it is. A domain that is
            // there already may be otherwise.
            defined: has_domain.not().then(|| shape.clone()),
            shape,
            seeds: 1,
            started: false,
            orphan_since: None,
            guest_keys: Some(GuestKeys { may_have: keys_of(item), settled: true }),
        };
        self.folders.make(manifest.clone(), |paths| {
            let bytes = gib(item.resources.disk_gib);
            create_overlay(&paths.disk(), &base, item.image.format, bytes)?;
            crash::point("in", "make-folder");
            let host_key = HostKey::generate();
            host_key.write_new(&paths.host_key())?;
            self.write_seed(paths, &manifest, item, &host_key, user_data)
        })?;
        self.images.use_image(item.image.digest);
        Ok(())
    }

    fn reseed(&self, uuid: Uuid, item: &WorkItem) -> Done {
        let manifest = self.folders.get(uuid).ok_or(FolderError::NoFolder(uuid))?;
        let paths = self.folders.paths(&manifest);
        let promise = match (item.address.as_ref(), manifest.private_address) {
            (None, None) => {
                let network = network::private_network(&self.settings.network)?;
                let free = self.folders.take_address(network::candidates(network));
                Some(free.ok_or(NetworkError::NoPrivateAddress)?)
            }
            _ => None,
        };
        let changed = Manifest {
            seeds: manifest.seeds.saturating_add(1),
            private_address: promise
                .as_ref()
                .map(|promise| promise.address)
                .or(manifest.private_address.filter(|_| item.address.is_none())),
            shape: Shape { address: shape(item).address, ..manifest.shape },
            ..manifest
        };
        let host_key = HostKey::read(&paths.host_key())?;
        // User data is for a first start only: as a new instance the guest would run it again.
        self.write_seed(&paths, &changed, item, &host_key, None)?;
        crash::point("in", "reseed");
        self.change(uuid, |manifest| {
            // Who gives keys to running guests may have noted some meanwhile.
            let may_have = &mut manifest.guest_keys.get_or_insert_default().may_have;
            let new = keys_of(item).into_iter().filter(|key| !may_have.contains(key));
            let new: Vec<_> = new.collect();
            may_have.extend(new);
            manifest.seeds = changed.seeds;
            manifest.private_address = changed.private_address;
            manifest.shape.address = changed.shape.address;
        })
    }

    fn write_seed(
        &self,
        paths: &Paths,
        manifest: &Manifest,
        item: &WorkItem,
        host_key: &HostKey,
        user_data: Option<Vec<u8>>,
    ) -> Done {
        let place = self.place(item, manifest.private_address)?;
        let keys: Vec<&str> = item.ssh_keys.iter().filter_map(SshKey::as_str).collect();
        let seed = quarry_guest::seed(&GuestSetup {
            instance_id: manifest.instance_id(),
            hostname: host_name(item.name.as_str().unwrap_or_default(), item.request_id),
            ssh_keys: &keys,
            host_key,
            network: Some(GuestNetwork {
                mac: manifest.identity().mac(),
                address: place.address,
                prefix_len: place.prefix_len,
                gateway: place.gateway,
                dns: place.dns,
            }),
            user_data,
        })?;
        write_seed_file(&paths.seed(), &seed).map_err(|error| ActionError::Io("seed", error))
    }

    fn place(&self, item: &WorkItem, private: Option<Ipv4Addr>) -> Result<Place, NetworkError> {
        match (&item.address, private) {
            (Some(address), _) => network::public_place(&self.settings.network, address),
            (None, Some(address)) => network::private_place(&self.settings.network, address),
            (None, None) => Err(NetworkError::NoPrivateAddress),
        }
    }

    fn tag(&self, item: &WorkItem) -> Tag {
        Tag {
            genesis: self.genesis,
            node_id: self.node_name().to_owned(),
            request_id: item.request_id,
            birth: item.birth.0,
            assignment: item.assigned_generation,
            generation: item.generation,
            seen: self.table().seen_block,
        }
    }

    fn define(&self, uuid: Uuid, item: &WorkItem) -> Done {
        let manifest = self.folders.get(uuid).ok_or(FolderError::NoFolder(uuid))?;
        let paths = self.folders.paths(&manifest);
        self.ensure_filter().map_err(ActionError::NoFilter)?;
        let place = self.place(item, manifest.private_address)?;
        let filter = self.settings.network.filter && self.filters;
        let defined = Some(shape(item));
        if manifest.defined.is_some() && manifest.defined != defined {
            // Until that is noted again nobody knows which of the two it is: it may end in between, on a full disk too.
            self.change(uuid, |manifest| manifest.defined = None)?;
        }
        self.hypervisor.define(&DomainSpec {
            uuid,
            name: manifest.name(),
            title: item.name.as_str().unwrap_or_default().to_owned(),
            tag: self.tag(item),
            accelerator: self.accelerator,
            vcpus: item.resources.vcpus,
            memory_mib: item.resources.memory_mib,
            disk: paths.disk(),
            seed: paths.seed(),
            serial_log: paths.serial_log(),
            mac: manifest.identity().mac(),
            attachment: Some(place.attachment),
            addresses: vec![GuestAddress(place.address)],
            filter: filter.then(|| self.filter_name.clone()),
        })?;
        crash::point("in", "define");
        match manifest.defined == defined {
            true => Ok(()),
            false => self.change(uuid, |manifest| manifest.defined = defined),
        }
    }

    fn grow(&self, uuid: Uuid, item: &WorkItem) -> Done {
        let manifest = self.folders.get(uuid).ok_or(FolderError::NoFolder(uuid))?;
        let bytes = gib(item.resources.disk_gib);
        let active = self.hypervisor.domain(uuid)?.is_some_and(|domain| domain.state.is_active());
        // The test driver opens no disk.
        match active && self.accelerator != Accelerator::Test {
            true => self.hypervisor.grow_disk(uuid, bytes)?,
            false => {
                let disk = self.folders.paths(&manifest).disk();
                self.runtime.block_on(grow_overlay(&disk, bytes))?;
            }
        }
        crash::point("in", "grow");
        self.change(uuid, |manifest| manifest.shape.disk_gib = item.resources.disk_gib)
    }
}

/// The tenant's keys, as OpenSSH writes them.
pub(super) fn keys_of(item: &WorkItem) -> Vec<String> {
    item.ssh_keys.iter().filter_map(|key| Some(key.as_str()?.to_owned())).collect()
}

/// Plans count in GiB, and disks are made of bytes.
fn gib(count: u32) -> u64 {
    u64::from(count) << 30
}

/// For nobody but the worker and QEMU, whom libvirt gives it: the guest's host key is in it.
fn write_seed_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&draft, path)
}
