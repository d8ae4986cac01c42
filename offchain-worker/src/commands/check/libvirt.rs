//! libvirt: whether it answers, whether it is new enough, and what it would do by itself.

use super::{guests, network, Finding, PATIENCE};
use crate::config::Settings;
use quarry_hypervisor::{Accelerator, HostInfo, Hypervisor, Libvirt};
use std::collections::HashSet;
use tokio::{task::spawn_blocking, time::timeout};
use virt::{connect::Connect, sys::VIR_CONNECT_LIST_DOMAINS_AUTOSTART};

/// What Ubuntu 22.04 has, which all of this is known to work with. As libvirt counts.
const OLDEST_LIBVIRT: u32 = 8_000_000;
const OLDEST_QEMU: u32 = 6_002_000;

pub(super) async fn checks(settings: &Settings) -> Vec<Finding> {
    let settings = settings.clone();
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    // What hangs must not take with it what was found before.
    spawn_blocking(move || look(&settings, |finding| told.send(finding).is_ok()));
    let mut findings = Vec::new();
    loop {
        match timeout(PATIENCE * 2, telling.recv()).await {
            Ok(Some(finding)) => findings.push(finding),
            Ok(None) => return findings,
            Err(_) => {
                findings.push(hanging(findings.last()));
                return findings;
            }
        }
    }
}

/// Tells one finding after the other, for as long as somebody listens.
fn look(settings: &Settings, tell: impl Fn(Finding) -> bool) {
    let uri = &settings.hypervisor.uri;
    let connected = Libvirt::connect(uri).and_then(|libvirt| Ok((libvirt.host()?, libvirt)));
    let (info, libvirt) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            tell(unreachable(&error.to_string()));
            return;
        }
    };
    if !tell(Finding::ok("libvirt", format!("{} at {uri}", info.hypervisor)))
        || !tell(versions(uri, &info))
        || !tell(autostart(uri, libvirt.as_ref()))
    {
        return;
    }
    for finding in network::networks(&settings.network, |name| network::libvirt_network(uri, name))
    {
        tell(finding);
    }
    tell(guests::check(settings, &info));
}

/// What comes after the last finding takes for ever.
fn hanging(last: Option<&Finding>) -> Finding {
    let Some(last) = last else { return unreachable("libvirt does not answer") };
    Finding::fail(
        "libvirt",
        format!("answered, and hangs since `{}` was looked at", last.check),
        "see its log and those of /var/log/libvirt/qemu, and start it anew: VMs run on meanwhile",
    )
}

fn unreachable(error: &str) -> Finding {
    let remedy = "start it: systemctl start libvirtd (or virtqemud); the worker runs as root";
    Finding::fail("libvirt", error, remedy)
}

fn versions(uri: &str, info: &HostInfo) -> Finding {
    let ask = || {
        let connection = Connect::open(Some(uri))?;
        Ok::<_, virt::error::Error>((connection.lib_version()?, connection.hyp_version()?))
    };
    match ask() {
        Ok((libvirt, hypervisor)) => judged(libvirt, hypervisor, info),
        Err(error) => unreachable(error.message()),
    }
}

fn judged(libvirt: u32, hypervisor: u32, info: &HostInfo) -> Finding {
    let name = "versions";
    let remedy = "a newer system: Debian 12 or Ubuntu 22.04 at least";
    let is_qemu = info.accelerator != Accelerator::Test;
    if libvirt < OLDEST_LIBVIRT {
        return Finding::fail(name, format!("{}: libvirt 8.0 is needed", info.hypervisor), remedy);
    }
    if is_qemu && hypervisor < OLDEST_QEMU {
        return Finding::fail(name, format!("{}: QEMU 6.2 is needed", info.hypervisor), remedy);
    }
    Finding::ok(name, "new enough")
}

/// VMs that libvirt would start by itself, before the worker knows what the chain wants of them.
fn autostart(uri: &str, libvirt: &Libvirt) -> Finding {
    let name = "autostart";
    let ask = || -> Result<Vec<String>, String> {
        let domains = libvirt.domains().map_err(|error| error.to_string())?;
        let ours: HashSet<_> = domains.into_iter().map(|domain| domain.uuid).collect();
        let text = |error: virt::error::Error| error.message().to_owned();
        let connection = Connect::open(Some(uri)).map_err(text)?;
        let started =
            connection.list_all_domains(VIR_CONNECT_LIST_DOMAINS_AUTOSTART).map_err(text)?;
        let mut names = Vec::new();
        for domain in started {
            if ours.contains(&domain.uuid().map_err(text)?) {
                names.push(domain.name().map_err(text)?);
            }
        }
        Ok(names)
    };
    match ask() {
        Err(error) => unreachable(&error),
        Ok(names) => match names.first() {
            None => Finding::ok(name, "libvirt starts no VM of ours by itself"),
            Some(first) => Finding::warn(
                name,
                format!(
                    "libvirt starts {} by itself, before the worker knows of it",
                    names.join(", ")
                ),
                format!("virsh autostart --disable {first}"),
            ),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{super::tests::settings_in, *};

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        settings_in(folder.path(), text)
    }

    #[tokio::test]
    async fn the_test_driver_answers_and_its_network_is_active() {
        let found = checks(&settings(
            "hypervisor.uri = \"test:///default\"\nnetwork.own = { network = \"default\" }",
        ))
        .await;
        assert!(found.iter().all(|finding| finding.is_ok()), "{found:?}");
        let names: Vec<_> = found.iter().map(|finding| finding.check).collect();
        assert_eq!(names, ["libvirt", "versions", "autostart", "network.own", "guests"]);
        assert!(found[0].found.contains("libvirt "), "{found:?}");
    }

    #[tokio::test]
    async fn a_network_that_libvirt_does_not_have_is_named() {
        let found = checks(&settings(
            "hypervisor.uri = \"test:///default\"\nnetwork.private = { network = \"no\", gateway = \"10.0.0.1/8\" }",
        ))
        .await;
        let failed: Vec<_> = found.iter().filter(|finding| finding.fails()).collect();
        assert!(failed.len() == 1 && failed[0].check == "network.private", "{found:?}");
        assert!(failed[0].found.contains("network no: "), "{found:?}");
    }

    #[tokio::test]
    async fn a_libvirt_that_is_down_is_told_with_what_to_do() {
        let uri = "hypervisor.uri = \"qemu+unix:///system?socket=/nowhere/libvirt-sock\"";
        let found = checks(&settings(uri)).await;
        assert!(
            found.len() == 1
                && found[0].fails()
                && found[0].remedy.as_ref().unwrap().contains("systemctl"),
            "{found:?}"
        );
    }

    #[test]
    fn a_libvirt_or_a_qemu_of_old_is_not_enough() {
        let info = |accelerator| HostInfo {
            hypervisor: "QEMU".into(),
            accelerator,
            cpus: 1,
            memory_mib: 1,
            cpu_model: "x".into(),
        };
        assert!(judged(11_003_000, 10_000_002, &info(Accelerator::Kvm)).is_ok());
        assert!(judged(7_000_000, 10_000_002, &info(Accelerator::Kvm)).fails());
        assert!(judged(11_003_000, 5_002_000, &info(Accelerator::Emulation)).fails());
        assert!(judged(11_003_000, 2, &info(Accelerator::Test)).is_ok());
    }
}
