//! Files and folders of the caller: where there are no modes, and a user's folders are the user's
//! own.

use crate::store::StoreError;
use std::{fs, fs::File, io, path::Path};

/// Makes the folder and those above it, as far as they are not there.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    match fs::create_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(StoreError::NotAFolder(path.into()))
        }
        Err(error) => Err(StoreError::Io { path: path.into(), error }),
        Ok(()) => Ok(()),
    }
}

pub(crate) fn check_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        Ok(())
    } else {
        Err(StoreError::NotAFolder(path.into()))
    }
}

/// None where there is nothing.
pub(crate) fn open(path: &Path) -> Result<Option<File>, StoreError> {
    let failed = |error| StoreError::Io { path: path.into(), error };
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_symlink() {
        return Err(StoreError::SymbolicLink(path.into()));
    }
    if !metadata.is_file() {
        return Err(StoreError::NotAFile(path.into()));
    }
    File::open(path).map(Some).map_err(failed)
}

/// A folder cannot be synchronized by itself.
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}
