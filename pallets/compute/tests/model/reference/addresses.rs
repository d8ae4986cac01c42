//! Pools of addresses: lists of those that are free and of those that rest.

use super::{must, Model, Outcome};
use crate::{step::Act, world::*};
use codec::MaxEncodedLen;
use quarry_primitives::{
    ip::{IpAddress, IpState, PoolId},
    request::{ComputeRequestStatus as Status, IpWish},
    Balance,
};
use std::collections::VecDeque;

/// How many that have rested are freed when one is taken.
const FREED_AT_ONCE: usize = 2;

#[derive(Clone)]
pub struct Addresses {
    pub network: Network,
    /// The last is taken first; one taken from the middle has the last in its place.
    pub free: Vec<u8>,
    /// Until when; the first comes out first.
    pub resting: VecDeque<(u8, u32)>,
}

impl Addresses {
    fn first_has_rested(&self, now: u32) -> bool {
        self.resting.front().is_some_and(|(_, until)| *until <= now)
    }

    fn free_rested(&mut self, now: u32, most: usize) {
        for _ in 0..most {
            if self.first_has_rested(now) {
                self.free.extend(self.resting.pop_front().map(|(host, _)| host));
            }
        }
    }

    fn take(&mut self, host: u8) -> Outcome {
        let at = self.free.iter().position(|free| *free == host).ok_or("not free")?;
        self.free.swap_remove(at);
        Ok(())
    }
}

impl Network {
    fn has_room_for(&self, host: u8) -> bool {
        let hosts = 1u8 << (32 - self.prefix_len);
        host / hosts == self.gateway / hosts
            && (1..hosts - 1).contains(&(host % hosts))
            && host != self.gateway
            && host != self.dns
    }
}

