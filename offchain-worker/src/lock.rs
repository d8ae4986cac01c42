//! One worker for each libvirt, and one for each data folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// A file that this process alone has locked, for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why this worker cannot be the only one.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one is there.
    #[error("another worker (process {holder}) serves {what}: stop that one, or give this one a libvirt and a data_dir of its own")]
    Taken {
        /// What both want.
        what: String,
        /// Its process id, as it wrote it.
        holder: String,
    },
    /// The file cannot be made.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Locks `path`, which stands for `what`.
    pub fn take(path: &Path, what: &str) -> Result<Self, LockError> {
        let at = |source| LockError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            // libvirt makes its folder when it first starts, which may be later.
            fs::create_dir_all(folder).map_err(at)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(at)?;
        match file.try_lock() {
            Ok(()) => {
                if let Err(error) = note_holder(&mut file) {
                    tracing::warn!(%error, path = %path.display(), "another worker would not learn which process has this lock");
                }
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may be writing just now.
                let _ = file.read_to_string(&mut holder);
                Err(LockError::Taken { what: what.to_owned(), holder })
            }
            Err(TryLockError::Error(source)) => Err(at(source)),
        }
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

/// Where the lock of a libvirt lies: beside its sockets, so that workers meet who share it, and those
/// do not who only share a host.
pub fn of_libvirt(uri: &str) -> PathBuf {
    let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
    let socket = query.split('&').find_map(|pair| pair.strip_prefix("socket="));
    let folder = match socket.and_then(|socket| Path::new(socket).parent()) {
        Some(folder) => folder.to_owned(),
        None if place.ends_with("/session") => {
            let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
            base.unwrap_or_else(std::env::temp_dir)
        }
        None => PathBuf::from("/run/libvirt"),
    };
    let word: String =
        place.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    folder.join(format!("quarry-worker-{word}.lock"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_learns_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, "it").unwrap();
        let refusal = Lock::take(&path, "it").unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(first);
        Lock::take(&path, "it").unwrap();
    }

    #[test]
    fn a_lock_is_taken_also_where_the_disk_is_full() {
        Lock::take(Path::new("/dev/full"), "it").unwrap();
    }

    #[test]
    fn the_lock_lies_beside_the_socket() {
        let of = |uri| of_libvirt(uri).display().to_string();
        assert_eq!(of("qemu:///system"), "/run/libvirt/quarry-worker-qemu----system.lock");
        assert_eq!(
            of("test+unix:///default?socket=/tmp/x/sock"),
            "/tmp/x/quarry-worker-test-unix----default.lock",
        );
    }
}
