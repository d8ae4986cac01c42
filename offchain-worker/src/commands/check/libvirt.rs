//! libvirt, how it runs guests, and the networks that they are plugged into.

use super::{Finding, PATIENCE};
use crate::config::{NetworkSettings, Settings};
use quarry_hypervisor::{Accelerator, Attachment, HostInfo, Hypervisor, Libvirt};
use std::{fs, path::Path};
use tokio::{task::spawn_blocking, time::timeout};
use virt::connect::Connect;

pub(super) async fn checks(settings: &Settings) -> Vec<Finding> {
    let uri = settings.hypervisor.uri.clone();
    let networks = settings.network.clone();
    let wanted = settings.hypervisor.accelerator;
    let work = spawn_blocking(move || {
        let info = Libvirt::connect(&uri).and_then(|libvirt| libvirt.host());
        let mut findings = match info {
            Ok(info) => vec![
                Finding::ok("libvirt", format!("{} at {uri}", info.hypervisor)),
                accelerator(wanted, &info),
            ],
            Err(error) => vec![unreachable(&error.to_string())],
        };
        findings.extend(self::networks(&networks, |name| libvirt_network(&uri, name)));
        findings
    });
    match timeout(PATIENCE * 2, work).await {
        Ok(Ok(findings)) => findings,
        _ => vec![unreachable("libvirt does not answer")],
    }
}

fn unreachable(error: &str) -> Finding {
    let remedy =
        "start it: systemctl start libvirtd (or virtqemud); the worker's user must be in the \
                  group libvirt";
    Finding::fail("libvirt", error, remedy)
}

fn accelerator(wanted: Option<Accelerator>, info: &HostInfo) -> Finding {
    let name = "guests";
    match (wanted, info.accelerator) {
        (Some(Accelerator::Kvm), offered) if offered != Accelerator::Kvm => Finding::fail(
            name,
            "libvirt offers no KVM",
            "turn on virtualization in the firmware and load kvm_amd or kvm_intel; or set \
             hypervisor.accelerator = \"emulation\", which is slow",
        ),
        (None, Accelerator::Kvm) | (Some(Accelerator::Kvm), _) => Finding::ok(name, "run by KVM"),
        (None, Accelerator::Test) | (Some(Accelerator::Test), _) => {
            Finding::ok(name, "do not run: this is libvirt's test driver")
        }
        (Some(Accelerator::Emulation), _) | (None, Accelerator::Emulation) => {
            Finding::ok(name, "are emulated, which is slow")
        }
    }
}

/// Each network of the config; `active` tells of one of libvirt's.
fn networks(
    settings: &NetworkSettings,
    active: impl Fn(&str) -> Result<bool, String>,
) -> Vec<Finding> {
    let private = settings.private.as_ref().map(|private| &private.attachment);
    let attachments = [
        ("network.own", settings.own.as_ref()),
        ("network.global", settings.global.as_ref()),
        ("network.private", private),
    ];
    let set: Vec<_> =
        attachments.iter().filter_map(|(name, set)| set.map(|set| (*name, set))).collect();
    if set.is_empty() {
        return vec![Finding::fail(
            "network",
            "no network is set, so that no VM can run here",
            "set network.private for VMs without an address of their own, network.own for others",
        )];
    }
    set.into_iter().map(|(name, attachment)| network(name, attachment, &active)).collect()
}

fn network(
    name: &'static str,
    attachment: &Attachment,
    active: impl Fn(&str) -> Result<bool, String>,
) -> Finding {
    match attachment {
        Attachment::User => Finding::ok(name, "user mode, for development"),
        Attachment::Bridge(bridge) => self::bridge(name, bridge, Path::new("/")),
        Attachment::Network(network) => match active(network) {
            Ok(true) => Finding::ok(name, format!("libvirt's network {network} is active")),
            Ok(false) => Finding::fail(
                name,
                format!("libvirt's network {network} is not active"),
                format!("virsh net-start {network}; virsh net-autostart {network}"),
            ),
            Err(error) => Finding::fail(
                name,
                format!("libvirt's network {network}: {error}"),
                "virsh net-list --all shows what there is; define it, or name another in the config",
            ),
        },
    }
}

