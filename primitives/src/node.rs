//! Hypervisor hosts: what they offer and what the chain knows of them.

use crate::{
    resources::{Rates, Resources},
    text::{decimal, hex32, Text},
    AccountId, Balance, BlockNumber,
};
use alloc::string::String;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
use sp_core::ConstU32;
use sp_runtime::BoundedVec;

/// The name of a hypervisor host.
pub type NodeId = Text<64>;

/// A country by its two capital letters (ISO 3166-1).
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Country(pub [u8; 2]);

impl Country {
    /// Whether it is two capital letters.
    pub fn is_sound(&self) -> bool {
        self.0.iter().all(u8::is_ascii_uppercase)
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&self.0))
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 2]>::try_from(String::deserialize(deserializer)?.as_bytes())
            .map(Self)
            .ok()
            .filter(Self::is_sound)
            .ok_or_else(|| D::Error::custom("a country has two capital letters"))
    }
}

/// What a node has for VMs, and what it asks for them.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct Offer {
    /// What all its VMs together may take.
    pub capacity: Resources,
    /// What it asks.
    pub rates: Rates,
    /// Where it stands.
    pub country: Country,
    /// How many VMs it takes.
    pub max_vms: u32,
    /// Whether it routes the addresses of the global pool.
    pub global_ips: bool,
}

/// Where tenants reach a node's SSH port, and by which host key they know it.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct Access {
    /// `host:port`; an IPv6 address stands in brackets.
    pub endpoint: Text<128>,
    /// The Ed25519 host key.
    #[serde(with = "hex32")]
    pub host_key: [u8; 32],
}

impl Access {
    /// Whether the endpoint is a host and a port.
    pub fn is_sound(&self) -> bool {
        let parts = self.endpoint.as_str().and_then(|endpoint| endpoint.rsplit_once(':'));
        parts.is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0))
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            !host.is_empty() && !host.starts_with(['-', '.']) && host.chars().all(sound)
        }
    }
}

/// What became of the VMs that a node was given.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct NodeCounts {
    /// It launched them.
    pub launched: u32,
    /// It said that it could not launch them.
    pub failed: u32,
    /// It did not launch them in time.
    pub timed_out: u32,
    /// Their tenants took them elsewhere when it was gone.
    pub evacuated: u32,
    /// It lost them after they ran.
    pub lost: u32,
}

/// All that the chain knows of a node but its metrics.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct NodeRecord {
    /// The miner, who earns.
    pub owner: AccountId,
    /// The only key on the host.
    pub worker: AccountId,
    /// What it offers.
    pub offer: Offer,
    /// How tenants reach it.
    pub access: Access,
    /// The miner's funds on hold for it.
    #[serde(with = "decimal")]
    pub bond: Balance,
    /// What its VMs take together.
    pub reserved: Resources,
    /// How many VMs it has.
    pub vms: u32,
    /// Whether the miner lets it take new VMs.
    pub miner_accepting: bool,
    /// Whether the worker, which sees the load, lets it take new VMs.
    pub worker_accepting: bool,
    /// When it joined.
    pub registered_at: BlockNumber,
    /// When the worker's last valid report came; a new node has none.
    pub last_seen: Option<BlockNumber>,
    /// When the last heartbeat came.
    pub last_heartbeat: Option<BlockNumber>,
    /// When the last metrics came.
    pub last_metrics: Option<BlockNumber>,
    /// When the worker last moved the endpoint.
    pub access_moved_at: Option<BlockNumber>,
    /// How many heartbeats came.
    pub heartbeat_count: u32,
    /// Live blocks in which it was there.
    pub served: BlockNumber,
    /// Live blocks in which it was not.
    pub downtime: BlockNumber,
    /// When it last asked for more than before.
    pub rates_raised_at: Option<BlockNumber>,
    /// When its bond and its name are free, once it was deregistered.
    pub leaves_at: Option<BlockNumber>,
    /// Rises with every change that concerns the worker.
    pub work_version: u64,
    /// What became of its VMs.
    pub counts: NodeCounts,
}

