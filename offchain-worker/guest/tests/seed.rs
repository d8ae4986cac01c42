//! Seeds, read back by us and by the system's own tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use fatfs::{FileSystem, FsOptions};
use quarry_guest::{seed, GuestNetwork, GuestSetup, HostKey, SeedError, MAX_USER_DATA};
use serde_json::{json, Value};
use std::{
    io::{Cursor, Read},
    process::Command,
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn network(address: &str, prefix_len: u8, gateway: Option<&str>) -> GuestNetwork {
    GuestNetwork {
        mac: [0x52, 0x54, 0, 0xab, 0xcd, 0xef],
        address: address.parse().unwrap(),
        prefix_len,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        dns: vec!["9.9.9.9".parse().unwrap(), "2620:fe::fe".parse().unwrap()],
    }
}

fn setup<'a>(host_key: &'a HostKey, ssh_keys: &'a [&'a str]) -> GuestSetup<'a> {
    GuestSetup {
        instance_id: "quarry-7f".into(),
        hostname: "web-1".into(),
        ssh_keys,
        host_key,
        network: Some(network("10.9.8.7", 24, Some("10.9.8.1"))),
        user_data: None,
    }
}

fn read(image: &[u8], name: &str) -> Vec<u8> {
    let system = FileSystem::new(Cursor::new(image.to_vec()), FsOptions::new()).unwrap();
    let mut content = Vec::new();
    system.root_dir().open_file(name).unwrap().read_to_end(&mut content).unwrap();
    content
}

fn names(image: &[u8]) -> Vec<String> {
    let system = FileSystem::new(Cursor::new(image.to_vec()), FsOptions::new()).unwrap();
    let names = system.root_dir().iter().map(|entry| entry.unwrap().file_name()).collect();
    names
}

fn json_of(image: &[u8], name: &str) -> Value {
    let content = read(image, name);
    let content = content.strip_prefix(b"#cloud-config\n").unwrap_or(&content);
    serde_json::from_slice(content).unwrap()
}

#[test]
fn a_seed_is_a_file_system_that_cloud_init_finds() {
    let host_key = HostKey::generate();
    let image = seed(&setup(&host_key, &[KEY])).unwrap();
    let mut found = names(&image);
    found.sort();
    assert_eq!(found, ["meta-data", "network-config", "user-data", "vendor-data"]);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &image).unwrap();
    let seen = Command::new("blkid").args(["-p", "-o", "export"]).arg(file.path()).output();
    let seen = String::from_utf8(seen.unwrap().stdout).unwrap();
    for line in ["LABEL=CIDATA", "TYPE=vfat", "USAGE=filesystem"] {
        assert!(seen.lines().any(|seen| seen == line), "{line}: {seen}");
    }
}

#[test]
fn meta_data_has_id_name_and_keys() {
    let host_key = HostKey::generate();
    let commented = format!("{KEY} erin@example \"quoted\" \\ : #");
    let image = seed(&setup(&host_key, &[KEY, &commented])).unwrap();
    let expected = json!({
        "instance-id": "quarry-7f",
        "local-hostname": "web-1",
        "public-keys": [KEY, commented],
    });
    assert_eq!(json_of(&image, "meta-data"), expected);
}

#[test]
fn vendor_data_makes_quarry_the_default_user_and_gives_one_host_key() {
    let host_key = HostKey::generate();
    let image = seed(&setup(&host_key, &[KEY])).unwrap();
    assert!(read(&image, "vendor-data").starts_with(b"#cloud-config\n"));
    let vendor = json_of(&image, "vendor-data");
    assert_eq!(vendor["user"]["name"], "quarry");
    assert_eq!(vendor["user"]["ssh_authorized_keys"], json!([KEY]));
    assert_eq!(vendor["user"]["lock_passwd"], true);
    assert_eq!(vendor["ssh_pwauth"], false);
    assert_eq!(vendor["ssh_deletekeys"], true);
    let keys = vendor["ssh_keys"].as_object().unwrap();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["ed25519_private", "ed25519_public"]);
    let private = vendor["ssh_keys"]["ed25519_private"].as_str().unwrap();
    assert_eq!(HostKey::from_openssh(private).unwrap().public(), host_key.public());
    assert_eq!(vendor["ssh_keys"]["ed25519_public"], host_key.public_line().unwrap());
}

