//! Files that hold a key: the caller's own, and nobody else's to read.

use crate::key::KeyError;
use rustix::{fs::OFlags, io::Errno};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A phrase and a few comments are far shorter.
const MOST_BYTES: u64 = 16 * 1024;
const PRIVATE: u32 = 0o600;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there.
    #[error("there is no key file {0:?}: make one, or correct its place in the settings")]
    NotFound(PathBuf),
    /// It is there already.
    #[error(
        "{0:?} exists: a key file is never overwritten; choose another place, or move it away"
    )]
    Exists(PathBuf),
    /// It is a link.
    #[error("the key file {0:?} is a symbolic link: name the file itself")]
    SymbolicLink(PathBuf),
    /// It is a folder, a device or the like.
    #[error("the key file {0:?} is not a plain file")]
    NotAFile(PathBuf),
    /// Others can read or write it.
    #[error("the key file {path:?} has the mode {mode:04o}, so that others may have its key: chmod 600 it")]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the key file {path:?} belongs to user {owner} and not to {user}, as whom this runs")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs.
        user: u32,
    },
    /// It holds no key.
    #[error("the key file {path:?} holds no key: {error}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: KeyError,
    },
    /// It is no text, or far too long.
    #[error("the key file {0:?} holds no text of a key's length")]
    NotAKey(PathBuf),
    /// It cannot be read or written.
    #[error("the key file {path:?} cannot be read or written: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |error| KeyFileError::Io { path: path.into(), error };
    // Neither through a link nor waiting for a pipe's writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::NotFound(path.into()),
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            KeyFileError::SymbolicLink(path.into())
        }
        _ => failed(error),
    })?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile(path.into()));
    }
    check_private(path, metadata.mode(), metadata.uid())?;
    let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
    let bytes =
        file.take(MOST_BYTES).read_to_string(&mut text).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => KeyFileError::NotAKey(path.into()),
            _ => failed(error),
        })?;
    if bytes as u64 == MOST_BYTES {
        return Err(KeyFileError::NotAKey(path.into()));
    }
    Ok(text)
}

fn check_private(path: &Path, mode: u32, owner: u32) -> Result<(), KeyFileError> {
    let mode = mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::NotPrivate { path: path.into(), mode });
    }
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Err(KeyFileError::NotOurs { path: path.into(), owner, user });
    }
    Ok(())
}

pub(crate) fn create(path: &Path, phrase: &str) -> Result<(), KeyFileError> {
    let failed = |error| KeyFileError::Io { path: path.into(), error };
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(PRIVATE).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.into()),
        _ => failed(error),
    })?;
    let line = Zeroizing::new(format!("{phrase}\n"));
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| sync_folder(path)).map_err(|error| {
        // What is cut off would be taken for a wrong key later.
        let _ = std::fs::remove_file(path);
        failed(error)
    })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::WorkerKey;
    use std::{fs, os::unix::fs::PermissionsExt};
    use tempfile::TempDir;

    const SEED: &str = "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e\n";

    fn file_with(mode: u32, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_key_that_was_created_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.key");
        let created = WorkerKey::create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(WorkerKey::read(&path).unwrap().public(), created.public());
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let (_folder, path) = file_with(0o600, SEED);
        assert!(matches!(WorkerKey::create(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), SEED);
    }

    #[test]
    fn no_key_is_created_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(WorkerKey::create(&link), Err(KeyFileError::Exists(_))));
        assert!(!target.exists());
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o602, 0o620, 0o610] {
            let (_folder, path) = file_with(mode, SEED);
            let error = WorkerKey::read(&path).unwrap_err();
            assert!(
                matches!(error, KeyFileError::NotPrivate { mode: m, .. } if m == mode),
                "{error}"
            );
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_file_that_only_its_owner_can_read_is_taken() {
        for mode in [0o600, 0o400] {
            let (_folder, path) = file_with(mode, SEED);
            assert!(WorkerKey::read(&path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            let error = check_private(Path::new("key"), 0o100600, 0).unwrap_err();
            assert!(matches!(error, KeyFileError::NotOurs { owner: 0, .. }), "{error}");
            return;
        }
        let (_folder, path) = file_with(0o600, SEED);
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let error = WorkerKey::read(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::NotOurs { owner: 65_534, .. }), "{error}");
    }

    #[test]
    fn a_link_a_folder_and_a_pipe_are_refused() {
        let (folder, path) = file_with(0o600, SEED);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(WorkerKey::read(&link), Err(KeyFileError::SymbolicLink(_))));
        assert!(matches!(WorkerKey::read(folder.path()), Err(KeyFileError::NotAFile(_))));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(matches!(WorkerKey::read(&pipe), Err(KeyFileError::NotAFile(_))));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = WorkerKey::read(&folder.path().join("no.key")).unwrap_err();
        assert!(matches!(error, KeyFileError::NotFound(_)), "{error}");
    }

    #[test]
    fn a_file_without_a_key_is_refused_with_the_reason_and_without_its_content() {
        for (content, reason) in [("", KeyError::Empty), ("hunter two", KeyError::Phrase)] {
            let (_folder, path) = file_with(0o600, content);
            let error = WorkerKey::read(&path).unwrap_err();
            assert!(
                matches!(&error, KeyFileError::Key { error, .. } if *error == reason),
                "{error}"
            );
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
    }

    #[test]
    fn a_file_of_other_bytes_or_without_end_is_refused() {
        for content in [vec![0xff; 40], vec![b'a'; MOST_BYTES as usize + 1]] {
            let (_folder, path) = file_with(0o600, content);
            assert!(matches!(WorkerKey::read(&path), Err(KeyFileError::NotAKey(_))));
        }
    }
}
