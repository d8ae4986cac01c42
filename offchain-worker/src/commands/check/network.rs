//! The networks that guests are plugged into, and what the kernel does with them.

use super::Finding;
use crate::config::{NetworkSettings, Settings};
use quarry_hypervisor::Attachment;
use std::{fs, path::Path};
use virt::connect::Connect;

const BRIDGE_SWITCHES: [&str; 2] = ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"];

/// Each network of the config; `active` tells of one of libvirt's.
pub(super) fn networks(
    settings: &NetworkSettings,
    active: impl Fn(&str) -> Result<bool, String>,
) -> Vec<Finding> {
    let set = attachments(settings);
    if set.is_empty() {
        return vec![Finding::fail(
            "network",
            "no network is set, so that no VM can run here",
            "set network.private for VMs without an address of their own, network.own for others",
        )];
    }
    set.into_iter().map(|(name, attachment)| network(name, attachment, &active)).collect()
}

fn attachments(settings: &NetworkSettings) -> Vec<(&'static str, &Attachment)> {
    let private = settings.private.as_ref().map(|private| &private.attachment);
    let attachments = [
        ("network.own", settings.own.as_ref()),
        ("network.global", settings.global.as_ref()),
        ("network.private", private),
    ];
    attachments.into_iter().filter_map(|(name, set)| set.map(|set| (name, set))).collect()
}

/// What the kernel must do with packets of guests, whoever switched it off.
pub(super) fn switches(settings: &Settings, root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let set = attachments(&settings.network);
    let is_real = !settings.hypervisor.uri.starts_with("test");
    let on_bridges = set.iter().any(|(_, attachment)| **attachment != Attachment::User);
    if is_real && on_bridges && settings.network.filter {
        findings.push(filter(root));
    }
    let routed = set.iter().any(|(_, attachment)| matches!(attachment, Attachment::Network(_)));
    if is_real && routed {
        findings.push(forwarding(root));
    }
    findings
}

fn filter(root: &Path) -> Finding {
    let name = "network.filter";
    match BRIDGE_SWITCHES.iter().find(|switch| !is_on(root, &format!("bridge/{switch}"))) {
        None => Finding::ok(name, "bridged packets pass it"),
        Some(switch) => Finding::fail(
            name,
            format!("net.bridge.{switch} is not 1: packets on bridges bypass it, and no VM starts"),
            format!("modprobe br_netfilter; sysctl -w net.bridge.{switch}=1; both for the next boot too"),
        ),
    }
}

fn forwarding(root: &Path) -> Finding {
    let name = "forwarding";
    if is_on(root, "ipv4/ip_forward") {
        return Finding::ok(name, "net.ipv4.ip_forward is 1");
    }
    let found = "net.ipv4.ip_forward is not 1: guests reach the host and nothing else";
    let remedy =
        "sysctl -w net.ipv4.ip_forward=1, and see who switched it off: libvirt switches it on \
                  with each network that it starts";
    Finding::fail(name, found, remedy)
}

fn is_on(root: &Path, switch: &str) -> bool {
    let path = root.join("proc/sys/net").join(switch);
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
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

pub(super) fn libvirt_network(uri: &str, name: &str) -> Result<bool, String> {
    let text = |error: virt::error::Error| error.message().to_owned();
    let connection = Connect::open(Some(uri)).map_err(text)?;
    connection.lookup_network_by_name(name).and_then(|network| network.is_active()).map_err(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{super::tests::settings_in, *};

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        settings_in(folder.path(), text)
    }

    #[test]
    fn a_network_that_stands_still_is_not_fine() {
        let network = settings("network.own = { network = \"lan\" }").network;
        let found = networks(&network, |_| Ok(false));
        assert_eq!(
            found[0].remedy.as_deref(),
            Some("virsh net-start lan; virsh net-autostart lan")
        );
        assert!(networks(&network, |_| Ok(true))[0].is_ok());
    }

    #[test]
    fn without_any_network_no_vm_can_run() {
        let found = networks(&settings("").network, |_| Ok(true));
        assert!(found.len() == 1 && found[0].fails(), "{found:?}");
        assert!(
            networks(&settings("network.own = { user = true }").network, |_| Ok(false))[0].is_ok()
        );
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
        assert!(found().is_ok());
    }

    fn switch(root: &Path, name: &str, value: &str) {
        let path = root.join("proc/sys/net").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }

    #[test]
    fn what_lets_packets_past_the_filter_or_forwards_none_is_named() {
        let root = tempfile::tempdir().unwrap();
        let set = settings("network.own = { network = \"lan\" }");
        let all = [
            "bridge/bridge-nf-call-iptables",
            "bridge/bridge-nf-call-ip6tables",
            "ipv4/ip_forward",
        ];
        all.iter().for_each(|name| switch(root.path(), name, "1\n"));
        assert!(switches(&set, root.path()).iter().all(Finding::is_ok));
        for (name, check) in all.iter().zip(["network.filter", "network.filter", "forwarding"]) {
            switch(root.path(), name, "0\n");
            let found = switches(&set, root.path());
            let failed: Vec<_> = found.iter().filter(|finding| finding.fails()).collect();
            assert!(failed.len() == 1 && failed[0].check == check, "{failed:?}");
            switch(root.path(), name, "1\n");
        }
    }

    #[test]
    fn only_what_is_used_is_asked_of_the_kernel() {
        let nothing = tempfile::tempdir().unwrap();
        let checks = |text: &str| {
            let found = switches(&settings(text), nothing.path());
            found.iter().map(|finding| finding.check).collect::<Vec<_>>()
        };
        assert!(checks("network.own = { user = true }").is_empty());
        assert_eq!(checks("network.own = { bridge = \"br0\" }"), ["network.filter"]);
        let unfiltered = "network.own = { network = \"lan\" }\nnetwork.filter = false";
        assert_eq!(checks(unfiltered), ["forwarding"]);
        let driver =
            "hypervisor.uri = \"test:///default\"\nnetwork.own = { network = \"default\" }";
        assert!(checks(driver).is_empty());
    }
}
