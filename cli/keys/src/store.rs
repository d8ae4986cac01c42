//! The folder of sealed keys.

use crate::{name::KeyName, private, sealed::SealedKey, wallet_json::FormatError};
use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

const ENDING: &str = ".json";

/// A folder with a file per key, both the caller's own and closed to others. A key that is there is
/// never overwritten.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

/// A key of a store. One that cannot be read does not hide the others.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: KeyName,
    /// The key, or why it cannot be read.
    pub key: Result<SealedKey, StoreError>,
}

/// Why a store or a key in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such key.
    #[error("there is no key {0}: \"quarry key list\" shows which there are")]
    NotFound(KeyName),
    /// There is one already.
    #[error("there is a key {0} already, and keys are never overwritten: choose another name")]
    Exists(KeyName),
    /// It is a link.
    #[error("{0:?} is a symbolic link, through which no key is read: put the file itself there")]
    SymbolicLink(PathBuf),
    /// It is a folder, a device or the like.
    #[error("{0:?} is not a plain file: move it away")]
    NotAFile(PathBuf),
    /// The store's place is taken.
    #[error("{0:?} is not a folder, and keys are to be kept there: move it away")]
    NotAFolder(PathBuf),
    /// Others can read or change it.
    #[error(
        "{path:?} has the mode {mode:04o}, so that others may have its keys: chmod {wanted:o} it"
    )]
    NotPrivate {
        /// The file or the folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        wanted: u32,
    },
    /// It belongs to somebody else.
    #[error("{path:?} belongs to user {owner} and not to {user}, as whom this runs: keys are kept by their user alone")]
    NotOurs {
        /// The file or the folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs.
        user: u32,
    },
    /// It holds no sealed key.
    #[error("{path:?} holds no key: {error}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: FormatError,
    },
    /// It cannot be read or written.
    #[error("{path:?} cannot be read or written: {error}")]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl KeyStore {
    /// The store at that folder, which the first key makes if it is not there.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the key of that name is, or would be.
    pub fn path_of(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}{ENDING}"))
    }

    /// Whether that name is taken: to be asked before a password is.
    pub fn has(&self, name: &KeyName) -> bool {
        self.path_of(name).symlink_metadata().is_ok()
    }

    /// Keeps a key. Once this is done it stays, even if the machine stops at once.
    pub fn add(&self, name: &KeyName, key: &SealedKey) -> Result<PathBuf, StoreError> {
        let path = self.path_of(name);
        let failed = |error| StoreError::Io { path: path.clone(), error };
        let mut json = serde_json::to_vec(key).map_err(|error| failed(error.into()))?;
        json.push(b'\n');
        private::make_folder(&self.folder)?;
        // Under a name of its own first, so that half a key is never found under the right one.
        let mut file =
            tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder).map_err(failed)?;
        file.write_all(&json).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist_noclobber(&path).map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists(name.clone()),
            _ => failed(refused.error),
        })?;
        private::sync_folder(&self.folder).map_err(failed)?;
        Ok(path)
    }

    /// The key of that name.
    pub fn read(&self, name: &KeyName) -> Result<SealedKey, StoreError> {
        if self.is_made()? {
            self.read_file(name)
        } else {
            Err(StoreError::NotFound(name.clone()))
        }
    }

    /// All keys, by name. Other files of the folder are passed over.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        if !self.is_made()? {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for file in fs::read_dir(&self.folder).map_err(|error| self.failed(error))? {
            let file = file.map_err(|error| self.failed(error))?.file_name();
            names.extend(file.to_str().and_then(key_name));
        }
        names.sort();
        let entry = |name| Entry { key: self.read_file(&name), name };
        Ok(names.into_iter().map(entry).collect())
    }

    fn is_made(&self) -> Result<bool, StoreError> {
        let made = self.folder.try_exists().map_err(|error| self.failed(error))?;
        if made {
            private::check_folder(&self.folder)?;
        }
        Ok(made)
    }

    fn read_file(&self, name: &KeyName) -> Result<SealedKey, StoreError> {
        let path = self.path_of(name);
        let file = private::open(&path)?.ok_or_else(|| StoreError::NotFound(name.clone()))?;
        let text = read_text(file, &path)?;
        SealedKey::from_json(&text).map_err(|error| StoreError::Format { path, error })
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::Io { path: self.folder.clone(), error }
    }
}

fn key_name(file: &str) -> Option<KeyName> {
    file.strip_suffix(ENDING)?.parse().ok()
}

fn read_text(file: fs::File, path: &Path) -> Result<String, StoreError> {
    let mut text = String::new();
    // One byte more than is taken, so that what is longer is seen to be.
    let most = SealedKey::MOST_BYTES as u64 + 1;
    match file.take(most).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(StoreError::Format { path: path.into(), error: FormatError::NotAnAccount })
        }
        Err(error) => Err(StoreError::Io { path: path.into(), error }),
    }
}

#[cfg(test)]
mod tests;