#[test]
fn a_comment_that_yaml_may_not_take_is_left_out() {
    let host_key = HostKey::generate();
    let strange = format!("{KEY} erin\u{2028}\u{fffe}");
    let image = seed(&setup(&host_key, &[&strange])).unwrap();
    assert_eq!(json_of(&image, "meta-data")["public-keys"], json!([KEY]));
}

#[test]
fn a_network_is_static_and_matched_by_its_card() {
    let host_key = HostKey::generate();
    let image = seed(&setup(&host_key, &[KEY])).unwrap();
    let expected = json!({
        "version": 2,
        "ethernets": { "quarry": {
            "match": { "macaddress": "52:54:00:ab:cd:ef" },
            "dhcp4": false,
            "dhcp6": false,
            "accept-ra": false,
            "addresses": ["10.9.8.7/24"],
            "routes": [{ "to": "0.0.0.0/0", "via": "10.9.8.1" }],
            "nameservers": { "addresses": ["9.9.9.9", "2620:fe::fe"] },
        }},
    });
    assert_eq!(json_of(&image, "network-config"), expected);
}

#[test]
fn a_gateway_outside_the_prefix_is_on_the_link() {
    let host_key = HostKey::generate();
    for (address, prefix_len, gateway, to, outside) in [
        ("203.0.113.7", 32, "198.51.100.1", "0.0.0.0/0", true),
        ("203.0.113.7", 25, "203.0.113.129", "0.0.0.0/0", true),
        ("203.0.113.7", 24, "203.0.113.129", "0.0.0.0/0", false),
        ("2001:db8::7", 128, "fe80::1", "::/0", true),
        ("2001:db8::7", 64, "2001:db8::1", "::/0", false),
        ("2001:db8::7", 1, "2001:db8::1", "::/0", false),
    ] {
        let mut setup = setup(&host_key, &[KEY]);
        setup.network = Some(network(address, prefix_len, Some(gateway)));
        let config = json_of(&seed(&setup).unwrap(), "network-config");
        let route = &config["ethernets"]["quarry"]["routes"][0];
        assert_eq!((&route["to"], &route["via"]), (&json!(to), &json!(gateway)));
        assert_eq!(route["on-link"] == json!(true), outside, "{address}/{prefix_len} {gateway}");
    }
}

#[test]
fn without_a_network_the_guest_asks_by_dhcp() {
    let host_key = HostKey::generate();
    let mut setup = setup(&host_key, &[KEY]);
    setup.network = None;
    assert!(!names(&seed(&setup).unwrap()).contains(&"network-config".into()));
    setup.network = Some(GuestNetwork { dns: Vec::new(), ..network("10.0.0.2", 24, None) });
    let config = json_of(&seed(&setup).unwrap(), "network-config");
    let card = config["ethernets"]["quarry"].as_object().unwrap();
    assert!(!card.contains_key("routes") && !card.contains_key("nameservers"));
}

#[test]
fn user_data_are_the_tenants_bytes() {
    let host_key = HostKey::generate();
    let all: Vec<u8> = (0..MAX_USER_DATA).map(|at| (at * 31 + at / 251) as u8).collect();
    for length in [0, 1, 511, 512, 513, 4096, 100_000, MAX_USER_DATA - 1, MAX_USER_DATA] {
        let mut setup = setup(&host_key, &[KEY]);
        setup.user_data = Some(all[..length].to_vec());
        let image = seed(&setup).unwrap();
        assert_eq!(read(&image, "user-data"), all[..length]);
        assert_eq!(json_of(&image, "meta-data")["local-hostname"], "web-1");
        assert!(image.len() < length + length / 50 + 24 * 1024, "{length}: {}", image.len());
    }
    assert_eq!(json_of(&seed(&setup(&host_key, &[KEY])).unwrap(), "user-data"), json!({}));
}

