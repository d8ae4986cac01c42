//! What guests are plugged into, as an operator writes it.

use super::{sources::Entry, values::kind, PrivateNetwork};
use ipnet::{IpNet, Ipv4Net};
use quarry_hypervisor::Attachment;
use std::net::{IpAddr, Ipv4Addr};
use toml_edit::{InlineTable, Value};

const FORMS: &str = "must be { bridge = \"br0\" }, { network = \"quarry\" } or { user = true }";
const PRIVATE_FORM: &str =
    "must be as { network = \"quarry\", gateway = \"10.130.0.1/20\" }, with a bridge = or user = true \
     in the network's place";
const USER_GATEWAY: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 0, 2, 2), 24);

fn table<'a>(entry: &'a Entry, form: &str) -> Result<&'a InlineTable, String> {
    let table = entry.value.as_inline_table();
    table.ok_or_else(|| format!("{form}, not {}", kind(&entry.value)))
}

pub(super) fn attachment(entry: &Entry) -> Result<Attachment, String> {
    of_table(table(entry, FORMS)?, FORMS, &[])
}

pub(super) fn private(entry: &Entry) -> Result<PrivateNetwork, String> {
    let table = table(entry, PRIVATE_FORM)?;
    let attachment = of_table(table, PRIVATE_FORM, &["gateway"])?;
    let (gateway, prefix_len) = match table.get("gateway").map(Value::as_str) {
        None if attachment == Attachment::User => USER_GATEWAY,
        None => return Err(PRIVATE_FORM.into()),
        Some(text) => text.and_then(gateway).ok_or_else(|| {
            "gateway must be the host's IPv4 address in the network and its prefix length (8 to \
             30), as \"10.130.0.1/20\""
                .to_string()
        })?,
    };
    Ok(PrivateNetwork { attachment, gateway, prefix_len })
}

fn gateway(text: &str) -> Option<(Ipv4Addr, u8)> {
    let network: Ipv4Net = text.parse().ok()?;
    let address = network.addr();
    let is_host = address != network.network() && address != network.broadcast();
    let is_sound = is_host && (8..=30).contains(&network.prefix_len()) && !address.is_loopback();
    is_sound.then(|| (address, network.prefix_len()))
}

fn of_table(table: &InlineTable, form: &str, also: &[&str]) -> Result<Attachment, String> {
    let mut found = None;
    for (key, value) in table {
        let attachment = match key {
            "bridge" => name(value, is_interface).map(Attachment::Bridge),
            "network" => name(value, is_network).map(Attachment::Network),
            "user" => (value.as_bool() == Some(true)).then_some(Attachment::User),
            key if also.contains(&key) => continue,
            _ => None,
        };
        match attachment {
            Some(attachment) if found.is_none() => found = Some(attachment),
            _ => return Err(form.into()),
        }
    }
    found.ok_or_else(|| form.into())
}

fn name(value: &Value, is_sound: fn(&str) -> bool) -> Option<String> {
    value.as_str().filter(|name| is_sound(name)).map(str::to_owned)
}

/// As Linux names interfaces.
fn is_interface(name: &str) -> bool {
    let is_odd = |c: char| !c.is_ascii_graphic() || matches!(c, '/' | ':');
    !name.is_empty() && name.len() <= 15 && !name.contains(is_odd) && name != "." && name != ".."
}

/// As libvirt names networks.
fn is_network(name: &str) -> bool {
    let is_odd = |c: char| c.is_control() || c == '/';
    !name.is_empty() && name.len() <= 64 && !name.contains(is_odd)
}

/// A network as an address and a prefix length.
pub(super) fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let network = text.parse::<IpNet>().map_err(|_| {
        format!("{text:?} is no network: it must be as \"10.0.0.0/8\" or \"fd00::/8\"")
    })?;
    let trunk = network.trunc();
    if trunk == network {
        Ok((network.addr(), network.prefix_len()))
    } else {
        Err(format!("{text:?} names an address within a network: did you mean {trunk}?"))
    }
}
