//! Which steps are tried: at random, but mostly such as can succeed where the model is.

use crate::{
    reference::{price_of, Model, Vm},
    step::{Act, New, On, Room, Step},
    world::*,
};
use quarry_primitives::request::{ComputeRequestStatus as Status, IpWish, OperationKind};
use rand::{rngs::StdRng, seq::SliceRandom, Rng};
use std::collections::BTreeMap;

/// After so many live blocks a worker that is there sends a heartbeat.
const SILENCE: u32 = 5;

/// Makes the steps of one sequence.
pub struct Waiter {
    rng: StdRng,
    next_label: Label,
    /// Nodes that are away, and until when.
    away: BTreeMap<u8, u32>,
    /// Until when there is no room for deadlines.
    crowded_until: u32,
}

struct Gen<'a> {
    rng: &'a mut StdRng,
    model: &'a Model,
    label: Label,
    /// Whether there was no VM that such a step is for.
    in_vain: bool,
}

type Dish = (u32, &'static str, fn(&mut Gen<'_>) -> (Who, Act));

/// All kinds of steps, and how often each is tried.
const MENU: &[Dish] = &[
    (110, "pass", |g| {
        let room = match g.below(10) {
            0 => Room::None,
            1 => Room::Little(g.rng.gen_range(1..=3)),
            _ => Room::Ample,
        };
        let blocks = if g.chance(5) { g.rng.gen_range(4..=20) } else { g.rng.gen_range(1..=3) };
        (Who::Stranger, Act::Pass { blocks, room })
    }),
    (10, "pay", |g| {
        let from = g.person();
        let to = g.person_but(from);
        (from, Act::Pay { to, all: g.chance(30) })
    }),
    (12, "register_node", |g| {
        let miner = Who::Miner(g.below_u8(MINERS));
        let (node, worker, offer) = (g.node(), g.worker(), g.offer());
        let proof_for = if g.chance(70) { miner } else { g.person() };
        (miner, Act::Register { node, worker, offer, proof_for })
    }),
    (22, "update_offer", |g| {
        let node = g.node();
        (g.miner_of(node), Act::Offer { node, offer: g.offer() })
    }),
    (6, "set_miner_accepting", |g| {
        let node = g.node();
        (g.miner_of(node), Act::Accept { node, accepting: g.chance(80) })
    }),
    (6, "set_worker", |g| {
        let node = g.node();
        let (miner, worker) = (g.miner_of(node), g.worker());
        let proof_for = if g.chance(70) { miner } else { g.person() };
        (miner, Act::SetWorker { node, worker, proof_for })
    }),
    (6, "set_access", |g| {
        let node = g.node();
        (g.reporter(node), Act::SetAccess { node, sound: g.chance(85) })
    }),
    (4, "deregister_node", |g| {
        let node = g.node();
        (g.miner_of(node), Act::Deregister { node })
    }),
    (20, "submit_node_metrics", |g| {
        let node = g.node();
        let metrics = g.chance(30).then(|| g.chance(80));
        (g.reporter(node), Act::Beat { node, accepting: g.chance(85), metrics })
    }),
    (8, "withdraw_bond", |g| {
        let leaving: Vec<_> = g.model.nodes.iter().filter(|(_, node)| !node.stays()).collect();
        let node = leaving.choose(g.rng).map(|(node, _)| **node);
        (g.person(), Act::Withdraw { node: node.unwrap_or_else(|| g.node()) })
    }),
    (4, "set_plan_enabled", |g| {
        let plan = g.plan();
        (g.admin(), Act::EnablePlan { plan, enabled: g.chance(85) })
    }),
    (3, "set_image_enabled", |g| {
        let image = g.below_u8(IMAGES.len() as u8 + 1);
        (g.admin(), Act::EnableImage { image, enabled: g.chance(85) })
    }),
    (3, "set_params", |g| (g.admin(), Act::SetParams { variant: g.below_u8(3) })),
    (2, "force_close", |g| (g.admin(), Act::ForceClose { vm: g.any_vm() })),
    (70, "create_compute_request", |g| (g.tenant(), Act::Create { vm: g.label, new: g.new_vm() })),
    (3, "cancel_compute_request", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Pending);
        (g.owner_of(vm), Act::Cancel { vm })
    }),
    (120, "submit_compute_request_assignment", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Pending);
        let named = g.model.vms.get(&vm).and_then(|vm| vm.named);
        let node = named.filter(|_| g.chance(90)).unwrap_or_else(|| g.node());
        let owner = g.owner_of(vm);
        let plan = g.model.vms.get(&vm).map_or(0, |vm| vm.plan);
        let plan = g.mostly(plan, Gen::plan);
        let by = if g.chance(30) { owner } else { g.reporter(node) };
        (by, Act::Assign { vm, node, plan, owner })
    }),
    (60, "request_compute_boot", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Stopped && vm.operation.is_none());
        (g.owner_of(vm), Act::Boot { vm })
    }),
    (35, "request_compute_stop", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Running && vm.operation.is_none());
        (g.owner_of(vm), Act::Stop { vm })
    }),
    (15, "request_compute_reboot", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Running && vm.operation.is_none());
        (g.owner_of(vm), Act::Reboot { vm })
    }),
    (50, "request_compute_resize", |g| {
        let vm = g.vm_where(|vm| is_launched(vm) && vm.operation.is_none());
        let plan = g.plan();
        (g.owner_of(vm), Act::Resize { vm, plan })
    }),
    (8, "request_compute_delete", |g| {
        let (model, alone) = (g.model, g.chance(40));
        let vm = g.vm_where(|vm| {
            !alone || is_launched(vm) && vm.node().is_some_and(|node| !model.is_online(node))
        });
        (g.owner_of(vm), Act::Delete { vm })
    }),
    (8, "set_ssh_keys", |g| {
        let vm = g.any_vm();
        (g.owner_of(vm), Act::SetKeys { vm, keys: g.below_u8(5), sound: g.chance(85) })
    }),
    (70, "top_up", |g| {
        let vm = if g.chance(70) { g.vm_where(Vm::is_exhausted) } else { g.any_vm() };
        let some = *[0, 1, 2, 5, 8, 15, 40, 190].choose(g.rng).unwrap_or(&1);
        let blocks = g.up_to_reserve(vm).filter(|_| g.chance(40)).unwrap_or(some);
        (g.owner_of(vm), Act::TopUp { vm, blocks })
    }),
    (60, "evacuate", |g| {
        let (model, gone) = (g.model, g.chance(60));
        let vm = g.vm_where(|vm| {
            vm.node().is_some_and(|node| !model.is_online(node) && model.is_gone(node) == gone)
        });
        (g.owner_of(vm), Act::Evacuate { vm })
    }),
    (6, "end_lease", |g| {
        let vm = g.vm_where(|vm| vm.placed.is_some());
        let node = g.model.vms.get(&vm).and_then(Vm::node).unwrap_or(0);
        (g.miner_of(node), Act::EndLease { vm })
    }),
    (45, "settle", |g| (g.person(), Act::Settle { vm: g.vm_where(is_launched) })),
    (25, "expire", |g| {
        let due: Vec<_> = g.model.due().iter().map(|(_, label, _)| *label).collect();
        let vm = due.choose(g.rng).copied().unwrap_or_else(|| g.any_vm());
        (g.person(), Act::Expire { vm })
    }),
    (15, "claim_credit", |g| {
        let owed: Vec<_> = g.model.credits.keys().copied().collect();
        let account = owed.choose(g.rng).copied().unwrap_or(Who::Stranger);
        (g.person(), Act::Claim { account })
    }),
    (30, "update_miner_compute_request", |g| {
        let on = g.on(|vm| vm.is(OperationKind::Launch));
        (g.reporter(on.node), Act::Start { on, sound: g.chance(90) })
    }),
    (130, "mark_compute_request_fulfilled", |g| {
        let on = g.on(|vm| vm.is(OperationKind::Launch));
        (g.reporter(on.node), Act::Launched { on, sound: g.chance(92) })
    }),
    (40, "handle_miner_compute_request_failure: a launch", |g| {
        let on = g.on(|vm| vm.is(OperationKind::Launch));
        (g.reporter(on.node), Act::Fail { on, terminal: g.chance(60), sound: g.chance(92) })
    }),
    (4, "handle_miner_compute_request_failure: a loss", |g| {
        let on = g.on(is_launched);
        (g.reporter(on.node), Act::Fail { on, terminal: false, sound: g.chance(92) })
    }),
    (90, "submit_compute_boot_request_fulfillment", |g| g.done(OperationKind::Boot)),
    (90, "mark_miner_compute_stop_request_fulfilled", |g| g.done(OperationKind::Stop)),
    (60, "submit_compute_reboot_request_fulfillment", |g| g.done(OperationKind::Reboot)),
    (80, "submit_compute_resize_request_fulfillment", |g| g.done(OperationKind::Resize)),
    (50, "submit_compute_deletion_request", |g| g.done(OperationKind::Delete)),
    (20, "report_operation_failure", |g| {
        let on = g.on(|vm| vm.operation.is_some() && !vm.is(OperationKind::Launch));
        (g.reporter(on.node), Act::OperationFailed { on, sound: g.chance(92) })
    }),
    (8, "set_ip_pool", |g| {
        let pool = g.pool();
        (g.keeper(pool), Act::SetPool { pool, network: g.below_u8(NETWORKS.len() as u8) })
    }),
    (25, "add_ips", |g| {
        let pool = g.pool();
        let (first, count) = (g.below_u8(16), g.count());
        (g.keeper(pool), Act::AddIps { pool, first, count })
    }),
    (8, "remove_ips", |g| {
        let pool = g.pool();
        let free = g.model.pools.get(&pool).and_then(|pool| pool.free.choose(g.rng).copied());
        let (first, count) = (free.unwrap_or(5), g.count());
        (g.keeper(pool), Act::RemoveIps { pool, first, count })
    }),
    (90, "assign_ip_to_vm", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Stopped && vm.address.is_none());
        let node = g.model.vms.get(&vm).and_then(Vm::node).unwrap_or(0);
        let pool = if g.chance(50) { Pool::Of(node) } else { g.pool() };
        let hosts = g.model.pools.get(&pool).map(|pool| {
            pool.free.iter().chain(pool.resting.iter().map(|(host, _)| host)).collect::<Vec<_>>()
        });
        let host = hosts.and_then(|hosts| hosts.choose(g.rng).map(|host| **host)).unwrap_or(3);
        let by = if g.chance(50) { Who::Admin } else { g.miner_of(node) };
        (by, Act::AssignIp { vm, pool, host })
    }),
    (25, "release_ip_from_vm", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Stopped && vm.address.is_some());
        let node = g.model.vms.get(&vm).and_then(Vm::node).unwrap_or(0);
        let by = if g.chance(50) { Who::Admin } else { g.miner_of(node) };
        (by, Act::ReleaseIp { vm })
    }),
];

