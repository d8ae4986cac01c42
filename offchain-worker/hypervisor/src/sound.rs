//! What cannot be right is refused before libvirt sees it.

use crate::{
    domain::{Attachment, DomainSpec},
    error::{Error, Result},
    tag,
};
use std::path::Path;

const NAME_BYTES: usize = 64;
const TITLE_BYTES: usize = 256;
/// Of Linux, less the NUL.
const INTERFACE_BYTES: usize = 15;
const MULTICAST: u8 = 1;

/// Checks all that a domain is told to be.
pub(crate) fn check(spec: &DomainSpec) -> Result<()> {
    name("the name", &spec.name)?;
    if spec.title.len() > TITLE_BYTES || spec.title.chars().any(char::is_control) {
        return unsound(format!(
            "the title is longer than {TITLE_BYTES} bytes or has control characters"
        ));
    }
    if spec.vcpus == 0 {
        return unsound("a guest needs a vCPU");
    }
    if spec.memory_mib == 0 {
        return unsound("a guest needs memory");
    }
    if spec.uuid.is_nil() {
        return unsound("the uuid is nil");
    }
    tag::check(&spec.tag)?;
    if let Some(attachment) = &spec.attachment {
        card(spec.mac, attachment)?;
    }
    if let Some(filter) = &spec.filter {
        name("the filter's name", filter)?;
    }
    for file in [&spec.disk, &spec.seed, &spec.serial_log] {
        path(file)?;
    }
    Ok(())
}

/// A name that libvirt, file systems and shells all take.
pub(crate) fn name(what: &str, name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > NAME_BYTES
        || name.starts_with(['.', '-'])
        || !name.chars().all(fine)
    {
        return unsound(format!(
            "{what} has 1 to {NAME_BYTES} letters, digits, dashes, underscores and dots, and \
             starts with none of the last but an underscore"
        ));
    }
    Ok(())
}

/// A path that can stand in XML.
pub(crate) fn path(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) if path.is_absolute() && !text.chars().any(char::is_control) => Ok(text),
        _ => unsound(format!("{path:?} is no absolute path of UTF-8 without control characters")),
    }
}

fn card(mac: [u8; 6], attachment: &Attachment) -> Result<()> {
    let [first, ..] = mac;
    if first & MULTICAST != 0 || mac == [0; 6] {
        return unsound("the MAC is no address of one card");
    }
    match attachment {
        Attachment::Network(network) => name("the network's name", network),
        Attachment::Bridge(bridge) if bridge.len() > INTERFACE_BYTES => {
            unsound(format!("a bridge's name has at most {INTERFACE_BYTES} bytes"))
        }
        Attachment::Bridge(bridge) => name("the bridge's name", bridge),
        Attachment::User => Ok(()),
    }
}

fn unsound<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Unsound(why.into()))
}
