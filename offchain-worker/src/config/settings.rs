use quarry_hypervisor::{Accelerator, Attachment};
use quarry_primitives::{text::Text, NodeId};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// All that an operator sets, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The node's name on chain.
    pub node_id: NodeId,
    /// Where VMs, images and the worker's own state lie.
    pub data_dir: PathBuf,
    /// Where the node stands, for its metrics: as a text or as coordinates, or empty.
    pub geolocation: Text<64>,
    /// The chain.
    pub chain: ChainSettings,
    /// The worker's key.
    pub key: KeySettings,
    /// libvirt.
    pub hypervisor: HypervisorSettings,
    /// How operations are carried out.
    pub operations: OperationSettings,
    /// Open requests.
    pub claims: ClaimSettings,
    /// Disk images.
    pub images: ImageSettings,
    /// Guests' networks.
    pub network: NetworkSettings,
    /// The SSH port by which tenants reach their VMs.
    pub access: AccessSettings,
    /// When the node takes no new VMs.
    pub thresholds: ThresholdSettings,
    /// The local HTTP server.
    pub http: HttpSettings,
    /// Logs.
    pub logs: LogSettings,
}

/// Where the chain is.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainSettings {
    /// RPC endpoints (`ws://`, `wss://`), in order of preference.
    pub endpoints: Vec<String>,
    /// The chain's genesis hash; any chain is taken if none, and the first one seen is kept.
    pub genesis: Option<[u8; 32]>,
}

/// Where the worker's key is.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySettings {
    /// The key file.
    pub file: PathBuf,
}

/// How libvirt is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct HypervisorSettings {
    /// libvirt's URI.
    pub uri: String,
    /// How guests run; what libvirt offers if none.
    pub accelerator: Option<Accelerator>,
}

/// How operations are carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationSettings {
    /// How many run at once.
    pub parallel: usize,
    /// How long a guest may take to power off before its plug is pulled.
    pub shutdown_grace: Duration,
    /// How often all of it is looked at although nothing changed.
    pub resync: Duration,
    /// How long the disk of a VM that the chain no longer knows is kept.
    pub orphan_disk_delay: Duration,
}

/// Which open requests are claimed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimSettings {
    /// Whether any are.
    pub enabled: bool,
    /// The least rent per block to take one for, in plancks.
    pub min_price: u128,
}

/// Where disk images come from, and how many are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSettings {
    /// What the store may take on disk.
    pub store_bytes: u64,
    /// The largest file.
    pub max_file_bytes: u64,
    /// The largest disk that an image may ask for.
    pub max_virtual_bytes: u64,
    /// Folder of images that `file:` URLs name; none are taken if none.
    pub local_dir: Option<PathBuf>,
    /// IPFS gateways, asked in turn.
    pub gateways: Vec<String>,
    /// Whether images may come by plain http, for tests and closed networks; the digest is checked anyway.
    pub allow_http: bool,
    /// How long a fetch may stand still.
    pub stall: Duration,
}

/// What guests are plugged into.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSettings {
    /// For VMs with an address of the node's own pool.
    pub own: Option<Attachment>,
    /// For VMs with an address of the global pool.
    pub global: Option<Attachment>,
    /// For VMs without an address of their own.
    pub private: Option<PrivateNetwork>,
    /// Name servers for guests, where a pool names none.
    pub dns: Vec<IpAddr>,
    /// Where guests may go beside the public internet.
    pub allow: Vec<(IpAddr, u8)>,
    /// Public networks where they may not go.
    pub deny: Vec<(IpAddr, u8)>,
    /// Whether the filter is used; only development does without.
    pub filter: bool,
}

/// A network on which the worker gives addresses itself, behind NAT.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateNetwork {
    /// What guests are plugged into.
    pub attachment: Attachment,
    /// The gateway, which is the host.
    pub gateway: Ipv4Addr,
    /// The network's prefix length.
    pub prefix_len: u8,
}

/// The SSH port by which tenants reach their VMs.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessSettings {
    /// Where it listens; none for no port of its own.
    pub listen: Option<SocketAddr>,
    /// The file with its host key.
    pub key: PathBuf,
    /// Where tenants reach it from outside, as `host:port`.
    pub endpoint: Option<Text<128>>,
    /// The relay that this node dials, if nobody can dial it.
    pub relay: Option<RelaySettings>,
    /// How many connections at once may not have logged in yet.
    pub unauthenticated: usize,
    /// How many of those may come from one address.
    pub per_source: usize,
    /// How long a connection may carry nothing.
    pub idle_timeout: Duration,
}

/// A relay.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaySettings {
    /// Its `host:port`.
    pub endpoint: Text<128>,
    /// Its Ed25519 host key.
    pub host_key: [u8; 32],
}

/// When the node takes no new VMs, in per mille.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdSettings {
    /// Of the CPU.
    pub cpu: u16,
    /// Of the memory.
    pub memory: u16,
    /// Of the storage under the data folder.
    pub storage: u16,
    /// How far below the threshold a figure must fall before the node takes VMs again.
    pub hysteresis: u16,
}

/// The local HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// Where it listens, on loopback only; none for none.
    pub listen: Option<SocketAddr>,
}

/// How logs look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// How they look.
    pub format: LogFormat,
    /// A filter as `tracing-subscriber` reads it.
    pub filter: String,
}
