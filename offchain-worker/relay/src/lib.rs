//! For nodes that can only dial out: a relay gives each of them a TCP port that tenants can dial.
//!
//! - [`Relay`] is the server. A node logs in as its id with its access key, which must be the one that the chain
//!   names, and asks for a remote forward. What comes to its port is carried to it as it is: the tenant's SSH
//!   ends at the node, so the relay reads none of it.
//! - [`Dial`] is the node's side.
//!
//! Between the two stands one SSH connection for all tenants of a node. SSH has a window for each channel, but
//! russh refills it as soon as data came, whether or not anybody took it: one tenant who stops reading would hold up
//! all. So both sides count what they have not passed on yet themselves, see `flow`, and neither stops reading while
//! it cannot write, see `line`.

mod flow;
mod forward;
mod line;
mod login;
mod node;
mod ports;
mod server;
#[cfg(test)]
mod tests;

pub use flow::Ended;
pub use node::{Dial, DialError, Forwarded, Link};
pub use ports::{Ports, PortsError};
pub use russh::keys::PrivateKey;
pub use server::{Limits, Registry, Relay, Settings, Unknown};

use russh::keys::{Algorithm, PublicKey};
use std::borrow::Cow;

/// What is not done by then is given up: logging in, and opening a channel.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Messages that a channel may have before it is seen to; after that the session waits.
const CHANNEL_BUFFER: usize = 4;

/// The version that both sides tell.
const SSH_ID: russh::SshId = russh::SshId::Standard(Cow::Borrowed("SSH-2.0-quarry"));

fn ed25519(key: &PublicKey) -> Option<[u8; 32]> {
    key.key_data().ed25519().map(|key| key.0)
}

fn algorithms() -> russh::Preferred {
    russh::Preferred {
        key: Cow::Borrowed(&[Algorithm::Ed25519]),
        compression: Cow::Borrowed(&[russh::compression::NONE]),
        ..russh::Preferred::DEFAULT
    }
}
