//! Room for VMs, and the image store: what is in it, and whether it is whole.

use super::{folders::tries_to_write, Finding};
use crate::config::Settings;
use bytesize::ByteSize;
use data_encoding::HEXLOWER;
use quarry_host::Host;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;

/// What the disk of a small VM grows to.
const ONE_VM: u64 = 5 << 30;
/// How long images are read to see whether they are what they were.
const READING: Duration = Duration::from_secs(10);
const BLOCK: usize = 1 << 20;

pub(super) async fn checks(settings: &Settings) -> Vec<Finding> {
    let settings = settings.clone();
    let work = spawn_blocking(move || {
        let store = look(&settings.data_dir.join("images"));
        let taken = store.as_ref().map_or(0, Store::bytes);
        vec![room(&settings, taken), images(&settings, store)]
    });
    work.await.unwrap_or_default()
}

fn room(settings: &Settings, taken: u64) -> Finding {
    let name = "storage";
    let sample = match Host::new(&settings.data_dir).sample() {
        Ok(sample) => sample,
        Err(error) => return Finding::fail(name, error.to_string(), "make data_dir first"),
    };
    let storage = sample.storage;
    let found = format!(
        "{} of {} are free for images and disks of VMs",
        ByteSize(storage.free),
        ByteSize(storage.total)
    );
    let limit = settings.thresholds.storage;
    if storage.used_permille() > limit {
        let remedy = format!(
            "make room, or put data_dir on a larger disk: above {} % in use the node takes no new VMs",
            limit / 10
        );
        return Finding::fail(name, found, remedy);
    }
    if storage.free < ONE_VM {
        let remedy = "make room, or put data_dir on a larger disk: not even one small VM fits";
        return Finding::fail(name, found, remedy);
    }
    let for_images = settings.images.store_bytes.saturating_sub(taken);
    if storage.free < for_images.saturating_add(ONE_VM) {
        let remedy = format!(
            "set images.store_size lower than {}, or make room: once the store is full no VM fits",
            ByteSize(settings.images.store_bytes)
        );
        return Finding::warn(name, found, remedy);
    }
    Finding::ok(name, found)
}

/// The store's files.
#[derive(Debug, Default)]
struct Store {
    /// Size and path of those that have a digest for a name.
    images: Vec<(u64, PathBuf)>,
    foreign: Vec<PathBuf>,
    partial: u64,
}

impl Store {
    fn bytes(&self) -> u64 {
        self.images.iter().map(|(bytes, _)| *bytes).sum::<u64>() + self.partial
    }
}

fn look(folder: &Path) -> io::Result<Store> {
    let mut store = Store::default();
    for (path, metadata) in files(&folder.join("images"))? {
        let is_digest = path.file_name().and_then(|name| name.to_str()).is_some_and(is_digest);
        if is_digest && metadata.is_file() {
            store.images.push((metadata.len(), path));
        } else {
            store.foreign.push(path);
        }
    }
    let partial = files(&folder.join("partial"))?;
    store.partial = partial.iter().map(|(_, metadata)| metadata.len()).sum();
    store.images.sort();
    Ok(store)
}

/// None where there is no folder: the worker makes it. What goes meanwhile is not there.
fn files(folder: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let files = entries.map(|entry| {
        let entry = entry?;
        match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            metadata => metadata.map(|metadata| Some((entry.path(), metadata))),
        }
    });
    files.filter_map(io::Result::transpose).collect()
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn images(settings: &Settings, store: io::Result<Store>) -> Finding {
    let name = "images";
    let folder = settings.data_dir.join("images");
    let shown = folder.display();
    let to_worker = "give the folder to the worker's user, with all that is in it";
    let store = match store {
        Ok(store) => store,
        Err(error) => {
            return Finding::fail(name, format!("{shown} cannot be read: {error}"), to_worker)
        }
    };
    if folder.exists() {
        if let Err(error) = tries_to_write(&folder) {
            return Finding::fail(name, format!("{shown} cannot be written: {error}"), to_worker);
        }
    }
    let (whole, damaged) = read_through(&store.images, READING);
    if let Some(path) = damaged {
        let remedy = "the disk is failing, or somebody wrote there. VMs upon it (qemu-img info names \
                      the base of a disk.qcow2) are damaged too; where there is none, stop the worker \
                      and remove the file: it is fetched again";
        return Finding::fail(name, format!("{} is damaged", path.display()), remedy);
    }
    if let Some(path) = store.foreign.first() {
        let found = format!("{} is no image of the store's", path.display());
        return Finding::warn(name, found, "move it away: the store is the worker's alone");
    }
    let (count, size, limit) =
        (store.images.len(), ByteSize(store.bytes()), settings.images.store_bytes);
    let read = if whole == count { String::new() } else { format!(" ({whole} were looked into)") };
    let found = format!("{count} images{read}, {size} of {} in {shown}", ByteSize(limit));
    if store.bytes() > limit {
        let remedy =
            "raise images.store_size, or wait until VMs that need them are gone: no other \
                      image can be fetched";
        return Finding::warn(name, found, remedy);
    }
    Finding::ok(name, found)
}