pub fn kinds() -> impl Iterator<Item = &'static str> {
    MENU.iter().map(|(_, kind, _)| *kind)
}

fn is_launched(vm: &Vm) -> bool {
    matches!(vm.status, Status::Running | Status::Stopped)
}

impl Waiter {
    pub fn new(rng: StdRng) -> Self {
        Self { rng, next_label: 0, away: BTreeMap::new(), crowded_until: 0 }
    }

    pub fn next_step(&mut self, model: &Model) -> Step {
        if let Some(beat) = self.due_beat(model) {
            return beat;
        }
        let all: u32 = MENU.iter().map(|(weight, _, _)| weight).sum();
        loop {
            let mut at = self.rng.gen_range(0..all);
            let dish = MENU.iter().find(|(weight, _, _)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            });
            let Some((_, kind, make)) = dish else { continue };
            let label = self.next_label;
            let mut gen = Gen { rng: &mut self.rng, model, label, in_vain: false };
            let (by, act) = make(&mut gen);
            let forged = gen.chance(4);
            let by = if forged { gen.anyone() } else { by };
            let mut step = Step { kind, by, act };
            let passes = matches!(step.act, Act::Pass { .. });
            let refusable = if gen.in_vain { 60 } else { 5 };
            let taken = passes || forged || self.rng.gen_ratio(1, refusable);
            if taken || model.clone().apply(&step).is_ok() {
                self.next_label += 1;
                if let Act::Pass { room, .. } = &mut step.act {
                    self.send_away(model);
                    self.crowd(model, room);
                }
                return step;
            }
        }
    }

    /// The heartbeat of a worker that is there.
    fn due_beat(&mut self, model: &Model) -> Option<Step> {
        let (number, node) = model.nodes.iter().find(|(number, node)| {
            let here = self.away.get(number).is_none_or(|until| *until <= model.now);
            let silent = node.last_beat.is_none_or(|at| model.now - at >= SILENCE);
            here && node.stays() && silent
        })?;
        let act = Act::Beat {
            node: *number,
            accepting: self.rng.gen_ratio(19, 20),
            metrics: model.beat_is_due(*number, true).then_some(true),
        };
        Some(Step { kind: "submit_node_metrics", by: node.worker, act })
            .filter(|_| self.rng.gen_ratio(1, 2))
    }

    fn send_away(&mut self, model: &Model) {
        if self.rng.gen_ratio(1, 10) {
            let for_blocks = self.rng.gen_range(5..60);
            self.away.insert(self.rng.gen_range(0..NODES), model.now + for_blocks);
        }
    }

    /// Now and then blocks are full for a while.
    fn crowd(&mut self, model: &Model, room: &mut Room) {
        if self.rng.gen_ratio(1, 25) {
            self.crowded_until = model.now + self.rng.gen_range(5..20);
        }
        if model.now < self.crowded_until {
            *room = Room::None;
        }
    }
}

