//! Which network a VM is plugged into, and what its guest is told of it.

use crate::config::{NetworkSettings, PrivateNetwork};
use quarry_hypervisor::{Attachment, FilterPolicy};
use quarry_primitives::{
    api::{VmAddress, WorkItem},
    ip::PoolId,
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// Why a VM cannot be plugged in here.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// The config does not name a network for such addresses.
    #[error("no network for {0}: set network.{1} in the worker's config")]
    NotConfigured(&'static str, &'static str),
    /// All private addresses are taken.
    #[error("no private address is free: network.private has too short a range")]
    NoPrivateAddress,
}

/// A VM's place in a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// What its card is plugged into.
    pub attachment: Attachment,
    /// Its address.
    pub address: IpAddr,
    /// The length of its network's prefix.
    pub prefix_len: u8,
    /// Its way out.
    pub gateway: Option<IpAddr>,
    /// Its name servers.
    pub dns: Vec<IpAddr>,
}

/// Where a VM with an address of its own goes.
pub fn public_place(
    settings: &NetworkSettings,
    address: &VmAddress,
) -> Result<Place, NetworkError> {
    let (attachment, pool, field) = match address.pool {
        PoolId::Node(_) => (&settings.own, "addresses of the node's own pool", "own"),
        PoolId::Global => (&settings.global, "addresses of the global pool", "global"),
    };
    let attachment = attachment.clone().ok_or(NetworkError::NotConfigured(pool, field))?;
    let network = &address.network;
    Ok(Place {
        attachment,
        address: address.address.into(),
        prefix_len: network.prefix_len,
        gateway: Some(network.gateway.into()),
        dns: Some(IpAddr::from(network.dns))
            .filter(|dns| !dns.is_unspecified())
            .map_or_else(|| settings.dns.clone(), |dns| vec![dns]),
    })
}

/// The network of VMs without an address of their own.
pub fn private_network(settings: &NetworkSettings) -> Result<&PrivateNetwork, NetworkError> {
    settings
        .private
        .as_ref()
        .ok_or(NetworkError::NotConfigured("VMs without an address of their own", "private"))
}

/// Where a VM goes that the worker gave an address.
pub fn private_place(settings: &NetworkSettings, address: Ipv4Addr) -> Result<Place, NetworkError> {
    let network = private_network(settings)?;
    Ok(Place {
        attachment: network.attachment.clone(),
        address: address.into(),
        prefix_len: network.prefix_len,
        gateway: Some(network.gateway.into()),
        dns: settings.dns.clone(),
    })
}

/// The addresses that the worker may give: all of the network but its own, its gateway's and the
/// broadcast's.
pub fn candidates(network: &PrivateNetwork) -> impl Iterator<Item = Ipv4Addr> {
    let gateway = u32::from(network.gateway);
    let host_bits = 32u32.saturating_sub(network.prefix_len.into());
    let hosts = 1u32.checked_shl(host_bits).map_or(u32::MAX, |size| size - 1);
    let first = gateway & !hosts;
    (1..hosts)
        .map(move |host| first | host)
        .filter(move |host| *host != gateway)
        .map(Ipv4Addr::from)
}

/// The name of this worker's filter: one host may have several workers, each with its own libvirt, on
/// one firewall.
pub fn filter_name(genesis: &[u8; 32], node_id: &str) -> String {
    let digest = Sha256::new().chain_update(genesis).chain_update(node_id).finalize();
    format!("quarry-{}", data_encoding::HEXLOWER.encode(digest.get(..4).unwrap_or_default()))
}

/// What guests may reach, given the networks of the VMs that there are.
pub fn policy<'a>(
    name: String,
    settings: &NetworkSettings,
    items: impl Iterator<Item = &'a WorkItem>,
) -> FilterPolicy {
    let own = settings.private.iter().map(|network| network.gateway.into());
    let of_pools = items.filter_map(|item| item.address.as_ref()).flat_map(|address| {
        [IpAddr::from(address.network.gateway), IpAddr::from(address.network.dns)]
    });
    let services: BTreeSet<IpAddr> = own
        .chain(of_pools)
        .chain(settings.dns.iter().copied())
        .filter(|address| !address.is_unspecified())
        .collect();
    FilterPolicy {
        name,
        allow: settings.allow.clone(),
        deny: settings.deny.clone(),
        services: services.into_iter().collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use quarry_primitives::ip::{IpAddress, IpNetwork};

    fn settings() -> NetworkSettings {
        NetworkSettings {
            own: Some(Attachment::Bridge("br0".into())),
            global: None,
            private: Some(PrivateNetwork {
                attachment: Attachment::Network("quarry".into()),
                gateway: Ipv4Addr::new(10, 1, 0, 1),
                prefix_len: 29,
            }),
            dns: vec![IpAddr::from([9, 9, 9, 9])],
            allow: Vec::new(),
            deny: Vec::new(),
            filter: true,
        }
    }

    fn address(pool: PoolId, dns: [u8; 4]) -> VmAddress {
        VmAddress {
            pool,
            address: IpAddress::V4([198, 51, 100, 7]),
            network: IpNetwork {
                prefix_len: 24,
                gateway: IpAddress::V4([198, 51, 100, 1]),
                dns: IpAddress::V4(dns),
            },
        }
    }

    fn own() -> PoolId {
        PoolId::Node("node".try_into().unwrap())
    }

    #[test]
    fn an_address_of_the_nodes_pool_is_on_its_bridge() {
        let place = public_place(&settings(), &address(own(), [198, 51, 100, 2])).unwrap();
        assert_eq!(place.attachment, Attachment::Bridge("br0".into()));
        assert_eq!(place.dns, [IpAddr::from([198, 51, 100, 2])]);
    }

    #[test]
    fn a_pool_without_a_name_server_gets_that_of_the_config() {
        let place = public_place(&settings(), &address(own(), [0; 4])).unwrap();
        assert_eq!(place.dns, [IpAddr::from([9, 9, 9, 9])]);
    }

    #[test]
    fn a_pool_without_a_network_is_refused_by_the_fields_name() {
        let refusal = public_place(&settings(), &address(PoolId::Global, [0; 4])).unwrap_err();
        assert!(refusal.to_string().contains("network.global"), "{refusal}");
        let none = NetworkSettings { private: None, ..settings() };
        let refusal = private_place(&none, Ipv4Addr::LOCALHOST).unwrap_err();
        assert!(refusal.to_string().contains("network.private"), "{refusal}");
    }

    #[test]
    fn private_addresses_leave_out_the_networks_own_and_the_gateway() {
        let settings = settings();
        let hosts: Vec<u8> = candidates(private_network(&settings).unwrap())
            .map(|address| address.octets()[3])
            .collect();
        assert_eq!(hosts, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn guests_reach_their_gateways_and_name_servers() {
        let policy = policy("filter".into(), &settings(), std::iter::empty());
        assert_eq!(policy.services, [IpAddr::from([9, 9, 9, 9]), IpAddr::from([10, 1, 0, 1])]);
    }

    #[test]
    fn each_node_has_a_filter_of_its_own() {
        let name = filter_name(&[1; 32], "one");
        assert_eq!(name.len(), "quarry-".len() + 8);
        assert_ne!(name, filter_name(&[1; 32], "two"));
        assert_ne!(name, filter_name(&[2; 32], "one"));
    }
}
