//! Disks: which there are, and what is free on the file systems that lie on them.

use crate::{host::Share, sysfs};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use sysinfo::{DiskRefreshKind, Disks};

/// What moves, or does not, when a disk is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskKind {
    /// Flash on the PCI bus.
    Nvme,
    /// Flash behind a disk's interface.
    Ssd,
    /// Plates; also what does not say.
    Hdd,
}

impl DiskKind {
    /// As the chain has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvme => "nvme",
            Self::Ssd => "ssd",
            Self::Hdd => "hdd",
        }
    }
}

/// A disk of the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disk {
    /// As the kernel names it.
    pub name: String,
    /// What it is.
    pub kind: DiskKind,
    /// Its size, and what is free on its file systems.
    pub space: Share,
    /// Whether the data folder lies on it.
    pub holds_data: bool,
}

/// A file system on a block device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mount {
    pub device: PathBuf,
    pub at: PathBuf,
    pub free: u64,
}

/// Devices that are made of others, of memory, or of files, or whose medium comes and goes.
const NO_DISKS: [&str; 8] = ["loop", "zram", "ram", "dm-", "md", "sr", "fd", "nbd"];
const SECTOR: u64 = 512;

pub(crate) fn mounts() -> Vec<Mount> {
    let kind = DiskRefreshKind::nothing().with_storage();
    let disks = Disks::new_with_refreshed_list_specifics(kind);
    let mount = |disk: &sysinfo::Disk| Mount {
        device: PathBuf::from(disk.name()),
        at: disk.mount_point().to_owned(),
        free: disk.available_space(),
    };
    disks.list().iter().map(mount).collect()
}

/// The disks, that of the data folder first, then the largest.
pub(crate) fn list(root: &Path, mounts: &[Mount], data_dir: &Path) -> Vec<Disk> {
    let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let under = mounts.iter().filter(|mount| data_dir.starts_with(&mount.at));
    let data_device = under.max_by_key(|mount| mount.at.components().count()).map(|m| &m.device);
    let data_disk = data_device.and_then(|device| disk_below(root, device));
    let free = free_by_disk(root, mounts);
    let mut disks: Vec<_> = sysfs::members(root.join("sys/block"))
        .iter()
        .filter_map(|path| disk(path, &free, data_disk.as_deref()))
        .collect();
    disks.sort_by_key(|disk| (!disk.holds_data, std::cmp::Reverse(disk.space.total)));
    disks
}

fn disk(path: &Path, free: &BTreeMap<String, u64>, data_disk: Option<&str>) -> Option<Disk> {
    let name = sysfs::name(path)?;
    let sectors: u64 = sysfs::number(path.join("size"))?;
    if sectors == 0 || NO_DISKS.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let total = sectors.saturating_mul(SECTOR);
    let free = free.get(name).copied().unwrap_or(0).min(total);
    let rotates = sysfs::text(path.join("queue/rotational")).is_none_or(|text| text != "0");
    let kind = match name.starts_with("nvme") {
        true => DiskKind::Nvme,
        false if rotates => DiskKind::Hdd,
        false => DiskKind::Ssd,
    };
    let holds_data = data_disk == Some(name);
    Some(Disk { name: name.to_owned(), kind, space: Share { total, free }, holds_data })
}