impl Gen<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.gen_ratio(percent, 100)
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.gen_range(0..end)
    }

    fn below_u8(&mut self, end: u8) -> u8 {
        self.rng.gen_range(0..end)
    }

    /// This, and now and then another.
    fn mostly<T>(&mut self, this: T, other: impl Fn(&mut Self) -> T) -> T {
        if self.chance(92) {
            this
        } else {
            other(self)
        }
    }

    fn person(&mut self) -> Who {
        PEOPLE.choose(self.rng).map_or(Who::Stranger, |(who, _)| *who)
    }

    fn anyone(&mut self) -> Who {
        match self.below(3) {
            0 => self.worker(),
            1 => self.admin(),
            _ => self.person(),
        }
    }

    fn person_but(&mut self, other: Who) -> Who {
        loop {
            let person = self.person();
            if person != other {
                return person;
            }
        }
    }

    fn admin(&mut self) -> Who {
        self.mostly(Who::Admin, Self::person)
    }

    /// Miners rent as well, even from themselves.
    fn tenant(&mut self) -> Who {
        if self.chance(88) {
            Who::Tenant(self.below_u8(TENANTS))
        } else {
            Who::Miner(self.below_u8(MINERS))
        }
    }

    fn worker(&mut self) -> Who {
        Who::Worker(self.below_u8(WORKERS))
    }

    fn node(&mut self) -> u8 {
        let end = if self.chance(98) { NODES } else { NODES + 1 };
        self.below_u8(end)
    }

    fn miner_of(&mut self, node: u8) -> Who {
        let owner = self.model.nodes.get(&node).map_or(Who::Miner(0), |node| node.owner);
        self.mostly(owner, Self::person)
    }

    /// Mostly the worker, now and then the miner, another worker or a stranger.
    fn reporter(&mut self, node: u8) -> Who {
        let node = self.model.nodes.get(&node);
        let worker = node.map_or(Who::Worker(0), |node| node.worker);
        match self.below(20) {
            0 => self.worker(),
            1 => self.person(),
            2 | 3 => node.map_or(Who::Miner(0), |node| node.owner),
            _ => worker,
        }
    }

    fn plan(&mut self) -> u8 {
        let end = PLANS.len() as u8;
        let end = if self.chance(97) { end } else { end + 1 };
        self.below_u8(end)
    }

    fn offer(&mut self) -> OfferKind {
        OfferKind {
            large: self.chance(60),
            rates: *[0, 0, 0, 1, 1, 1, 2, 3].choose(self.rng).unwrap_or(&0),
            abroad: self.chance(15),
            max_vms: *[0, 1, 2, 3, 9, 9, 9].choose(self.rng).unwrap_or(&9),
            global_ips: self.chance(70),
        }
    }

    fn new_vm(&mut self) -> New {
        let least = self.model.least_prepaid();
        let most = self.model.params.max_prepaid;
        let blocks = match self.below(12) {
            0 => least - 1,
            1 => most,
            2 => most + 1,
            3..=6 => least,
            7 | 8 => self.rng.gen_range(least..most),
            _ => self.rng.gen_range(least..least * 3),
        };
        let plan = self.mostly(0, Self::plan).max(self.below_u8(4));
        New {
            plan,
            image: self.mostly(0, |g| g.below_u8(IMAGES.len() as u8 + 1)),
            keys: self.below_u8(4),
            node: self.chance(35).then(|| self.node()),
            abroad: self.chance(15).then(|| self.chance(40)),
            max_price: self.max_price(plan),
            blocks,
            ip: *[IpWish::None, IpWish::Prefer, IpWish::Require]
                .choose(self.rng)
                .unwrap_or(&IpWish::None),
            sound: self.chance(97),
        }
    }

    /// About what some node asks for the plan.
    fn max_price(&mut self, plan: u8) -> u128 {
        let size = PLANS.get(usize::from(plan)).map_or(PLANS[0].1, |(_, size)| *size);
        let rates = RATES[*[0, 0, 0, 1, 1, 2].choose(self.rng).unwrap_or(&0)];
        let more = *[0, 0, 2, 3, 4, 5, 9, 60].choose(self.rng).unwrap_or(&0);
        let price = price_of(&rates, &size) + more;
        if self.chance(90) {
            price
        } else {
            price.saturating_sub(1 + 100 * u128::from(self.chance(30)))
        }
    }

    fn any_vm(&mut self) -> Label {
        self.vm_where(|_| true)
    }

    /// Mostly one that is so, now and then another, or one that was there once.
    fn vm_where(&mut self, wanted: impl Fn(&Vm) -> bool) -> Label {
        let of = |wanted: &dyn Fn(&Vm) -> bool| -> Vec<_> {
            let vms = self.model.vms.iter().filter(|(_, vm)| wanted(vm));
            vms.map(|(label, _)| *label).collect()
        };
        let candidates = match self.rng.gen_range(0..20) {
            0 => self.model.ids.keys().copied().collect(),
            1..=4 => of(&|_| true),
            _ => of(&wanted),
        };
        self.in_vain = candidates.is_empty();
        candidates.choose(self.rng).copied().unwrap_or(Label::MAX)
    }

    /// About what lifts a hold to its reserve.
    fn up_to_reserve(&mut self, vm: Label) -> Option<u32> {
        let lease = self.model.vms.get(&vm)?.lease.as_ref()?;
        let left = lease.held.saturating_sub(lease.price * u128::from(lease.owed.unwrap_or(0)));
        let reserve = lease.price * u128::from(self.model.params.grace_period);
        let blocks = reserve.saturating_sub(left).div_ceil(lease.price.max(1)) as u32;
        Some(blocks + self.rng.gen_range(0..2))
    }

    fn owner_of(&mut self, vm: Label) -> Who {
        let owner = self.model.vms.get(&vm).map_or(Who::Tenant(0), |vm| vm.owner);
        self.mostly(owner, Self::person)
    }

    fn on(&mut self, wanted: impl Fn(&Vm) -> bool) -> On {
        let vm = self.vm_where(wanted);
        let node = self.model.vms.get(&vm).and_then(Vm::node).unwrap_or(0);
        let age = *[0; 22].iter().chain(&[-2, -1, 1]).nth(self.below(25)).unwrap_or(&0);
        On { vm, node: self.mostly(node, Self::node), age }
    }

    fn done(&mut self, what: OperationKind) -> (Who, Act) {
        let on = self.on(|vm| vm.is(what));
        (self.reporter(on.node), Act::Done { on, what })
    }

    fn pool(&mut self) -> Pool {
        if self.chance(40) {
            Pool::Global
        } else {
            Pool::Of(self.node())
        }
    }

    fn keeper(&mut self, pool: Pool) -> Who {
        match pool {
            Pool::Global => self.admin(),
            Pool::Of(node) => self.miner_of(node),
        }
    }

    fn count(&mut self) -> u32 {
        *[1, 1, 1, 2, 2, 3, 0, 257].choose(self.rng).unwrap_or(&1)
    }
}
