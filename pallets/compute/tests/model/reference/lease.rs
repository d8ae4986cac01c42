//! What a VM costs, and what its tenant still has for it.

use super::{must, Model, Outcome};
use crate::world::*;
use quarry_primitives::{
    market::Outcome as Fate,
    request::{ComputeRequestStatus as Status, OperationKind},
    resources::{Rates, Resources},
    Balance,
};

/// How soon the chain looks at a lease again at the earliest.
const LOOK_AGAIN: u32 = 10;

#[derive(Clone, Debug, Default)]
pub struct Lease {
    pub held: Balance,
    pub rates: Option<Rates>,
    pub price: Balance,
    pub ip_fee: Balance,
    /// Blocks that its node served and that are not paid yet; none before it ran.
    pub owed: Option<u32>,
    /// Blocks paid.
    pub billed: u32,
    pub exhausted: bool,
    pub boot_on_top_up: bool,
    pub ends_at: Option<u32>,
    pub next_look: Option<u32>,
}

impl Lease {
    pub fn of(held: Balance) -> Self {
        Self { held, ..Default::default() }
    }

    fn is_charged(&self) -> bool {
        self.owed.is_some() && self.price > 0
    }
}

/// Per live block: rates by size, the memory's part rounded up.
pub fn price_of(rates: &Rates, size: &Resources) -> Balance {
    let memory = rates.memory_gib * Balance::from(size.memory_mib);
    rates.vcpu * Balance::from(size.vcpus)
        + rates.disk_gib * Balance::from(size.disk_gib)
        + memory.div_ceil(1024)
}

