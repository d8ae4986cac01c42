//! What lies on this host: folders, room, the key, tools.

use super::{Finding, PATIENCE};
use crate::config::Settings;
use bytesize::ByteSize;
use quarry_client::{KeyFileError, WorkerKey};
use quarry_host::Host;
use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Stdio};
use tokio::{process::Command, time::timeout};

pub(super) fn key(settings: &Settings) -> (Option<WorkerKey>, Finding) {
    let name = "key";
    match WorkerKey::read(&settings.key.file) {
        Ok(key) => {
            let found = format!("{} in {}", key.address(), settings.key.file.display());
            (Some(key), Finding::ok(name, found))
        }
        Err(error @ KeyFileError::NotFound(_)) => {
            (None, Finding::fail(name, error.to_string(), "quarry-worker key generate"))
        }
        Err(error) => {
            let remedy =
                "make the file right, or make another key; the miner names that by set_worker";
            (None, Finding::fail(name, error.to_string(), remedy))
        }
    }
}

pub(super) fn data_dir(path: &Path) -> Finding {
    let name = "data_dir";
    let shown = path.display();
    let remedy = format!("make {shown} a folder of the worker's own user: chown it, chmod 755 it");
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::fail(
                name,
                format!("{shown}: {error}"),
                format!("install -d -m 755 {shown}, as the worker's user"),
            )
        }
    };
    if !metadata.is_dir() {
        return Finding::fail(name, format!("{shown} is not a folder"), remedy);
    }
    if metadata.mode() & 0o002 != 0 {
        return Finding::fail(name, format!("{shown} can be written by everybody"), remedy);
    }
    match rustix::fs::statfs(path).map(|stat| odd_file_system(stat.f_type)) {
        Ok(None) => {}
        Ok(Some(kind)) => {
            return Finding::fail(
                name,
                format!("{shown} lies on {kind}"),
                "put data_dir on a file system of a local disk: ext4, XFS or the like",
            )
        }
        Err(error) => return Finding::fail(name, format!("{shown}: {error}"), remedy),
    }
    match tries_to_write(path) {
        Ok(()) => Finding::ok(name, format!("{shown} can be written")),
        Err(error) => Finding::fail(name, format!("{shown} cannot be written: {error}"), remedy),
    }
}

fn tries_to_write(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".check-{}", std::process::id()));
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    let synced = file.sync_all();
    fs::remove_file(&path)?;
    synced
}

/// File systems that forget at a reboot, or that QEMU's locks and direct writes do not work on.
fn odd_file_system(magic: impl TryInto<i64>) -> Option<&'static str> {
    match magic.try_into().ok()? & 0xffff_ffff {
        0x0102_1994 => Some("tmpfs, which a reboot empties"),
        0x8584_58f6 => Some("ramfs, which a reboot empties"),
        0x794c_7630 => Some("overlayfs, a container's own layer"),
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x4d44 | 0x2011_bab0 => Some("FAT"),
        _ => None,
    }
}

pub(super) fn storage(settings: &Settings) -> Finding {
    let name = "storage";
    let sample = match Host::new(&settings.data_dir).sample() {
        Ok(sample) => sample,
        Err(error) => return Finding::fail(name, error.to_string(), "make data_dir first"),
    };
    let (free, total) = (ByteSize(sample.storage.free), ByteSize(sample.storage.total));
    let found = format!("{free} of {total} are free for disks of VMs");
    let (used, limit) = (sample.storage.used_permille(), settings.thresholds.storage);
    if used > limit {
        let remedy = format!(
            "make room, or put data_dir on a larger disk: above {} % in use the node takes no new VMs",
            limit / 10
        );
        return Finding::fail(name, found, remedy);
    }
    Finding::ok(name, found)
}

pub(super) fn images(settings: &Settings) -> Finding {
    let name = "images";
    let images = &settings.images;
    if let Some(folder) = images.local_dir.as_ref().filter(|folder| !folder.is_dir()) {
        let found = format!("images.local_dir, {}, is no folder", folder.display());
        return Finding::fail(name, found, "make it, or take the setting out");
    }
    let store = settings.data_dir.join("images");
    if store.exists() {
        if let Err(error) = tries_to_write(&store) {
            let found = format!("{} cannot be written: {error}", store.display());
            return Finding::fail(name, found, "give the folder to the worker's user");
        }
    }
    let gateways = images.gateways.len();
    let size = ByteSize(images.store_bytes);
    Finding::ok(name, format!("up to {size} in {}, {gateways} IPFS gateways", store.display()))
}

