//! Keeping libvirt's filter as the policy has it.

use crate::{
    error::Error,
    fault::{self, Fault},
    ffi::Connection,
    rules::filter_xml,
    FilterPolicy,
};
use roxmltree::{Document, Node};
use virt::error::Error as VirtError;
use virt_sys as sys;

/// Without these, bridged packets bypass half of the rules.
const BRIDGE_SWITCHES: [&str; 2] = ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"];

/// Whether the driver has filters.
pub(crate) fn are_supported(connection: &Connection) -> Result<bool, VirtError> {
    match connection.num_of_nw_filters() {
        Ok(_) => Ok(true),
        Err(error) if fault::is_unsupported(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Defines the filter unless it is there already, rule by rule.
pub(crate) fn ensure(connection: &Connection, policy: &FilterPolicy) -> Result<(), Fault> {
    let mut xml = filter_xml(policy, None)?;
    if !are_supported(connection)? {
        return Ok(());
    }
    let is_local = connection.uri()?.contains(":///");
    if is_local {
        check_bridges()?;
    }
    match connection.lookup_nwfilter_by_name(&policy.name) {
        Ok(filter) if are_equal(&filter.xml_desc(0)?, &xml) => return Ok(()),
        // libvirt replaces a filter by its id only.
        Ok(filter) => xml = filter_xml(policy, Some(filter.uuid()?))?,
        Err(error) if fault::code(&error) == sys::VIR_ERR_NO_NWFILTER => {}
        Err(error) => return Err(error.into()),
    }
    connection.define_nwfilter_xml(&xml)?;
    tracing::info!(filter = policy.name, "defined the guests' network filter");
    Ok(())
}

/// Forgets the filter, which no guest may use any more.
pub(crate) fn remove(connection: &Connection, name: &str) -> Result<(), Fault> {
    if !are_supported(connection)? {
        return Ok(());
    }
    match connection.lookup_nwfilter_by_name(name) {
        Ok(filter) => Ok(filter.undefine()?),
        Err(error) if fault::code(&error) == sys::VIR_ERR_NO_NWFILTER => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn check_bridges() -> Result<(), Error> {
    for switch in BRIDGE_SWITCHES {
        let path = format!("/proc/sys/net/bridge/{switch}");
        let is_on = std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == "1");
        if !is_on {
            return Err(Error::Unsupported(format!(
                "guests on bridges would not be filtered: load the module br_netfilter and set \
                 net.bridge.{switch}=1"
            )));
        }
    }
    Ok(())
}

/// Whether two filters say the same, whatever the order of their attributes.
fn are_equal(one: &str, other: &str) -> bool {
    match (Document::parse(one), Document::parse(other)) {
        (Ok(one), Ok(other)) => rules(&one) == rules(&other),
        _ => false,
    }
}

fn rules(filter: &Document<'_>) -> Vec<Vec<String>> {
    let mut rules: Vec<_> = filter
        .root_element()
        .children()
        .filter(|node| node.has_tag_name("rule") || node.has_tag_name("filterref"))
        .map(|rule| {
            let parts = rule.descendants().filter(Node::is_element);
            parts.map(describe).collect::<Vec<_>>()
        })
        .collect();
    rules.sort();
    rules
}

fn describe(element: Node<'_, '_>) -> String {
    let mut attributes: Vec<_> = element
        .attributes()
        .map(|attribute| format!("{}={}", attribute.name(), attribute.value()))
        .collect();
    attributes.sort();
    format!("{} {}", element.tag_name().name(), attributes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_differ_by_their_rules_and_by_nothing_else() {
        let one =
            "<filter name='a'><rule action='drop' priority='1'><ip a='1' b='2'/></rule></filter>";
        let same = "<filter name='a' chain='root'><uuid>x</uuid>
            <rule priority='1' action='drop'> <ip b='2' a='1'/> </rule></filter>";
        assert!(are_equal(one, same));
        for (old, new) in
            [("drop", "accept"), ("b='2'", "b='3'"), ("<ip ", "<ipv6 "), ("'1'>", "'2'>")]
        {
            assert!(!are_equal(one, &one.replace(old, new)), "{old} and {new}");
        }
        assert!(!are_equal(one, "<filter name='a'/>"));
        assert!(!are_equal(one, "<filter"));
    }
}
