//! The SSH port by which tenants reach the VMs of a node.
//!
//! A tenant logs in as the number of a request, with one of the keys that the chain has for it, and reaches that
//! VM alone: its port 22, its screen, its serial console and log, its figures. Who is let in is asked of a
//! [`Node`] at each login and watched from then on.

mod command;
mod connection;
mod console;
mod directory;
mod figures;
mod gate;
mod log;
mod places;
mod pump;
mod server;
mod session;
mod stats;
mod stream;

pub use directory::{Directory, Keys, Node, Stats, Unavailable, Vm};
pub use figures::{Figures, Refusal};
pub use gate::{Gate, Pass, Voice};
pub use russh::keys::PrivateKey;
pub use server::{Limits, Server};
