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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use serde_json::{from_value, json, to_value};

    fn ip(text: &str) -> IpAddress {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_address_is_a_string_in_json_and_comes_back() {
        for text in ["203.0.113.7", "2001:db8::7", "0.0.0.0", "::"] {
            assert_eq!(to_value(ip(text)).unwrap(), json!(text));
            assert_eq!(from_value::<IpAddress>(json!(text)).unwrap(), ip(text));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for value in [
            json!(""),
            json!("203.0.113"),
            json!("203.0.113.256"),
            json!("203.0.113.07"),
            json!("203.0.113.7/24"),
            json!("2001:db8::7%eth0"),
            json!("[2001:db8::7]"),
            json!("host.example"),
            json!(7),
            json!([203, 0, 113, 7]),
        ] {
            assert!(from_value::<IpAddress>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn a_host_can_have_an_ordinary_address() {
        for text in ["203.0.113.7", "10.0.0.1", "100.64.0.1", "2001:db8::7", "fd00::1"] {
            assert!(ip(text).is_sound(), "{text}");
        }
    }

    #[test]
    fn no_host_can_have_an_address_with_a_meaning_of_its_own() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "127.255.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
        ] {
            assert!(!ip(text).is_sound(), "{text}");
        }
    }

    #[test]
    fn the_next_address_carries_over_and_ends_with_the_family() {
        assert_eq!(ip("203.0.113.255").checked_add(1), Some(ip("203.0.114.0")));
        assert_eq!(ip("2001:db8::ffff").checked_add(1), Some(ip("2001:db8::1:0")));
        assert_eq!(ip("203.0.113.7").checked_add(0), Some(ip("203.0.113.7")));
        assert_eq!(ip("0.0.0.0").checked_add(u32::MAX), Some(ip("255.255.255.255")));
        assert_eq!(ip("255.255.255.255").checked_add(1), None);
        assert_eq!(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").checked_add(1), None);
    }

    #[test]
    fn addresses_share_the_bits_before_their_first_difference() {
        for (left, right, shared) in [
            ("203.0.113.0", "203.0.113.1", 31),
            ("203.0.113.0", "203.0.113.128", 24),
            ("0.0.0.0", "128.0.0.0", 0),
            ("203.0.113.7", "203.0.113.7", 32),
            ("2001:db8::", "2001:db8::1", 127),
            ("2001:db8::", "2001:db8:0:1::", 63),
            ("::", "8000::", 0),
            ("2001:db8::7", "2001:db8::7", 128),
        ] {
            let (left, right) = (ip(left), ip(right));
            for prefix_len in 0..=left.bits() {
                let expected = prefix_len <= shared;
                assert_eq!(left.shares_prefix(&right, prefix_len), expected, "{left} {prefix_len}");
                assert_eq!(right.shares_prefix(&left, prefix_len), expected, "{left} {prefix_len}");
            }
        }
    }

    #[test]
    fn a_prefix_longer_than_the_address_takes_all_of_it() {
        assert!(ip("203.0.113.7").shares_prefix(&ip("203.0.113.7"), u8::MAX));
        assert!(!ip("203.0.113.7").shares_prefix(&ip("203.0.113.6"), u8::MAX));
        assert!(!ip("2001:db8::7").shares_prefix(&ip("2001:db8::6"), u8::MAX));
    }

    #[test]
    fn addresses_of_two_families_share_nothing() {
        assert!(!ip("0.0.0.0").shares_prefix(&ip("::"), 0));
        assert!(!ip("::ffff:203.0.113.7").shares_prefix(&ip("203.0.113.7"), 0));
    }

    #[test]
    fn the_first_and_the_last_address_of_an_ipv4_network_are_its_edges() {
        for (text, prefix_len, edge) in [
            ("203.0.113.0", 24, true),
            ("203.0.113.255", 24, true),
            ("203.0.113.1", 24, false),
            ("203.0.113.254", 24, false),
            ("203.0.113.127", 25, true),
            ("203.0.113.128", 25, true),
            ("203.0.113.128", 24, false),
            ("203.0.113.4", 30, true),
            ("203.0.113.5", 30, false),
            ("203.0.113.7", 30, true),
            ("0.0.0.0", 0, true),
            ("255.255.255.255", 0, true),
            ("203.0.113.0", 0, false),
        ] {
            assert_eq!(ip(text).is_edge_of(prefix_len), edge, "{text}/{prefix_len}");
        }
    }

    #[test]
    fn a_network_of_one_or_two_addresses_has_no_edge() {
        for prefix_len in [31, 32, 33, u8::MAX] {
            for text in ["203.0.113.0", "203.0.113.1", "203.0.113.255"] {
                assert!(!ip(text).is_edge_of(prefix_len), "{text}/{prefix_len}");
            }
        }
    }

    #[test]
    fn an_ipv6_network_has_no_edge() {
        for prefix_len in [0, 64, 127, 128] {
            assert!(!ip("2001:db8::").is_edge_of(prefix_len), "{prefix_len}");
        }
    }

    #[test]
    fn a_pool_is_named_in_json_and_comes_back() {
        let own = PoolId::Node(NodeId::try_from("alpha").unwrap());
        for (pool, value) in [(PoolId::Global, json!("global")), (own, json!({ "node": "alpha" }))]
        {
            assert_eq!(to_value(&pool).unwrap(), value);
            assert_eq!(from_value::<PoolId>(value).unwrap(), pool);
        }
    }

    #[test]
    fn an_address_is_shown_as_people_write_it() {
        assert_eq!(ip("2001:0db8:0:0:0:0:0:7").to_string(), "2001:db8::7");
        assert_eq!(IpAddr::from(ip("203.0.113.7")), "203.0.113.7".parse::<IpAddr>().unwrap());
    }
}
