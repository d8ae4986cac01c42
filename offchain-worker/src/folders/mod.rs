//! The folders of the node's VMs: `<data_dir>/vms/<name>/` with the disk, the seed, the guest's host key,
//! the serial log, and a manifest that says whose they are.
//!
//! A folder appears whole, by a rename, and its manifest goes last. This process alone writes here (the
//! worker holds a lock), so manifests are read once, at the start.

mod manifest;
#[cfg(test)]
mod tests;

pub use manifest::{GuestKeys, Manifest};

use crate::{crash, identity::Identity};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io,
    net::Ipv4Addr,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

const DISK: &str = "disk.qcow2";
const SEED: &str = "seed.img";
const HOST_KEY: &str = "host_key";
const SERIAL_LOG: &str = "serial.log";
/// A folder that is being made, or removed.
const DRAFT: &str = ".new-";
/// Lies beside the folders once there were VMs: where it is missing, so is the disk that they lie on.
const MARKER: &str = ".quarry";

/// Why a folder could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refuses.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not there.
    #[error("there is no folder of VM {0}")]
    NoFolder(Uuid),
}

type Result<T> = std::result::Result<T, FolderError>;

trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| FolderError::Io { path: path.to_owned(), source })
    }
}

/// Where a VM's files are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Paths(PathBuf);

impl Paths {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Its disk.
    pub fn disk(&self) -> PathBuf {
        self.0.join(DISK)
    }

    /// Its seed.
    pub fn seed(&self) -> PathBuf {
        self.0.join(SEED)
    }

    /// The guest's SSH host key.
    pub fn host_key(&self) -> PathBuf {
        self.0.join(HOST_KEY)
    }

    /// What the guest wrote to its serial console.
    pub fn serial_log(&self) -> PathBuf {
        self.0.join(SERIAL_LOG)
    }

