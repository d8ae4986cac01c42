//! On libvirt's QEMU driver with real, emulated machines, each host in namespaces of its own. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use quarry_hypervisor::{
    try_guest, Accelerator, Attachment, DomainSpec, DomainState, Error, FilterPolicy, GuestAddress,
    Hypervisor, Libvirt,
};
use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    process::Command,
    sync::Arc,
    time::Duration,
};
use support::{host::Host, run, until};

const MIB: u64 = 1 << 20;

/// A guest with an overlay and a seed, but nothing to boot.
fn guest(host: &Host, number: u128) -> DomainSpec {
    let spec = support::spec(Accelerator::Emulation, number, host.folder());
    let path = |name: &str| host.folder().join(name).display().to_string();
    let qemu_img = |arguments: &[&str]| run(Command::new("qemu-img").args(arguments));
    qemu_img(&["create", "-f", "qcow2", &path("base.qcow2"), "8M"]);
    let overlay = ["create", "-f", "qcow2", "-F", "qcow2", "-b"];
    qemu_img(&[overlay.as_slice(), &[&path("base.qcow2"), &path("disk.qcow2"), "16M"]].concat());
    fs::write(&spec.seed, vec![0; 65536]).unwrap();
    spec
}

fn connect(host: &Host) -> Arc<Libvirt> {
    Libvirt::connect(&host.uri()).unwrap()
}

#[test]
fn a_guest_lives_from_definition_to_oblivion_and_leaves_nothing() {
    let host = Host::start();
    let libvirt = connect(&host);
    let spec = guest(&host, 1);
    for _ in 0..2 {
        libvirt.define(&spec).unwrap();
    }
    assert!(host.virsh(&["dominfo", &spec.name]).contains("Autostart:      disable"));
    for _ in 0..2 {
        libvirt.start(spec.uuid).unwrap();
    }
    let domain = libvirt.domains().unwrap().remove(0);
    assert_eq!((domain.uuid, domain.state), (spec.uuid, DomainState::Running));
    assert_eq!((domain.stored, domain.live), (Some(spec.tag.clone()), Some(spec.tag.clone())));

    let screen = libvirt.vnc_socket(spec.uuid).unwrap().unwrap();
    assert!(screen.starts_with("/var/lib/libvirt/qemu"), "{screen:?}");
    let screen = host.file(screen.to_str().unwrap());
    assert!(fs::metadata(screen).unwrap().file_type().is_socket());
    assert!(spec.serial_log.exists());

    let stats = libvirt.stats().unwrap().remove(0);
    assert_eq!(stats.uuid, spec.uuid);
    assert!(
        stats.cpu_nanoseconds > 0 && stats.memory_bytes > MIB && stats.disk_allocated_bytes > 0
    );

    for _ in 0..2 {
        libvirt.grow_disk(spec.uuid, 24 * MIB).unwrap();
    }
    assert!(host.virsh(&["domblkinfo", &spec.name, "vda"]).contains(&(24 * MIB).to_string()));
    assert!(matches!(libvirt.grow_disk(spec.uuid, 16 * MIB), Err(Error::Unsound(_))));

    libvirt.shut_down(spec.uuid).unwrap();
    host.virsh(&["suspend", &spec.name]);
    assert_eq!(libvirt.domain(spec.uuid).unwrap().unwrap().state, DomainState::Paused);
    for _ in 0..2 {
        libvirt.resume(spec.uuid).unwrap();
    }
    assert_eq!(libvirt.domains().unwrap()[0].state, DomainState::Running);
    host.virsh(&[
        "snapshot-create-as",
        &spec.name,
        "one",
        "--disk-only",
        "--no-metadata",
        "--print-xml",
    ]);
    assert!(matches!(libvirt.undefine(spec.uuid), Err(Error::WrongState(_))));
    for _ in 0..2 {
        libvirt.destroy(spec.uuid).unwrap();
    }
    assert_eq!(libvirt.domains().unwrap()[0].state, DomainState::Off);
    assert!(matches!(libvirt.grow_disk(spec.uuid, 32 * MIB), Err(Error::WrongState(_))));
    host.virsh(&["snapshot-create-as", &spec.name, "two"]);
    for _ in 0..2 {
        libvirt.undefine(spec.uuid).unwrap();
    }
    assert_eq!(host.virsh(&["list", "--all", "--name"]).trim(), "");
    assert_eq!(libvirt.domains().unwrap(), []);
}

