//! Real libvirtds, each in a corner of its own.
#![allow(dead_code)]

pub mod counter;
pub mod host;
pub mod test_driver;

use quarry_hypervisor::{Accelerator, DomainSpec, Tag};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use uuid::Uuid;

pub const NAMESPACE: &str = "https://quarry.network/vm/1";

/// Waits for what must come; the limit only ends a test that has failed.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a program to its end and returns what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub fn virsh(uri: &str, arguments: &[&str]) -> String {
    run(Command::new("virsh").args(["--connect", uri, "--quiet"]).args(arguments))
}

pub fn tag(number: u128) -> Tag {
    Tag {
        genesis: [1; 32],
        node_id: "alpha".into(),
        request_id: number,
        birth: [2; 32],
        assignment: 1,
        generation: 1,
        seen: 10,
    }
}

/// A domain whose files lie in `folder`.
pub fn spec(accelerator: Accelerator, number: u128, folder: &Path) -> DomainSpec {
    DomainSpec {
        uuid: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number),
        name: format!("quarry-{number}"),
        title: format!("Quarry {number}"),
        tag: tag(number),
        accelerator,
        vcpus: 1,
        memory_mib: 64,
        disk: folder.join("disk.qcow2"),
        seed: folder.join("seed.img"),
        serial_log: folder.join("console.log"),
        mac: [0x52, 0x54, 0, 1, (number / 256) as u8, number as u8],
        attachment: None,
        addresses: vec![],
        filter: None,
    }
}
