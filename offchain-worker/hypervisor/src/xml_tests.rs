#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::{
    disk::{Backing, Format},
    domain::Tag,
};
use std::path::PathBuf;
use uuid::Uuid;

fn spec(accelerator: Accelerator) -> DomainSpec {
    DomainSpec {
        uuid: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_002a),
        name: "quarry-42".into(),
        title: "Quarry: web & <mail> of \"5Grw…\"".into(),
        tag: Tag {
            genesis: [0x11; 32],
            node_id: "alpha".into(),
            request_id: 42,
            birth: [0x22; 32],
            assignment: 3,
            generation: 5,
            seen: 1000,
        },
        accelerator,
        vcpus: 2,
        memory_mib: 1024,
        disk: "/vms/42/disk.qcow2".into(),
        seed: "/vms/42/seed.img".into(),
        serial_log: "/vms/42/console.log".into(),
        mac: [0x52, 0x54, 0, 0xab, 0xcd, 0xef],
        attachment: Some(Attachment::Network("default".into())),
        addresses: ["10.0.0.5", "10.0.0.6", "2001:db8::5"]
            .map(|address| GuestAddress(address.parse().unwrap()))
            .into(),
        filter: Some("quarry-alpha".into()),
    }
}

fn overlay() -> Disk {
    Disk {
        backing: Some(Backing { path: "/images/a&b".into(), format: Format::Raw }),
        direct: true,
    }
}

fn same(xml: &str, golden: &str) {
    assert!(xml == golden.trim_end(), "not as agreed:\n{xml}");
}

#[test]
fn an_emulated_guest_upon_an_image_in_a_network_is_told_as_agreed() {
    let xml = domain_xml(&spec(Accelerator::Emulation), &overlay()).unwrap();
    same(&xml, include_str!("../golden/emulation.xml"));
}

#[test]
fn a_guest_on_the_cpu_with_a_whole_disk_on_a_bridge_is_told_as_agreed() {
    let spec = DomainSpec {
        attachment: Some(Attachment::Bridge("br0".into())),
        filter: None,
        ..spec(Accelerator::Kvm)
    };
    let xml = domain_xml(&spec, &Disk::default()).unwrap();
    same(&xml, include_str!("../golden/kvm.xml"));
}

#[test]
fn a_guest_of_the_test_driver_is_told_as_agreed() {
    let xml = domain_xml(&spec(Accelerator::Test), &Disk::default()).unwrap();
    same(&xml, include_str!("../golden/test.xml"));
}

#[test]
fn a_filter_is_told_that_a_guest_has_no_address_so_that_it_learns_none() {
    let spec = DomainSpec { addresses: vec![], ..spec(Accelerator::Emulation) };
    let xml = domain_xml(&spec, &overlay()).unwrap();
    for (name, nothing) in [("IP", "0.0.0.0"), ("IPV6", "::")] {
        let parameter = format!("<parameter name=\"{name}\" value=\"{nothing}\"/>");
        assert!(xml.contains(&parameter), "{xml}");
    }
}

#[test]
fn user_networking_has_neither_a_filter_nor_an_isolated_port_which_it_could_not_have() {
    let spec = DomainSpec { attachment: Some(Attachment::User), ..spec(Accelerator::Emulation) };
    let xml = domain_xml(&spec, &overlay()).unwrap();
    assert!(xml.contains("<interface type=\"user\">"));
    assert!(!xml.contains("filterref") && !xml.contains("isolated"));
}

#[test]
fn what_cannot_be_right_is_refused_by_name() {
    type Spoil = fn(&mut DomainSpec);
    let spoilt: [(&str, Spoil); 19] = [
        ("vCPU", |spec| spec.vcpus = 0),
        ("memory", |spec| spec.memory_mib = 0),
        ("uuid", |spec| spec.uuid = Uuid::nil()),
        ("the name", |spec| spec.name = String::new()),
        ("the name", |spec| spec.name = "x".repeat(65)),
        ("the name", |spec| spec.name = "a/b".into()),
        ("the name", |spec| spec.name = "..".into()),
        ("the name", |spec| spec.name = "a\0b".into()),
        ("title", |spec| spec.title = "a\nb".into()),
        ("title", |spec| spec.title = "x".repeat(257)),
        ("node's id", |spec| spec.tag.node_id = "a\0b".into()),
        ("MAC", |spec| spec.mac = [1, 0, 0, 0, 0, 1]),
        ("MAC", |spec| spec.mac = [0; 6]),
        ("filter", |spec| spec.filter = Some("a b".into())),
        ("network", |spec| spec.attachment = Some(Attachment::Network("\0".into()))),
        ("bridge", |spec| spec.attachment = Some(Attachment::Bridge("x".repeat(16)))),
        ("absolute path", |spec| spec.disk = "disk".into()),
        ("absolute path", |spec| spec.seed = PathBuf::from("/a\nb")),
        ("absolute path", |spec| spec.serial_log = PathBuf::new()),
    ];
    for (word, spoil) in spoilt {
        let mut spec = spec(Accelerator::Emulation);
        spoil(&mut spec);
        match domain_xml(&spec, &overlay()) {
            Err(Error::Unsound(why)) => assert!(why.contains(word), "{word} in {why}"),
            other => panic!("{word}: {other:?}"),
        }
    }
}
