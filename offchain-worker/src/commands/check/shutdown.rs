//! What libvirt-guests does with VMs when the host goes down and comes up.

use super::Finding;
use std::{collections::HashMap, fs, path::Path};

const REMEDY: &str = "apt-get install libvirt-daemon-system, and in /etc/default/libvirt-guests: \
                      ON_BOOT=ignore, ON_SHUTDOWN=shutdown";

pub(super) fn check(root: &Path) -> Finding {
    let name = "libvirt-guests";
    let path = "etc/default/libvirt-guests";
    let Ok(text) = fs::read_to_string(root.join(path)) else {
        let found = format!("there is no /{path}: VMs lose their power with the host");
        return Finding::warn(name, found, REMEDY);
    };
    let set = assignments(&text);
    let value = |name: &str, default: &'static str| set.get(name).copied().unwrap_or(default);
    let (boot, shutdown) = (value("ON_BOOT", "start"), value("ON_SHUTDOWN", "suspend"));
    if boot != "ignore" {
        let found =
            format!("ON_BOOT={boot}: VMs start before the worker knows what the chain wants");
        return Finding::warn(name, found, REMEDY);
    }
    if shutdown != "shutdown" {
        let found = format!("ON_SHUTDOWN={shutdown}: VMs are not shut down with the host");
        return Finding::warn(name, found, REMEDY);
    }
    Finding::ok(name, "shuts VMs down with the host, and starts none")
}

/// Of a file that a shell reads: the last one of a name counts.
fn assignments(text: &str) -> HashMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name, value.trim_matches(['"', '\'']))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    fn with(text: Option<&str>) -> Finding {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/default")).unwrap();
        if let Some(text) = text {
            fs::write(root.path().join("etc/default/libvirt-guests"), text).unwrap();
        }
        check(root.path())
    }

    #[test]
    fn vms_are_shut_down_with_the_host_and_started_by_the_worker_alone() {
        let right = "#ON_BOOT=start\nON_BOOT=start\nON_BOOT=\"ignore\"\nON_SHUTDOWN=shutdown\n";
        assert!(with(Some(right)).is_ok());
        for (wrong, word) in [
            ("ON_SHUTDOWN=shutdown\n", "ON_BOOT=start"),
            ("ON_BOOT=ignore\n", "ON_SHUTDOWN=suspend"),
            ("ON_BOOT=ignore\nON_SHUTDOWN=suspend\n", "ON_SHUTDOWN=suspend"),
            ("ON_SHUTDOWN=shutdown\n#ON_BOOT=ignore\n", "ON_BOOT=start"),
        ] {
            let found = with(Some(wrong));
            assert!(!found.is_ok() && !found.fails(), "{found:?}");
            assert!(found.found.starts_with(word), "{found:?}");
        }
        assert!(with(None).found.contains("there is no"));
    }
}
