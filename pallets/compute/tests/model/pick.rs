//! Who and what a step is on: at random, but mostly such that it can succeed.

use crate::{
    reference::{price_of, Model, Vm},
    step::{Act, New, On},
    world::*,
};
use quarry_primitives::request::{ComputeRequestStatus as Status, IpWish, OperationKind};
use rand::{rngs::StdRng, seq::SliceRandom, Rng};

pub struct Gen<'a> {
    pub rng: &'a mut StdRng,
    pub model: &'a Model,
    pub label: Label,
    /// Whether there was no VM that such a step is for.
    pub in_vain: bool,
}

pub fn is_launched(vm: &Vm) -> bool {
    matches!(vm.status, Status::Running | Status::Stopped)
}

impl Gen<'_> {
    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.gen_ratio(percent, 100)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.rng.gen_range(0..end)
    }

    pub fn below_u8(&mut self, end: u8) -> u8 {
        self.rng.gen_range(0..end)
    }

    /// This, and now and then another.
    pub fn mostly<T>(&mut self, this: T, other: impl Fn(&mut Self) -> T) -> T {
        if self.chance(92) {
            this
        } else {
            other(self)
        }
    }

    pub fn person(&mut self) -> Who {
        PEOPLE.choose(self.rng).map_or(Who::Stranger, |(who, _)| *who)
    }

    pub fn anyone(&mut self) -> Who {
        match self.below(3) {
            0 => self.worker(),
            1 => self.admin(),
            _ => self.person(),
        }
    }

    pub fn person_but(&mut self, other: Who) -> Who {
        loop {
            let person = self.person();
            if person != other {
                return person;
            }
        }
    }

    pub fn admin(&mut self) -> Who {
        self.mostly(Who::Admin, Self::person)
    }

    /// Miners rent as well, even from themselves.
    pub fn tenant(&mut self) -> Who {
        if self.chance(88) {
            Who::Tenant(self.below_u8(TENANTS))
        } else {
            Who::Miner(self.below_u8(MINERS))
        }
    }

    pub fn worker(&mut self) -> Who {
        Who::Worker(self.below_u8(WORKERS))
    }

    pub fn node(&mut self) -> u8 {
        let end = if self.chance(98) { NODES } else { NODES + 1 };
        self.below_u8(end)
    }

    /// A node with claims, if there is one.
    pub fn claimer(&mut self) -> u8 {
        let claimers = self.model.nodes.keys().filter(|node| self.model.claims(**node) > 0);
        let claimers: Vec<_> = claimers.copied().collect();
        claimers.choose(self.rng).copied().unwrap_or_else(|| self.node())
    }

    pub fn miner_of(&mut self, node: u8) -> Who {
        let owner = self.model.nodes.get(&node).map_or(Who::Miner(0), |node| node.owner);
        self.mostly(owner, Self::person)
    }

    /// Mostly the worker, now and then the miner, another worker or a stranger.
    pub fn reporter(&mut self, node: u8) -> Who {
        let node = self.model.nodes.get(&node);
        let worker = node.map_or(Who::Worker(0), |node| node.worker);
        match self.below(20) {
            0 => self.worker(),
            1 => self.person(),
            2 | 3 => node.map_or(Who::Miner(0), |node| node.owner),
            _ => worker,
        }
    }

    pub fn plan(&mut self) -> u8 {
        let end = PLANS.len() as u8;
        let end = if self.chance(97) { end } else { end + 1 };
        self.below_u8(end)
    }

    pub fn offer(&mut self) -> OfferKind {
        OfferKind {
            large: self.chance(60),
            rates: *[0, 0, 0, 1, 1, 1, 2, 3].choose(self.rng).unwrap_or(&0),
            abroad: self.chance(15),
            max_vms: *[0, 1, 2, 3, 9, 9, 9].choose(self.rng).unwrap_or(&9),
            global_ips: self.chance(70),
        }
    }

    pub fn new_vm(&mut self) -> New {
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
    pub fn max_price(&mut self, plan: u8) -> u128 {
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

    pub fn any_vm(&mut self) -> Label {
        self.vm_where(|_| true)
    }

    /// Mostly one that is so, now and then another, or one that was there once.
    pub fn vm_where(&mut self, wanted: impl Fn(&Vm) -> bool) -> Label {
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
    pub fn up_to_reserve(&mut self, vm: Label) -> Option<u32> {
        let lease = self.model.vms.get(&vm)?.lease.as_ref()?;
        let left = lease.held.saturating_sub(lease.price * u128::from(lease.owed.unwrap_or(0)));
        let reserve = lease.price * u128::from(self.model.params.grace_period);
        let blocks = reserve.saturating_sub(left).div_ceil(lease.price.max(1)) as u32;
        Some(blocks + self.rng.gen_range(0..2))
    }

    pub fn owner_of(&mut self, vm: Label) -> Who {
        let owner = self.model.vms.get(&vm).map_or(Who::Tenant(0), |vm| vm.owner);
        self.mostly(owner, Self::person)
    }

    pub fn on(&mut self, wanted: impl Fn(&Vm) -> bool) -> On {
        let vm = self.vm_where(wanted);
        let node = self.model.vms.get(&vm).and_then(Vm::node).unwrap_or(0);
        let age = *[0; 22].iter().chain(&[-2, -1, 1]).nth(self.below(25)).unwrap_or(&0);
        On { vm, node: self.mostly(node, Self::node), age }
    }

    pub fn done(&mut self, what: OperationKind) -> (Who, Act) {
        let on = self.on(|vm| vm.is(what));
        (self.reporter(on.node), Act::Done { on, what })
    }

    pub fn pool(&mut self) -> Pool {
        if self.chance(40) {
            Pool::Global
        } else {
            Pool::Of(self.node())
        }
    }

    pub fn keeper(&mut self, pool: Pool) -> Who {
        match pool {
            Pool::Global => self.admin(),
            Pool::Of(node) => self.miner_of(node),
        }
    }

    pub fn count(&mut self) -> u32 {
        *[1, 1, 1, 2, 2, 3, 0, 257].choose(self.rng).unwrap_or(&1)
    }
}
