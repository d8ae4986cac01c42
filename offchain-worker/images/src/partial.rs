//! A download on disk, hashed as it grows.

use crate::{Digest, FetchError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// Chunks on their way to the disk.
const QUEUE: usize = 32;
const BUFFER: usize = 1 << 20;

/// What of an image is there.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
    /// Where it came from; none if nobody knows.
    pub(crate) origin: Option<Origin>,
}

/// Where a download came from, kept beside it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Origin {
    pub(crate) url: String,
    /// What `If-Range` may say: a strong ETag, or else the time of the last change.
    pub(crate) validator: Option<String>,
}

impl Partial {
    /// Opens what is there, and hashes it. It blocks: for a fetch of the same image that was given up a
    /// moment ago, too.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(&path)?;
        file.lock()?;
        let mut partial = Self { path, file, hash: Sha256::new(), length: 0, origin: None };
        partial.length = hash_rest(&mut partial.file, &mut partial.hash)?;
        if partial.length > 0 {
            let origin = fs::read(partial.origin_path()).unwrap_or_default();
            partial.origin = serde_json::from_slice(&origin).ok();
        }
        Ok(partial)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn digest(&self) -> Digest {
        self.hash.clone().finalize().into()
    }

    /// Throws away what is there.
    pub(crate) fn start_anew(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.hash = Sha256::new();
        self.length = 0;
        self.origin = None;
        Ok(())
    }

    /// Notes where the rest of it comes from.
    pub(crate) fn set_origin(&mut self, origin: Origin) -> io::Result<()> {
        if self.origin.as_ref() != Some(&origin) {
            fs::write(self.origin_path(), serde_json::to_vec(&origin)?)?;
            self.origin = Some(origin);
        }
        Ok(())
    }

    fn origin_path(&self) -> PathBuf {
        self.path.with_extension("json")
    }

    /// Takes chunks on a thread of its own, which gives it back when there are no more.
    pub(crate) fn take_chunks<B>(mut self) -> (mpsc::Sender<B>, JoinHandle<(Self, io::Result<()>)>)
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let (sender, mut chunks) = mpsc::channel::<B>(QUEUE);
        let writer = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = chunks.blocking_recv() {
                if let Err(error) = self.append(chunk.as_ref()) {
                    return (self, Err(error));
                }
            }
            (self, Ok(()))
        });
        (sender, writer)
    }

    fn append(&mut self, chunk: &[u8]) -> io::Result<()> {
        // What is half written is cut off again, or the hash would not know of it.
        self.file.write_all(chunk).or_else(|error| {
            self.file.set_len(self.length)?;
            Err(error)
        })?;
        self.hash.update(chunk);
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Moves it to its place, for good and read-only. It blocks.
    pub(crate) fn move_to(self, place: &Path) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o444))?;
        self.file.sync_all()?;
        fs::rename(&self.path, place)?;
        fs::remove_file(self.origin_path()).ok();
        for path in [place, &self.path] {
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    /// Removes it. It blocks.
    pub(crate) fn remove(self) {
        remove(&self.path);
    }
}

/// Removes a download and the note beside it.
pub(crate) fn remove(path: &Path) {
    fs::remove_file(path).ok();
    fs::remove_file(path.with_extension("json")).ok();
}

/// An error of the file system as callers see it.
pub(crate) fn file_error(path: &Path, error: &io::Error) -> FetchError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return FetchError::DiskFull { path: path.into(), free: crate::disk::free(path) };
    }
    FetchError::File { path: path.into(), reason: error.to_string() }
}

/// Runs what blocks on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FetchError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(io::Error::other).and_then(|result| result).map_err(|e| file_error(path, &e))
}

/// The digest of a whole file. It blocks.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    hash_rest(&mut File::open(path)?, &mut hash)?;
    Ok(hash.finalize().into())
}

/// Hashes a file from where it stands to its end; how much that was.
fn hash_rest(file: &mut File, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(total);
        };
        hash.update(part);
        total += read as u64;
    }
}
