use crate::{image::SeedFile, name::is_label, HostKey, SeedError};
use quarry_primitives::content::is_ssh_key;
use serde::Serialize;
use serde_json::{json, Map, Value};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// The largest user-data.
pub const MAX_USER_DATA: usize = 1024 * 1024;

const CLOUD_CONFIG: &[u8] = b"#cloud-config\n";

/// What a guest is told.
#[derive(Clone, Debug)]
pub struct GuestSetup<'a> {
    /// Where it changes, cloud-init sets the guest up anew.
    pub instance_id: String,
    /// A DNS label: see [`crate::host_name`].
    pub hostname: String,
    /// The tenant's public keys, each a line as OpenSSH writes it.
    pub ssh_keys: &'a [&'a str],
    /// The key that the guest's sshd shows.
    pub host_key: &'a HostKey,
    /// The guest's network; whatever DHCP says on its first card if none.
    pub network: Option<GuestNetwork>,
    /// What the tenant wants cloud-init to do.
    pub user_data: Option<Vec<u8>>,
}

/// A network card with a static address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuestNetwork {
    /// The card.
    pub mac: [u8; 6],
    /// Its address.
    pub address: IpAddr,
    /// How much of the address is the network's.
    pub prefix_len: u8,
    /// The way out; on the link even where its address is not in the prefix.
    pub gateway: Option<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// The seed's files.
pub(crate) fn files(setup: &GuestSetup<'_>) -> Result<Vec<SeedFile>, SeedError> {
    let id = &setup.instance_id;
    if !(1..=128).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SeedError::InstanceId(id.clone()));
    }
    if !is_label(&setup.hostname) {
        return Err(SeedError::HostName(setup.hostname.clone()));
    }
    let keys = setup.ssh_keys.iter().enumerate();
    let keys: Vec<_> = keys.map(|(index, line)| ssh_key(index, line)).collect::<Result<_, _>>()?;

    let user_data = setup.user_data.as_deref().unwrap_or(b"#cloud-config\n{}\n");
    if user_data.len() > MAX_USER_DATA {
        return Err(SeedError::UserDataTooLarge(user_data.len()));
    }
    let mut files = vec![
        file("meta-data", &[], &meta_data(setup, &keys))?,
        file("vendor-data", CLOUD_CONFIG, &vendor_data(setup, &keys)?)?,
        SeedFile { name: "user-data", content: user_data.to_vec().into() },
    ];
    if let Some(network) = &setup.network {
        files.push(file("network-config", &[], &network_config(network)?)?);
    }
    Ok(files)
}

/// JSON is YAML, and no value of ours can break out of it.
fn file(name: &'static str, head: &[u8], value: &Value) -> Result<SeedFile, SeedError> {
    // Growing would leave copies of the host key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(64 * 1024));
    content.extend_from_slice(head);
    let mut json = serde_json::Serializer::pretty(&mut *content);
    value.serialize(&mut json).map_err(std::io::Error::from)?;
    content.push(b'\n');
    Ok(SeedFile { name, content })
}

/// The key as it stands, or without its comment where YAML's readers may not take that.
fn ssh_key(index: usize, line: &str) -> Result<String, SeedError> {
    if !is_ssh_key(line) {
        return Err(SeedError::SshKey(index));
    }
    if line.is_ascii() {
        return Ok(line.into());
    }
    Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

fn meta_data(setup: &GuestSetup<'_>, keys: &[String]) -> Value {
    json!({
        "instance-id": setup.instance_id,
        "local-hostname": setup.hostname,
        "public-keys": keys,
    })
}

fn vendor_data(setup: &GuestSetup<'_>, keys: &[String]) -> Result<Value, SeedError> {
    Ok(json!({
        "user": {
            "name": "quarry",
            "gecos": "Quarry",
            "lock_passwd": true,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": keys,
        },
        "users": ["default"],
        "ssh_pwauth": false,
        "disable_root": true,
        // cloud-init makes no other host keys where it is given one.
        "ssh_deletekeys": true,
        "ssh_genkeytypes": ["ed25519"],
        "ssh_keys": {
            "ed25519_private": setup.host_key.to_openssh()?.as_str(),
            "ed25519_public": setup.host_key.public_line()?,
        },
        "manage_etc_hosts": "localhost",
        "growpart": { "mode": "auto", "devices": ["/"] },
        "resize_rootfs": true,
        "package_update": false,
        "package_upgrade": false,
    }))
}

fn network_config(network: &GuestNetwork) -> Result<Value, SeedError> {
    let GuestNetwork { mac, address, prefix_len, gateway, dns } = network;
    check(network).map_or(Ok(()), |wrong| Err(SeedError::Network(wrong)))?;
    let mac: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut card = Map::new();
    card.insert("match".into(), json!({ "macaddress": mac.join(":") }));
    for off in ["dhcp4", "dhcp6", "accept-ra"] {
        card.insert(off.into(), json!(false));
    }
    card.insert("addresses".into(), json!([format!("{address}/{prefix_len}")]));
    if let Some(gateway) = gateway {
        // Not "default", which cloud-init before 23 does not know.
        let to = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let mut route = json!({ "to": to, "via": gateway });
        if let (false, Some(route)) =
            (same_network(*address, *gateway, *prefix_len), route.as_object_mut())
        {
            route.insert("on-link".into(), json!(true));
        }
        card.insert("routes".into(), json!([route]));
    }
    if !dns.is_empty() {
        card.insert("nameservers".into(), json!({ "addresses": dns }));
    }
    Ok(json!({ "version": 2, "ethernets": { "quarry": card } }))
}

/// What is wrong with a network.
fn check(network: &GuestNetwork) -> Option<&'static str> {
    let GuestNetwork { mac, address, prefix_len, gateway, .. } = network;
    let unusable = |ip: &IpAddr| ip.is_unspecified() || ip.is_multicast() || ip.is_loopback();
    if mac[0] & 1 == 1 || mac.iter().all(|byte| *byte == 0) {
        return Some("its MAC is no address of one card");
    }
    if *prefix_len == 0 || *prefix_len > width(address) {
        return Some("its prefix length does not go with its address");
    }
    if unusable(address) {
        return Some("no card can have its address");
    }
    match gateway {
        Some(gateway) if gateway.is_ipv4() != address.is_ipv4() => {
            Some("address and gateway are of different families")
        }
        Some(gateway) if unusable(gateway) => Some("no card can have its gateway's address"),
        Some(gateway) if gateway == address => Some("its gateway has its address"),
        _ => None,
    }
}

fn width(ip: &IpAddr) -> u8 {
    if ip.is_ipv4() {
        32
    } else {
        128
    }
}

fn same_network(one: IpAddr, other: IpAddr, prefix_len: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let beyond = u32::from(prefix_len);
    let mask = u128::MAX.checked_shl(128 - beyond).unwrap_or(0);
    (bits(one) ^ bits(other)) & mask == 0
}