#[test]
fn mtools_reads_a_seed_and_fsck_finds_nothing_wrong() {
    let host_key = HostKey::generate();
    for length in [0, 3000, MAX_USER_DATA] {
        let mut setup = setup(&host_key, &[KEY; 8]);
        setup.user_data = Some(vec![b'x'; length]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), seed(&setup).unwrap()).unwrap();
        for (program, arguments) in [("fsck.vfat", &["-n"][..]), ("mdir", &["-b", "-i"])] {
            match Command::new(program).args(arguments).arg(file.path()).output() {
                // Neither is among what the tests need.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                seen => assert!(seen.as_ref().unwrap().status.success(), "{program}: {seen:?}"),
            }
        }
    }
}

#[test]
fn the_same_set_up_makes_the_same_seed() {
    let host_key = HostKey::from_openssh(&HostKey::generate().to_openssh().unwrap()).unwrap();
    let one = seed(&setup(&host_key, &[KEY])).unwrap();
    let two = seed(&setup(&host_key.clone(), &[KEY])).unwrap();
    assert!(one == two);
}

#[test]
fn what_no_guest_can_have_is_refused() {
    let host_key = HostKey::generate();
    let refusal = |change: &dyn Fn(&mut GuestSetup<'_>)| {
        let mut setup = setup(&host_key, &[KEY]);
        change(&mut setup);
        seed(&setup).unwrap_err()
    };
    for id in ["", "a b", "a\nb", &"x".repeat(129)] {
        let error = refusal(&|setup| setup.instance_id = id.into());
        assert!(matches!(error, SeedError::InstanceId(_)), "{error}");
    }
    for name in ["", "Web", "a b", "a\nb", "-a"] {
        let error = refusal(&|setup| setup.hostname = name.into());
        assert!(matches!(error, SeedError::HostName(_)), "{error}");
    }
    let error = refusal(&|setup| setup.user_data = Some(vec![0; MAX_USER_DATA + 1]));
    assert!(matches!(error, SeedError::UserDataTooLarge(_)), "{error}");
    for key in ["", "x", &format!("{KEY}\n{KEY}"), &format!("{KEY} \u{1b}[2J"), "command=\"x\" k"] {
        let error = seed(&setup(&host_key, &[KEY, key])).unwrap_err();
        assert!(matches!(error, SeedError::SshKey(1)), "{error}");
    }
    let many = vec![KEY; 20_000];
    assert!(matches!(seed(&setup(&host_key, &many)), Err(SeedError::TooLarge(_))));
}

#[test]
fn a_network_that_cannot_be_is_refused() {
    let host_key = HostKey::generate();
    for wrong in [
        network("10.0.0.2", 0, None),
        network("10.0.0.2", 33, None),
        network("2001:db8::7", 129, None),
        network("0.0.0.0", 24, None),
        network("127.0.0.1", 8, None),
        network("224.0.0.1", 24, None),
        network("10.0.0.2", 24, Some("10.0.0.2")),
        network("10.0.0.2", 24, Some("fe80::1")),
        network("10.0.0.2", 24, Some("0.0.0.0")),
        GuestNetwork { mac: [0; 6], ..network("10.0.0.2", 24, None) },
        GuestNetwork { mac: [1, 0, 0x5e, 0, 0, 1], ..network("10.0.0.2", 24, None) },
    ] {
        let mut setup = setup(&host_key, &[KEY]);
        setup.network = Some(wrong.clone());
        let refused = seed(&setup);
        assert!(matches!(refused, Err(SeedError::Network(_))), "{wrong:?}");
    }
}

/// `cargo nextest run --release -p quarry-guest --run-ignored only --no-capture` shows the figure.
#[test]
#[ignore = "it measures"]
fn seeds_of_a_thousand_guests() {
    let host_key = HostKey::generate();
    for length in [0, 16 << 10, MAX_USER_DATA] {
        let mut setup = setup(&host_key, &[KEY; 4]);
        setup.user_data = Some(vec![b'x'; length]);
        let begin = std::time::Instant::now();
        let bytes: usize = (0..1000).map(|_| seed(&setup).unwrap().len()).sum();
        println!(
            "user-data {length}: {:?} and {} bytes a seed",
            begin.elapsed() / 1000,
            bytes / 1000
        );
    }
    let begin = std::time::Instant::now();
    (0..1000).for_each(|_| drop(HostKey::generate()));
    println!("{:?} a host key", begin.elapsed() / 1000);
}