#[test]
fn a_guest_with_a_managed_save_is_forgotten_with_it() {
    let host = Host::start();
    let libvirt = connect(&host);
    let spec = guest(&host, 1);
    libvirt.define(&spec).unwrap();
    libvirt.start(spec.uuid).unwrap();
    host.virsh(&["managedsave", &spec.name]);
    until("it is saved", || libvirt.domains().unwrap()[0].state == DomainState::Off);
    libvirt.undefine(spec.uuid).unwrap();
    assert_eq!(host.virsh(&["list", "--all", "--name"]).trim(), "");
}

#[test]
fn a_guest_whose_disk_is_gone_says_so_when_it_is_started_and_when_it_is_defined() {
    let host = Host::start();
    let libvirt = connect(&host);
    let spec = guest(&host, 1);
    libvirt.define(&spec).unwrap();
    fs::remove_file(&spec.seed).unwrap();
    let refusal = libvirt.start(spec.uuid);
    assert!(matches!(refusal, Err(Error::Files(_))), "{refusal:?}");
    fs::remove_file(&spec.disk).unwrap();
    let refusal = libvirt.define(&spec);
    assert!(matches!(refusal, Err(Error::Files(_))), "{refusal:?}");
    assert_eq!(libvirt.domains().unwrap()[0].state, DomainState::Off);
}

#[test]
fn a_guest_that_is_killed_has_crashed_and_one_outlives_libvirtd() {
    let host = Host::start();
    let libvirt = connect(&host);
    let spec = guest(&host, 1);
    libvirt.define(&spec).unwrap();
    libvirt.start(spec.uuid).unwrap();
    host.kill_libvirtd();
    until("the loss is noticed", || libvirt.domains().is_err());
    host.start_libvirtd();
    until("libvirt is used again", || libvirt.domains().is_ok());
    let domain = libvirt.domains().unwrap().remove(0);
    assert_eq!((domain.state, domain.live), (DomainState::Running, Some(spec.tag.clone())));
    host.shell("kill -9 $(cat /run/libvirt/qemu/quarry-1.pid)");
    until("the crash is seen", || libvirt.domains().unwrap()[0].state == DomainState::Crashed);
}

#[test]
fn guests_get_shares_by_their_vcpus_where_there_are_control_groups() {
    let host = Host::with_control_groups();
    let libvirt = connect(&host);
    let spec = DomainSpec { vcpus: 3, ..guest(&host, 1) };
    libvirt.define(&spec).unwrap();
    libvirt.start(spec.uuid).unwrap();
    let schedule = host.virsh(&["schedinfo", &spec.name]);
    assert!(
        schedule.lines().any(|line| line.split_whitespace().eq(["cpu_shares", ":", "300"])),
        "{schedule}"
    );
    libvirt.destroy(spec.uuid).unwrap();
}

#[test]
fn the_host_says_what_it_is() {
    let host = Host::start();
    let info = connect(&host).host().unwrap();
    assert!(info.hypervisor.starts_with("QEMU "), "{}", info.hypervisor);
    assert!(info.cpus > 0 && info.memory_mib > 0 && !info.cpu_model.is_empty());
}

fn policy() -> FilterPolicy {
    FilterPolicy {
        name: "quarry-alpha".into(),
        allow: vec![],
        deny: ["203.0.113.1", "2001:db8:1::1"]
            .map(|address| (address.parse().unwrap(), if address.contains(':') { 128 } else { 32 }))
            .into(),
        services: vec!["10.9.0.1".parse().unwrap(), "fd09::1".parse().unwrap()],
    }
}

