//! Seeds of damaged set-ups. `QUARRY_FUZZ_SECONDS` says how long to go on.
//!
//! An input is a set-up as lines: instance id, VM's name, host name (or none, then it is made of the name), network as
//! `MAC ADDRESS/PREFIX GATEWAY DNS…` (or none), SSH keys, a line `%%`, user-data.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use fatfs::{FileSystem, FsOptions};
use quarry_fuzz::{damaged, each_file, Fate};
use quarry_guest::{host_name, seed, GuestNetwork, GuestSetup, HostKey, SeedError, MAX_USER_DATA};
use serde_json::Value;
use std::{
    io::{Cursor, Read},
    path::Path,
    sync::OnceLock,
};

fn corpus() -> &'static Path {
    Path::new("tests/corpus/setup")
}

fn host_key() -> &'static HostKey {
    static KEY: OnceLock<HostKey> = OnceLock::new();
    KEY.get_or_init(HostKey::generate)
}

fn network(line: &str) -> Option<GuestNetwork> {
    let mut words = line.split_ascii_whitespace();
    let mac = u64::from_str_radix(&words.next()?.replace(':', ""), 16).ok()?.to_be_bytes();
    let (address, prefix_len) = words.next()?.split_once('/')?;
    let gateway = words.next().and_then(|gateway| gateway.parse().ok());
    Some(GuestNetwork {
        mac: mac[2..].try_into().unwrap(),
        address: address.parse().ok()?,
        prefix_len: prefix_len.parse().ok()?,
        gateway,
        dns: words.filter_map(|dns| dns.parse().ok()).collect(),
    })
}

fn file(image: &[u8], name: &str) -> Option<Vec<u8>> {
    let system = FileSystem::new(Cursor::new(image.to_vec()), FsOptions::new()).unwrap();
    let mut content = Vec::new();
    let mut file = system.root_dir().open_file(name).ok()?;
    file.read_to_end(&mut content).unwrap();
    Some(content)
}

fn json(image: &[u8], name: &str) -> Option<Value> {
    let content = file(image, name)?;
    let content = content.strip_prefix(b"#cloud-config\n").unwrap_or(&content);
    Some(serde_json::from_slice(content).unwrap())
}

/// What cloud-init reads is what was set up, and nothing that a name, a key or user-data brought in.
fn says_what_was_set_up(image: &[u8], setup: &GuestSetup<'_>) {
    let meta = json(image, "meta-data").unwrap();
    assert_eq!(meta.as_object().unwrap().len(), 3);
    assert_eq!(meta["instance-id"], setup.instance_id.as_str());
    assert_eq!(meta["local-hostname"], setup.hostname.as_str());
    let keys = meta["public-keys"].as_array().unwrap();
    assert_eq!(keys.len(), setup.ssh_keys.len());
    for (key, line) in keys.iter().zip(setup.ssh_keys) {
        let key = key.as_str().unwrap();
        assert!(line.starts_with(key) && !key.contains('\n'), "{key:?} of {line:?}");
    }
    let vendor = json(image, "vendor-data").unwrap();
    assert_eq!(vendor["user"]["name"], "quarry");
    assert_eq!(vendor["user"]["ssh_authorized_keys"], meta["public-keys"]);
    assert_eq!(vendor["ssh_pwauth"], false);
    let expected = setup.user_data.as_deref().unwrap_or(b"#cloud-config\n{}\n");
    assert_eq!(file(image, "user-data").unwrap(), expected);
    let config = json(image, "network-config");
    assert_eq!(config.is_some(), setup.network.is_some());
    if let (Some(config), Some(network)) = (config, &setup.network) {
        let card = &config["ethernets"]["quarry"];
        let address = format!("{}/{}", network.address, network.prefix_len);
        assert_eq!(card["addresses"], serde_json::json!([address]));
        assert_eq!(card["dhcp4"], false);
    }
}

fn judge(input: &[u8]) -> Fate {
    let (head, user_data) = match input.windows(4).position(|end| end == b"\n%%\n") {
        Some(at) => (&input[..at], Some(input[at + 4..].to_vec())),
        None => (input, None),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (id, name, label, net) = (line(), line(), line(), line());
    let keys: Vec<&str> = lines.collect();
    let made = host_name(name, 7);
    let setup = GuestSetup {
        instance_id: id.into(),
        hostname: if label.is_empty() { made } else { label.into() },
        ssh_keys: &keys,
        host_key: host_key(),
        network: network(net),
        user_data,
    };
    match seed(&setup) {
        Ok(image) => {
            assert!(image.len().is_multiple_of(4096) && image.len() < 3 * MAX_USER_DATA);
            assert_eq!(image, seed(&setup).unwrap(), "a seed depends on nothing but its set-up");
            says_what_was_set_up(&image, &setup);
            Fate::Taken(format!("{} {}", keys.is_empty(), setup.network.is_some()))
        }
        // What is not given a seed is given a reason that is the tenant's or the operator's to mend.
        Err(SeedError::HostName(_)) => {
            assert!(!label.is_empty(), "a host name that was made of {name:?} is none");
            Fate::Refused("host name".into())
        }
        Err(error @ (SeedError::Write(_) | SeedError::HostKey(_))) => panic!("{error}"),
        Err(error) => Fate::Refused(error.to_string()),
    }
}

#[test]
fn each_set_up_of_the_corpus_is_judged_as_its_name_says() {
    each_file(corpus(), judge);
}

#[test]
fn damaged_set_ups_neither_panic_nor_say_what_was_not_set_up() {
    damaged(corpus(), judge);
}