impl NodeRecord {
    /// What is left for new VMs.
    pub fn room(&self) -> Resources {
        self.offer.capacity.checked_sub(&self.reserved).unwrap_or_default()
    }
}

/// Whether a node is there.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It has not reported for too long, or never.
    Offline,
    /// It reports.
    Online,
}

/// Why a node's status changed.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// Its first report.
    Joined,
    /// No report for too long.
    Silent,
    /// The first report after a silence.
    Returned,
}

/// One change of a node's status.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct StatusChange {
    /// When.
    pub at: BlockNumber,
    /// What it was.
    pub from: NodeStatus,
    /// What it became.
    pub to: NodeStatus,
    /// Why.
    pub reason: StatusReason,
}

/// What is kept of old metrics.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct MetricsSample {
    /// When they came.
    pub at: BlockNumber,
    /// The processors' load, in thousandths of all.
    pub load: u16,
    /// Free memory in MB.
    pub free_memory_mb: u32,
    /// Free disk space in MB, of all disks.
    pub free_disk_mb: u64,
    /// How many VMs ran.
    pub vm_count: u32,
}

/// A disk of a host.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct Disk {
    /// Its name, as `nvme0n1`.
    pub name: Text<32>,
    /// What it is, as `nvme`, `ssd`, `hdd`.
    pub disk_type: Text<16>,
    /// Its size.
    pub total_space_mb: u64,
    /// What is free of it.
    pub free_space_mb: u64,
    /// Measured reading, in MB a second.
    pub read_mb_s: u32,
    /// Measured writing, in MB a second.
    pub write_mb_s: u32,
}

/// The network interface by which a host reaches the world.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct NetworkInterface {
    /// Its name, as `eth0`.
    pub name: Text<32>,
    /// Its hardware address, as `52:54:00:12:34:56`.
    pub mac_address: Text<17>,
    /// Megabytes sent since the host started.
    pub uplink_mb: u64,
    /// Megabytes received since the host started.
    pub downlink_mb: u64,
}

/// What a worker says of its host.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct NodeMetricsData {
    /// The node that this is said of.
    pub miner_id: NodeId,
    /// Where it stands, as a text or as coordinates.
    pub geolocation: Text<64>,
    /// The processor's name.
    pub cpu_model: Text<64>,
    /// Its cores.
    pub cpu_cores: u16,
    /// The processors' load, in thousandths of all.
    pub cpu_load_permille: u16,
    /// Memory in MB.
    pub memory_mb: u32,
    /// What is free of it.
    pub free_memory_mb: u32,
    /// Its disks.
    pub disks: BoundedVec<Disk, ConstU32<4>>,
    /// Its way to the world.
    pub primary_network_interface: NetworkInterface,
    /// The bandwidth of that way, in megabits a second.
    pub bandwidth_mbps: u32,
    /// How many VMs run.
    pub vm_count: u32,
    /// How long the host has been up.
    pub uptime_minutes: u32,
    /// Whether guests' memory can be encrypted.
    pub is_sev_enabled: bool,
    /// The graphics card, where there is one.
    pub gpu_name: Option<Text<64>>,
    /// Its memory.
    pub gpu_memory_mb: u32,
    /// The hypervisor and its version.
    pub hypervisor: Text<32>,
    /// The worker's version.
    pub worker_version: Text<32>,
}

impl NodeMetricsData {
    /// What the history keeps of these.
    pub fn sample(&self, at: BlockNumber) -> MetricsSample {
        let free_disk_mb =
            self.disks.iter().fold(0, |sum: u64, disk| sum.saturating_add(disk.free_space_mb));
        MetricsSample {
            at,
            load: self.cpu_load_permille,
            free_memory_mb: self.free_memory_mb,
            free_disk_mb,
            vm_count: self.vm_count,
        }
    }
}
