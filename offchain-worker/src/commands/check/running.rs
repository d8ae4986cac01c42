//! Whether a worker runs on the data folder, without taking its lock for as much as a moment.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

pub(super) fn on(data_dir: &Path) -> bool {
    let Ok(lock) = fs::metadata(data_dir.join("worker.lock")) else { return false };
    fs::read_to_string("/proc/locks").is_ok_and(|locks| is_held(&locks, lock.ino()))
}

/// Lines are `1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF`.
fn is_held(locks: &str, inode: u64) -> bool {
    let of = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let file = words.nth(3)?;
        Some(kind == "FLOCK" && file.rsplit(':').next()?.parse() == Ok(inode))
    };
    locks.lines().any(|line| of(line) == Some(true))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    #[test]
    fn a_worker_runs_for_as_long_as_it_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!on(folder.path()));
        let lock = Lock::take(&folder.path().join("worker.lock"), "this data_dir").unwrap();
        assert!(on(folder.path()));
        drop(lock);
        assert!(!on(folder.path()));
    }

    #[test]
    fn a_lock_of_another_kind_or_file_is_none() {
        let locks = "1: POSIX  ADVISORY  WRITE 77 fe:00:41 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 77 fe:00:42 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 78 fe:00:43 0 EOF\n";
        assert!(is_held(locks, 42));
        assert!(!is_held(locks, 41) && !is_held(locks, 43) && !is_held(locks, 4));
    }
}
