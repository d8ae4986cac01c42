//! What libvirt says of the host, and of a running guest's devices.

use crate::{
    domain::{Accelerator, HostInfo},
    error::Error,
    fault::Fault,
    ffi::Connection,
};
use roxmltree::{Document, Node};
use std::path::PathBuf;

const KIB_PER_MIB: u64 = 1024;

/// Whether it is the driver that runs real guests.
pub(crate) fn is_qemu(driver: &str) -> bool {
    driver.eq_ignore_ascii_case("qemu")
}

/// What libvirt runs on.
pub(crate) fn info(connection: &Connection, driver: &str) -> Result<HostInfo, Fault> {
    let node = connection.node_info()?;
    let capabilities = connection.capabilities()?;
    let document = parse(&capabilities)?;
    let hypervisor = version(connection.hyp_version()?);
    let libvirt = version(connection.lib_version()?);
    Ok(HostInfo {
        hypervisor: format!("{driver} {hypervisor}, libvirt {libvirt}"),
        accelerator: accelerator(&document, driver),
        cpus: node.cpus,
        memory_mib: node.memory / KIB_PER_MIB,
        cpu_model: cpu_model(&document, driver).unwrap_or(node.model),
    })
}

fn version(number: u32) -> String {
    let (major, minor, release) = (number / 1_000_000, number / 1000 % 1000, number % 1000);
    format!("{major}.{minor}.{release}")
}

fn accelerator(capabilities: &Document<'_>, driver: &str) -> Accelerator {
    if !is_qemu(driver) {
        return Accelerator::Test;
    }
    let offers_kvm = capabilities
        .descendants()
        .filter(|node| node.has_tag_name("arch") && node.attribute("name") == Some("x86_64"))
        .flat_map(|arch| arch.children())
        .any(|node| node.has_tag_name("domain") && node.attribute("type") == Some("kvm"));
    if offers_kvm {
        Accelerator::Kvm
    } else {
        Accelerator::Emulation
    }
}

/// The kernel knows the name on the box; libvirt knows only the family.
fn cpu_model(capabilities: &Document<'_>, driver: &str) -> Option<String> {
    let of_kernel = || {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = cpus.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let of_libvirt = || {
        let cpu = capabilities.descendants().find(|node| node.has_tag_name("cpu"))?;
        let model = cpu.children().find(|node| node.has_tag_name("model"))?;
        Some(model.text()?.to_owned())
    };
    is_qemu(driver).then(of_kernel).flatten().or_else(of_libvirt)
}

/// Where a running domain's VNC server listens.
pub(crate) fn vnc_socket(xml: &str) -> Result<Option<PathBuf>, Error> {
    let document = parse(xml)?;
    let is_vnc = |node: &Node<'_, '_>| {
        node.has_tag_name("graphics") && node.attribute("type") == Some("vnc")
    };
    let graphics = document.descendants().find(is_vnc);
    let socket = graphics.and_then(|graphics| {
        let listens = |node: &Node<'_, '_>| {
            node.has_tag_name("listen") && node.attribute("type") == Some("socket")
        };
        let listen = graphics.children().find(listens);
        let attribute = listen.and_then(|listen| listen.attribute("socket"));
        attribute.or_else(|| graphics.attribute("socket"))
    });
    Ok(socket.map(PathBuf::from))
}

/// The terminal of a running domain's first serial console.
pub(crate) fn console(xml: &str) -> Result<Option<PathBuf>, Error> {
    let document = parse(xml)?;
    let is_terminal =
        |node: &Node<'_, '_>| node.has_tag_name("serial") && node.attribute("type") == Some("pty");
    let serial = document.descendants().find(is_terminal);
    let source =
        serial.and_then(|serial| serial.children().find(|node| node.has_tag_name("source")));
    Ok(source.and_then(|source| source.attribute("path")).map(PathBuf::from))
}

fn parse(xml: &str) -> Result<Document<'_>, Error> {
    Document::parse(xml)
        .map_err(|error| Error::Other { code: 0, message: format!("its XML is broken: {error}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_is_found_where_it_listens_on_a_socket_and_nowhere_else() {
        let xml = |graphics: &str| format!("<domain><devices>{graphics}</devices></domain>");
        let socket = |graphics: &str| vnc_socket(&xml(graphics)).unwrap();
        let listening = "<graphics type='vnc'><listen type='socket' socket='/run/v'/></graphics>";
        assert_eq!(socket(listening), Some(PathBuf::from("/run/v")));
        let old = "<graphics type='vnc' socket='/run/w'/>";
        assert_eq!(socket(old), Some(PathBuf::from("/run/w")));
        let tcp = "<graphics type='vnc' port='5900'><listen type='address'/></graphics>";
        assert_eq!(socket(tcp), None);
        let spice = "<graphics type='spice'><listen type='socket' socket='/run/v'/></graphics>";
        assert_eq!(socket(spice), None);
        assert!(vnc_socket("<domain>").is_err());
    }

    #[test]
    fn the_console_is_the_terminal_of_the_running_guest() {
        let console = |serial: &str| {
            console(&format!("<domain><devices>{serial}</devices></domain>")).unwrap()
        };
        let running = "<serial type='pty'><source path='/dev/pts/3'/><target port='0'/></serial>";
        assert_eq!(console(running), Some(PathBuf::from("/dev/pts/3")));
        assert_eq!(console("<serial type='pty'><target port='0'/></serial>"), None);
        assert_eq!(console("<serial type='file'><source path='/etc/passwd'/></serial>"), None);
    }

    #[test]
    fn kvm_is_chosen_where_libvirt_offers_it_for_this_kind_of_machine() {
        let chosen = |arch: &str, kinds: &str, driver: &str| {
            let xml = format!("<c><guest><arch name='{arch}'>{kinds}</arch></guest></c>");
            accelerator(&Document::parse(&xml).unwrap(), driver)
        };
        let both = "<domain type='qemu'/><domain type='kvm'/>";
        assert_eq!(chosen("x86_64", both, "QEMU"), Accelerator::Kvm);
        assert_eq!(chosen("i686", both, "QEMU"), Accelerator::Emulation);
        let one = "<domain type='qemu'/>";
        assert_eq!(chosen("x86_64", one, "QEMU"), Accelerator::Emulation);
        assert_eq!(chosen("x86_64", both, "Test"), Accelerator::Test);
    }
}