/// How many are what their name says, and the first that is not. The smallest come first, as many as
/// can be read in that time.
fn read_through(images: &[(u64, PathBuf)], within: Duration) -> (usize, Option<PathBuf>) {
    let end = Instant::now() + within;
    let mut whole = 0;
    for (_, path) in images {
        match digest(path, end) {
            Ok(Some(digest)) if path.ends_with(&digest) => whole += 1,
            Ok(Some(_)) => return (whole, Some(path.clone())),
            Ok(None) => break,
            // The worker may have made room just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => whole += 1,
            Err(_) => return (whole, Some(path.clone())),
        }
    }
    (whole, None)
}

/// None where there is no time for it.
fn digest(path: &Path, end: Instant) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        if Instant::now() > end {
            return Ok(None);
        }
        let count = file.read(&mut block)?;
        match block.get(..count) {
            Some(read) if count > 0 => hasher.update(read),
            _ => return Ok(Some(HEXLOWER.encode(&hasher.finalize()))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{
        super::{tests::settings_in, Verdict},
        *,
    };

    const FOLDER: &str = "data/images/images";
    /// Of "an image".
    const NAME: &str = "0a2a0b4b5a1c0ed1f8bde2a4c0aaa2d0e4aa0a7f1d0a6e06e0ec0d2f0f2a3c11";

    fn digest_of(bytes: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::digest(bytes))
    }

    fn checked(settings: &Settings) -> Finding {
        images(settings, look(&settings.data_dir.join("images")))
    }

    #[test]
    fn room_is_told_and_a_disk_that_is_too_full_is_not_fine() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings_in(
            folder.path(),
            "thresholds.storage_percent = 100\nimages.store_size = \"20 GiB\"",
        );
        assert!(room(&settings, 0).fails(), "there is no data folder");
        fs::create_dir(&settings.data_dir).unwrap();
        let found = room(&settings, 20 << 30);
        assert!(found.is_ok() && found.found.contains("are free"), "{found:?}");
        settings.images.store_bytes = u64::MAX;
        assert_eq!(room(&settings, 0).verdict, Verdict::Warning);
        settings.thresholds.storage = 0;
        assert!(room(&settings, 0).fails());
    }

    #[test]
    fn an_image_that_is_not_what_its_name_says_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "");
        assert!(checked(&settings).is_ok(), "a store that is not made yet");
        let images = folder.path().join(FOLDER);
        fs::create_dir_all(&images).unwrap();
        fs::write(images.join(digest_of(b"an image")), "an image").unwrap();
        let found = checked(&settings);
        assert!(found.is_ok() && found.found.starts_with("1 images, 8 B of"), "{found:?}");
        fs::write(images.join(NAME), "an image").unwrap();
        let found = checked(&settings);
        assert!(found.fails() && found.found.contains(NAME), "{found:?}");
    }

    #[test]
    fn what_is_no_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "");
        fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        fs::write(folder.path().join(FOLDER).join("backup.qcow2"), "").unwrap();
        let found = checked(&settings);
        assert_eq!(found.verdict, Verdict::Warning);
        assert!(found.found.contains("backup.qcow2"), "{found:?}");
    }

    #[test]
    fn a_store_above_its_size_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings_in(folder.path(), "");
        let images = folder.path().join(FOLDER);
        fs::create_dir_all(&images).unwrap();
        fs::write(images.join(digest_of(b"an image")), "an image").unwrap();
        settings.images.store_bytes = 7;
        assert_eq!(checked(&settings).verdict, Verdict::Warning);
    }

    #[test]
    fn a_store_that_cannot_be_read_fails() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "");
        fs::create_dir(&settings.data_dir).unwrap();
        fs::write(settings.data_dir.join("images"), "a file").unwrap();
        let found = checked(&settings);
        assert!(found.fails() && found.found.contains("cannot be read"), "{found:?}");
    }

    #[test]
    fn what_there_is_no_time_for_is_not_judged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "another").unwrap();
        let images = [(7, path.clone())];
        assert_eq!(read_through(&images, Duration::ZERO), (0, None));
        assert_eq!(read_through(&images, READING), (0, Some(path)));
    }
}
