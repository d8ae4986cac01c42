//! The figures of a hypervisor host, and whether it has room for more.
//!
//! [`Host::sample`] reads them, [`to_metrics`] puts them as the chain takes them, [`DiskSpeed`] measures
//! the disk once, and [`Thresholds`] decides whether the node takes new VMs. All of it but the thresholds
//! blocks for as long as the disk does: keep it off the async runtime.

mod disks;
mod gpu;
mod host;
mod metrics;
mod network;
mod speed;
mod sysfs;
mod thresholds;

pub use disks::{Disk, DiskKind};
pub use gpu::Gpu;
pub use host::{Host, HostError, Sample, Share};
pub use metrics::{to_metrics, NodeFacts};
pub use network::Interface;
pub use speed::{DiskSpeed, SpeedError};
pub use thresholds::{Fault, Figure, Limits, Load, Thresholds};
