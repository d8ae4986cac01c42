//! What a value means, or what it should have been.

use super::{sources::Entry, LogFormat};
use bytesize::ByteSize;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use quarry_hypervisor::Accelerator;
use quarry_primitives::{node::Access, text::Text};
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Component, PathBuf},
    str::FromStr,
    time::Duration,
};
use toml_edit::Value;
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

type Read<T> = Result<T, String>;

pub(super) fn text(entry: &Entry) -> Read<&str> {
    entry
        .value
        .as_str()
        .ok_or_else(|| format!("must be a text in quotes, not {}", kind(&entry.value)))
}

/// What kind of value it is, for people.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a number with a point",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}

fn bare<T: FromStr>(entry: &Entry) -> Option<T> {
    entry.value.as_str().filter(|_| entry.is_variable())?.parse().ok()
}

pub(super) fn boolean(entry: &Entry) -> Read<bool> {
    let value = entry.value.as_bool().or_else(|| bare(entry));
    value.ok_or_else(|| format!("must be true or false, not {}", kind(&entry.value)))
}

pub(super) fn whole(range: RangeInclusive<u64>) -> impl Fn(&Entry) -> Read<u64> {
    move |entry| {
        let found = entry.value.as_integer().or_else(|| bare(entry));
        let number = found.and_then(|number| u64::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            format!("must be a whole number from {} to {}", range.start(), range.end())
        })
    }
}

/// Per cent, as per mille.
pub(super) fn percent(entry: &Entry) -> Read<u16> {
    let percent = whole(1..=100)(entry)?;
    Ok(u16::try_from(percent * 10).unwrap_or(1_000))
}

/// An amount in plancks: a number, or a text of digits where it is too large for TOML.
pub(super) fn plancks(entry: &Entry) -> Read<u128> {
    let number = entry.value.as_integer().and_then(|number| u128::try_from(number).ok());
    let digits = || entry.value.as_str()?.replace('_', "").parse().ok();
    number.or_else(digits).ok_or_else(|| {
        "must be a number of plancks; in quotes if it is above 9223372036854775807".into()
    })
}

pub(super) fn list<T>(each: impl Fn(&str) -> Read<T>) -> impl Fn(&Entry) -> Read<Vec<T>> {
    move |entry| match &entry.value {
        Value::Array(array) => array
            .iter()
            .map(|value| {
                let item = value.as_str();
                each(item.ok_or_else(|| format!("must list texts in quotes, not {}", kind(value)))?)
            })
            .collect(),
        Value::String(items) if entry.is_variable() => {
            let items = items.value().split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(&each).collect()
        }
        other => Err(format!("must be a list of texts, as [\"…\", \"…\"], not {}", kind(other))),
    }
}

pub(super) fn bounded<const MAX: u32>(text: &str) -> Read<Text<MAX>> {
    let bounded = Text::try_from(text)
        .map_err(|_| format!("has {} bytes, and may have {MAX} at most", text.len()))?;
    if bounded.is_clean() {
        Ok(bounded)
    } else {
        Err("must be one line without control characters".into())
    }
}

pub(super) fn node_id(entry: &Entry) -> Read<quarry_primitives::NodeId> {
    let name = bounded(text(entry)?)?;
    if name.is_text() {
        Ok(name)
    } else {
        Err("must not be empty: it is the name that the miner registered the node under".into())
    }
}

pub(super) fn absolute_path(entry: &Entry) -> Read<PathBuf> {
    let path = PathBuf::from(text(entry)?);
    let is_plain = path.components().all(|part| part != Component::ParentDir);
    let has_control = text(entry)?.chars().any(char::is_control);
    if path.is_absolute() && is_plain && path.parent().is_some() && !has_control {
        Ok(path)
    } else {
        Err("must be a path from / on, without `..`, and not / itself".into())
    }
}

pub(super) fn size(entry: &Entry) -> Read<u64> {
    let wrong = || "must be a size with its unit, as \"100 GiB\", above nought".to_string();
    let text = entry.value.as_str().ok_or_else(wrong)?;
    let has_unit = text.ends_with(['B', 'b']);
    let size = text.parse::<ByteSize>().ok().filter(|size| has_unit && size.as_u64() > 0);
    size.map(|size| size.as_u64()).ok_or_else(wrong)
}

pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Entry) -> Read<Duration> {
    move |entry| {
        let text = entry.value.as_str();
        let duration = text.and_then(|text| humantime::parse_duration(text).ok());
        duration.filter(|duration| range.contains(duration)).ok_or_else(|| {
            let show = |limit: &Duration| humantime::format_duration(*limit).to_string();
            let (least, most) = (show(range.start()), show(range.end()));
            format!("must be a time with its unit, as \"90s\" or \"10m\", from {least} to {most}")
        })
    }
}

