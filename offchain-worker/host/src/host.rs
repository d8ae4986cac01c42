use crate::{
    disks::{self, Disk},
    gpu::{self, Gpu},
    network::{self, Interface},
    sysfs,
    thresholds::Load,
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// A host could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Nobody knows how much room is left for disks.
    #[error("cannot tell the free space under {path}: {source}; is data_dir there and mounted?")]
    Storage {
        /// The data folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Something that is used up in part.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Share {
    /// All of it, in bytes.
    pub total: u64,
    /// What is left of it.
    pub free: u64,
}

impl Share {
    /// What is used of it, in thousandths; all of it where there is nothing.
    pub fn used_permille(&self) -> u16 {
        let used = u128::from(self.total.saturating_sub(self.free));
        let permille = (used * 1_000).checked_div(self.total.into()).unwrap_or(1_000);
        u16::try_from(permille).unwrap_or(1_000)
    }
}

/// The host's figures at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// How busy all CPUs together were since the last sample, in thousandths.
    pub cpu_permille: u16,
    /// The CPU's name.
    pub cpu_model: String,
    /// Logical CPUs.
    pub cpu_cores: u16,
    /// Memory; what the kernel could give at once counts as free.
    pub memory: Share,
    /// The file system under the data folder; what is kept for root does not count as free.
    pub storage: Share,
    /// The host's disks, that of the data folder first.
    pub disks: Vec<Disk>,
    /// The way to the world.
    pub interface: Option<Interface>,
    /// How long the host has been up.
    pub uptime: Duration,
    /// The graphics card.
    pub gpu: Option<Gpu>,
    /// Whether guests' memory can be encrypted.
    pub is_sev_enabled: bool,
}

impl Sample {
    /// What [`Thresholds`](crate::Thresholds) look at.
    pub fn load(&self) -> Load {
        Load {
            cpu: self.cpu_permille,
            memory: self.memory.used_permille(),
            storage: self.storage.used_permille(),
        }
    }
}

/// The host, read time and again.
pub struct Host {
    data_dir: PathBuf,
    system: System,
    gpu: Option<Gpu>,
    is_sev_enabled: bool,
}

impl Host {
    /// The host that this runs on; VMs' disks lie in that folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let mut system = System::new_with_specifics(
            RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_cpu_usage()),
        );
        system.refresh_cpu_usage();
        Self {
            data_dir: data_dir.into(),
            system,
            gpu: gpu::find(Path::new("/")),
            is_sev_enabled: is_sev_enabled(Path::new("/")),
        }
    }

    /// The figures now. Samples less than a fifth of a second apart have the same CPU figure.
    pub fn sample(&mut self) -> Result<Sample, HostError> {
        let storage = free_space(&self.data_dir)
            .map_err(|source| HostError::Storage { path: self.data_dir.clone(), source })?;
        self.system.refresh_cpu_usage();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let cpus = self.system.cpus();
        Ok(Sample {
            cpu_permille: permille(self.system.global_cpu_usage()),
            cpu_model: cpus.first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
            cpu_cores: u16::try_from(cpus.len()).unwrap_or(u16::MAX),
            memory: Share {
                total: self.system.total_memory(),
                free: self.system.available_memory(),
            },
            storage,
            disks: disks::list(Path::new("/"), &disks::mounts(), &self.data_dir),
            interface: network::primary(Path::new("/")),
            uptime: Duration::from_secs(System::uptime()),
            gpu: self.gpu.clone(),
            is_sev_enabled: self.is_sev_enabled,
        })
    }
}

fn permille(percent: f32) -> u16 {
    (percent * 10.0).round().clamp(0.0, 1_000.0) as u16
}

fn free_space(path: &Path) -> io::Result<Share> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    // What only root may use is no room: it counts neither as free nor as there.
    let kept = stat.f_bfree.saturating_sub(stat.f_bavail);
    Ok(Share { total: bytes(stat.f_blocks.saturating_sub(kept)), free: bytes(stat.f_bavail) })
}

fn is_sev_enabled(root: &Path) -> bool {
    let parameter = sysfs::text(root.join("sys/module/kvm_amd/parameters/sev"));
    parameter.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("y"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_host_has_what_every_host_has() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Host::new(folder.path()).sample().unwrap();
        let cpus = std::thread::available_parallelism().unwrap().get();
        assert!(usize::from(sample.cpu_cores) >= cpus, "{sample:?}");
        assert!(sample.cpu_permille <= 1_000, "{sample:?}");
        assert!(sample.memory.total > sample.memory.free && sample.memory.free > 0, "{sample:?}");
        assert!(sample.storage.total > sample.storage.free, "{sample:?}");
        assert!(sample.uptime > Duration::ZERO, "{sample:?}");
    }

    #[test]
    fn memory_is_as_the_kernel_tells_it() {
        let sample = Host::new("/").sample().unwrap();
        let told = fs::read_to_string("/proc/meminfo").unwrap();
        let kib: u64 = told.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!(sample.memory.total, kib * 1_024);
    }

    #[test]
    fn a_data_folder_that_is_gone_is_named() {
        let error = Host::new("/nowhere/at/all").sample().unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("data_dir"), "{error}");
    }

    #[test]
    fn a_share_is_used_in_thousandths_and_nothing_is_all_used() {
        let used = |total, free| Share { total, free }.used_permille();
        assert_eq!((used(1_000, 1_000), used(1_000, 100), used(3, 1)), (0, 900, 666));
        assert_eq!((used(0, 0), used(1, 2), used(u64::MAX, 0)), (1_000, 0, 1_000));
    }

    #[test]
    fn a_load_in_per_cent_is_thousandths_and_never_above_all() {
        assert_eq!((permille(12.34), permille(0.0), permille(100.9)), (123, 0, 1_000));
        assert_eq!((permille(-1.0), permille(f32::NAN)), (0, 0));
    }

    #[test]
    fn sev_is_on_where_the_kernel_says_so() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/module/kvm_amd/parameters");
        assert!(!is_sev_enabled(root.path()));
        fs::create_dir_all(&folder).unwrap();
        for (text, expected) in [("Y\n", true), ("1\n", true), ("N\n", false), ("0\n", false)] {
            fs::write(folder.join("sev"), text).unwrap();
            assert_eq!(is_sev_enabled(root.path()), expected, "{text}");
        }
    }
}
