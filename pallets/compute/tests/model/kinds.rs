//! All kinds of steps that are tried.

use crate::{
    pick::{is_launched, Gen},
    reference::Vm,
    step::{Act, Room},
    world::*,
};
use quarry_primitives::request::{ComputeRequestStatus as Status, OperationKind};
use rand::{seq::SliceRandom, Rng};

/// How often, which, and how one is made.
type Kind = (u32, &'static str, fn(&mut Gen<'_>) -> (Who, Act));

/// All kinds of steps, and how often each is tried.
pub const KINDS: &[Kind] = &[
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
    (5, "cancel_compute_request", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Pending);
        (g.owner_of(vm), Act::Cancel { vm })
    }),
    (120, "submit_compute_request_assignment", |g| {
        let vm = g.vm_where(|vm| vm.status == Status::Pending);
        let named = g.model.vms.get(&vm).and_then(|vm| vm.named);
        let node = if g.chance(20) { g.claimer() } else { g.node() };
        let node = named.filter(|_| g.chance(90)).unwrap_or(node);
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
    (40, "update_miner_compute_request", |g| {
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
        let deleting = g.chance(30);
        let on = g.on(|vm| is_launched(vm) && vm.is(OperationKind::Delete) == deleting);
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

pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(_, kind, _)| *kind)
}