#[test]
fn a_filter_is_defined_once_replaced_when_the_policy_changes_and_bound_to_guests() {
    let host = Host::start();
    let libvirt = connect(&host);
    assert!(libvirt.supports_filters().unwrap());
    let stored = host.folder().join("etc/libvirt/nwfilter/quarry-alpha.xml");
    let written = || fs::metadata(&stored).unwrap().modified().unwrap();
    libvirt.ensure_filter(&policy()).unwrap();
    let first = written();
    libvirt.ensure_filter(&policy()).unwrap();
    assert_eq!(written(), first, "what is there already is not defined again");
    let wider = FilterPolicy { allow: vec![("192.168.77.0".parse().unwrap(), 24)], ..policy() };
    libvirt.ensure_filter(&wider).unwrap();
    assert!(fs::read_to_string(&stored).unwrap().contains("192.168.77.0"));

    host.shell("ip link add br0 type bridge && ip link set br0 up");
    let spec = DomainSpec {
        attachment: Some(Attachment::Bridge("br0".into())),
        addresses: ["10.9.0.10", "fd09::10"].map(|text| GuestAddress(text.parse().unwrap())).into(),
        filter: Some(policy().name),
        ..guest(&host, 1)
    };
    libvirt.define(&spec).unwrap();
    libvirt.start(spec.uuid).unwrap();
    assert!(host.virsh(&["nwfilter-binding-list"]).contains("quarry-alpha"));
    assert!(host.shell("bridge -details link show").contains("isolated on"));
    assert!(host.shell("ebtables -t nat -L").contains("10.9.0.10"));
    assert!(matches!(libvirt.remove_filter(&policy().name), Err(Error::WrongState(_))));
    libvirt.destroy(spec.uuid).unwrap();
    libvirt.undefine(spec.uuid).unwrap();
    for _ in 0..2 {
        libvirt.remove_filter(&policy().name).unwrap();
    }
    assert!(!host.virsh(&["nwfilter-list"]).contains("quarry"));
}

/// Two guests on a bridge of the host, and beyond it a network that stands for the internet and the LAN.
/// The guests are network namespaces: what they may do is a matter of the filter, not of QEMU.
const TOPOLOGY: &str = "
ip link add br0 type bridge
ip link set br0 up
ip address add 10.9.0.1/24 dev br0
ip address add fd09::1/64 dev br0 nodad
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
plug() {
    ip netns add $1
    ip link add v-$1 type veth peer name eth0 netns $1
    ip -n $1 link set lo up
    ip -n $1 link set eth0 address $2 up
    ip link set v-$1 up
}
for n in 10 11; do
    plug g$n 52:54:00:00:00:$n
    ip link set v-g$n master br0
    ip -n g$n address add 10.9.0.$n/24 dev eth0
    ip -n g$n address add fd09::$n/64 dev eth0 nodad
    ip -n g$n route add default via 10.9.0.1
    ip -n g$n route add default via fd09::1
done
plug world 52:54:00:00:01:00
ip address add 203.0.113.1/24 dev v-world
ip address add 192.168.77.1/24 dev v-world
ip address add 2001:db8:1::1/64 dev v-world nodad
ip -n world address add 203.0.113.2/24 dev eth0
ip -n world address add 192.168.77.2/24 dev eth0
ip -n world address add 2001:db8:1::2/64 dev eth0 nodad
ip -n world route add default via 203.0.113.1
ip -n world route add default via 2001:db8:1::1
";

fn bind(host: &Host, number: u8) {
    let xml = host.folder().join(format!("binding-{number}.xml"));
    let binding = format!(
        "<filterbinding><owner><name>g{number}</name>
         <uuid>01980000-0000-7000-8000-0000000000{number}</uuid></owner>
         <portdev name='v-g{number}'/><mac address='52:54:00:00:00:{number}'/>
         <filterref filter='quarry-alpha'><parameter name='IP' value='10.9.0.{number}'/>
         <parameter name='IPV6' value='fd09::{number}'/></filterref></filterbinding>"
    );
    fs::write(&xml, binding).unwrap();
    host.virsh(&["nwfilter-binding-create", xml.to_str().unwrap()]);
}

