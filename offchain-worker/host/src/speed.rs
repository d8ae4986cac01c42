//! How fast the disk under the data folder is: measured once, and kept.

use rustix::fs::{fadvise, Advice};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A disk's speed could not be measured. The node does without.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    /// The test file could not be written, read or removed.
    #[error("cannot measure the disk by {path}: {source}")]
    Io {
        /// The test file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The test would take what little room there is.
    #[error("the disk is not measured: {free} bytes are free, which is below {needed}")]
    NoRoom {
        /// What is free.
        free: u64,
        /// What must be.
        needed: u64,
    },
}

/// What was measured.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DiskSpeed {
    /// Read in a row, in MB a second.
    pub read_mb_s: u32,
    /// Written in a row and to the disk.
    pub write_mb_s: u32,
    /// When, in seconds since 1970.
    pub measured_at: u64,
}

const TEST_FILE: &str = "disk-speed.test";
const RESULT_FILE: &str = "disk-speed.json";
const TEST_BYTES: usize = 64 << 20;
const CHUNK: usize = 1 << 20;
const ROOM: u64 = 1 << 30;

impl DiskSpeed {
    /// What was measured before, unless that is older than `keep`; else measures now, which takes 64 MiB
    /// and some seconds.
    pub fn known_or_measured(data_dir: &Path, keep: Duration) -> Result<Self, SpeedError> {
        if let Some(speed) = Self::known(data_dir, keep) {
            return Ok(speed);
        }
        let speed = Self::measure(data_dir, TEST_BYTES)?;
        let path = data_dir.join(RESULT_FILE);
        if let Err(error) = write_whole(&path, &speed) {
            tracing::warn!(%error, path = %path.display(), "the disk's speed is not kept");
        }
        Ok(speed)
    }

    fn known(data_dir: &Path, keep: Duration) -> Option<Self> {
        let text = fs::read(data_dir.join(RESULT_FILE)).ok()?;
        let speed: Self = serde_json::from_slice(&text).ok()?;
        let age = unix_now().checked_sub(speed.measured_at)?;
        (age <= keep.as_secs()).then_some(speed)
    }

    fn measure(data_dir: &Path, bytes: usize) -> Result<Self, SpeedError> {
        let path = data_dir.join(TEST_FILE);
        let failed = |source| SpeedError::Io { path: path.clone(), source };
        let stat = rustix::fs::statvfs(data_dir).map_err(|error| failed(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < ROOM {
            return Err(SpeedError::NoRoom { free, needed: ROOM });
        }
        let _ = fs::remove_file(&path);
        let taken = write_and_read(&path, bytes);
        let removed = fs::remove_file(&path);
        let (write, read) = taken.map_err(failed)?;
        removed.map_err(failed)?;
        Ok(Self {
            read_mb_s: mb_s(bytes, read),
            write_mb_s: mb_s(bytes, write),
            measured_at: unix_now(),
        })
    }
}

fn write_and_read(path: &Path, bytes: usize) -> io::Result<(Duration, Duration)> {
    let mut chunk = noise(CHUNK);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let since = Instant::now();
    for _ in 0..bytes / CHUNK {
        file.write_all(&chunk)?;
    }
    file.sync_data()?;
    let written = since.elapsed();
    let mut file = File::open(path)?;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    let since = Instant::now();
    while file.read(&mut chunk)? > 0 {}
    Ok((written, since.elapsed()))
}

/// Bytes that a file system cannot press together.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(|_| next()).collect()
}

fn mb_s(bytes: usize, took: Duration) -> u32 {
    let micros = took.as_micros().max(1);
    u32::try_from(bytes as u128 / micros).unwrap_or(u32::MAX)
}

fn write_whole(path: &Path, speed: &DiskSpeed) -> io::Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, serde_json::to_vec(speed)?)?;
    fs::rename(&draft, path)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn keep(folder: &Path, speed: &DiskSpeed) {
        write_whole(&folder.join(RESULT_FILE), speed).unwrap();
    }

    #[test]
    fn a_disk_is_measured_and_nothing_but_the_result_stays() {
        let folder = tempfile::tempdir().unwrap();
        let speed = DiskSpeed::known_or_measured(folder.path(), DAY).unwrap();
        assert!(speed.read_mb_s > 0 && speed.write_mb_s > 0, "{speed:?}");
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [RESULT_FILE]);
        assert_eq!(DiskSpeed::known(folder.path(), DAY), Some(speed));
    }

    #[test]
    fn what_is_known_is_not_measured_again_until_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let known = DiskSpeed { read_mb_s: 1, write_mb_s: 2, measured_at: unix_now() - 100 };
        keep(folder.path(), &known);
        assert_eq!(DiskSpeed::known_or_measured(folder.path(), DAY).unwrap(), known);
        assert_eq!(DiskSpeed::known(folder.path(), Duration::from_secs(50)), None);
    }

    #[test]
    fn a_result_of_the_future_or_without_sense_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), &DiskSpeed { read_mb_s: 1, write_mb_s: 2, measured_at: u64::MAX });
        assert_eq!(DiskSpeed::known(folder.path(), DAY), None);
        fs::write(folder.path().join(RESULT_FILE), "{").unwrap();
        assert_eq!(DiskSpeed::known(folder.path(), DAY), None);
    }

    #[test]
    fn a_test_file_that_a_crash_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TEST_FILE), "left").unwrap();
        DiskSpeed::measure(folder.path(), CHUNK).unwrap();
        assert!(!folder.path().join(TEST_FILE).exists());
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let error = DiskSpeed::measure(Path::new("/nowhere"), CHUNK).unwrap_err().to_string();
        assert!(error.contains("/nowhere/disk-speed.test"), "{error}");
    }

    #[test]
    fn a_speed_is_bytes_by_time_and_no_time_is_no_division_by_nought() {
        assert_eq!(mb_s(64_000_000, Duration::from_millis(500)), 128);
        assert_eq!(mb_s(64 << 20, Duration::ZERO), 64 << 20);
    }
}
