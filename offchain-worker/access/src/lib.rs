//! The SSH port by which tenants reach the VMs of a node.

mod gate;

pub use gate::{Gate, Pass};
