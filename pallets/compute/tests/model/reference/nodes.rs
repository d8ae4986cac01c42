//! Nodes: who owns them, what they offer, and whether they are there.

use super::{must, Model, Outcome, Vm};
use crate::{
    step::Act,
    world::{self, Pool, Who, ACCESS_EVERY, BOND, HEARTBEAT_EVERY, METRICS_EVERY, OFFLINE_AFTER},
};
use quarry_primitives::{market::Outcome as Fate, node::Offer, resources::Resources, Balance};
use std::collections::BTreeMap;

#[derive(Clone)]
pub struct Node {
    pub owner: Who,
    pub worker: Who,
    pub offer: Offer,
    pub bond: Balance,
    pub miner_accepting: bool,
    pub worker_accepting: bool,
    pub registered_at: u32,
    pub last_seen: Option<u32>,
    pub last_beat: Option<u32>,
    pub last_metrics: Option<u32>,
    pub access_moved_at: Option<u32>,
    pub beats: u32,
    pub served: u32,
    pub downtime: u32,
    pub rates_raised_at: Option<u32>,
    pub leaves_at: Option<u32>,
    /// What became of its VMs, by the name of that.
    pub fates: BTreeMap<&'static str, u32>,
    /// When it came and went.
    pub history: Vec<(u32, bool)>,
}

impl Node {
    pub fn bond_due(&self) -> Balance {
        let Resources { vcpus, memory_mib, disk_gib } = self.offer.capacity;
        let memory_gib = memory_mib / 1024 + u32::from(memory_mib % 1024 > 0);
        BOND.0
            + BOND.1 * Balance::from(vcpus)
            + BOND.2 * Balance::from(memory_gib)
            + BOND.3 * Balance::from(disk_gib)
    }

    pub fn stays(&self) -> bool {
        self.leaves_at.is_none()
    }

    /// Whether the account may report for it, and whether that is its worker.
    pub fn speaks(&self, who: Who) -> Result<bool, &'static str> {
        let worker = who == self.worker && self.stays();
        must(worker || who == self.owner, "not of this node")?;
        Ok(worker)
    }

    pub fn count(&mut self, fate: Fate) {
        let name = match fate {
            Fate::Launched => "launched",
            Fate::Failed => "failed",
            Fate::TimedOut => "timed out",
            Fate::Evacuated => "evacuated",
            Fate::Lost => "lost",
        };
        *self.fates.entry(name).or_default() += 1;
    }
}

impl Model {
    pub fn vms_on(&self, node: u8) -> impl Iterator<Item = (&u32, &Vm)> {
        self.vms.iter().filter(move |(_, vm)| vm.node() == Some(node))
    }

    /// What the node's VMs take, the larger of both sizes during a resize.
    pub fn reserved(&self, node: u8) -> Resources {
        self.vms_on(node).fold(Resources::NONE, |sum, (_, vm)| {
            let size = vm.takes();
            Resources {
                vcpus: sum.vcpus + size.vcpus,
                memory_mib: sum.memory_mib + size.memory_mib,
                disk_gib: sum.disk_gib + size.disk_gib,
            }
        })
    }

    pub fn claims(&self, node: u8) -> u32 {
        let claimed = |vm: &Vm| vm.placed.as_ref().is_some_and(|placed| placed.claimed);
        self.vms_on(node).filter(|(_, vm)| claimed(vm)).count() as u32
    }

    pub fn is_online(&self, node: u8) -> bool {
        self.nodes.get(&node).is_some_and(|node| {
            node.stays() && node.last_seen.is_some_and(|seen| self.now - seen <= OFFLINE_AFTER)
        })
    }

    /// Whether it was offline for so long that tenants may go elsewhere.
    pub fn is_gone(&self, node: u8) -> bool {
        let Some(node) = self.nodes.get(&node) else { return false };
        let seen = node.last_seen.unwrap_or(node.registered_at);
        let offline_since = seen + OFFLINE_AFTER + 1;
        self.now >= offline_since + self.params.evict_after
    }

