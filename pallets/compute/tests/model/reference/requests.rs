//! Requests: where they are, which node they go to, and how they end.

use super::{lease::price_of, must, nodes::fits, Lease, Model, Outcome};
use crate::{
    step::{New, On},
    world::*,
};
use codec::{Encode, MaxEncodedLen};
use quarry_primitives::{
    market::Outcome as Fate,
    request::{
        ComputeRequest, ComputeRequestStatus as Status, IpWish, Lease as ChainLease,
        MinerComputeRequest, OperationKind,
    },
    resources::Resources,
    Balance,
};

#[derive(Clone, Debug)]
pub struct Vm {
    pub owner: Who,
    pub plan: u8,
    pub keys: u8,
    pub status: Status,
    pub created_at: u32,
    /// The node that the tenant named.
    pub named: Option<u8>,
    pub abroad: Option<bool>,
    pub max_price: Balance,
    pub ip: IpWish,
    pub generation: u64,
    pub operation: Option<Operation>,
    pub attempts: u8,
    pub terminal_failures: u8,
    pub excluded: Vec<Who>,
    pub last_failure: Option<&'static str>,
    pub kept_until: Option<u32>,
    pub placed: Option<Placed>,
    pub lease: Option<Lease>,
    pub address: Option<(Pool, u8)>,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub kind: OperationKind,
    pub deadline: u32,
    pub asked_at: u32,
    /// What a resize shall make of it.
    pub plan: Option<u8>,
}

/// A VM's place on a node.
#[derive(Clone, Debug)]
pub struct Placed {
    pub node: u8,
    pub miner: Who,
    /// Of the assignment.
    pub generation: u64,
    /// Whether the node took it by itself, and launches it.
    pub claimed: bool,
    pub job: Option<&'static str>,
    pub launched: bool,
    pub failed: Option<&'static str>,
}

/// What the chain says where no worker said something.
pub const OF_THE_CHAIN: &str = "";

/// What a VM would cost on a node.
struct Quote {
    price: Balance,
    ip_fee: Balance,
    pool: Option<Pool>,
}

impl Vm {
    pub fn node(&self) -> Option<u8> {
        self.placed.as_ref().map(|placed| placed.node)
    }

    pub fn size(&self) -> Resources {
        PLANS[usize::from(self.plan)].1
    }

    /// What it takes of its node.
    pub fn takes(&self) -> Resources {
        let old = self.size();
        let plan = self.operation.as_ref().and_then(|operation| operation.plan);
        plan.map_or(old, |plan| {
            let new = PLANS[usize::from(plan)].1;
            Resources {
                vcpus: old.vcpus.max(new.vcpus),
                memory_mib: old.memory_mib.max(new.memory_mib),
                disk_gib: old.disk_gib.max(new.disk_gib),
            }
        })
    }

    pub fn deposit(&self) -> Balance {
        deposit_with(self.keys)
    }

    pub fn is(&self, kind: OperationKind) -> bool {
        self.operation.as_ref().is_some_and(|operation| operation.kind == kind)
    }

    pub fn is_exhausted(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.exhausted)
    }
}

fn deposit_with(key_count: u8) -> Balance {
    let bytes = ComputeRequest::max_encoded_len()
        + ChainLease::max_encoded_len()
        + MinerComputeRequest::max_encoded_len()
        + keys(key_count, true).encoded_size();
    DUST + (bytes / BYTES_PER_UNIT) as Balance
}