impl Model {
    fn held_of(&self, pool: Pool) -> impl Iterator<Item = u8> + '_ {
        let held = self.vms.values().filter_map(|vm| vm.address);
        held.filter(move |(of, _)| *of == pool).map(|(_, host)| host)
    }

    pub fn total(&self, pool: Pool) -> usize {
        let listed = self.pools.get(&pool).map_or(0, |pool| pool.free.len() + pool.resting.len());
        listed + self.held_of(pool).count()
    }

    pub(super) fn pool_total(&self, node: u8) -> usize {
        self.total(Pool::Of(node))
    }

    pub(super) fn pool_deposit(&self, node: u8) -> Balance {
        deposit_for(self.pool_total(node))
    }

    fn has(&self, pool: Pool, host: u8) -> bool {
        let listed = self.pools.get(&pool).is_some_and(|pool| {
            pool.free.contains(&host) || pool.resting.iter().any(|(resting, _)| *resting == host)
        });
        listed || self.held_of(pool).any(|held| held == host)
    }

    pub(super) fn has_free_address(&self, pool: Pool) -> bool {
        let now = self.now;
        self.pools
            .get(&pool)
            .is_some_and(|pool| !pool.free.is_empty() || pool.first_has_rested(now))
    }

    pub(super) fn take_address(&mut self, pool: Pool) -> Option<u8> {
        let now = self.now;
        let addresses = self.pools.get_mut(&pool)?;
        addresses.free_rested(now, FREED_AT_ONCE);
        let host = addresses.free.pop();
        self.note(if pool == Pool::Global { "a global address" } else { "a node's own address" });
        host
    }

    pub(super) fn return_address(&mut self, label: Label, rest: u32) {
        let until = self.now + rest;
        let address = self.vms.get_mut(&label).and_then(|vm| vm.address.take());
        if let Some((pool, host)) = address {
            if let Some(pool) = self.pools.get_mut(&pool) {
                pool.resting.push_back((host, until));
            }
        }
    }

    pub(super) fn change_addresses(&mut self, by: Who, act: &Act) -> Outcome {
        match *act {
            Act::SetPool { pool, network } => self.set_pool(by, pool, network),
            Act::AddIps { pool, first, count } => self.add(by, pool, first, count),
            Act::RemoveIps { pool, first, count } => self.remove(by, pool, first, count),
            Act::AssignIp { vm, pool, host } => self.assign_address(by, vm, pool, host),
            Act::ReleaseIp { vm } => self.release_address(by, vm),
            _ => unreachable!(),
        }
    }

    fn is_miner_of(&self, by: Who, node: u8) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.owner == by && node.stays())
    }

    fn keeps(&self, by: Who, pool: Pool) -> Outcome {
        let keeps = match pool {
            Pool::Global => by == Who::Admin,
            Pool::Of(node) => self.is_miner_of(by, node),
        };
        must(keeps, "not the pool's keeper")
    }

    fn set_pool(&mut self, by: Who, pool: Pool, network: u8) -> Outcome {
        self.keeps(by, pool)?;
        must(network < 3, "a gateway that cannot be")?;
        let network = NETWORKS[usize::from(network)];
        let in_use = self.total(pool) > 0;
        let new = Addresses { network, free: Vec::new(), resting: VecDeque::new() };
        let addresses = self.pools.entry(pool).or_insert(new);
        let (old_gateway, old_prefix) = (addresses.network.gateway, addresses.network.prefix_len);
        let same = old_gateway == network.gateway && old_prefix == network.prefix_len;
        must(same || !in_use, "its addresses are of another network")?;
        addresses.network = network;
        Ok(())
    }

    fn add(&mut self, by: Who, pool: Pool, first: u8, count: u32) -> Outcome {
        self.keeps(by, pool)?;
        must((1..=256).contains(&count), "none, or too many")?;
        let had = self.total(pool);
        for host in (u32::from(first)..).take(count as usize) {
            let host = u8::try_from(host).map_err(|_| "beyond the network")?;
            must(!self.has(pool, host), "twice")?;
            let addresses = self.pools.get_mut(&pool).ok_or("no network")?;
            must(addresses.network.has_room_for(host), "not of the network")?;
            addresses.free.push(host);
        }
        if let Pool::Of(_) = pool {
            self.hold(by, deposit_for(self.total(pool)) - deposit_for(had))?;
        }
        Ok(())
    }

    fn remove(&mut self, by: Who, pool: Pool, first: u8, count: u32) -> Outcome {
        self.keeps(by, pool)?;
        must((1..=256).contains(&count), "none, or too many")?;
        let (now, had) = (self.now, self.total(pool));
        let addresses = self.pools.get_mut(&pool).ok_or("no network")?;
        addresses.free_rested(now, count as usize);
        for host in (u32::from(first)..).take(count as usize) {
            addresses.take(u8::try_from(host).map_err(|_| "beyond the network")?)?;
        }
        if let Pool::Of(_) = pool {
            self.give(by, deposit_for(had) - deposit_for(self.total(pool)));
        }
        Ok(())
    }

    /// The node of a stopped VM with nothing asked of it, if the account may give it addresses.
    fn addressable(&mut self, by: Who, label: Label) -> Result<u8, &'static str> {
        let vm = self.vm(label)?;
        must(vm.status == Status::Stopped && vm.operation.is_none(), "not stopped")?;
        let node = vm.node().ok_or("nowhere")?;
        must(by == Who::Admin || self.is_miner_of(by, node), "not its miner")?;
        Ok(node)
    }

    fn assign_address(&mut self, by: Who, label: Label, pool: Pool, host: u8) -> Outcome {
        let node = self.addressable(by, label)?;
        let now = self.now;
        must(self.vm(label)?.address.is_none(), "it has one")?;
        must(self.has(pool, host), "no such address")?;
        let routed = self.nodes.get(&node).is_some_and(|node| node.offer.global_ips);
        match pool {
            Pool::Of(of) => must(of == node, "another node's")?,
            Pool::Global => must(by == Who::Admin && routed, "not the admin, or not routed")?,
        }
        let addresses = self.pools.get_mut(&pool).ok_or("no network")?;
        addresses.free_rested(now, FREED_AT_ONCE);
        addresses.take(host)?;
        let global = self.params.global_ip_price;
        let vm = self.vm(label)?;
        vm.address = Some((pool, host));
        let own = vm.lease.as_ref().and_then(|lease| lease.rates).map_or(0, |rates| rates.ip);
        if vm.ip == IpWish::None {
            return Ok(());
        }
        match pool {
            Pool::Of(_) => self.set_address_price(label, own, 0),
            Pool::Global => self.set_address_price(label, global, global),
        }
    }

    fn release_address(&mut self, by: Who, label: Label) -> Outcome {
        self.addressable(by, label)?;
        let (pool, _) = self.vm(label)?.address.ok_or("it has none")?;
        must(by == Who::Admin || pool != Pool::Global, "not the miner's")?;
        self.return_address(label, self.params.ip_quarantine);
        self.set_address_price(label, 0, 0)
    }
}

fn deposit_for(addresses: usize) -> Balance {
    let bytes =
        IpState::max_encoded_len() + 2 * IpAddress::max_encoded_len() + PoolId::max_encoded_len();
    if addresses == 0 {
        0
    } else {
        DUST + (bytes * addresses / BYTES_PER_UNIT) as Balance
    }
}