impl Model {
    fn lease(&mut self, label: Label) -> Result<&mut Lease, &'static str> {
        self.vm(label)?.lease.as_mut().ok_or("the lease is closed")
    }

    /// The grace period's price; of a lease that ends only up to ten blocks before that.
    fn reserve(&self, lease: &Lease) -> Balance {
        let left = lease.ends_at.map_or(u32::MAX, |at| at.saturating_sub(self.now));
        lease.price * Balance::from(self.params.grace_period.min(left.saturating_sub(10)))
    }

    /// What a lease costs until it ends; without an end no hold is so much.
    fn to_its_end(&self, lease: &Lease) -> Balance {
        let left = |at: u32| lease.price * Balance::from(at.saturating_sub(self.now));
        lease.ends_at.map_or(Balance::MAX, left)
    }

    /// Pays what is owed.
    pub(super) fn settle(&mut self, label: Label) {
        let owed = self.lease(label).ok().and_then(|lease| lease.owed.as_mut());
        let blocks = owed.map_or(0, std::mem::take);
        if blocks > 0 {
            self.charge(label, blocks);
        }
    }

    /// The treasury gets what a global address costs and its share of the rest, the miner what is left.
    fn charge(&mut self, label: Label, blocks: u32) {
        let Ok(vm) = self.vm(label) else { return };
        let tenant = vm.owner;
        let Some(miner) = vm.placed.as_ref().map(|placed| placed.miner) else { return };
        let Ok(lease) = self.lease(label) else { return };
        let due = (lease.price * Balance::from(blocks)).min(lease.held);
        let for_address = (lease.ip_fee * Balance::from(blocks)).min(due);
        let rent = due - for_address;
        let share = (rent * Balance::from(TREASURY_PERCENT)).div_ceil(100);
        lease.held -= due;
        lease.billed += blocks;
        if miner == tenant {
            self.note("a miner rents from itself");
        }
        self.pay(Who::Treasury, for_address + share);
        self.pay(miner, rent - share);
    }

    /// Settles and gives the rest back. Whoever ends a lease at will pays for the least rent, where the
    /// node is there.
    pub(super) fn close(&mut self, label: Label, at_will: bool) {
        self.settle(label);
        let Some(vm) = self.vms.get(&label) else { return };
        let Some(lease) = &vm.lease else { return };
        let missing = MIN_BILLED.saturating_sub(lease.billed);
        let online = vm.node().is_some_and(|node| self.is_online(node));
        if at_will && online && lease.owed.is_some() && missing > 0 {
            self.note("the least rent was due");
            self.charge(label, missing);
        }
        let Ok(vm) = self.vm(label) else { return };
        let owner = vm.owner;
        if let Some(lease) = vm.lease.take() {
            self.give(owner, lease.held);
        }
    }

    /// When the chain looks at the lease by itself: when it may be used up, or ends.
    pub(super) fn plan_next_look(&mut self, label: Label) {
        let (now, grace) = (self.now, self.params.grace_period);
        let Some(lease) = self.lease(label).ok().cloned() else { return };
        let reserve = self.reserve(&lease);
        let untold = lease.price * Balance::from(OFFLINE_AFTER);
        let falls = reserve < lease.price * Balance::from(grace) && lease.held > reserve + untold;
        if falls {
            self.note("a lease is paid to its end");
        }
        let floor = if lease.exhausted || falls { 0 } else { reserve };
        let Ok(lease) = self.lease(label) else { return };
        let used_up = lease.is_charged().then(|| {
            let blocks = lease.held.saturating_sub(floor).div_ceil(lease.price) as u32;
            let look = now + blocks.max(LOOK_AGAIN);
            // One that is near stays.
            lease.next_look.filter(|_| blocks < LOOK_AGAIN).map_or(look, |near| near.min(look))
        });
        let ends = lease.ends_at.map(|at| at.max(now + 1));
        lease.next_look = [used_up, ends].into_iter().flatten().min();
    }

    /// Settles; stops the VM when only the reserve is left, deletes it when nothing is or its time is over.
    pub(super) fn look(&mut self, label: Label) -> Outcome {
        self.lease(label)?;
        self.settle(label);
        let now = self.now;
        let lease = self.lease(label)?.clone();
        let used_up = lease.is_charged() && lease.held == 0;
        let ended = lease.ends_at.is_some_and(|at| at <= now);
        if used_up || ended {
            self.note(if used_up { "a hold was used up" } else { "a notice was over" });
            self.order_deletion(label, used_up);
            return Ok(());
        }
        if lease.is_charged() && !lease.exhausted && lease.held <= self.reserve(&lease) {
            self.exhaust(label)?;
        } else if lease.exhausted && lease.held >= self.to_its_end(&lease) {
            self.note("an absence made a hold suffice");
            self.revive(label)?;
        }
        self.plan_next_look(label);
        Ok(())
    }

    /// The chain's own stop takes the place of what was asked. A VM that runs, or was to run, starts again
    /// when its tenant pays.
    fn exhaust(&mut self, label: Label) -> Outcome {
        self.note("exhausted");
        let vm = self.vm(label)?;
        let runs = vm.status == Status::Running;
        let wanted = if runs { !vm.is(OperationKind::Stop) } else { vm.is(OperationKind::Boot) };
        self.drop_operation(label);
        if runs {
            self.queue(label, OperationKind::Stop);
        }
        let lease = self.lease(label)?;
        (lease.exhausted, lease.boot_on_top_up) = (true, wanted);
        Ok(())
    }

    pub(super) fn top_up(&mut self, by: Who, label: Label, blocks: u32) -> Outcome {
        must(blocks > 0, "nothing")?;
        self.own_vm(by, label)?;
        self.lease(label)?;
        self.settle(label);
        let max_prepaid = Balance::from(self.params.max_prepaid);
        let vm = self.vm(label)?;
        let (max_price, placed) = (vm.max_price, vm.placed.is_some());
        let lease = self.lease(label)?;
        must(lease.held > 0 || !lease.is_charged(), "too late")?;
        let price = if placed { lease.price } else { max_price };
        let amount = price * Balance::from(blocks);
        lease.held += amount;
        must(lease.held <= max_price * max_prepaid, "too long")?;
        let lease = lease.clone();
        must(lease.held <= self.to_its_end(&lease), "it ends before")?;
        self.hold(by, amount)?;
        if lease.exhausted && lease.held > self.reserve(&lease) {
            self.revive(label)?;
        }
        self.plan_next_look(label);
        Ok(())
    }

    fn revive(&mut self, label: Label) -> Outcome {
        let lease = self.lease(label)?;
        lease.exhausted = false;
        if !std::mem::take(&mut lease.boot_on_top_up) {
            return Ok(());
        }
        let vm = self.vm(label)?;
        if vm.status == Status::Running && vm.is(OperationKind::Stop) {
            self.note("a top-up took back the stop");
            self.drop_operation(label);
        } else if vm.status == Status::Stopped && vm.operation.is_none() {
            self.note("a top-up boots");
            self.queue(label, OperationKind::Boot);
        }
        Ok(())
    }

    pub(super) fn end_lease(&mut self, by: Who, label: Label) -> Outcome {
        let node = self.vm(label)?.node().ok_or("nowhere")?;
        must(self.nodes.get(&node).is_some_and(|node| node.owner == by), "not its miner")?;
        let at = self.now + self.params.notice_period;
        must(self.lease(label)?.ends_at.is_none(), "it ends already")?;
        self.settle(label);
        self.lease(label)?.ends_at = Some(at);
        self.plan_next_look(label);
        Ok(())
    }

    pub(super) fn evacuate(&mut self, by: Who, label: Label) -> Outcome {
        let vm = self.own_vm(by, label)?;
        let max_price = vm.max_price;
        must(!vm.is(OperationKind::Delete), "being deleted")?;
        let node = vm.node().ok_or("nowhere")?;
        must(self.is_gone(node), "not gone for so long")?;
        self.settle(label);
        let least = max_price * Balance::from(self.least_prepaid());
        must(self.lease(label)?.held >= least, "too little is left")?;
        self.note("evacuated");
        self.unassign(label, Some(Fate::Evacuated), self.params.ip_quarantine_evacuated);
        let vm = self.vm(label)?;
        (vm.attempts, vm.terminal_failures) = (0, 0);
        vm.excluded.clear();
        self.wait_for_another_node(label);
        Ok(())
    }

    /// What an address costs from now on.
    pub(super) fn set_address_price(
        &mut self,
        label: Label,
        more: Balance,
        fee: Balance,
    ) -> Outcome {
        self.settle(label);
        let vm = self.vm(label)?;
        let (size, max_price) = (vm.size(), vm.max_price);
        let lease = self.lease(label)?;
        let rates = lease.rates.ok_or("no rates")?;
        lease.price = price_of(&rates, &size) + more;
        lease.ip_fee = fee;
        must(lease.price <= max_price, "too dear")?;
        self.plan_next_look(label);
        Ok(())
    }
}
