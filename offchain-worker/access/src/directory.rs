//! What the port has to know of the node.

use quarry_primitives::request::RequestId;
use russh::keys::{ssh_key::public::KeyData, PrivateKey, PublicKey};
use serde::Serialize;
use std::{collections::HashMap, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// The VMs of the node at the finalized block, by their requests' numbers. Nobody gets in to any other.
pub type Directory = HashMap<RequestId, Vm>;

/// A VM in the directory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vm {
    /// Whose holders are let in.
    pub keys: Keys,
}

/// Public keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keys(Vec<KeyData>);

impl Keys {
    /// Of lines as OpenSSH writes them. A line that is no key lets nobody in.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let key = |line| Some(PublicKey::from_openssh(line).ok()?.key_data().clone());
        Self(lines.into_iter().filter_map(key).collect())
    }

    /// Whether it is one of them. What is read of it is public, so this need not take the same time for all.
    pub(crate) fn have(&self, key: &KeyData) -> bool {
        self.0.contains(key)
    }
}

/// libvirt, or whatever it takes, does not answer now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the node cannot tell now; try again later")]
pub struct Unavailable;

/// What a running VM uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// What it does: `running`, `paused` or `off`.
    pub state: &'static str,
    /// Its CPUs.
    pub vcpus: u32,
    /// CPU time since it started.
    pub cpu_seconds: f64,
    /// Its memory.
    pub memory_bytes: u64,
    /// What it takes of the host's memory.
    pub memory_used_bytes: u64,
    /// Its disk.
    pub disk_bytes: u64,
    /// What the disk takes on the host.
    pub disk_used_bytes: u64,
    /// Read from its disk since it started.
    pub disk_read_bytes: u64,
    /// Written to it.
    pub disk_written_bytes: u64,
    /// Received since it started.
    pub network_received_bytes: u64,
    /// Sent.
    pub network_sent_bytes: u64,
}

/// The node whose port it is. But for the first two these may block; they are not called on an async thread.
pub trait Node: Send + Sync + 'static {
    /// The key that the next connection is answered with: the one that the chain names.
    fn host_key(&self) -> Option<PrivateKey>;

    /// Who is let in, now and from now on.
    fn directory(&self) -> watch::Receiver<Arc<Directory>>;

    /// Where the VM's SSH server is reached from here.
    fn ssh(&self, vm: RequestId) -> Option<SocketAddr>;

    /// The socket of the VM's screen while it runs.
    fn screen(&self, vm: RequestId) -> Result<Option<PathBuf>, Unavailable>;

    /// The terminal of the VM's serial console while it runs.
    fn console(&self, vm: RequestId) -> Result<Option<PathBuf>, Unavailable>;

    /// The file that the serial console is logged to; `.0`, `.1` … after its name are older ones.
    fn serial_log(&self, vm: RequestId) -> Option<PathBuf>;

    /// What the VM uses.
    fn stats(&self, vm: RequestId) -> Result<Stats, Unavailable>;
}