impl Model {
    pub(super) fn vm(&mut self, vm: Label) -> Result<&mut Vm, &'static str> {
        self.vms.get_mut(&vm).ok_or("no such request")
    }

    pub(super) fn own_vm(&mut self, by: Who, vm: Label) -> Result<&mut Vm, &'static str> {
        let vm = self.vm(vm)?;
        must(vm.owner == by, "another's request")?;
        Ok(vm)
    }

    pub fn least_prepaid(&self) -> u32 {
        self.params.grace_period + self.params.min_lease
    }

    pub(super) fn create(&mut self, by: Who, label: Label, new: &New) -> Outcome {
        must(new.sound, "a name that is none")?;
        let plan_on = self.plans.get(usize::from(new.plan)).copied().unwrap_or(false);
        let image_on = self.images.get(usize::from(new.image)).copied().unwrap_or(false);
        must(plan_on && image_on, "no such plan or image")?;
        let (size, disk) = (PLANS[usize::from(new.plan)].1, IMAGES[usize::from(new.image)].1);
        must(disk <= size.disk_gib, "a small disk")?;
        must(new.max_price > 0, "no price")?;
        let may_pay = self.least_prepaid()..=self.params.max_prepaid;
        must(may_pay.contains(&new.blocks), "too few or too many blocks")?;
        let held = new.max_price * Balance::from(new.blocks);
        self.hold(by, held)?;
        self.hold(by, deposit_with(new.keys))?;
        let vm = Vm {
            owner: by,
            plan: new.plan,
            keys: new.keys,
            status: Status::Pending,
            created_at: self.now,
            named: new.node,
            abroad: new.abroad,
            max_price: new.max_price,
            ip: new.ip,
            generation: 0,
            operation: None,
            attempts: 0,
            terminal_failures: 0,
            excluded: Vec::new(),
            last_failure: None,
            kept_until: None,
            placed: None,
            lease: Some(Lease::of(held)),
            address: None,
        };
        self.vms.insert(label, vm.clone());
        let id = self.ids.len() as u128;
        self.ids.insert(label, id);
        match new.node {
            Some(node) => self.place_on(label, &vm, node),
            None => Ok(()),
        }
    }

    /// Waiting for a node that can never take it would be in vain.
    fn place_on(&mut self, label: Label, vm: &Vm, number: u8) -> Outcome {
        let node = self.nodes.get(&number).ok_or("no such node")?;
        must(node.stays(), "leaving")?;
        must(self.is_in_country(vm, number), "another country")?;
        must(price_of(&node.offer.rates, &vm.size()) <= vm.max_price, "too dear")?;
        match self.quote(vm, number) {
            Ok(quote) => {
                self.note("placed at once");
                self.assign(label, number, quote, false)
            }
            Err("too dear") => Err("too dear with an address"),
            Err(_) => Ok(()),
        }
    }

    fn is_in_country(&self, vm: &Vm, node: u8) -> bool {
        let country = vm.abroad.map(|abroad| if abroad { ABROAD } else { HOME });
        let there = self.nodes.get(&node).map(|node| node.offer.country);
        country.is_none() || country == there
    }

    /// What it would cost on the node now, or why the node does not take it.
    fn quote(&self, vm: &Vm, number: u8) -> Result<Quote, &'static str> {
        let node = self.nodes.get(&number).ok_or("no such node")?;
        // One that took the name later is another.
        let is_it = |named| named == number && node.registered_at <= vm.created_at;
        must(vm.named.is_none_or(is_it), "another node was named")?;
        must(self.is_online(number), "offline")?;
        must(node.miner_accepting && node.worker_accepting, "not accepting")?;
        must(node.bond >= node.bond_due(), "the bond is too small")?;
        must(self.is_in_country(vm, number), "another country")?;
        must(!vm.excluded.contains(&node.owner), "its miner failed it before")?;
        let taken = self.reserved(number);
        let size = vm.size();
        let with_it = Resources {
            vcpus: taken.vcpus + size.vcpus,
            memory_mib: taken.memory_mib + size.memory_mib,
            disk_gib: taken.disk_gib + size.disk_gib,
        };
        must(fits(&with_it, &node.offer.capacity), "no room")?;
        must(self.vms_on(number).count() < node.offer.max_vms as usize, "too many VMs")?;
        self.price(vm, number)
    }

    fn price(&self, vm: &Vm, number: u8) -> Result<Quote, &'static str> {
        let node = self.nodes.get(&number).ok_or("no such node")?;
        let bare = price_of(&node.offer.rates, &vm.size());
        let without = Quote { price: bare, ip_fee: 0, pool: None };
        must(bare <= vm.max_price, "too dear")?;
        if vm.ip == IpWish::None {
            return Ok(without);
        }
        let pool =
            Some(Pool::Of(number)).filter(|pool| self.has_free_address(*pool)).or_else(|| {
                let routed = node.offer.global_ips && self.has_free_address(Pool::Global);
                Some(Pool::Global).filter(|_| routed)
            });
        let fees = match pool {
            None => Err("no address"),
            Some(Pool::Of(_)) => Ok((node.offer.rates.ip, 0)),
            Some(Pool::Global) => Ok((self.params.global_ip_price, self.params.global_ip_price)),
        };
        let with = fees.and_then(|(more, ip_fee)| {
            must(bare + more <= vm.max_price, "too dear")?;
            Ok(Quote { price: bare + more, ip_fee, pool })
        });
        if vm.ip == IpWish::Prefer {
            return Ok(with.unwrap_or(without));
        }
        with
    }

    pub(super) fn submit_assignment(
        &mut self,
        by: Who,
        label: Label,
        number: u8,
        plan: u8,
        owner: Who,
    ) -> Outcome {
        let vm = self.own_vm(owner, label)?.clone();
        let node = self.nodes.get(&number).ok_or("no such node")?.clone();
        let speaks = node.speaks(by);
        must(speaks.is_ok() || by == owner, "neither the node's nor the tenant")?;
        must(vm.status == Status::Pending && vm.plan == plan, "not pending, or another plan")?;
        let claimed = by != owner && vm.named.is_none();
        if claimed {
            let raised = node.rates_raised_at.map(|at| self.now - at);
            let waited = raised.is_none_or(|since| since >= self.params.rate_notice);
            must(waited, "raised its rates lately")?;
            must(self.claims(number) < self.params.max_claims, "too many claims")?;
            self.note("claimed");
        }
        let quote = self.quote(&vm, number)?;
        self.assign(label, number, quote, claimed)?;
        if speaks == Ok(true) {
            self.hear(number);
        }
        Ok(())
    }

    fn assign(&mut self, label: Label, number: u8, quote: Quote, claimed: bool) -> Outcome {
        let wait = self.params.launch_timeout;
        self.set_operation(label, OperationKind::Launch, wait, None);
        let address = quote.pool.and_then(|pool| Some((pool, self.take_address(pool)?)));
        let node = self.nodes.get(&number).ok_or("no such node")?;
        let (miner, rates) = (node.owner, node.offer.rates);
        let vm = self.vm(label)?;
        vm.status = Status::InProgress;
        vm.address = address;
        vm.placed = Some(Placed {
            node: number,
            miner,
            generation: vm.generation,
            claimed,
            job: None,
            launched: false,
            failed: None,
        });
        let lease = vm.lease.as_mut().ok_or("no lease")?;
        (lease.rates, lease.price, lease.ip_fee) = (Some(rates), quote.price, quote.ip_fee);
        Ok(())
    }

    /// Takes it from its node, and says where it was.
    pub(super) fn unassign(&mut self, label: Label, fate: Option<Fate>, rest: u32) {
        let Ok(vm) = self.vm(label) else { return };
        let Some(placed) = vm.placed.take() else { return };
        vm.operation = None;
        vm.generation += 1;
        self.return_address(label, rest);
        let node = self.nodes.get_mut(&placed.node);
        if let (Some(node), Some(fate)) = (node, fate) {
            node.count(fate);
        }
    }

    pub(super) fn report_on(&mut self, by: Who, on: On) -> Result<(&mut Vm, bool), &'static str> {
        let by_worker = self.nodes.get(&on.node).ok_or("no such node")?.speaks(by)?;
        let vm = self.vm(on.vm)?;
        must(vm.node() == Some(on.node), "not on this node")?;
        // A generation below zero is zero.
        must(on.age == 0 || vm.generation == 0 && on.age < 0, "stale")?;
        Ok((vm, by_worker))
    }

    pub(super) fn end(&mut self, label: Label, status: Status) {
        self.close(label, false);
        let until = self.now + self.params.retention;
        let Ok(vm) = self.vm(label) else { return };
        vm.status = status;
        vm.kept_until = Some(until);
    }

    pub(super) fn cancel(&mut self, by: Who, label: Label) -> Outcome {
        must(self.own_vm(by, label)?.status == Status::Pending, "not pending")?;
        self.end(label, Status::Cancelled);
        Ok(())
    }

    /// Nothing is left of it.
    pub(super) fn forget(&mut self, label: Label) {
        if let Some(vm) = self.vms.remove(&label) {
            self.give(vm.owner, vm.deposit());
        }
    }

    pub(super) fn set_keys(&mut self, by: Who, label: Label, keys: u8, sound: bool) -> Outcome {
        let vm = self.own_vm(by, label)?;
        must(sound && vm.kept_until.is_none(), "no keys, or ended")?;
        let had = vm.deposit();
        vm.keys = keys;
        let due = vm.deposit();
        if due > had {
            self.hold(by, due - had)
        } else {
            self.give(by, had - due);
            Ok(())
        }
    }
}