/// A file system that is mounted twice is free but once.
fn free_by_disk(root: &Path, mounts: &[Mount]) -> BTreeMap<String, u64> {
    let by_device: BTreeMap<_, _> =
        mounts.iter().map(|mount| (&mount.device, mount.free)).collect();
    let mut free = BTreeMap::new();
    for (device, bytes) in by_device {
        if let Some(disk) = disk_below(root, device) {
            let sum: &mut u64 = free.entry(disk).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    free
}

/// The disk that a partition, or the first part of a volume, lies on.
fn disk_below(root: &Path, device: &Path) -> Option<String> {
    let device = fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
    let mut name = sysfs::name(&device)?.to_owned();
    // Volumes on volumes end somewhere; a loop of them does not.
    for _ in 0..8 {
        let node = root.join("sys/class/block").join(&name).canonicalize().ok()?;
        if let Some(slave) = sysfs::members(node.join("slaves")).first() {
            name = sysfs::name(slave)?.to_owned();
        } else if node.join("partition").exists() {
            name = sysfs::name(node.parent()?)?.to_owned();
        } else {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const GIB: u64 = 1 << 30;

    /// A /sys with the disks that a test needs.
    struct Sys(TempDir);

    impl Sys {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for folder in ["sys/block", "sys/class/block"] {
                fs::create_dir_all(root.path().join(folder)).unwrap();
            }
            Self(root)
        }

        fn disk(self, name: &str, bytes: u64, rotates: bool) -> Self {
            let node = self.0.path().join("sys/devices").join(name);
            fs::create_dir_all(node.join("queue")).unwrap();
            fs::write(node.join("size"), format!("{}\n", bytes / SECTOR)).unwrap();
            fs::write(node.join("queue/rotational"), if rotates { "1\n" } else { "0\n" }).unwrap();
            symlink(&node, self.0.path().join("sys/block").join(name)).unwrap();
            symlink(&node, self.0.path().join("sys/class/block").join(name)).unwrap();
            self
        }

        fn partition(self, disk: &str, name: &str) -> Self {
            let node = self.0.path().join("sys/devices").join(disk).join(name);
            fs::create_dir_all(&node).unwrap();
            fs::write(node.join("partition"), "1\n").unwrap();
            symlink(&node, self.0.path().join("sys/class/block").join(name)).unwrap();
            self
        }

        fn slave(self, volume: &str, below: &str) -> Self {
            let slaves = self.0.path().join("sys/devices").join(volume).join("slaves");
            fs::create_dir_all(&slaves).unwrap();
            symlink(self.0.path().join("sys/class/block").join(below), slaves.join(below)).unwrap();
            self
        }

        fn list(&self, mounts: &[Mount], data_dir: &str) -> Vec<Disk> {
            list(self.0.path(), mounts, Path::new(data_dir))
        }
    }

    fn mount(device: &str, at: &str, free: u64) -> Mount {
        Mount { device: device.into(), at: at.into(), free }
    }

    #[test]
    fn the_disk_of_the_data_folder_comes_first_then_the_largest() {
        let sys = Sys::new()
            .disk("qda", 100 * GIB, true)
            .disk("qdb", 300 * GIB, false)
            .disk("nvme9n1", 50 * GIB, false)
            .partition("nvme9n1", "nvme9n1p2");
        let mounts =
            [mount("/dev/qda", "/", 7 * GIB), mount("/dev/nvme9n1p2", "/nowhere/data", 9 * GIB)];
        let disks = sys.list(&mounts, "/nowhere/data/quarry");
        let names: Vec<_> = disks.iter().map(|disk| (disk.name.as_str(), disk.kind)).collect();
        let expected =
            [("nvme9n1", DiskKind::Nvme), ("qdb", DiskKind::Ssd), ("qda", DiskKind::Hdd)];
        assert_eq!(names, expected);
        assert!(disks[0].holds_data && !disks[1].holds_data && !disks[2].holds_data);
        assert_eq!(disks[0].space, Share { total: 50 * GIB, free: 9 * GIB });
        assert_eq!(disks[1].space.free, 0);
    }

    #[test]
    fn a_file_system_that_is_mounted_twice_is_free_once_and_two_add_up() {
        let sys = Sys::new()
            .disk("qda", 100 * GIB, false)
            .partition("qda", "qda1")
            .partition("qda", "qda2");
        let mounts = [
            mount("/dev/qda1", "/", 5 * GIB),
            mount("/dev/qda1", "/again", 5 * GIB),
            mount("/dev/qda2", "/other", 3 * GIB),
        ];
        assert_eq!(sys.list(&mounts, "/")[0].space.free, 8 * GIB);
    }

    #[test]
    fn a_volume_lies_on_the_disk_below_it() {
        let sys = Sys::new()
            .disk("qda", 100 * GIB, false)
            .partition("qda", "qda3")
            .disk("dm-0", 90 * GIB, false)
            .disk("dm-1", 80 * GIB, false)
            .slave("dm-0", "qda3")
            .slave("dm-1", "dm-0");
        let disks = sys.list(&[mount("/dev/dm-1", "/", 4 * GIB)], "/");
        assert_eq!(disks.len(), 1);
        assert!(disks[0].name == "qda" && disks[0].holds_data && disks[0].space.free == 4 * GIB);
    }

    #[test]
    fn volumes_in_a_loop_are_on_no_disk() {
        let sys = Sys::new().disk("dm-0", GIB, false).slave("dm-0", "dm-0");
        assert_eq!(disk_below(sys.0.path(), Path::new("/dev/dm-0")), None);
    }

    #[test]
    fn what_is_made_of_memory_or_files_or_is_empty_is_no_disk() {
        let mut sys = Sys::new().disk("qda", 0, false);
        for name in ["loop0", "zram0", "ram1", "dm-3", "md127", "sr0", "fd0", "nbd3"] {
            sys = sys.disk(name, GIB, false);
        }
        assert_eq!(sys.list(&[], "/"), []);
    }

    #[test]
    fn nothing_more_is_free_than_there_is() {
        let sys = Sys::new().disk("qda", GIB, false);
        assert_eq!(sys.list(&[mount("/dev/qda", "/", 9 * GIB)], "/")[0].space.free, GIB);
    }

    #[test]
    fn this_hosts_disks_can_be_listed() {
        let root = Path::new("/");
        let disks = list(root, &mounts(), root);
        let folder = fs::read_dir("/sys/block").unwrap();
        assert!(disks.len() <= folder.count());
        assert!(disks.iter().all(|disk| disk.space.total > 0), "{disks:?}");
    }
}
