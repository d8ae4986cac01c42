//! The tests' own registry: three nodes that report in every block, unless they are silent.

use super::*;
use quarry_primitives::{
    market::{NodeRegistry, Outcome, Speaker},
    node::{Access, Country, NodeCounts, NodeId, NodeRecord, Offer},
    resources::Rates,
    BlockNumber,
};
use sp_runtime::{DispatchError, DispatchResult};
use std::collections::BTreeMap;

/// A node, who owns it, and who works on it.
#[derive(Clone, Copy)]
pub struct Host {
    pub name: &'static str,
    pub miner: Sr25519Keyring,
    pub worker: Sr25519Keyring,
}

pub const MIA_1: Host = Host { name: "mia-1", miner: MIA, worker: Sr25519Keyring::AliceStash };
pub const MILO_1: Host = Host { name: "milo-1", miner: MILO, worker: Sr25519Keyring::BobStash };
pub const MAX_1: Host = Host { name: "max-1", miner: MAX, worker: Sr25519Keyring::CharlieStash };
pub const HOSTS: [Host; 3] = [MIA_1, MILO_1, MAX_1];

pub const CAPACITY: Resources = Resources { vcpus: 8, memory_mib: 8_192, disk_gib: 40 };
pub const RATES: Rates = Rates { vcpu: 10, memory_gib: 5, disk_gib: 1, ip: 3 };
/// What a node must have; it starts with ten times as much.
pub const BOND: Balance = 1_000;
const OFFLINE_AFTER: BlockNumber = 8;

parameter_types! {
    pub storage Nodes: BTreeMap<NodeId, NodeRecord> = BTreeMap::new();
    pub storage Silent: Vec<NodeId> = vec![];
    /// Where giving room back fails.
    pub storage Broken: Vec<NodeId> = vec![];
    pub storage Slashes: Vec<(NodeId, Balance)> = vec![];
}

/// Has the three nodes there, each once seen.
pub fn open() {
    for (host, country) in HOSTS.iter().zip([*b"DE", *b"SE", *b"FR"]) {
        put(host.id(), host.fresh(Country(country)));
    }
}

fn put(node_id: NodeId, node: NodeRecord) {
    let mut nodes = Nodes::get();
    nodes.insert(node_id, node);
    Nodes::set(&nodes);
}

impl Host {
    pub fn id(&self) -> NodeId {
        text(self.name)
    }

    fn fresh(&self, country: Country) -> NodeRecord {
        NodeRecord {
            owner: super::id(self.miner),
            worker: super::id(self.worker),
            offer: Offer {
                capacity: CAPACITY,
                rates: RATES,
                country,
                max_vms: 6,
                global_ips: true,
            },
            access: Access { endpoint: text("node.example:2222"), host_key: [7; 32] },
            bond: 10 * BOND,
            reserved: Resources::NONE,
            vms: 0,
            miner_accepting: true,
            worker_accepting: true,
            registered_at: 1,
            last_seen: Some(1),
            last_heartbeat: Some(1),
            last_metrics: None,
            access_moved_at: None,
            heartbeat_count: 1,
            served: 0,
            downtime: 0,
            rates_raised_at: None,
            leaves_at: None,
            work_version: 0,
            counts: NodeCounts::default(),
        }
    }

    pub fn record(&self) -> NodeRecord {
        Market::node(&self.id()).expect("the node is registered")
    }

    pub fn change(&self, change: impl FnOnce(&mut NodeRecord)) {
        let mut node = self.record();
        change(&mut node);
        put(self.id(), node);
    }

    /// No report comes from now on.
    pub fn fall_silent(&self) {
        Silent::set(&[Silent::get(), vec![self.id()]].concat());
    }

    /// Reports come again, the first of them now.
    pub fn come_back(&self) {
        let others = Silent::get().into_iter().filter(|other| *other != self.id());
        Silent::set(&others.collect());
        Market::seen(&self.id()).expect("the node is registered");
    }

    pub fn refuse_releases(&self, refuse: bool) {
        Broken::set(&if refuse { vec![self.id()] } else { vec![] });
    }

    pub fn slashes(&self) -> Vec<Balance> {
        let of_this = |(node_id, amount)| (node_id == self.id()).then_some(amount);
        Slashes::get().into_iter().filter_map(of_this).collect()
    }
}

/// Reports come from all that are not silent.
pub fn beat() {
    let silent = Silent::get();
    for node_id in Nodes::get().into_keys().filter(|node_id| !silent.contains(node_id)) {
        Market::seen(&node_id).expect("the node is registered");
    }
}

pub struct Market;