fn bridge(name: &'static str, bridge: &str, root: &Path) -> Finding {
    const UP: u32 = 1;
    let folder = root.join("sys/class/net").join(bridge);
    if !folder.join("bridge").is_dir() {
        let what = if folder.exists() { "is no bridge" } else { "is not there" };
        let remedy =
            format!("make it by the host's network config, or: ip link add {bridge} type bridge");
        return Finding::fail(name, format!("{bridge} {what}"), remedy);
    }
    let flags = fs::read_to_string(folder.join("flags")).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    if flags & UP == 0 {
        let found = format!("the bridge {bridge} is down");
        return Finding::fail(name, found, format!("ip link set {bridge} up"));
    }
    Finding::ok(name, format!("the bridge {bridge} is up"))
}

fn libvirt_network(uri: &str, name: &str) -> Result<bool, String> {
    let text = |error: virt::error::Error| error.message().to_owned();
    let connection = Connect::open(Some(uri)).map_err(text)?;
    connection.lookup_network_by_name(name).and_then(|network| network.is_active()).map_err(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        let least = "node_id = \"alpha\"\nchain.endpoints = [\"ws://127.0.0.1:9\"]\n";
        fs::write(&path, format!("{least}{text}")).unwrap();
        Settings::load(&path, []).unwrap()
    }

    fn info(accelerator: Accelerator) -> HostInfo {
        HostInfo {
            hypervisor: "QEMU".into(),
            accelerator,
            cpus: 1,
            memory_mib: 1,
            cpu_model: "x".into(),
        }
    }

    #[tokio::test]
    async fn the_test_driver_answers_and_its_network_is_active() {
        let found = checks(&settings(
            "hypervisor.uri = \"test:///default\"\nnetwork.own = { network = \"default\" }",
        ))
        .await;
        assert!(found.iter().all(|finding| finding.ok), "{found:?}");
        let names: Vec<_> = found.iter().map(|finding| finding.check).collect();
        assert_eq!(names, ["libvirt", "guests", "network.own"]);
        assert!(found[0].found.contains("libvirt "), "{found:?}");
    }

    #[tokio::test]
    async fn a_network_that_libvirt_does_not_have_is_named() {
        let found = checks(&settings(
            "hypervisor.uri = \"test:///default\"\nnetwork.private = { network = \"no\", gateway = \"10.0.0.1/8\" }",
        ))
        .await;
        let last = found.last().unwrap();
        assert!(!last.ok && last.check == "network.private", "{found:?}");
        assert!(last.found.contains("network no: "), "{found:?}");
    }

    #[tokio::test]
    async fn a_libvirt_that_is_down_is_told_with_what_to_do() {
        let uri = "hypervisor.uri = \"qemu+unix:///system?socket=/nowhere/libvirt-sock\"";
        let found = checks(&settings(uri)).await;
        assert!(
            !found[0].ok && found[0].remedy.as_ref().unwrap().contains("systemctl"),
            "{found:?}"
        );
    }

    #[test]
    fn a_network_that_stands_still_is_not_fine() {
        let network = settings("network.own = { network = \"lan\" }").network;
        let found = networks(&network, |_| Ok(false));
        assert_eq!(
            found[0].remedy.as_deref(),
            Some("virsh net-start lan; virsh net-autostart lan")
        );
        assert!(networks(&network, |_| Ok(true))[0].ok);
    }

    #[test]
    fn without_any_network_no_vm_can_run() {
        let found = networks(&settings("").network, |_| Ok(true));
        assert!(found.len() == 1 && !found[0].ok, "{found:?}");
        assert!(networks(&settings("network.own = { user = true }").network, |_| Ok(false))[0].ok);
    }

    #[test]
    fn a_bridge_is_there_and_a_bridge_and_up() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/class/net/br0");
        let found = || bridge("network.own", "br0", root.path());
        assert_eq!(found().found, "br0 is not there");
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(found().found, "br0 is no bridge");
        fs::create_dir(folder.join("bridge")).unwrap();
        fs::write(folder.join("flags"), "0x1002\n").unwrap();
        assert_eq!(found().found, "the bridge br0 is down");
        fs::write(folder.join("flags"), "0x1003\n").unwrap();
        assert!(found().ok);
    }

    #[test]
    fn kvm_must_be_offered_where_it_is_wanted() {
        let found = accelerator(Some(Accelerator::Kvm), &info(Accelerator::Emulation));
        assert!(!found.ok && found.remedy.unwrap().contains("emulation"));
        for (wanted, offered) in [
            (None, Accelerator::Kvm),
            (None, Accelerator::Emulation),
            (None, Accelerator::Test),
            (Some(Accelerator::Kvm), Accelerator::Kvm),
            (Some(Accelerator::Emulation), Accelerator::Kvm),
        ] {
            assert!(accelerator(wanted, &info(offered)).ok, "{wanted:?} {offered:?}");
        }
    }
}
