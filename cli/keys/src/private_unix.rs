//! Files and folders that are the caller's own and nobody else's to read: where there are users and
//! modes.

use crate::store::StoreError;
use rustix::{fs::OFlags, io::Errno};
use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// Makes the folder and those above it, as far as they are not there.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().recursive(true).mode(FOLDER).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(StoreError::NotAFolder(path.into()))
        }
        Err(error) => Err(StoreError::Io { path: path.into(), error }),
        Ok(()) => check_folder(path),
    }
}

pub(crate) fn check_folder(path: &Path) -> Result<(), StoreError> {
    let metadata = path.metadata().map_err(|error| StoreError::Io { path: path.into(), error })?;
    if !metadata.is_dir() {
        return Err(StoreError::NotAFolder(path.into()));
    }
    check_private(path, &metadata, FOLDER)
}

/// None where there is nothing.
pub(crate) fn open(path: &Path) -> Result<Option<File>, StoreError> {
    let failed = |error| StoreError::Io { path: path.into(), error };
    // Neither through a link nor waiting for a pipe's writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(StoreError::SymbolicLink(path.into()))
        }
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(StoreError::NotAFile(path.into()));
    }
    check_private(path, &metadata, FILE)?;
    Ok(Some(file))
}

/// So that a name in it outlives a power cut.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn check_private(path: &Path, metadata: &Metadata, wanted: u32) -> Result<(), StoreError> {
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Err(StoreError::NotOurs { path: path.into(), owner, user });
    }
    if mode & 0o077 != 0 {
        return Err(StoreError::NotPrivate { path: path.into(), mode, wanted });
    }
    Ok(())
}
