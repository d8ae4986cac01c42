use std::{net::IpAddr, path::PathBuf};
use uuid::Uuid;

/// What a domain's `<metadata>` says of where it came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tag {
    /// The chain.
    pub genesis: [u8; 32],
    /// The node that made it.
    pub node_id: String,
    /// The request's number.
    pub request_id: u128,
    /// The request's birth.
    pub birth: [u8; 32],
    /// The generation of the assignment.
    pub assignment: u64,
    /// The generation of the last operation that was begun on it.
    pub generation: u64,
    /// The highest finalized block when it was written.
    pub seen: u32,
}

/// A domain with a tag of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    /// libvirt's id.
    pub uuid: Uuid,
    /// What it does.
    pub state: DomainState,
    /// The tag in its stored config; none if it has no stored config (it is transient).
    pub stored: Option<Tag>,
    /// The tag that it was started with, while it is active.
    pub live: Option<Tag>,
}

/// What a domain does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DomainState {
    /// It runs.
    Running,
    /// It is there and stands still: paused by somebody, or by an I/O error.
    Paused,
    /// It is on its way down.
    ShuttingDown,
    /// It is off.
    Off,
    /// It is off, because it crashed.
    Crashed,
}

impl DomainState {
    /// Whether there is a guest in memory.
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Off | Self::Crashed)
    }
}

/// How guests run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accelerator {
    /// On the CPU.
    Kvm,
    /// Emulated, slowly.
    Emulation,
    /// Not at all: libvirt's test driver.
    Test,
}

/// What a guest's network card is plugged into.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attachment {
    /// A network of libvirt.
    Network(String),
    /// A bridge of the host.
    Bridge(String),
    /// User-mode networking, for development.
    User,
}

/// An address that the guest may use, and no other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuestAddress(pub IpAddr);

/// A domain to define.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DomainSpec {
    /// Its id.
    pub uuid: Uuid,
    /// Its name, unique on the host.
    pub name: String,
    /// For people who look at it with virsh.
    pub title: String,
    /// Where it came from.
    pub tag: Tag,
    /// How it runs.
    pub accelerator: Accelerator,
    /// Its CPUs.
    pub vcpus: u16,
    /// Its memory.
    pub memory_mib: u32,
    /// Its disk: qcow2.
    pub disk: PathBuf,
    /// Its seed: raw, read-only.
    pub seed: PathBuf,
    /// Where its serial console is logged.
    pub serial_log: PathBuf,
    /// Its network card.
    pub mac: [u8; 6],
    /// What that is plugged into; no network card if none.
    pub attachment: Option<Attachment>,
    /// What it may send from.
    pub addresses: Vec<GuestAddress>,
    /// The filter that it is attached by.
    pub filter: Option<String>,
}

/// What a running guest used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainStats {
    /// Which.
    pub uuid: Uuid,
    /// CPU time since it started.
    pub cpu_nanoseconds: u64,
    /// What it takes of the host's memory.
    pub memory_bytes: u64,
    /// Read from its disk.
    pub disk_read_bytes: u64,
    /// Written to it.
    pub disk_written_bytes: u64,
    /// What the disk's file takes on the host.
    pub disk_allocated_bytes: u64,
    /// Received.
    pub network_received_bytes: u64,
    /// Sent.
    pub network_sent_bytes: u64,
}

/// What libvirt runs on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostInfo {
    /// For people: "QEMU 10.0.2, libvirt 11.3.0".
    pub hypervisor: String,
    /// How guests run by default: KVM if libvirt offers it.
    pub accelerator: Accelerator,
    /// Logical CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// The CPU's name.
    pub cpu_model: String,
}