    /// Whether the disk is there, with something in it. A file system that does not say counts as yes:
    /// only what is known to be gone is lost.
    pub fn has_disk(&self) -> bool {
        match fs::metadata(self.disk()) {
            Ok(disk) => disk.is_file() && disk.size() > 0,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

/// All VMs' folders.
pub struct Folders {
    root: PathBuf,
    /// Whether no VM was ever here, as far as this folder tells.
    pub is_new: bool,
    manifests: Mutex<BTreeMap<Uuid, Manifest>>,
    /// Held while a manifest changes on disk and in memory, so that both stay the same.
    changing: Mutex<()>,
    /// Addresses of folders that are being made.
    promised: Mutex<HashSet<Ipv4Addr>>,
}

impl Folders {
    /// Reads what is there, and clears what a crash left half made. A folder that says nothing sound of
    /// itself is left alone: nobody knows what is in it.
    pub fn open(root: &Path) -> Result<Self> {
        // The hypervisor's user must get through to the disks; the folder's listing is nobody's.
        fs::DirBuilder::new().recursive(true).mode(0o711).create(root).at(root)?;
        let is_new = !root.join(MARKER).try_exists().at(root)?;
        let mut manifests = BTreeMap::new();
        for entry in fs::read_dir(root).at(root)? {
            let path = entry.at(root)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name == MARKER {
                continue;
            }
            if name.starts_with(DRAFT) {
                fs::remove_dir_all(&path).at(&path)?;
                continue;
            }
            match Manifest::read(&path) {
                Ok(manifest) if manifest.name() == name => {
                    manifests.insert(manifest.identity().uuid(), manifest);
                }
                Ok(_) => {
                    tracing::warn!(path = %path.display(), "not the folder of the VM that it names; left alone")
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "no VM's folder; left alone")
                }
            }
        }
        Ok(Self {
            root: root.to_owned(),
            is_new,
            manifests: Mutex::new(manifests),
            changing: Mutex::default(),
            promised: Mutex::default(),
        })
    }

    /// Marks the folder as one that has VMs.
    pub fn mark(&self) -> Result<()> {
        let marker = self.root.join(MARKER);
        fs::write(&marker, "Quarry's VMs lie here.\n").at(&marker)
    }

    /// Whether the file system that was marked is still there.
    pub fn are_there(&self) -> bool {
        self.root.join(MARKER).exists()
    }

    /// Every VM that has a folder.
    pub fn list(&self) -> Vec<(Uuid, Manifest)> {
        lock(&self.manifests).iter().map(|(uuid, manifest)| (*uuid, manifest.clone())).collect()
    }

    /// What a VM's folder says.
    pub fn get(&self, uuid: Uuid) -> Option<Manifest> {
        lock(&self.manifests).get(&uuid).cloned()
    }

    /// Whether there is a disk under this name although nothing sound says whose it is.
    pub fn has_stray_disk(&self, name: &str) -> bool {
        let is_known = || lock(&self.manifests).values().any(|manifest| manifest.name() == name);
        Paths(self.root.join(name)).has_disk() && !is_known()
    }

    /// Where a VM's files are.
    pub fn paths(&self, manifest: &Manifest) -> Paths {
        Paths(self.root.join(manifest.name()))
    }

    /// Makes a VM's folder. `fill` puts the files where it is told; only when it is through does the
    /// folder have its name. What lay there under that name goes, unless there is a disk in it: then
    /// all stays as it is.
    pub fn make<E: From<FolderError>>(
        &self,
        manifest: Manifest,
        fill: impl FnOnce(&Paths) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let name = manifest.name();
        let path = self.root.join(&name);
        if Paths(path.clone()).has_disk() {
            self.know(&path, manifest.identity());
            return Ok(());
        }
        let draft = Paths(self.root.join(format!("{DRAFT}{name}")));
        remove_tree(draft.folder())?;
        fs::DirBuilder::new().mode(0o711).create(draft.folder()).at(draft.folder())?;
        let filled = fill(&draft).and_then(|()| {
            manifest.write(draft.folder()).at(draft.folder())?;
            // So that a loss of power leaves the folder whole, or none.
            sync(draft.folder())?;
            Ok(self.settle(draft.folder(), &path, manifest)?)
        });
        if filled.is_err() {
            remove_tree(draft.folder())?;
        }
        filled
    }

    /// Gives a draft its name, for good; where that is not certain it is a draft again.
    fn settle(&self, draft: &Path, path: &Path, manifest: Manifest) -> Result<()> {
        let _changing = lock(&self.changing);
        remove_tree(path)?;
        fs::rename(draft, path).at(path)?;
        if let Err(error) = sync(&self.root) {
            fs::rename(path, draft).at(path)?;
            return Err(error);
        }
        lock(&self.manifests).insert(manifest.identity().uuid(), manifest);
        Ok(())
    }

    /// Takes note of a folder that is there, if it is this VM's.
    fn know(&self, path: &Path, identity: Identity) {
        let _changing = lock(&self.changing);
        let there = Manifest::read(path).ok().filter(|there| there.identity() == identity);
        if let Some(there) = there {
            lock(&self.manifests).entry(identity.uuid()).or_insert(there);
        }
    }

    /// Changes what a folder says.
    pub fn change(&self, uuid: Uuid, change: impl FnOnce(&mut Manifest)) -> Result<Manifest> {
        let _changing = lock(&self.changing);
        let mut manifest = self.get(uuid).ok_or(FolderError::NoFolder(uuid))?;
        change(&mut manifest);
        let folder = self.paths(&manifest);
        manifest.write(folder.folder()).at(folder.folder())?;
        lock(&self.manifests).insert(uuid, manifest.clone());
        Ok(manifest)
    }

    /// Removes all but the manifest from the folder of this name.
    pub fn remove_files(&self, name: &str) -> Result<()> {
        let folder = Paths(self.root.join(name));
        if !folder.folder().try_exists().at(folder.folder())? {
            return Ok(());
        }
        // The disk goes last of them: while it is there the folder counts as one that has to be emptied.
        let mut disk = None;
        for entry in fs::read_dir(folder.folder()).at(folder.folder())? {
            let path = entry.at(folder.folder())?.path();
            if path == folder.disk() {
                disk = Some(path);
            } else if path.file_name().is_none_or(|name| name != manifest::MANIFEST) {
                fs::remove_file(&path).at(&path)?;
            }
        }
        crash::point("in", "remove-disk");
        disk.map_or(Ok(()), |disk| fs::remove_file(&disk).at(&disk))
    }

    /// Removes a VM's folder, which has this name: away from it at once, since what is left of it
    /// without its manifest nobody would know.
    pub fn remove(&self, uuid: Uuid, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let draft = self.root.join(format!("{DRAFT}{name}"));
        let _changing = lock(&self.changing);
        remove_tree(&draft)?;
        match fs::rename(&path, &draft) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            done => done.at(&path)?,
        }
        crash::point("in", "remove-folder");
        remove_tree(&draft)?;
        lock(&self.manifests).remove(&uuid);
        Ok(())
    }

    /// Takes the first of these addresses that no VM has, until the promise is dropped.
    pub fn take_address(&self, candidates: impl Iterator<Item = Ipv4Addr>) -> Option<Promise<'_>> {
        let mut promised = lock(&self.promised);
        let used: HashSet<Ipv4Addr> = lock(&self.manifests)
            .values()
            .filter_map(|manifest| manifest.private_address)
            .chain(promised.iter().copied())
            .collect();
        let address = candidates.into_iter().find(|address| !used.contains(address))?;
        promised.insert(address);
        Some(Promise { folders: self, address })
    }
}

/// An address that nobody else gets while this is there.
pub struct Promise<'a> {
    folders: &'a Folders,
    /// The address.
    pub address: Ipv4Addr,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        lock(&self.folders.promised).remove(&self.address);
    }
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.at(path),
    }
}

/// What a panicking thread left behind is whole: each change is one insert or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
