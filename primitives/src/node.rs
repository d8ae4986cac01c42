//! Hypervisor hosts: what they offer and what the chain knows of them.

use crate::{
    resources::{Rates, Resources},
    text::{decimal, hex32, Text},
    AccountId, Balance, BlockNumber, Hash,
};
use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
use sp_core::ConstU32;
use sp_runtime::BoundedVec;

/// The name of a hypervisor host.
pub type NodeId = Text<64>;

/// What a worker signs to say that it works on this node for this miner: SCALE, as it stands, with
/// nothing around it. It names the chain, so that nobody uses it on another one.
pub fn proof_payload(genesis: &Hash, node_id: &NodeId, miner: &AccountId) -> Vec<u8> {
    (b"quarry-worker", genesis, node_id, miner).encode()
}

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
        parts.is_some_and(|(host, port)| is_host(host) && is_port(port))
    }
}

fn is_port(port: &str) -> bool {
    !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};
    use serde_json::{from_value, json, to_value};

    fn access(endpoint: &str) -> Access {
        Access { endpoint: endpoint.try_into().unwrap(), host_key: [7; 32] }
    }

    fn record() -> NodeRecord {
        let capacity = Resources { vcpus: 8, memory_mib: 16_384, disk_gib: 200 };
        NodeRecord {
            owner: AccountId::new([1; 32]),
            worker: AccountId::new([2; 32]),
            offer: Offer {
                capacity,
                rates: Rates { vcpu: 100, memory_gib: 10, disk_gib: 1, ip: 5 },
                country: Country(*b"SE"),
                max_vms: 10,
                global_ips: true,
            },
            access: access("node.example:2222"),
            bond: Balance::MAX,
            reserved: Resources::NONE,
            vms: 0,
            miner_accepting: true,
            worker_accepting: false,
            registered_at: 1,
            last_seen: Some(2),
            last_heartbeat: None,
            last_metrics: None,
            access_moved_at: None,
            heartbeat_count: 3,
            served: 4,
            downtime: 5,
            rates_raised_at: None,
            leaves_at: None,
            work_version: 6,
            counts: NodeCounts::default(),
        }
    }

    #[test]
    fn a_country_is_its_two_letters_in_json_and_comes_back() {
        let sweden = Country(*b"SE");
        assert_eq!(to_value(sweden).unwrap(), json!("SE"));
        assert_eq!(from_value::<Country>(json!("SE")).unwrap(), sweden);
    }

    #[test]
    fn what_is_not_two_capital_letters_is_no_country() {
        for text in ["se", "Se", "S", "SWE", "S1", "", "Å", "S "] {
            let error = from_value::<Country>(json!(text)).unwrap_err();
            assert!(error.to_string().contains("two capital letters"), "{text}: {error}");
        }
        assert!(from_value::<Country>(json!([83, 69])).is_err());
        assert!(!Country(*b"se").is_sound() && !Country::default().is_sound());
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for endpoint in [
            "203.0.113.7:22",
            "node-1.example:2222",
            "localhost:65535",
            "[2001:db8::7]:22",
            "[::1]:1",
        ] {
            assert!(access(endpoint).is_sound(), "{endpoint}");
        }
    }

    #[test]
    fn an_endpoint_lacks_neither_host_nor_port() {
        for endpoint in ["", ":", ":22", "node.example", "node.example:", "[2001:db8::7]", "[]:22"]
        {
            assert!(!access(endpoint).is_sound(), "{endpoint}");
        }
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        for port in ["0", "65536", "-1", "+22", "ssh", "2 2", "0x16", "22/tcp"] {
            let endpoint = format!("node.example:{port}");
            assert!(!access(&endpoint).is_sound(), "{endpoint}");
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets_and_nothing_else_does() {
        for endpoint in [
            "2001:db8::7:22",
            "::1:22",
            "[203.0.113.7]:22",
            "[node.example]:22",
            "[2001:db8::7:22",
            "2001:db8::7]:22",
            "[fe80::1%eth0]:22",
        ] {
            assert!(!access(endpoint).is_sound(), "{endpoint}");
        }
    }

    #[test]
    fn a_host_has_nothing_that_a_shell_or_ssh_could_misread() {
        for host in ["-oProxyCommand=sh", "-", ".", "a b", "a;b", "$(sh)", "user@host", "a/b", "å"]
        {
            let endpoint = format!("{host}:22");
            assert!(!access(&endpoint).is_sound(), "{endpoint}");
        }
    }

    #[test]
    fn an_endpoint_that_is_no_utf_8_is_refused() {
        let endpoint = [b"node\xff".as_slice(), b":22"].concat().try_into().unwrap();
        assert!(!Access { endpoint, host_key: [7; 32] }.is_sound());
    }

    #[test]
    fn a_node_comes_back_from_json_with_its_bond_as_a_string() {
        let node = record();
        let value = to_value(&node).unwrap();
        assert_eq!(value.get("bond"), Some(&json!(Balance::MAX.to_string())));
        assert_eq!(value.pointer("/offer/country"), Some(&json!("SE")));
        assert_eq!(value.pointer("/access/endpoint"), Some(&json!("node.example:2222")));
        assert_eq!(from_value::<NodeRecord>(value).unwrap(), node);
    }

    #[test]
    fn the_room_of_a_node_is_what_is_not_reserved() {
        let mut node = record();
        node.reserved = Resources { vcpus: 2, memory_mib: 1_024, disk_gib: 50 };
        assert_eq!(node.room(), Resources { vcpus: 6, memory_mib: 15_360, disk_gib: 150 });
        node.reserved.vcpus = 9;
        assert_eq!(node.room(), Resources::NONE);
    }

    const LARGE: Resources = Resources { vcpus: 4, memory_mib: 8_192, disk_gib: 100 };

    fn rates(vcpu: Balance, memory_gib: Balance, disk_gib: Balance) -> Rates {
        Rates { vcpu, memory_gib, disk_gib, ip: 1_000_000 }
    }

    #[test]
    fn a_price_is_rates_times_size_without_the_address() {
        assert_eq!(rates(100, 10, 1).price(&LARGE), Some(4 * 100 + 8 * 10 + 100));
        assert_eq!(rates(0, 0, 0).price(&LARGE), Some(0));
    }

    #[test]
    fn a_part_of_a_gib_of_memory_is_multiplied_first_and_rounded_up_once() {
        let memory = |memory_mib| Resources { memory_mib, ..Resources::NONE };
        assert_eq!(rates(0, 10, 0).price(&memory(1_536)), Some(15));
        assert_eq!(rates(0, 1, 0).price(&memory(1)), Some(1));
        assert_eq!(rates(0, 1, 0).price(&memory(1_024)), Some(1));
        assert_eq!(rates(0, 1, 0).price(&memory(1_025)), Some(2));
        assert_eq!(rates(0, 1_024, 0).price(&memory(1)), Some(1));
        assert_eq!(rates(0, 1_025, 0).price(&memory(1)), Some(2));
    }

    #[test]
    fn a_price_that_no_balance_holds_is_none() {
        for too_much in [
            rates(Balance::MAX, 0, 0),
            rates(0, Balance::MAX, 0),
            rates(0, 0, Balance::MAX),
            rates(Balance::MAX / 4, 0, Balance::MAX / 100),
        ] {
            assert_eq!(too_much.price(&LARGE), None, "{too_much:?}");
        }
        let one_vcpu = Resources { vcpus: 1, ..Resources::NONE };
        assert_eq!(rates(Balance::MAX, 0, 0).price(&one_vcpu), Some(Balance::MAX));
        let and_memory = Resources { memory_mib: 1, ..one_vcpu };
        assert_eq!(rates(Balance::MAX, 1, 0).price(&and_memory), None);
    }

    #[test]
    fn rates_are_strings_in_json_and_come_back() {
        let rates = rates(Balance::MAX, 2, 3);
        let expected = json!({
            "vcpu": Balance::MAX.to_string(),
            "memory_gib": "2",
            "disk_gib": "3",
            "ip": "1000000",
        });
        assert_eq!(to_value(rates).unwrap(), expected);
        assert_eq!(from_value::<Rates>(expected).unwrap(), rates);
    }

    fn disk(free_space_mb: u64) -> Disk {
        Disk {
            name: "nvme0n1".try_into().unwrap(),
            disk_type: "nvme".try_into().unwrap(),
            total_space_mb: u64::MAX,
            free_space_mb,
            read_mb_s: 3_000,
            write_mb_s: 2_000,
        }
    }

    #[test]
    fn metrics_come_back_from_json() {
        let metrics = NodeMetricsData {
            miner_id: "alpha".try_into().unwrap(),
            disks: alloc::vec![disk(1), disk(2)].try_into().unwrap(),
            gpu_name: Some("none to speak of".try_into().unwrap()),
            ..Default::default()
        };
        let value = to_value(&metrics).unwrap();
        assert_eq!(value.pointer("/disks/1/free_space_mb"), Some(&json!(2)));
        assert_eq!(from_value::<NodeMetricsData>(value).unwrap(), metrics);
    }

    #[test]
    fn metrics_have_four_disks_at_most() {
        let mut value = to_value(NodeMetricsData::default()).unwrap();
        *value.pointer_mut("/disks").unwrap() = json!(alloc::vec![disk(1); 5]);
        assert!(from_value::<NodeMetricsData>(value).is_err());
    }

    #[test]
    fn a_sample_adds_up_the_disks_and_never_overflows() {
        let mut metrics = NodeMetricsData {
            cpu_load_permille: 250,
            free_memory_mb: 512,
            vm_count: 3,
            disks: alloc::vec![disk(1), disk(2)].try_into().unwrap(),
            ..Default::default()
        };
        let sample =
            MetricsSample { at: 9, load: 250, free_memory_mb: 512, free_disk_mb: 3, vm_count: 3 };
        assert_eq!(metrics.sample(9), sample);
        metrics.disks = alloc::vec![disk(u64::MAX), disk(1)].try_into().unwrap();
        assert_eq!(metrics.sample(9).free_disk_mb, u64::MAX);
    }

    #[test]
    fn a_change_of_status_is_in_snake_case() {
        let change = StatusChange {
            at: 7,
            from: NodeStatus::Offline,
            to: NodeStatus::Online,
            reason: StatusReason::Joined,
        };
        let value = json!({ "at": 7, "from": "offline", "to": "online", "reason": "joined" });
        assert_eq!(to_value(change).unwrap(), value);
        assert_eq!(from_value::<StatusChange>(value).unwrap(), change);
    }
}
