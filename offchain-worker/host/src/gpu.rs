//! Graphics cards, as far as the kernel tells of them.

use crate::sysfs;
use std::path::Path;

/// A graphics card.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gpu {
    /// Its name, or its maker and number.
    pub name: String,
    /// Its memory in bytes; 0 where it does not say.
    pub memory: u64,
}

/// Those that compute. Others (a management controller's, a virtual machine's) only show a screen.
const MAKERS: [(&str, &str); 3] = [("0x10de", "NVIDIA"), ("0x1002", "AMD"), ("0x8086", "Intel")];
const DISPLAY_CLASS: &str = "0x03";

/// The card with the most memory.
pub(crate) fn find(root: &Path) -> Option<Gpu> {
    let devices = sysfs::members(root.join("sys/bus/pci/devices"));
    devices.iter().filter_map(|device| gpu(root, device)).max_by_key(|gpu| gpu.memory)
}

fn gpu(root: &Path, device: &Path) -> Option<Gpu> {
    if !sysfs::text(device.join("class"))?.starts_with(DISPLAY_CLASS) {
        return None;
    }
    let vendor = sysfs::text(device.join("vendor"))?;
    let (_, maker) = MAKERS.iter().find(|(id, _)| *id == vendor)?;
    let number = sysfs::text(device.join("device")).unwrap_or_default();
    let told = nvidia_model(root, device).or_else(|| sysfs::text(device.join("product_name")));
    let name = told.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{maker} {number}"));
    Some(Gpu { name, memory: sysfs::number(device.join("mem_info_vram_total")).unwrap_or(0) })
}

fn nvidia_model(root: &Path, device: &Path) -> Option<String> {
    let folder = root.join("proc/driver/nvidia/gpus").join(sysfs::name(device)?);
    let text = sysfs::text(folder.join("information"))?;
    let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
    Some(model.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn with(devices: &[(&str, &[(&str, &str)])]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (slot, files) in devices {
            let folder = root.path().join("sys/bus/pci/devices").join(slot);
            fs::create_dir_all(&folder).unwrap();
            for (file, text) in *files {
                fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
        }
        root
    }

    #[test]
    fn an_amd_card_has_its_number_and_its_memory() {
        let files = [
            ("class", "0x030000"),
            ("vendor", "0x1002"),
            ("device", "0x73bf"),
            ("mem_info_vram_total", "17163091968"),
        ];
        let found = find(with(&[("0000:03:00.0", &files)]).path());
        assert_eq!(found, Some(Gpu { name: "AMD 0x73bf".into(), memory: 17_163_091_968 }));
    }

    #[test]
    fn an_nvidia_card_has_the_name_that_its_driver_tells() {
        let files = [("class", "0x030200"), ("vendor", "0x10de"), ("device", "0x2204")];
        let root = with(&[("0000:41:00.0", &files)]);
        assert_eq!(find(root.path()).unwrap().name, "NVIDIA 0x2204");
        let folder = root.path().join("proc/driver/nvidia/gpus/0000:41:00.0");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("information"), "Model: \t\t NVIDIA A100\nIRQ: 1\n").unwrap();
        assert_eq!(find(root.path()).unwrap().name, "NVIDIA A100");
    }

    #[test]
    fn of_several_the_one_with_the_most_memory_counts() {
        let small = [("class", "0x030000"), ("vendor", "0x8086"), ("device", "0x1")];
        let large = [
            ("class", "0x030000"),
            ("vendor", "0x1002"),
            ("product_name", "Radeon Pro"),
            ("mem_info_vram_total", "5"),
        ];
        let root = with(&[("0000:00:02.0", &small), ("0000:03:00.0", &large)]);
        assert_eq!(find(root.path()), Some(Gpu { name: "Radeon Pro".into(), memory: 5 }));
    }

    #[test]
    fn a_screen_without_a_processor_and_other_devices_are_no_gpu() {
        let virtual_screen = [("class", "0x030000"), ("vendor", "0x1234")];
        let network = [("class", "0x020000"), ("vendor", "0x8086")];
        let root = with(&[("0000:00:01.0", &virtual_screen), ("0000:00:02.0", &network)]);
        assert_eq!(find(root.path()), None);
        assert_eq!(find(Path::new("/nowhere")), None);
    }
}