impl Market {
    fn change(
        node_id: &NodeId,
        change: impl FnOnce(&mut NodeRecord) -> DispatchResult,
    ) -> DispatchResult {
        let mut node = Self::node(node_id).ok_or(DispatchError::Other("no such node"))?;
        change(&mut node)?;
        put(node_id.clone(), node);
        Ok(())
    }
}

fn ensure(fine: bool) -> DispatchResult {
    if fine {
        Ok(())
    } else {
        Err(DispatchError::Other("the registry refused"))
    }
}

impl NodeRegistry for Market {
    fn offline_after() -> BlockNumber {
        OFFLINE_AFTER
    }

    fn node(node_id: &NodeId) -> Option<NodeRecord> {
        Nodes::get().remove(node_id)
    }

    fn is_online(node: &NodeRecord) -> bool {
        node.last_seen.is_some_and(|seen| seen + OFFLINE_AFTER >= LiveBlock::get())
    }

    fn bond_suffices(node: &NodeRecord) -> bool {
        node.bond >= BOND
    }

    fn speaker(node: &NodeRecord, who: &AccountId) -> Option<Speaker> {
        if node.owner == *who {
            Some(Speaker::Miner)
        } else {
            (node.worker == *who && node.leaves_at.is_none()).then_some(Speaker::Worker)
        }
    }

    fn reserve(node_id: &NodeId, size: &Resources) -> DispatchResult {
        Self::change(node_id, |node| {
            ensure(size.fits(&node.room()) && node.vms < node.offer.max_vms)?;
            node.reserved = node.reserved.checked_add(size).expect("it fits");
            node.vms += 1;
            node.work_version += 1;
            Ok(())
        })
    }

    fn change_reserved(node_id: &NodeId, old: &Resources, new: &Resources) -> DispatchResult {
        ensure(!Broken::get().contains(node_id))?;
        Self::change(node_id, |node| {
            let others = node.reserved.checked_sub(old);
            let others = others.expect("no more is given back than was taken");
            let reserved = others.checked_add(new).ok_or(DispatchError::Other("too large"))?;
            ensure(new.fits(old) || reserved.fits(&node.offer.capacity))?;
            node.reserved = reserved;
            node.work_version += 1;
            Ok(())
        })
    }

    fn release(node_id: &NodeId, size: &Resources, outcome: Option<Outcome>) -> DispatchResult {
        ensure(!Broken::get().contains(node_id))?;
        Self::change(node_id, |node| {
            let left = node.reserved.checked_sub(size);
            node.reserved = left.expect("no more is given back than was taken");
            node.vms -= 1;
            node.work_version += 1;
            match outcome {
                None => {}
                Some(Outcome::Launched) => node.counts.launched += 1,
                Some(Outcome::Failed) => node.counts.failed += 1,
                Some(Outcome::TimedOut) => node.counts.timed_out += 1,
                Some(Outcome::Evacuated) => node.counts.evacuated += 1,
                Some(Outcome::Lost) => node.counts.lost += 1,
            }
            Ok(())
        })
    }

    fn launched(node_id: &NodeId) -> DispatchResult {
        Self::change(node_id, |node| {
            node.counts.launched += 1;
            Ok(())
        })
    }

    fn seen(node_id: &NodeId) -> DispatchResult {
        Self::change(node_id, |node| {
            ensure(node.leaves_at.is_none())?;
            let now = LiveBlock::get();
            let gap = now - node.last_seen.replace(now).unwrap_or(now);
            if gap <= OFFLINE_AFTER {
                node.served += gap;
            } else {
                node.downtime += gap;
            }
            Ok(())
        })
    }

    fn touch(node_id: &NodeId) -> DispatchResult {
        Self::change(node_id, |node| {
            node.work_version += 1;
            Ok(())
        })
    }

    fn slash(node_id: &NodeId, amount: Balance) -> Balance {
        let slashed = Self::node(node_id).map_or(0, |node| node.bond.min(amount));
        let done = Self::change(node_id, |node| {
            node.bond -= slashed;
            Ok(())
        });
        done.expect("the node is registered");
        Slashes::set(&[Slashes::get(), vec![(node_id.clone(), slashed)]].concat());
        slashed
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper for Market {
    fn add_node(
        node_id: &NodeId,
        miner: &AccountId,
        worker: &AccountId,
        offer: Offer,
    ) -> DispatchResult {
        let (owner, worker) = (miner.clone(), worker.clone());
        let fresh = MIA_1.fresh(offer.country);
        put(node_id.clone(), NodeRecord { owner, worker, offer, ..fresh });
        Ok(())
    }

    fn set_presence(node_id: &NodeId, seen_at: BlockNumber, served: BlockNumber) {
        let done = Self::change(node_id, |node| {
            node.last_seen = Some(seen_at);
            node.served += served;
            Ok(())
        });
        done.expect("the node is registered");
    }
}
