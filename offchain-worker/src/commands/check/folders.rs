//! The data folder, the folder of local images, and the tool that looks into images.

use super::{Finding, PATIENCE};
use crate::config::Settings;
use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Stdio};
use tokio::{process::Command, time::timeout};

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

pub(super) fn tries_to_write(folder: &Path) -> std::io::Result<()> {
    // Beside the folder of the guest that is tried at the same time.
    let path = folder.join(format!(".probe-{}", std::process::id()));
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

pub(super) fn local_images(settings: &Settings) -> Finding {
    let name = "images.local_dir";
    match &settings.images.local_dir {
        None => Finding::ok(name, "none is set: images come by https and IPFS"),
        Some(folder) => match fs::read_dir(folder) {
            Ok(_) => Finding::ok(name, format!("{} can be read", folder.display())),
            Err(error) => Finding::fail(
                name,
                format!("{}: {error}", folder.display()),
                "make the folder, or take images.local_dir out",
            ),
        },
    }
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
    use super::{super::tests::settings_in, *};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_data_folder_that_can_be_written_is_fine_and_nothing_stays_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(data_dir(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_data_folder_that_is_missing_or_a_file_or_everybodys_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let missing = data_dir(&folder.path().join("no"));
        assert!(missing.fails() && missing.remedy.unwrap().starts_with("install -d"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(data_dir(&file).found.contains("is not a folder"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(data_dir(folder.path()).found.contains("by everybody"));
    }

    #[test]
    fn a_data_folder_in_memory_or_on_the_network_is_not() {
        let found = data_dir(Path::new("/dev/shm"));
        assert!(found.fails(), "{found:?}");
        for magic in [0x0102_1994i64, 0x6969, 0xfe53_4d42, 0x794c_7630, 0x4d44] {
            assert!(odd_file_system(magic).is_some(), "{magic:x}");
        }
        for local in [0xef53i64, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(odd_file_system(local), None, "{local:x}");
        }
        assert!(odd_file_system(0xff53_4d42u32 as i32).is_some());
    }

    #[test]
    fn a_folder_of_local_images_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("images.local_dir = \"{}/images\"", folder.path().display());
        let settings = settings_in(folder.path(), &line);
        assert!(local_images(&settings).fails());
        fs::create_dir(folder.path().join("images")).unwrap();
        assert!(local_images(&settings).is_ok());
        assert!(local_images(&settings_in(folder.path(), "")).is_ok());
    }

    #[tokio::test]
    async fn qemu_img_tells_its_version() {
        let found = qemu_img().await;
        assert!(found.is_ok() && found.found.contains("version"), "{found:?}");
    }
}
