//! Who and what there is, by small numbers that steps and the model use.

use quarry_primitives::{
    ip::{IpAddress, IpNetwork, PoolId},
    node::{Country, NodeId, Offer},
    request::{Params, SshKeyList},
    resources::{Rates, Resources},
    AccountId, Balance, BlockNumber, RequestId,
};
use sp_keyring::Sr25519Keyring;

/// The existential deposit.
pub const DUST: Balance = 300;
pub const OFFLINE_AFTER: BlockNumber = 8;
pub const HEARTBEAT_EVERY: BlockNumber = 3;
pub const METRICS_EVERY: BlockNumber = 9;
pub const ACCESS_EVERY: BlockNumber = 20;
pub const MIN_BILLED: BlockNumber = 4;
pub const CLAIM_PENALTY: BlockNumber = 20;
pub const LEAST_PENALTY: Balance = 60;
pub const TREASURY_PERCENT: u32 = 5;
pub const BOND: (Balance, Balance, Balance, Balance) = (500, 20, 10, 1);
pub const BYTES_PER_UNIT: usize = 20;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Who {
    /// Signs as root, so it is no account.
    Admin,
    Tenant(u8),
    Miner(u8),
    /// A key on a host, without funds.
    Worker(u8),
    Treasury,
    Stranger,
}

pub const PEOPLE: [(Who, Balance); 8] = [
    (Who::Tenant(0), 1_000_000),
    (Who::Tenant(1), 40_000),
    (Who::Tenant(2), 6_000),
    (Who::Miner(0), 100_000),
    (Who::Miner(1), 20_000),
    (Who::Miner(2), 4_000),
    (Who::Treasury, 0),
    (Who::Stranger, 0),
];

impl Who {
    pub fn key(self) -> Option<Sr25519Keyring> {
        match self {
            Self::Worker(number) => Sr25519Keyring::iter().nth(number.into()),
            _ => None,
        }
    }

    pub fn id(self) -> AccountId {
        match self {
            Self::Admin => [0xad; 32].into(),
            Self::Tenant(number) => [0x10 + number; 32].into(),
            Self::Miner(number) => [0x30 + number; 32].into(),
            Self::Worker(_) => self.key().map(Sr25519Keyring::to_account_id).unwrap(),
            Self::Treasury => [0x77; 32].into(),
            Self::Stranger => [0x99; 32].into(),
        }
    }
}

pub const TENANTS: u8 = 3;
pub const MINERS: u8 = 3;
pub const WORKERS: u8 = 8;
/// Their names; a miner may have several, and one more is never registered.
pub const NODES: u8 = 5;

pub fn node_id(node: u8) -> NodeId {
    NodeId::try_from(format!("node-{node}").as_str()).unwrap()
}

const fn size(vcpus: u16, memory_mib: u32, disk_gib: u32) -> Resources {
    Resources { vcpus, memory_mib, disk_gib }
}

/// The sizes for rent; the number after the last is no plan.
pub const PLANS: [(&str, Resources); 5] = [
    ("nano", size(1, 1024, 5)),
    ("small", size(2, 1536, 10)),
    ("wide", size(4, 1024, 10)),
    ("tall", size(1, 4100, 20)),
    ("huge", size(8, 8192, 40)),
];

/// The images and the disks they need; the number after the last is no image.
pub const IMAGES: [(&str, u32); 2] = [("tiny", 1), ("fat", 10)];

pub const HOME: Country = Country(*b"DE");
pub const ABROAD: Country = Country(*b"SE");

#[derive(Clone, Copy, Debug)]
pub struct OfferKind {
    pub large: bool,
    pub rates: u8,
    pub abroad: bool,
    pub max_vms: u8,
    pub global_ips: bool,
}

pub const RATES: [Rates; 4] = [
    Rates { vcpu: 3, memory_gib: 5, disk_gib: 1, ip: 2 },
    Rates { vcpu: 7, memory_gib: 11, disk_gib: 1, ip: 4 },
    Rates { vcpu: 20, memory_gib: 30, disk_gib: 3, ip: 9 },
    Rates { vcpu: 0, memory_gib: 0, disk_gib: 0, ip: 0 },
];

pub fn offer(kind: OfferKind) -> Offer {
    Offer {
        capacity: if kind.large { size(12, 12_300, 80) } else { size(5, 4100, 30) },
        rates: RATES[usize::from(kind.rates)],
        country: if kind.abroad { ABROAD } else { HOME },
        max_vms: kind.max_vms.into(),
        global_ips: kind.global_ips,
    }
}

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE111111111111111111111111111111111111111111",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE222222222222222222222222222222222222222222 tina@home",
];

/// So many keys, and one more that is none if they shall not be sound.
pub fn keys(count: u8, sound: bool) -> SshKeyList {
    let sound_ones = KEYS.iter().copied().cycle().take(count.into());
    let rubbish = Some("hello").filter(|_| !sound);
    let keys = sound_ones.chain(rubbish).map(|key| key.try_into().unwrap());
    keys.collect::<Vec<_>>().try_into().unwrap()
}

/// Two that can work, and one that cannot.
pub fn params(variant: u8) -> Params {
    let usual = Params {
        launch_timeout: 8,
        operation_timeout: 5,
        delete_timeout: 6,
        evict_after: 10,
        grace_period: 6,
        min_lease: 4,
        max_prepaid: 200,
        notice_period: 20,
        unbonding: 10,
        retention: 12,
        rate_notice: 5,
        ip_quarantine: 4,
        ip_quarantine_evacuated: 12,
        max_attempts: 3,
        max_claims: 2,
        global_ip_price: 3,
    };
    match variant {
        0 => usual,
        1 => Params {
            launch_timeout: 3,
            operation_timeout: 9,
            delete_timeout: 2,
            grace_period: 9,
            max_prepaid: 60,
            notice_period: 7,
            retention: 3,
            rate_notice: 9,
            max_attempts: 2,
            max_claims: 1,
            global_ip_price: 5,
            ..usual
        },
        _ => Params { max_prepaid: 9, ..usual },
    }
}

/// The global pool, or a node's own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pool {
    Global,
    Of(u8),
}

impl Pool {
    pub fn id(self) -> PoolId {
        match self {
            Self::Global => PoolId::Global,
            Self::Of(node) => PoolId::Node(node_id(node)),
        }
    }

    /// An address of the pool by its last byte.
    pub fn address(self, host: u8) -> IpAddress {
        match self {
            Self::Global => IpAddress::V4([203, 0, 113, host]),
            Self::Of(node) => IpAddress::V4([10, 0, node, host]),
        }
    }

    pub fn network(self, network: Network) -> IpNetwork {
        IpNetwork {
            prefix_len: network.prefix_len,
            gateway: self.address(network.gateway),
            dns: self.address(network.dns),
        }
    }
}

/// A network by the last bytes of its addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    pub prefix_len: u8,
    pub gateway: u8,
    pub dns: u8,
}

/// The last cannot be: its gateway is the network's own address.
pub const NETWORKS: [Network; 4] = [
    Network { prefix_len: 29, gateway: 1, dns: 2 },
    Network { prefix_len: 29, gateway: 1, dns: 200 },
    Network { prefix_len: 28, gateway: 14, dns: 2 },
    Network { prefix_len: 29, gateway: 8, dns: 2 },
];

/// A request by the number that its creation has in the sequence, so that a sequence with some steps left
/// out still says the same of those that are left.
pub type Label = u32;
/// What no request has.
pub const UNKNOWN: RequestId = RequestId::MAX;
