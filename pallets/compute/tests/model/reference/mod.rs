//! What the chain should be, said as plainly as it can be: each VM has what it has, sums are computed when
//! they are asked for, and a step that is refused leaves all as it was.
//!
//! It shares the types of the market with the pallets, and no function.

mod addresses;
mod launches;
mod lease;
mod nodes;
mod operations;
mod requests;
mod waits;

pub use lease::{price_of, Lease};
pub use nodes::Node;
pub use requests::{Placed, Vm};

use crate::{
    step::{Act, Room, Step},
    world::*,
};
pub use addresses::Addresses;
use quarry_primitives::{
    request::{DeadlineKind, Params},
    Balance, BlockNumber, RequestId,
};
use std::collections::{BTreeMap, BTreeSet};

/// Done, or why not.
pub type Outcome = Result<(), &'static str>;

#[derive(Clone)]
pub struct Model {
    pub now: BlockNumber,
    pub params: Params,
    /// What is not on hold.
    pub free: BTreeMap<Who, Balance>,
    pub credits: BTreeMap<Who, Balance>,
    pub nodes: BTreeMap<u8, Node>,
    pub vms: BTreeMap<Label, Vm>,
    /// Of all requests there ever were.
    pub ids: BTreeMap<Label, RequestId>,
    pub pools: BTreeMap<Pool, Addresses>,
    pub plans: [bool; PLANS.len()],
    pub images: [bool; IMAGES.len()],
    /// How often what the test is for came about.
    pub seen: BTreeMap<&'static str, u64>,
}

/// Refuses unless it is so.
pub fn must(condition: bool, otherwise: &'static str) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(otherwise)
    }
}

impl Model {
    pub fn new() -> Self {
        Self {
            now: 1,
            params: params(0),
            free: PEOPLE.into(),
            credits: BTreeMap::new(),
            nodes: BTreeMap::new(),
            vms: BTreeMap::new(),
            ids: BTreeMap::new(),
            pools: BTreeMap::new(),
            plans: [true; PLANS.len()],
            images: [true; IMAGES.len()],
            seen: BTreeMap::new(),
        }
    }

    pub fn id(&self, vm: Label) -> RequestId {
        self.ids.get(&vm).copied().unwrap_or(UNKNOWN)
    }

    /// Counts that this came about.
    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Does a step, or leaves all as it was and says why.
    pub fn apply(&mut self, step: &Step) -> Outcome {
        let mut next = self.clone();
        next.act(step.by, &step.act)?;
        *self = next;
        Ok(())
    }

    /// Whether the step would cost nothing.
    pub fn is_free(&self, step: &Step) -> bool {
        let by = step.by;
        let may_be = match &step.act {
            Act::Beat { node, metrics, .. } => self.beat_is_due(*node, metrics.is_some()),
            Act::SetAccess { node, .. } => self.access_is_due(*node, by),
            Act::Assign { node, .. } => self.works_on(by, *node),
            Act::OperationFailed { on, .. } => self.may_say_that_it_failed(on.vm),
            Act::Start { .. } | Act::Launched { .. } | Act::Fail { .. } | Act::Done { .. } => true,
            _ => false,
        };
        may_be && self.clone().apply(step).is_ok()
    }

    fn act(&mut self, by: Who, act: &Act) -> Outcome {
        match act {
            Act::Pass { .. } => Err("time is not a call"),
            Act::Pay { to, all } => self.pay_from(by, *to, *all),
            Act::EnablePlan { .. }
            | Act::EnableImage { .. }
            | Act::SetParams { .. }
            | Act::ForceClose { .. } => {
                must(by == Who::Admin, "not the admin")?;
                self.administer(act)
            }
            Act::SetPool { .. }
            | Act::AddIps { .. }
            | Act::RemoveIps { .. }
            | Act::AssignIp { .. }
            | Act::ReleaseIp { .. } => self.change_addresses(by, act),
            _ => {
                must(by != Who::Admin, "root signs nothing")?;
                self.act_signed(by, act)
            }
        }
    }

    fn act_signed(&mut self, by: Who, act: &Act) -> Outcome {
        match *act {
            Act::Create { vm, ref new } => self.create(by, vm, new),
            Act::Cancel { vm } => self.cancel(by, vm),
            Act::Assign { vm, node, plan, owner } => {
                self.submit_assignment(by, vm, node, plan, owner)
            }
            Act::Boot { vm } => self.boot(by, vm),
            Act::Stop { vm } => self.stop(by, vm),
            Act::Reboot { vm } => self.reboot(by, vm),
            Act::Resize { vm, plan } => self.resize(by, vm, plan),
            Act::Delete { vm } => self.delete(by, vm),
            Act::SetKeys { vm, keys, sound } => self.set_keys(by, vm, keys, sound),
            Act::TopUp { vm, blocks } => self.top_up(by, vm, blocks),
            Act::Evacuate { vm } => self.evacuate(by, vm),
            Act::EndLease { vm } => self.end_lease(by, vm),
            Act::Settle { vm } => self.look(vm),
            Act::Expire { vm } => self.expire(vm),
            Act::Claim { account } => self.claim_credit(account),
            Act::Start { on, sound } => self.start(by, on, sound),
            Act::Launched { on, sound } => self.launched(by, on, sound),
            Act::Fail { on, terminal, sound } => self.fail(by, on, terminal, sound),
            Act::Done { on, what } => self.done(by, on, what),
            Act::OperationFailed { on, sound } => self.operation_failed(by, on, sound),
            _ => self.act_on_node(by, act),
        }
    }

