//! A domain as libvirt wants it told.

use crate::{
    disk::{self, Disk},
    domain::{Accelerator, Attachment, DomainSpec, GuestAddress},
    error::{Error, Result},
    markup::Markup,
    sound, tag,
};
use std::{io, path::Path};

/// The disk's name in the domain.
pub(crate) const DISK: &str = "vda";
const SEED: &str = "vdb";
const RNG_BYTES_A_SECOND: &str = "65536";

/// The XML that defines a domain, of which the disk must be there (but for the test driver).
pub fn definition(spec: &DomainSpec) -> Result<String> {
    sound::check(spec)?;
    let disk = match spec.accelerator {
        Accelerator::Test => Disk::default(),
        Accelerator::Kvm | Accelerator::Emulation => disk::inspect(&spec.disk)?,
    };
    domain_xml(spec, &disk)
}

/// The XML that defines a domain upon that disk.
pub(crate) fn domain_xml(spec: &DomainSpec, disk: &Disk) -> Result<String> {
    sound::check(spec)?;
    let files = Files::of(spec, disk)?;
    Markup::document(|markup| {
        let kind = [("type", kind(spec.accelerator))];
        markup.nest("domain", &kind, |domain| match spec.accelerator {
            Accelerator::Test => identity(domain, spec),
            Accelerator::Kvm | Accelerator::Emulation => {
                identity(domain, spec)?;
                machine(domain, spec.accelerator)?;
                domain.nest("devices", &[], |devices| {
                    disks(devices, &files)?;
                    if let Some(attachment) = &spec.attachment {
                        network_card(devices, spec, attachment)?;
                    }
                    peripherals(devices, &files)
                })
            }
        })
    })
    .map_err(|error| Error::Unsound(error.to_string()))
}

pub(crate) fn kind(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Emulation => "qemu",
        Accelerator::Test => "test",
    }
}

struct Files<'a> {
    disk: &'a str,
    seed: &'a str,
    serial_log: &'a str,
    backing: Option<(&'a str, &'static str)>,
    direct: bool,
}

impl<'a> Files<'a> {
    fn of(spec: &'a DomainSpec, disk: &'a Disk) -> Result<Self> {
        let backing = disk.backing.as_ref();
        Ok(Self {
            disk: text(&spec.disk)?,
            seed: text(&spec.seed)?,
            serial_log: text(&spec.serial_log)?,
            backing: backing
                .map(|backing| Ok((text(&backing.path)?, backing.format.name())))
                .transpose()?,
            direct: disk.direct,
        })
    }
}

fn text(path: &Path) -> Result<&str> {
    sound::path(path)
}

fn identity(domain: &mut Markup, spec: &DomainSpec) -> io::Result<()> {
    let memory = spec.memory_mib.to_string();
    domain.text("name", &[], &spec.name)?;
    domain.text("uuid", &[], &spec.uuid.to_string())?;
    domain.text("title", &[], &spec.title)?;
    domain.nest("metadata", &[], |metadata| tag::write(metadata, &spec.tag))?;
    // A tenant's memory belongs in no core dump of the host's.
    domain.text("memory", &[("unit", "MiB"), ("dumpCore", "off")], &memory)?;
    domain.text("currentMemory", &[("unit", "MiB")], &memory)?;
    domain.text("vcpu", &[("placement", "static")], &spec.vcpus.to_string())?;
    domain.nest("os", &[], |os| match spec.accelerator {
        Accelerator::Test => os.text("type", &[], "hvm"),
        Accelerator::Kvm | Accelerator::Emulation => {
            os.text("type", &[("arch", "x86_64"), ("machine", "q35")], "hvm")
        }
    })?;
    domain.text("on_poweroff", &[], "destroy")?;
    domain.text("on_reboot", &[], "restart")?;
    domain.text("on_crash", &[], "destroy")
}

pub(crate) fn machine(domain: &mut Markup, accelerator: Accelerator) -> io::Result<()> {
    // Merged pages would let guests measure each other's memory.
    domain.nest("memoryBacking", &[], |memory| memory.empty("nosharepages", &[]))?;
    domain.nest("features", &[], |features| {
        features.empty("acpi", &[])?;
        features.empty("apic", &[])
    })?;
    match accelerator {
        Accelerator::Kvm => {
            let passthrough =
                [("mode", "host-passthrough"), ("check", "none"), ("migratable", "on")];
            domain.empty("cpu", &passthrough)
        }
        // x86-64-v2, which today's distributions ask for, and nothing that is slow to emulate.
        Accelerator::Emulation | Accelerator::Test => {
            let custom = [("mode", "custom"), ("match", "exact"), ("check", "none")];
            domain
                .nest("cpu", &custom, |cpu| cpu.text("model", &[("fallback", "forbid")], "Nehalem"))
        }
    }?;
    domain.nest("clock", &[("offset", "utc")], |clock| {
        clock.empty("timer", &[("name", "rtc"), ("tickpolicy", "catchup")])?;
        clock.empty("timer", &[("name", "pit"), ("tickpolicy", "delay")])?;
        clock.empty("timer", &[("name", "hpet"), ("present", "no")])
    })
}

