//! Addresses and the pools that they come from.

use crate::{node::NodeId, BlockNumber};
use alloc::string::String;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use scale_info::TypeInfo;
use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};

/// An address of a host, in the network's order of bytes.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    TypeInfo,
)]
pub enum IpAddress {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

impl IpAddress {
    /// Whether a host can have it: not multicast, loopback, broadcast or unspecified.
    pub fn is_sound(&self) -> bool {
        match IpAddr::from(*self) {
            IpAddr::V4(ip) => {
                !(ip.is_multicast() || ip.is_loopback() || ip.is_broadcast() || ip.is_unspecified())
            }
            IpAddr::V6(ip) => !(ip.is_multicast() || ip.is_loopback() || ip.is_unspecified()),
        }
    }

    /// How many bits an address of its family has.
    pub fn bits(&self) -> u8 {
        match self {
            Self::V4(_) => 32,
            Self::V6(_) => 128,
        }
    }

    /// The address `steps` further on, unless the family ends before.
    pub fn checked_add(&self, steps: u32) -> Option<Self> {
        Some(match self {
            Self::V4(octets) => {
                Self::V4(u32::from_be_bytes(*octets).checked_add(steps)?.to_be_bytes())
            }
            Self::V6(octets) => {
                Self::V6(u128::from_be_bytes(*octets).checked_add(steps.into())?.to_be_bytes())
            }
        })
    }

    /// Whether both are of one family and share their first `prefix_len` bits.
    pub fn shares_prefix(&self, other: &Self, prefix_len: u8) -> bool {
        let (left, right, bits) = match (self, other) {
            (Self::V4(left), Self::V4(right)) => {
                (u32::from_be_bytes(*left).into(), u32::from_be_bytes(*right).into(), 32u32)
            }
            (Self::V6(left), Self::V6(right)) => {
                (u128::from_be_bytes(*left), u128::from_be_bytes(*right), 128)
            }
            _ => return false,
        };
        let host_bits = bits.saturating_sub(prefix_len.into());
        let apart: u128 = left ^ right;
        apart.checked_shr(host_bits).unwrap_or(0) == 0
    }

    /// Whether it is the first or the last of its IPv4 network, which no host can have.
    pub fn is_edge_of(&self, prefix_len: u8) -> bool {
        let Self::V4(octets) = self else { return false };
        let host = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
        let part = u32::from_be_bytes(*octets) & host;
        prefix_len < 31 && (part == 0 || part == host)
    }
}

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address {
            IpAddress::V4(octets) => Ipv4Addr::from(octets).into(),
            IpAddress::V6(octets) => Ipv6Addr::from(octets).into(),
        }
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => Self::V6(ip.octets()),
        }
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(out)
    }
}

impl Serialize for IpAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse::<IpAddr>()
            .map(Self::from)
            .map_err(|_| D::Error::custom("not an IP address"))
    }
}

/// Whose addresses they are.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "snake_case")]
pub enum PoolId {
    /// The chain's: every node that routes them can give them out.
    Global,
    /// One node's own.
    Node(NodeId),
}

/// The network that a pool's addresses lie in, as guests are told.
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
pub struct IpNetwork {
    /// The bits that all its addresses share.
    pub prefix_len: u8,
    /// The way out.
    pub gateway: IpAddress,
    /// Who resolves names.
    pub dns: IpAddress,
}

/// A pool: its network, and where its lists of free and of quarantined addresses begin and end.
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
pub struct IpPool {
    /// The network.
    pub network: IpNetwork,
    /// All its addresses.
    pub total: u32,
    /// Those that nobody has and that may be given out.
    pub free: u32,
    /// The number of the address that leaves quarantine next.
    pub quarantine_first: u64,
    /// The number that the next address in quarantine gets.
    pub quarantine_next: u64,
}

/// Who has an address.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub enum IpState {
    /// Nobody; its place in the list of the free ones.
    Free(u32),
    /// A VM.
    Held(crate::request::RequestId),
    /// Nobody, and nobody gets it before that block.
    Quarantined(BlockNumber),
}