    fn administer(&mut self, act: &Act) -> Outcome {
        match *act {
            Act::EnablePlan { plan, enabled } => {
                *self.plans.get_mut(usize::from(plan)).ok_or("no such plan")? = enabled;
            }
            Act::EnableImage { image, enabled } => {
                *self.images.get_mut(usize::from(image)).ok_or("no such image")? = enabled;
            }
            Act::SetParams { variant } => {
                must(variant < 2, "they cannot work")?;
                self.params = params(variant);
            }
            Act::ForceClose { vm } => self.force_close(vm)?,
            _ => unreachable!(),
        }
        Ok(())
    }

    /// Live blocks pass, and as many deadlines run as there is room for: with little room, up to the first
    /// that the chain left.
    pub fn pass(
        &mut self,
        blocks: u8,
        room: Room,
        left_by_chain: &BTreeSet<(RequestId, DeadlineKind)>,
    ) {
        self.now += BlockNumber::from(blocks);
        for (_, vm, kind) in self.due() {
            let left = left_by_chain.contains(&(self.id(vm), kind));
            match room {
                Room::None => return,
                Room::Little(_) if left => return self.note("too little room for a deadline"),
                Room::Little(_) | Room::Ample => self.run_if_due(vm, kind),
            }
        }
    }

    // Money.

    /// What each account has on hold, by why: rent, deposits, bonds.
    pub fn on_hold(&self, who: Who) -> (Balance, Balance, Balance) {
        let own = || self.vms.values().filter(|vm| vm.owner == who);
        let rent = own().filter_map(|vm| vm.lease.as_ref()).map(|lease| lease.held).sum();
        let requests: Balance = own().map(Vm::deposit).sum();
        let nodes = || self.nodes.iter().filter(|(_, node)| node.owner == who);
        let pools: Balance = nodes().map(|(node, _)| self.pool_deposit(*node)).sum();
        (rent, requests + pools, nodes().map(|(_, node)| node.bond).sum())
    }

    pub fn free(&self, who: Who) -> Balance {
        self.free.get(&who).copied().unwrap_or(0)
    }

    /// An account with something on hold stays alive.
    fn hold(&mut self, who: Who, amount: Balance) -> Outcome {
        must(self.free(who) >= amount + DUST, "too few funds")?;
        *self.free.entry(who).or_default() -= amount;
        Ok(())
    }

    fn can_take(&self, who: Who, amount: Balance) -> bool {
        amount == 0 || self.free(who) + amount >= DUST
    }

    fn give(&mut self, who: Who, amount: Balance) {
        *self.free.entry(who).or_default() += amount;
    }

    /// Pays what is on hold no more, as a credit if it must be.
    fn pay(&mut self, to: Who, amount: Balance) {
        if self.can_take(to, amount) {
            self.give(to, amount);
        } else {
            self.note("a payout became a credit");
            *self.credits.entry(to).or_default() += amount;
        }
    }

    fn claim_credit(&mut self, account: Who) -> Outcome {
        let credit = self.credits.remove(&account).ok_or("no credit")?;
        must(self.can_take(account, credit), "the account is still too poor")?;
        self.give(account, credit);
        Ok(())
    }

    /// All but what keeps an account with something on hold alive, or a part that leaves enough, so that
    /// no dust is lost; more than there is where that is nothing.
    pub fn payable(&self, from: Who, all: bool) -> Balance {
        let (rent, deposits, bonds) = self.on_hold(from);
        let keep = if rent + deposits + bonds > 0 { DUST } else { 0 };
        let most = self.free(from).saturating_sub(keep);
        let part = (self.free(from) / 3).min(self.free(from).saturating_sub(DUST));
        let amount = if all { most } else { part };
        if amount > 0 {
            amount
        } else {
            self.free(from) + 1
        }
    }

    fn pay_from(&mut self, from: Who, to: Who, all: bool) -> Outcome {
        must(from != Who::Admin, "root has no account")?;
        let amount = self.payable(from, all);
        let (rent, deposits, bonds) = self.on_hold(from);
        let keep = if rent + deposits + bonds > 0 { DUST } else { 0 };
        must(self.free(from) >= amount + keep, "nothing to pay")?;
        must(self.can_take(to, amount), "the receiver would stay too poor")?;
        *self.free.entry(from).or_default() -= amount;
        self.give(to, amount);
        Ok(())
    }
}
