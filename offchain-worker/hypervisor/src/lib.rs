//! Virtual machines on libvirt: domains, their networks' filters, their figures.
//!
//! [`Hypervisor`] is all that the worker knows of libvirt, so that its decisions can be tested without
//! one. Its calls block, and return within 15 seconds of libvirtd's death at the latest.

mod catalogue;
mod disk;
mod domain;
mod error;
mod fault;
mod ffi;
mod figures;
mod filter;
mod host;
mod libvirt;
mod link;
mod markup;
mod rules;
mod sound;
mod tag;
mod trial;
mod xml;

pub use domain::{
    Accelerator, Attachment, Domain, DomainSpec, DomainState, DomainStats, GuestAddress, HostInfo,
    Tag,
};
pub use error::{Error, Result};
pub use libvirt::Libvirt;
pub use trial::try_guest;
pub use xml::definition;

use std::net::IpAddr;
use uuid::Uuid;

/// What the worker asks of a hypervisor. Domains that carry no tag of ours are foreign: no call returns
/// or touches them.
pub trait Hypervisor: Send + Sync + 'static {
    /// Every domain with a tag of ours, whoever's genesis and node it names.
    ///
    /// One call to libvirt as a rule: tags are read again only where a domain is new, was started anew,
    /// or was retagged by somebody else.
    fn domains(&self) -> Result<Vec<Domain>>;

    /// One of them, read afresh.
    fn domain(&self, uuid: Uuid) -> Result<Option<Domain>>;

    /// Defines a domain, inactive; replaces the stored config of one with the same id.
    fn define(&self, spec: &DomainSpec) -> Result<()>;

    /// Starts a defined domain. Fine where it runs already.
    fn start(&self, uuid: Uuid) -> Result<()>;

    /// Lets a paused guest go on, as after its disk could not be written. Fine where it runs.
    fn resume(&self, uuid: Uuid) -> Result<()>;

    /// Asks the guest to power off: by its agent if that answers, else by ACPI. Fine where it is off.
    fn shut_down(&self, uuid: Uuid) -> Result<()>;

    /// Pulls the plug. Fine where it is off, or gone.
    fn destroy(&self, uuid: Uuid) -> Result<()>;

    /// Forgets a domain that is off, with its managed save, snapshots, checkpoints and NVRAM. Fine where
    /// there is none; refused while it runs.
    fn undefine(&self, uuid: Uuid) -> Result<()>;

    /// Writes the tag to the stored config only, so that the running one keeps what it started with.
    fn retag(&self, uuid: Uuid, tag: &Tag) -> Result<()>;

    /// Makes a running guest see a larger disk. The file grows with it.
    fn grow_disk(&self, uuid: Uuid, bytes: u64) -> Result<()>;

    /// Where the running guest's screen listens, if it has one.
    fn vnc_socket(&self, uuid: Uuid) -> Result<Option<std::path::PathBuf>>;

    /// The terminal of the running guest's serial console, if it has one.
    fn console(&self, uuid: Uuid) -> Result<Option<std::path::PathBuf>>;

    /// Changes whom a user of the running guest lets in: these keys too, and those no longer. What else the guest
    /// lets in stays as it is. The guest's agent does it, so it fails where there is none that answers within
    /// seconds.
    fn change_guest_keys(
        &self,
        uuid: Uuid,
        user: &str,
        add: &[String],
        remove: &[String],
    ) -> Result<()>;

    /// The figures of all running domains with a tag of ours, by one call.
    fn stats(&self) -> Result<Vec<DomainStats>>;

    /// What libvirt runs on.
    fn host(&self) -> Result<HostInfo>;

    /// Makes the filter that guests are attached by, as the policy has it; fine where it is so already.
    /// Nothing where the driver has no filters.
    fn ensure_filter(&self, policy: &FilterPolicy) -> Result<()>;

    /// Whether the driver has filters. Without them guests may send what they like.
    fn supports_filters(&self) -> Result<bool> {
        Ok(false)
    }

    /// Forgets a filter that no guest uses. Fine where there is none.
    fn remove_filter(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Calls back whenever a domain of ours may have changed its state, or the connection was lost or
    /// came back. Never while another call of the callback is under way.
    fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) -> Result<()>;
}

/// What guests may reach beside the internet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilterPolicy {
    /// The filter's name, one for each worker on a host.
    pub name: String,
    /// Where guests may go although the rules would keep them out: networks as (address, prefix length).
    pub allow: Vec<(IpAddr, u8)>,
    /// Where they may not go although it is no private network (the host's own public addresses, say).
    pub deny: Vec<(IpAddr, u8)>,
    /// Gateways and name servers of the pools, which guests must reach for their network to work at all.
    pub services: Vec<IpAddr>,
}