    /// The worker was heard: the blocks since the last time were served, and their rent is owed, or the
    /// node was away.
    pub fn hear(&mut self, number: u8) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&number) else { return };
        let seen = node.last_seen.replace(now);
        let Some(seen) = seen else { return node.history.push((now, true)) };
        let gap = now - seen;
        if gap > OFFLINE_AFTER {
            node.downtime += gap;
            node.history.extend([(seen + OFFLINE_AFTER + 1, false), (now, true)]);
            return self.note("a node came back");
        }
        node.served += gap;
        let here = self.vms.values_mut().filter(|vm| vm.node() == Some(number));
        for owed in here.filter_map(|vm| vm.lease.as_mut()?.owed.as_mut()) {
            *owed += gap;
        }
    }

    pub fn works_on(&self, who: Who, node: u8) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.worker == who && node.stays())
    }

    pub fn beat_is_due(&self, node: u8, with_metrics: bool) -> bool {
        let Some(node) = self.nodes.get(&node) else { return false };
        let due = |last: Option<u32>, every| last.is_none_or(|last| self.now - last >= every);
        due(node.last_beat, HEARTBEAT_EVERY)
            && (!with_metrics || due(node.last_metrics, METRICS_EVERY))
    }

    pub fn access_is_due(&self, node: u8, by: Who) -> bool {
        let moved = self.nodes.get(&node).and_then(|node| node.access_moved_at);
        self.works_on(by, node) && moved.is_none_or(|at| self.now - at >= ACCESS_EVERY)
    }

    pub(super) fn act_on_node(&mut self, by: Who, act: &Act) -> Outcome {
        let now = self.now;
        match *act {
            Act::Register { node, worker, offer, proof_for } => {
                must(!self.nodes.contains_key(&node), "the name is taken")?;
                must(proof_for == by, "the worker did not sign for this miner")?;
                self.employ(worker)?;
                self.register(node, by, worker, world::offer(offer))
            }
            Act::Offer { node, offer } => self.update_offer(by, node, world::offer(offer)),
            Act::Accept { node, accepting } => {
                self.own_node(by, node)?.miner_accepting = accepting;
                Ok(())
            }
            Act::SetWorker { node, worker, proof_for } => {
                must(proof_for == by, "the worker did not sign for this miner")?;
                self.employ(worker)?;
                self.own_node(by, node)?.worker = worker;
                Ok(())
            }
            Act::SetAccess { node, sound } => {
                let node = self.nodes.get_mut(&node).ok_or("no such node")?;
                must(node.stays() && sound, "leaving, or no endpoint")?;
                if node.speaks(by)? {
                    node.access_moved_at = Some(now);
                }
                Ok(())
            }
            Act::Deregister { node } => {
                must(self.vms_on(node).count() == 0, "it has VMs")?;
                must(self.pool_total(node) == 0, "its pool has addresses")?;
                let leaves_at = now + self.params.unbonding;
                self.own_node(by, node)?.leaves_at = Some(leaves_at);
                Ok(())
            }
            Act::Beat { node, accepting, metrics } => self.beat(by, node, accepting, metrics),
            Act::Withdraw { node } => {
                let leaves_at = self.nodes.get(&node).and_then(|node| node.leaves_at);
                must(leaves_at.ok_or("it does not leave")? <= now, "too early")?;
                let Node { owner, bond, .. } = self.nodes.remove(&node).ok_or("no such node")?;
                self.pools.remove(&Pool::Of(node));
                self.give(owner, bond);
                Ok(())
            }
            _ => unreachable!(),
        }
    }

    fn own_node(&mut self, by: Who, node: u8) -> Result<&mut Node, &'static str> {
        let node = self.nodes.get_mut(&node).ok_or("no such node")?;
        must(node.owner == by && node.stays(), "another's node, or leaving")?;
        Ok(node)
    }

    fn employ(&self, worker: Who) -> Outcome {
        let taken = self.nodes.values().any(|node| node.worker == worker && node.stays());
        must(!taken, "the worker works already")
    }

    fn register(&mut self, number: u8, owner: Who, worker: Who, offer: Offer) -> Outcome {
        must(offer.max_vms > 0, "an offer of nothing")?;
        let mut node = Node {
            owner,
            worker,
            offer,
            bond: 0,
            miner_accepting: true,
            worker_accepting: false,
            registered_at: self.now,
            last_seen: None,
            last_beat: None,
            last_metrics: None,
            access_moved_at: None,
            beats: 0,
            served: 0,
            downtime: 0,
            rates_raised_at: None,
            leaves_at: None,
            fates: BTreeMap::new(),
            history: Vec::new(),
        };
        node.bond = node.bond_due();
        self.hold(owner, node.bond)?;
        self.nodes.insert(number, node);
        Ok(())
    }

    fn update_offer(&mut self, by: Who, number: u8, offer: Offer) -> Outcome {
        let (taken, vms) = (self.reserved(number), self.vms_on(number).count());
        must(offer.max_vms > 0 && vms <= offer.max_vms as usize, "too few VMs")?;
        must(fits(&taken, &offer.capacity), "its VMs take more")?;
        let now = self.now;
        let node = self.own_node(by, number)?;
        let (old, new) = (node.offer.rates, offer.rates);
        if new.vcpu > old.vcpu
            || new.memory_gib > old.memory_gib
            || new.disk_gib > old.disk_gib
            || new.ip > old.ip
        {
            node.rates_raised_at = Some(now);
        }
        node.offer = offer;
        let (had, due) = (node.bond, node.bond_due());
        node.bond = due;
        if due > had {
            self.hold(by, due - had)
        } else {
            self.give(by, had - due);
            Ok(())
        }
    }

    fn beat(&mut self, by: Who, node: u8, accepting: bool, metrics: Option<bool>) -> Outcome {
        must(self.works_on(by, node), "not its worker")?;
        must(metrics != Some(false), "metrics of another node")?;
        self.hear(node);
        let now = self.now;
        let node = self.nodes.get_mut(&node).ok_or("no such node")?;
        node.worker_accepting = accepting;
        node.beats += 1;
        node.last_beat = Some(now);
        if metrics.is_some() {
            node.last_metrics = Some(now);
        }
        Ok(())
    }

    /// Takes of the bond for the treasury, if that can have it.
    pub(super) fn slash(&mut self, number: u8, amount: Balance) {
        let Some(node) = self.nodes.get(&number) else { return };
        let amount = amount.min(node.bond);
        if amount == 0 {
            return;
        }
        if !self.can_take(Who::Treasury, amount) {
            return self.note("a penalty that the treasury could not have");
        }
        self.note("a claim cost the bond");
        self.give(Who::Treasury, amount);
        if let Some(node) = self.nodes.get_mut(&number) {
            node.bond -= amount;
        }
    }
}

pub fn fits(size: &Resources, room: &Resources) -> bool {
    size.vcpus <= room.vcpus && size.memory_mib <= room.memory_mib && size.disk_gib <= room.disk_gib
}
