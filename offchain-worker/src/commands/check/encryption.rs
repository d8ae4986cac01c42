//! Whether the disks of VMs are encrypted where they lie.

use super::Finding;
use rustix::fs::{major, minor};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Layers of block devices, one upon the other; more would be a loop.
const MOST_LAYERS: usize = 16;

pub(super) fn check(data_dir: &Path, root: &Path) -> Finding {
    let name = "encryption";
    let remedy =
        "put data_dir on a LUKS volume before the first VM: tenants expect that whoever gets \
                  hold of the disk cannot read theirs";
    let Ok(metadata) = fs::metadata(data_dir) else {
        return Finding::warn(name, "there is no data_dir yet", remedy);
    };
    let number = (major(metadata.dev()), minor(metadata.dev()));
    match device(number, root).map(|device| is_encrypted(&device, MOST_LAYERS)) {
        Some(true) => Finding::ok(name, "data_dir lies on an encrypted volume (dm-crypt)"),
        Some(false) => {
            Finding::warn(name, "the disk under data_dir is not encrypted by dm-crypt", remedy)
        }
        None => Finding::warn(
            name,
            "what lies under data_dir cannot be told: it is no block device",
            "see for yourself that it is encrypted, as with ZFS's own encryption",
        ),
    }
}

/// The folder of the block device in /sys. File systems that span several, as btrfs, have a number of
/// their own, and the mount table names one of them.
fn device((major, minor): (u32, u32), root: &Path) -> Option<PathBuf> {
    let of = |number: &str| fs::canonicalize(root.join("sys/dev/block").join(number)).ok();
    let number = format!("{major}:{minor}");
    of(&number).or_else(|| {
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
        let source = source_of(&mounts, &number)?;
        let rdev = fs::metadata(source).ok()?.rdev();
        of(&format!("{}:{}", rustix::fs::major(rdev), rustix::fs::minor(rdev)))
    })
}

fn source_of<'a>(mounts: &'a str, number: &str) -> Option<&'a str> {
    let is_it = |line: &&str| line.split(' ').nth(2) == Some(number);
    let (_, of_file_system) = mounts.lines().find(is_it)?.split_once(" - ")?;
    of_file_system.split(' ').nth(1).filter(|source| source.starts_with("/dev/"))
}

/// Whether it is a volume of dm-crypt, or all that it lies on are.
fn is_encrypted(device: &Path, layers: usize) -> bool {
    if layers == 0 {
        return false;
    }
    let uuid = fs::read_to_string(device.join("dm/uuid")).unwrap_or_default();
    if uuid.starts_with("CRYPT-") {
        return true;
    }
    let whole = device.join("partition").exists().then(|| device.parent()).flatten();
    let below: Vec<PathBuf> = match whole {
        Some(whole) => vec![whole.to_owned()],
        None => fs::read_dir(device.join("slaves"))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::canonicalize(entry.ok()?.path()).ok())
            .collect(),
    };
    !below.is_empty() && below.iter().all(|device| is_encrypted(device, layers - 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A device, with the dm uuid and what it lies on.
    fn add(root: &Path, name: &str, uuid: &str, upon: &[&str]) {
        let device = root.join("sys/devices").join(name);
        fs::create_dir_all(device.join("slaves")).unwrap();
        fs::create_dir_all(device.join("dm")).unwrap();
        fs::write(device.join("dm/uuid"), uuid).unwrap();
        for other in upon {
            symlink(root.join("sys/devices").join(other), device.join("slaves").join(other))
                .unwrap();
        }
    }

    fn encrypted(root: &Path, name: &str) -> bool {
        is_encrypted(&root.join("sys/devices").join(name), MOST_LAYERS)
    }

    #[test]
    fn a_volume_is_encrypted_if_any_layer_below_it_is() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "sda", "", &[]);
        add(root.path(), "crypt", "CRYPT-LUKS2-1234-data\n", &["sda"]);
        add(root.path(), "lvm", "LVM-1234\n", &["crypt"]);
        add(root.path(), "plain", "LVM-1234\n", &["sda"]);
        assert!(encrypted(root.path(), "crypt") && encrypted(root.path(), "lvm"));
        assert!(!encrypted(root.path(), "sda") && !encrypted(root.path(), "plain"));
    }

    #[test]
    fn one_plain_disk_of_a_raid_leaves_it_plain() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "sda", "", &[]);
        add(root.path(), "one", "CRYPT-LUKS2-1\n", &["sda"]);
        add(root.path(), "two", "CRYPT-LUKS2-2\n", &["sda"]);
        add(root.path(), "whole", "", &["one", "two"]);
        add(root.path(), "half", "", &["one", "sda"]);
        assert!(encrypted(root.path(), "whole") && !encrypted(root.path(), "half"));
    }

    #[test]
    fn a_partition_is_as_the_device_that_it_is_of() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "sda", "", &[]);
        add(root.path(), "crypt", "CRYPT-PLAIN-1\n", &["sda"]);
        for whole in ["sda", "crypt"] {
            let part = root.path().join("sys/devices").join(whole).join("part1");
            fs::create_dir_all(&part).unwrap();
            fs::write(part.join("partition"), "1\n").unwrap();
        }
        assert!(encrypted(root.path(), "crypt/part1") && !encrypted(root.path(), "sda/part1"));
    }

    #[test]
    fn devices_that_lie_on_each_other_end() {
        let root = tempfile::tempdir().unwrap();
        add(root.path(), "one", "", &["two"]);
        add(root.path(), "two", "", &["one"]);
        assert!(!encrypted(root.path(), "one"));
    }

    #[test]
    fn the_mount_table_names_the_device_of_what_spans_several() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/root rw\n\
                      40 22 0:36 /sub /srv rw,relatime shared:3 - btrfs /dev/mapper/pool rw\n\
                      41 22 0:37 / /tank rw - zfs tank/data rw\n";
        assert_eq!(source_of(mounts, "0:36"), Some("/dev/mapper/pool"));
        assert_eq!(source_of(mounts, "0:37"), None);
        assert_eq!(source_of(mounts, "0:99"), None);
    }

    #[test]
    fn what_is_no_block_device_is_not_judged() {
        let root = tempfile::tempdir().unwrap();
        let found = check(root.path(), root.path());
        assert!(found.found.contains("cannot be told") && !found.fails(), "{found:?}");
    }

    #[test]
    fn this_folder_lies_on_its_device() {
        let folder = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let dev = fs::metadata(folder.path()).unwrap().dev();
        add(root.path(), "crypt", "CRYPT-LUKS2-1\n", &[]);
        fs::create_dir_all(root.path().join("sys/dev/block")).unwrap();
        let number = format!("{}:{}", major(dev), minor(dev));
        let link = root.path().join("sys/dev/block").join(number);
        symlink(root.path().join("sys/devices/crypt"), link).unwrap();
        assert!(check(folder.path(), root.path()).is_ok());
    }
}