pub(super) async fn qemu_img() -> Finding {
    let name = "qemu-img";
    let remedy = "install it: apt-get install qemu-utils";
    let mut command = Command::new("qemu-img");
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Finding::ok(name, text.lines().next().unwrap_or_default())
        }
        Ok(Ok(output)) => Finding::fail(name, format!("ended with {}", output.status), remedy),
        Ok(Err(error)) => Finding::fail(name, format!("does not run: {error}"), remedy),
        Err(_) => Finding::fail(name, "does not answer", remedy),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn settings(folder: &Path, more: &str) -> Settings {
        let path = folder.join("worker.toml");
        let text = format!(
            "node_id = \"alpha\"\ndata_dir = \"{}/data\"\nchain.endpoints = [\"ws://127.0.0.1:9\"]\n{more}",
            folder.display()
        );
        fs::write(&path, text).unwrap();
        Settings::load(&path, []).unwrap()
    }

    #[test]
    fn a_data_folder_that_can_be_written_is_fine_and_nothing_stays_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(data_dir(folder.path()).ok);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_data_folder_that_is_missing_or_a_file_or_everybodys_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let missing = data_dir(&folder.path().join("no"));
        assert!(missing.remedy.unwrap().starts_with("install -d"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(data_dir(&file).found.contains("is not a folder"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(data_dir(folder.path()).found.contains("by everybody"));
    }

    #[test]
    fn a_data_folder_in_memory_or_on_the_network_is_not() {
        let found = data_dir(Path::new("/dev/shm"));
        assert!(!found.ok, "{found:?}");
        for magic in [0x0102_1994i64, 0x6969, 0xfe53_4d42, 0x794c_7630, 0x4d44] {
            assert!(odd_file_system(magic).is_some(), "{magic:x}");
        }
        for local in [0xef53i64, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(odd_file_system(local), None, "{local:x}");
        }
        assert!(odd_file_system(0xff53_4d42u32 as i32).is_some());
    }

    #[test]
    fn a_key_that_is_missing_can_be_made_and_then_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), "");
        let (none, finding) = key(&settings);
        assert!(none.is_none());
        assert_eq!(finding.remedy.as_deref(), Some("quarry-worker key generate"));
        fs::create_dir(&settings.data_dir).unwrap();
        let made = WorkerKey::create(&settings.key.file).unwrap();
        let (read, finding) = key(&settings);
        assert!(finding.ok && finding.found.contains(&made.address()), "{finding:?}");
        assert_eq!(read.unwrap().public(), made.public());
        fs::set_permissions(&settings.key.file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!key(&settings).1.ok);
    }

    #[test]
    fn room_is_told_and_a_disk_that_is_too_full_is_not_fine() {
        let folder = tempfile::tempdir().unwrap();
        let roomy = settings(folder.path(), "thresholds.storage_percent = 100");
        assert!(storage(&roomy).found.contains("/data"), "{:?}", storage(&roomy));
        fs::create_dir(&roomy.data_dir).unwrap();
        let found = storage(&roomy);
        assert!(found.ok && found.found.contains("are free"), "{found:?}");
        let mut full = roomy.clone();
        full.thresholds.storage = 0;
        assert!(!storage(&full).ok);
    }

    #[test]
    fn a_folder_of_local_images_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("images.local_dir = \"{}/images\"", folder.path().display());
        let settings = settings(folder.path(), &line);
        assert!(images(&settings).found.contains("is no folder"));
        fs::create_dir(folder.path().join("images")).unwrap();
        assert!(images(&settings).ok);
        fs::create_dir_all(&settings.data_dir).unwrap();
        fs::write(settings.data_dir.join("images"), "a file").unwrap();
        assert!(images(&settings).found.contains("cannot be written"));
    }

    #[tokio::test]
    async fn qemu_img_tells_its_version() {
        let found = qemu_img().await;
        assert!(found.ok && found.found.contains("version"), "{found:?}");
    }
}
