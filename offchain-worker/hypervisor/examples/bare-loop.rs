//! What `scripts/bench worker` holds the worker against: the same domains, defined and started over one
//! connection, one after the other, by nothing but the crate `virt`.
//!
//! `bare-loop URI COUNT`, on libvirt's test driver. Prints how long it took, in seconds; writing the XML
//! does not count.

use quarry_hypervisor::{definition, Accelerator, DomainSpec, Tag};
use std::{error::Error, time::Instant};
use uuid::Uuid;
use virt::connect::Connect;

/// As the worker would have it for the VM of that number.
fn spec(number: u128) -> DomainSpec {
    let uuid = Uuid::from_u128(0x0bea_7c0d_e000_4000_8000_0000_0000_0000 | number);
    let folder = format!("/var/lib/quarry-worker/vms/quarry-{number}-0a1b2c3d");
    DomainSpec {
        uuid,
        name: format!("quarry-{number}-0a1b2c3d"),
        title: "web".into(),
        tag: Tag {
            genesis: [0xab; 32],
            node_id: "alpha".into(),
            request_id: number,
            birth: [0xcd; 32],
            assignment: 1,
            generation: 1,
            seen: 20,
        },
        accelerator: Accelerator::Test,
        vcpus: 1,
        memory_mib: 128,
        disk: format!("{folder}/disk.qcow2").into(),
        seed: format!("{folder}/seed.img").into(),
        serial_log: format!("{folder}/serial.log").into(),
        mac: [0x52, 1, 2, 3, 4, 5],
        attachment: None,
        addresses: Vec::new(),
        filter: None,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(uri), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bare-loop URI COUNT".into());
    };
    let count: u128 = count.parse()?;
    let definitions: Vec<String> =
        (1..=count).map(|number| definition(&spec(number))).collect::<Result<_, _>>()?;
    let connection = Connect::open(Some(&uri))?;
    let begun = Instant::now();
    for xml in &definitions {
        connection.define_domain_xml(xml)?.create()?;
    }
    println!("{:.6}", begun.elapsed().as_secs_f64());
    Ok(())
}
