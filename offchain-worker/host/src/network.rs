//! The interface by which the host reaches the world.

use crate::sysfs;
use std::path::{Path, PathBuf};

/// A network interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac_address: String,
    /// Its speed in megabits a second; 0 where it does not say.
    pub mbps: u32,
    /// Bytes sent since the host started.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
}

pub(crate) fn primary(root: &Path) -> Option<Interface> {
    let name = default_route_v4(root).or_else(|| default_route_v6(root))?;
    let folder = root.join("sys/class/net").join(&name);
    let count = |file: &str| sysfs::number(folder.join("statistics").join(file)).unwrap_or(0);
    Some(Interface {
        mac_address: sysfs::text(folder.join("address")).unwrap_or_default(),
        mbps: speed(&folder, 3),
        sent: count("tx_bytes"),
        received: count("rx_bytes"),
        name,
    })
}

/// Of the default routes that are up, the one with the lowest metric.
fn default_route_v4(root: &Path) -> Option<String> {
    const UP: u32 = 1;
    let table = sysfs::text(root.join("proc/net/route"))?;
    let route = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, to, _, flags, _, _, metric, mask, ..] = fields.as_slice() else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = *to == "00000000" && *mask == "00000000" && flags & UP != 0;
        is_default.then_some((metric.parse::<u32>().ok()?, (*name).to_owned()))
    };
    table.lines().skip(1).filter_map(route).min().map(|(_, name)| name)
}

fn default_route_v6(root: &Path) -> Option<String> {
    const UP: u32 = 1;
    const REJECT: u32 = 0x200;
    let table = sysfs::text(root.join("proc/net/ipv6_route"))?;
    let route = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [to, prefix, _, _, _, metric, _, _, flags, name] = fields.as_slice() else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = *prefix == "00" && to.bytes().all(|digit| digit == b'0');
        let is_usable = flags & UP != 0 && flags & REJECT == 0 && *name != "lo";
        let metric = u32::from_str_radix(metric, 16).ok()?;
        (is_default && is_usable).then_some((metric, (*name).to_owned()))
    };
    table.lines().filter_map(route).min().map(|(_, name)| name)
}

/// Its own speed, or that of the fastest interface below it: a bridge often has none.
fn speed(folder: &Path, depth: u8) -> u32 {
    let own = sysfs::number::<i64>(folder.join("speed")).and_then(|mbps| u32::try_from(mbps).ok());
    let below = |path: &PathBuf| sysfs::name(path).is_some_and(|name| name.starts_with("lower_"));
    match own {
        Some(mbps) if mbps > 0 => mbps,
        _ if depth == 0 => 0,
        _ => {
            let lower = sysfs::members(folder).into_iter().filter(below);
            lower.map(|path| speed(&path, depth - 1)).max().unwrap_or(0)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    const HEAD: &str =
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    fn root(routes_v4: &str, routes_v6: &str) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/net")).unwrap();
        fs::write(root.path().join("proc/net/route"), format!("{HEAD}{routes_v4}")).unwrap();
        fs::write(root.path().join("proc/net/ipv6_route"), routes_v6).unwrap();
        root
    }

    fn interface(root: &TempDir, name: &str, files: &[(&str, &str)]) {
        let folder = root.path().join("sys/class/net").join(name);
        for (file, text) in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn v4(name: &str, to: &str, metric: u32, mask: &str) -> String {
        format!("{name}\t{to}\t010200C0\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
    }

    fn v6(name: &str, prefix: &str, flags: &str) -> String {
        let zero = "0".repeat(32);
        format!("{zero} {prefix} {zero} 00 {zero} 00000400 00000001 00000000 {flags} {name}\n")
    }

    fn primary_of(root: &TempDir) -> Option<Interface> {
        primary(root.path())
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_is_the_way() {
        let routes = [
            v4("wlan0", "00000000", 600, "00000000"),
            v4("eth1", "00000000", 100, "00000000"),
            v4("eth0", "000200C0", 0, "00FFFFFF"),
            v4("tun0", "00000000", 0, "00000080"),
        ];
        let root = root(&routes.concat(), "");
        interface(
            &root,
            "eth1",
            &[
                ("address", "52:54:00:12:34:56\n"),
                ("speed", "10000\n"),
                ("statistics/tx_bytes", "12\n"),
                ("statistics/rx_bytes", "34\n"),
            ],
        );
        let expected = Interface {
            name: "eth1".into(),
            mac_address: "52:54:00:12:34:56".into(),
            mbps: 10_000,
            sent: 12,
            received: 34,
        };
        assert_eq!(primary_of(&root), Some(expected));
    }

    #[test]
    fn a_host_with_ipv6_alone_has_its_way_too() {
        let routes =
            [v6("lo", "00", "00200200"), v6("eth0", "40", "0001"), v6("eth6", "00", "0003")];
        assert_eq!(primary_of(&root("", &routes.concat())).unwrap().name, "eth6");
    }

    #[test]
    fn a_host_without_a_default_route_has_no_way() {
        let routes = v4("eth0", "000200C0", 0, "00FFFFFF");
        assert_eq!(primary_of(&root(&routes, &v6("lo", "00", "00200200"))), None);
        assert_eq!(primary(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_bridge_is_as_fast_as_its_fastest_port() {
        let root = root(&v4("br0", "00000000", 0, "00000000"), "");
        interface(&root, "br0", &[("speed", "-1\n"), ("lower_a/speed", "1000\n")]);
        interface(
            &root,
            "br0",
            &[("lower_b/lower_c/speed", "25000\n"), ("upper_d/speed", "99999\n")],
        );
        assert_eq!(primary_of(&root).unwrap().mbps, 25_000);
    }

    #[test]
    fn an_interface_that_tells_nothing_has_a_name_at_least() {
        let found = primary_of(&root(&v4("tun0", "00000000", 0, "00000000"), "")).unwrap();
        assert_eq!(found, Interface { name: "tun0".into(), ..Default::default() });
    }

    #[test]
    fn lines_that_make_no_sense_are_left_out() {
        let rubbish = "eth0\nzz 00000000 x y z\n\u{0}\neth0\t00000000\t0\tzz\t0\t0\tx\t00000000\n";
        assert_eq!(primary_of(&root(rubbish, rubbish)), None);
    }
}