fn disks(devices: &mut Markup, files: &Files<'_>) -> io::Result<()> {
    let device = [("type", "file"), ("device", "disk")];
    let cache = if files.direct { "none" } else { "writeback" };
    let driver = [("name", "qemu"), ("type", "qcow2"), ("cache", cache), ("discard", "unmap")];
    devices.nest("disk", &device, |disk| {
        disk.empty("driver", &driver)?;
        disk.empty("source", &[("file", files.disk)])?;
        backing_store(disk, files.backing)?;
        disk.empty("target", &[("dev", DISK), ("bus", "virtio")])?;
        disk.empty("boot", &[("order", "1")])
    })?;
    let driver = [("name", "qemu"), ("type", "raw")];
    devices.nest("disk", &device, |disk| {
        disk.empty("driver", &driver)?;
        disk.empty("source", &[("file", files.seed)])?;
        disk.empty("backingStore", &[])?;
        disk.empty("target", &[("dev", SEED), ("bus", "virtio")])?;
        disk.empty("readonly", &[])
    })
}

/// Said in full, so that libvirt follows no header and guesses no format.
fn backing_store(disk: &mut Markup, backing: Option<(&str, &str)>) -> io::Result<()> {
    let Some((path, format)) = backing else {
        return disk.empty("backingStore", &[]);
    };
    disk.nest("backingStore", &[("type", "file")], |store| {
        store.empty("format", &[("type", format)])?;
        store.empty("source", &[("file", path)])?;
        store.empty("backingStore", &[])
    })
}

fn network_card(
    devices: &mut Markup,
    spec: &DomainSpec,
    attachment: &Attachment,
) -> io::Result<()> {
    let (kind, source) = match attachment {
        Attachment::Network(name) => ("network", Some(("network", name.as_str()))),
        Attachment::Bridge(name) => ("bridge", Some(("bridge", name.as_str()))),
        Attachment::User => ("user", None),
    };
    let [a, b, c, d, e, f] = spec.mac;
    let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    devices.nest("interface", &[("type", kind)], |card| {
        card.empty("mac", &[("address", &mac)])?;
        if let Some(source) = source {
            card.empty("source", &[source])?;
            card.empty("port", &[("isolated", "yes")])?;
        }
        card.empty("model", &[("type", "virtio")])?;
        if let (Some(filter), Some(_)) = (&spec.filter, source) {
            card.nest("filterref", &[("filter", filter)], |filter| addresses(filter, spec))?;
        }
        card.empty("rom", &[("enabled", "no")])
    })
}

/// Both families are always told: what the filter does not know, libvirt would learn from the guest.
fn addresses(filter: &mut Markup, spec: &DomainSpec) -> io::Result<()> {
    family(filter, "IP", "0.0.0.0", spec.addresses.iter().filter(|address| address.0.is_ipv4()))?;
    family(filter, "IPV6", "::", spec.addresses.iter().filter(|address| address.0.is_ipv6()))
}

fn family<'a>(
    filter: &mut Markup,
    name: &str,
    nothing: &str,
    addresses: impl Iterator<Item = &'a GuestAddress>,
) -> io::Result<()> {
    let mut addresses = addresses.peekable();
    if addresses.peek().is_none() {
        filter.empty("parameter", &[("name", name), ("value", nothing)])?;
    }
    for address in addresses {
        filter.empty("parameter", &[("name", name), ("value", &address.0.to_string())])?;
    }
    Ok(())
}

fn peripherals(devices: &mut Markup, files: &Files<'_>) -> io::Result<()> {
    devices.empty("controller", &[("type", "usb"), ("model", "none")])?;
    devices.nest("serial", &[("type", "pty")], |serial| {
        serial.empty("log", &[("file", files.serial_log), ("append", "on")])?;
        serial.empty("target", &[("type", "isa-serial"), ("port", "0")])
    })?;
    devices.nest("channel", &[("type", "unix")], |channel| {
        channel.empty("target", &[("type", "virtio"), ("name", "org.qemu.guest_agent.0")])
    })?;
    // libvirt puts the socket into the domain's own folder.
    devices.nest("graphics", &[("type", "vnc")], |graphics| {
        graphics.empty("listen", &[("type", "socket")])
    })?;
    devices.nest("video", &[], |video| {
        video.empty("model", &[("type", "vga"), ("vram", "16384"), ("heads", "1")])
    })?;
    devices.empty("audio", &[("id", "1"), ("type", "none")])?;
    // What the guest frees, the host has again.
    devices.empty("memballoon", &[("model", "virtio"), ("freePageReporting", "on")])?;
    devices.nest("rng", &[("model", "virtio")], |rng| {
        rng.empty("rate", &[("bytes", RNG_BYTES_A_SECOND), ("period", "1000")])?;
        rng.text("backend", &[("model", "random")], "/dev/urandom")
    })
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