pub(super) fn genesis(entry: &Entry) -> Read<[u8; 32]> {
    let digits = text(entry)?.strip_prefix("0x");
    let bytes = digits.and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok());
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "must be the hash of block 0: 0x and 64 hexadecimal digits".into())
}

/// Never repeats the URL: it may hold a password or a key.
pub(super) fn chain_endpoint(text: &str) -> Read<String> {
    let url = Url::parse(text).ok();
    let is_sound = |url: &Url| matches!(url.scheme(), "ws" | "wss") && url.host().is_some();
    match url.filter(is_sound) {
        Some(_) => Ok(text.to_owned()),
        None => Err("each must be a URL that begins with ws:// or wss://".into()),
    }
}

pub(super) fn gateway(allow_http: bool) -> impl Fn(&str) -> Read<String> {
    move |text| {
        let url = Url::parse(text).map_err(|_| "each must be a URL, as \"https://ipfs.io\"")?;
        let is_sound = url.query().is_none() && url.fragment().is_none() && url.host().is_some();
        match url.scheme() {
            "https" if is_sound => {}
            "http" if is_sound && (allow_http || is_loopback(&url)) => {}
            _ => {
                return Err("each must begin with https:// and have no query; http:// is for this \
                     host, and elsewhere only with images.allow_http"
                    .into())
            }
        }
        Ok(text.trim_end_matches('/').to_owned())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The guests' files are this host's, so its hypervisor must be too.
pub(super) fn hypervisor_uri(entry: &Entry) -> Read<String> {
    let uri = text(entry)?;
    let local = ["qemu:///", "qemu+unix:///", "test:///", "test+unix:///"];
    let is_local = local.iter().any(|start| uri.starts_with(start));
    if is_local && !uri.chars().any(|c| c.is_control() || c == ' ') {
        Ok(uri.to_owned())
    } else {
        Err("must be a libvirt of this host: qemu:///system, qemu:///session or test:///default"
            .into())
    }
}

pub(super) fn accelerator(entry: &Entry) -> Read<Option<Accelerator>> {
    match text(entry)? {
        "auto" => Ok(None),
        "kvm" => Ok(Some(Accelerator::Kvm)),
        "emulation" => Ok(Some(Accelerator::Emulation)),
        "test" => Ok(Some(Accelerator::Test)),
        _ => Err("must be \"auto\", \"kvm\", \"emulation\" or \"test\"".into()),
    }
}

pub(super) fn address(text: &str) -> Read<IpAddr> {
    text.parse().map_err(|_| format!("{text:?} is no IP address"))
}

pub(super) fn listen(entry: &Entry) -> Read<Option<SocketAddr>> {
    match text(entry)? {
        "none" => Ok(None),
        address => address.parse().map(Some).map_err(|_| {
            "must be an address and a port, as \"[::]:2222\" for all of the host's, or \"none\""
                .into()
        }),
    }
}

pub(super) fn loopback(entry: &Entry) -> Read<Option<SocketAddr>> {
    match listen(entry) {
        Ok(address) if address.is_none_or(|address| address.ip().is_loopback()) => Ok(address),
        _ => {
            Err("must be a loopback address and a port, as \"127.0.0.1:9645\", or \"none\"".into())
        }
    }
}

/// As the chain takes it.
pub(super) fn host_and_port(entry: &Entry) -> Read<Text<128>> {
    let endpoint = bounded(text(entry)?)?;
    let access = Access { endpoint, host_key: [0; 32] };
    if access.is_sound() {
        Ok(access.endpoint)
    } else {
        Err("must be a host and a port, as \"node.example:2222\" or \"[2001:db8::7]:2222\"".into())
    }
}

/// An Ed25519 key as OpenSSH writes it; a comment may follow.
pub(super) fn ssh_host_key(entry: &Entry) -> Read<[u8; 32]> {
    const BEFORE: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
    let mut words = text(entry)?.split_whitespace();
    let is_ed25519 = words.next() == Some("ssh-ed25519");
    let bytes = words.next().and_then(|word| BASE64.decode(word.as_bytes()).ok());
    bytes
        .filter(|_| is_ed25519)
        .and_then(|bytes| bytes.strip_prefix(BEFORE)?.try_into().ok())
        .ok_or_else(|| "must be an Ed25519 host key, as \"ssh-ed25519 AAAA…\"".into())
}

pub(super) fn log_format(entry: &Entry) -> Read<LogFormat> {
    match text(entry)? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be \"text\" or \"json\"".into()),
    }
}

pub(super) fn log_filter(entry: &Entry) -> Read<String> {
    let filter = text(entry)?;
    match EnvFilter::try_new(filter) {
        Ok(_) if !filter.trim().is_empty() => Ok(filter.to_owned()),
        Ok(_) => Err("must not be empty: \"info\" is the usual filter".into()),
        Err(error) => Err(format!("must be a filter as \"info,quarry_worker=debug\": {error}")),
    }
}