#[test]
fn guests_reach_the_internet_and_are_reached_but_reach_nothing_near_and_nobody_as_another() {
    let host = Host::start();
    let libvirt = connect(&host);
    host.shell(TOPOLOGY);
    let near = host.network();
    let [guest, neighbour, world] = ["g10", "g11", "world"].map(|name| host.network_of(name));
    for port in [22, 53, 80] {
        for network in [&near, &guest, &neighbour, &world] {
            network.listen(port);
        }
    }
    let private = [
        "10.9.0.1:22",
        "[fd09::1]:22",
        "10.9.0.11:22",
        "[fd09::11]:22",
        "192.168.77.1:22",
        "192.168.77.2:80",
        "203.0.113.1:80",
        "[2001:db8:1::1]:80",
    ];
    let public = ["203.0.113.2:80", "[2001:db8:1::2]:80", "10.9.0.1:53", "[fd09::1]:53"];
    for address in private.iter().chain(&public) {
        until("all is open without a filter", || guest.reaches(address));
    }
    libvirt.ensure_filter(&policy()).unwrap();
    bind(&host, 10);
    bind(&host, 11);
    for address in public {
        assert!(guest.reaches(address), "{address} is open");
    }
    for address in private {
        assert!(!guest.reaches(address), "{address} is closed");
    }
    for network in [&near, &world] {
        assert!(network.reaches("10.9.0.10:22") && network.reaches("[fd09::10]:22"));
    }
    let wider = FilterPolicy { allow: vec![("192.168.77.0".parse().unwrap(), 24)], ..policy() };
    libvirt.ensure_filter(&wider).unwrap();
    assert!(guest.reaches("192.168.77.2:80"), "what the policy allows is open at once");
    libvirt.ensure_filter(&policy()).unwrap();
    assert!(!guest.reaches("192.168.77.2:80"), "and closed again");

    host.shell(
        "ip -n g10 address add 10.9.0.99/24 dev eth0
        ip -n g10 route replace default via 10.9.0.1 src 10.9.0.99
        ip -n g10 address add fd09::99/64 dev eth0 nodad
        ip -n g10 route replace default via fd09::1 src fd09::99",
    );
    assert!(!guest.reaches("203.0.113.2:80"), "not from another IPv4 address");
    assert!(!guest.reaches("[2001:db8:1::2]:80"), "not from another IPv6 address");
    host.shell(
        "ip -n g10 route replace default via 10.9.0.1 src 10.9.0.10
        ip -n g10 route replace default via fd09::1 src fd09::10",
    );
    assert!(guest.reaches("203.0.113.2:80") && guest.reaches("[2001:db8:1::2]:80"));

    host.shell(
        "ip -n g10 address add 10.9.0.11/24 dev eth0
        ip -n g11 link set eth0 down; ip neighbour flush dev br0",
    );
    assert!(!near.reaches("10.9.0.11:22"), "a guest does not answer for its neighbour");
    host.shell(
        "ip -n g10 link set eth0 down
        ip -n g10 link set eth0 address 52:54:00:00:00:77 up
        ip -n g10 route add default via 10.9.0.1; ip neighbour flush dev br0",
    );
    assert!(!guest.reaches("203.0.113.2:80"), "not from another card");
}

#[test]
fn a_filter_that_cannot_be_is_refused() {
    let host = Host::start();
    let libvirt = connect(&host);
    let unnamed = FilterPolicy { name: "a b".into(), ..policy() };
    let unsound = FilterPolicy { allow: vec![("10.0.0.0".parse().unwrap(), 33)], ..policy() };
    for policy in [unnamed, unsound] {
        assert!(matches!(libvirt.ensure_filter(&policy), Err(Error::Unsound(_))));
    }
    assert!(matches!(libvirt.remove_filter("a\0b"), Err(Error::Unsound(_))));
    libvirt.remove_filter("quarry-none").unwrap();
}

#[test]
fn a_guest_on_trial_speaks_and_leaves_nothing() {
    let host = Host::start();
    let folder = tempfile::tempdir_in(host.folder()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let try_for =
        |patience| try_guest(&host.uri(), Accelerator::Emulation, folder.path(), patience);
    assert!(try_for(Duration::from_secs(100)).unwrap().is_some());
    // One that is not waited for: on a busy disk it has spoken before libvirt says that it started.
    try_for(Duration::ZERO).unwrap();
    assert_eq!(host.virsh(&["list", "--all", "--name"]).trim(), "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
