//! Whether the chain is what the model says.

use crate::{
    chain::{plan_id, pot, Balances, Compute, Registry, RuntimeHoldReason, System, Test},
    reference::{Model, Node, Placed, Vm},
    world::*,
};
use frame_support::traits::fungible::InspectHold;
use pallet_compute as compute;
use quarry_primitives::{
    node::NodeStatus,
    request::{ComputeRequest, Lease, MinerComputeRequest, OperationKind, QueuedOperation, Reason},
    Balance,
};

pub type Checked = Result<(), String>;

/// Fails unless both are equal, and names what is not.
macro_rules! same {
    ($of:expr, $what:literal, $chain:expr, $model:expr) => {{
        let (chain, model) = ($chain, $model);
        if chain != model {
            return Err(format!(
                "{}: {} is {chain:?} on the chain and {model:?} in the model",
                $of, $what
            ));
        }
    }};
}

/// Compares all that there is, and asks both pallets for their invariants.
pub fn check(model: &Model) -> Checked {
    let broken = |pallet: &str, error| format!("{pallet}: an invariant is broken: {error:?}");
    Compute::do_try_state().map_err(|error| broken("compute", error))?;
    Registry::do_try_state().map_err(|error| broken("registry", error))?;
    money(model)?;
    nodes(model)?;
    requests(model)?;
    pools(model)
}

fn money(model: &Model) -> Checked {
    let mut all: Balance = 0;
    for (who, _) in PEOPLE {
        let data = System::account(who.id()).data;
        same!(format!("{who:?}"), "free", data.free, model.free(who));
        let (rent, deposits, bonds) = model.on_hold(who);
        let held = |reason: RuntimeHoldReason| Balances::balance_on_hold(&reason, &who.id());
        let lease = compute::HoldReason::Lease.into();
        same!(format!("{who:?}"), "held rent", held(lease), rent);
        let deposit = compute::HoldReason::StorageDeposit.into();
        same!(format!("{who:?}"), "held deposits", held(deposit), deposits);
        let bond = pallet_registry::HoldReason::NodeBond.into();
        same!(format!("{who:?}"), "held bonds", held(bond), bonds);
        same!(format!("{who:?}"), "all that is held", data.reserved, rent + deposits + bonds);
        let credit = compute::Credits::<Test>::get(who.id());
        let due = model.credits.get(&who).copied().unwrap_or(0);
        same!(format!("{who:?}"), "the credit", credit, due);
        all += data.free + data.reserved;
    }
    let credits = System::account(pot()).data;
    same!("credits", "free", credits.free, DUST);
    same!("credits", "held", credits.reserved, model.credits.values().sum::<Balance>());
    all += credits.free + credits.reserved;
    let issued = PEOPLE.iter().map(|(_, funds)| funds).sum::<Balance>() + DUST;
    same!("money", "the sum of all accounts", all, issued);
    same!("money", "the issuance", Balances::total_issuance(), issued);
    Ok(())
}

fn nodes(model: &Model) -> Checked {
    let count = pallet_registry::Nodes::<Test>::iter_keys().count();
    same!("nodes", "their number", count, model.nodes.len());
    model.nodes.iter().try_for_each(|(number, node)| one_node(model, *number, node))
}

fn one_node(model: &Model, number: u8, node: &Node) -> Checked {
    let id = node_id(number);
    let of = format!("node {number}");
    let Some(chain) = pallet_registry::Nodes::<Test>::get(&id) else {
        return Err(format!("{of} is not on the chain"));
    };
    same!(of, "the owner", chain.owner, node.owner.id());
    same!(of, "the worker", chain.worker, node.worker.id());
    same!(of, "the offer", &chain.offer, &node.offer);
    same!(of, "the bond", chain.bond, node.bond);
    same!(of, "what is reserved", chain.reserved, model.reserved(number));
    same!(of, "the number of VMs", chain.vms as usize, model.vms_on(number).count());
    let accepting = (chain.miner_accepting, chain.worker_accepting);
    same!(of, "accepting", accepting, (node.miner_accepting, node.worker_accepting));
    same!(of, "registered at", chain.registered_at, node.registered_at);
    same!(of, "last seen", chain.last_seen, node.last_seen);
    same!(of, "the last heartbeat", chain.last_heartbeat, node.last_beat);
    same!(of, "the last metrics", chain.last_metrics, node.last_metrics);
    same!(of, "the endpoint's last move", chain.access_moved_at, node.access_moved_at);
    same!(of, "the heartbeats", chain.heartbeat_count, node.beats);
    same!(of, "served", chain.served, node.served);
    same!(of, "downtime", chain.downtime, node.downtime);
    same!(of, "the last raise of rates", chain.rates_raised_at, node.rates_raised_at);
    same!(of, "the leave", chain.leaves_at, node.leaves_at);
    let fate = |name| node.fates.get(name).copied().unwrap_or(0);
    let counts = chain.counts;
    same!(of, "launched", counts.launched, fate("launched"));
    same!(of, "failed", counts.failed, fate("failed"));
    same!(of, "timed out", counts.timed_out, fate("timed out"));
    same!(of, "evacuated", counts.evacuated, fate("evacuated"));
    same!(of, "lost", counts.lost, fate("lost"));
    same!(of, "claims", compute::Claims::<Test>::get(&id), model.claims(number));
    let history = pallet_registry::StatusHistory::<Test>::get(&id);
    let history: Vec<_> =
        history.iter().map(|change| (change.at, change.to == NodeStatus::Online)).collect();
    let kept = node.history.len().saturating_sub(pallet_registry::HISTORY_LENGTH as usize);
    same!(of, "the history", history, &node.history[kept..]);
    Ok(())
}

fn requests(model: &Model) -> Checked {
    let count = compute::ComputeRequests::<Test>::iter_keys().count();
    same!("requests", "their number", count, model.vms.len());
    let next = compute::NextRequestId::<Test>::get();
    same!("requests", "the next number", next, model.ids.len() as u128);
    model.vms.iter().try_for_each(|(label, vm)| one_request(model, *label, vm))
}

fn one_request(model: &Model, label: Label, vm: &Vm) -> Checked {
    let (id, of) = (model.id(label), format!("VM {label}"));
    let Some(chain) = compute::ComputeRequests::<Test>::get(vm.owner.id(), id) else {
        return Err(format!("{of} is not on the chain"));
    };
    same!(of, "the status", chain.status, vm.status);
    same!(of, "the generation", chain.generation, vm.generation);
    same!(of, "the operation", chain.pending_operation(), vm.operation.as_ref().map(|op| op.kind));
    let deadline = chain.operation.map(|operation| operation.deadline);
    same!(of, "the deadline", deadline, vm.operation.as_ref().map(|op| op.deadline));
    same!(of, "the plan", chain.plan_id, plan_id(vm.plan));
    same!(of, "the size", chain.resources, vm.size());
    same!(of, "the creation", chain.created_at, vm.created_at);
    same!(of, "whether a node has it", chain.is_assigned, vm.placed.is_some());
    if vm.kept_until.is_none() {
        let node = vm.node().or(vm.named).map(node_id);
        same!(of, "its node", chain.miner_id.clone(), node);
        same!(of, "whether that was named", chain.named_node, vm.named.is_some());
    }
    same!(of, "the highest price", chain.max_price, vm.max_price);
    same!(of, "the attempts", chain.attempts, vm.attempts);
    same!(of, "the terminal failures", chain.terminal_failures, vm.terminal_failures);
    let excluded: Vec<_> = vm.excluded.iter().map(|who| who.id()).collect();
    same!(of, "the excluded miners", chain.excluded.to_vec(), excluded);
    same!(of, "the end", chain.kept_until, vm.kept_until);
    let said = same_reason(&chain.last_failure, vm.last_failure);
    same!(of, "whether the last failure is the same", said, true);
    let key_list = compute::SshKeys::<Test>::get(id);
    same!(of, "the keys", key_list, Some(keys(vm.keys, true)));
    let address = compute::IpOf::<Test>::get(id);
    same!(of, "the address", address, vm.address.map(|(pool, ip)| (pool.id(), pool.address(ip))));
    lease(model, &of, id, vm)?;
    match &vm.placed {
        Some(placed) => assignment(&of, &chain, vm, placed),
        None => Ok(()),
    }
}

/// The model has no words for what the chain says by itself.
fn same_reason(chain: &Option<Reason>, model: Option<&str>) -> bool {
    let said = chain.as_ref().map(|reason| reason.to_string());
    match (said.as_deref(), model) {
        (Some(said), Some("")) => !said.starts_with("it "),
        (said, model) => said == model,
    }
}

fn lease(model: &Model, of: &str, id: u128, vm: &Vm) -> Checked {
    let chain: Option<Lease> = compute::Leases::<Test>::get(id);
    same!(of, "whether there is a lease", chain.is_some(), vm.lease.is_some());
    let (Some(chain), Some(lease)) = (chain, &vm.lease) else { return Ok(()) };
    same!(of, "what is held", chain.held, lease.held);
    same!(of, "the lease's node", chain.node, vm.node().map(node_id));
    same!(of, "the rates", chain.rates, lease.rates);
    same!(of, "the price", chain.price, lease.price);
    same!(of, "the price of the global address", chain.ip_fee, lease.ip_fee);
    let served = vm.node().and_then(|node| model.nodes.get(&node)).map_or(0, |node| node.served);
    let owed = chain.mark.map(|mark| served.wrapping_sub(mark));
    same!(of, "the blocks owed", owed, lease.owed);
    same!(of, "the blocks paid", chain.billed, lease.billed);
    same!(of, "exhausted", chain.exhausted, lease.exhausted);
    same!(of, "boot on top-up", chain.boot_on_top_up, lease.boot_on_top_up);
    same!(of, "the lease's end", chain.ends_at, lease.ends_at);
    same!(of, "the next look", chain.check_at, lease.next_look);
    Ok(())
}

fn assignment(of: &str, request: &ComputeRequest, vm: &Vm, placed: &Placed) -> Checked {
    let (id, node) = (request.request_id, node_id(placed.node));
    let chain: Option<MinerComputeRequest> = compute::MinerComputeRequests::<Test>::get(&node, id);
    let Some(chain) = chain else { return Err(format!("{of} is not on its node's list")) };
    same!(of, "its miner", chain.miner_account_id, placed.miner.id());
    same!(of, "the assignment's generation", chain.generation, placed.generation);
    same!(of, "claimed", chain.claimed, placed.claimed);
    same!(of, "launched", chain.fullfilled, placed.launched);
    same!(of, "the listed plan", chain.plan_id, request.plan_id);
    same!(
        of,
        "the listed address",
        chain.ip_assigned,
        vm.address.map(|(pool, ip)| pool.address(ip))
    );
    let job = chain.job_id.as_ref().map(|job| job.to_string());
    same!(of, "the job", job.as_deref(), placed.job);
    let failed = same_reason(&chain.fail_reason, placed.failed);
    same!(of, "whether the node's failure is the same", failed, true);
    let Some(operation) = &vm.operation else { return Ok(()) };
    let Some(entry) = queued(operation.kind, &node, id) else { return Ok(()) };
    same!(of, "when it was asked", entry.created_at, operation.asked_at);
    same!(of, "the plan asked for", entry.plan_id, plan_id(operation.plan.unwrap_or(vm.plan)));
    same!(of, "the job of what is asked", entry.job_id.map(|job| job.to_string()), job);
    Ok(())
}

/// Whether there is an entry at all, the invariants say.
fn queued(
    kind: OperationKind,
    node: &quarry_primitives::NodeId,
    id: u128,
) -> Option<QueuedOperation> {
    match kind {
        OperationKind::Launch => None,
        OperationKind::Boot => compute::MinerComputeBootRequests::<Test>::get(node, id),
        OperationKind::Stop => compute::MinerComputeStopRequests::<Test>::get(node, id),
        OperationKind::Reboot => compute::MinerComputeRebootRequests::<Test>::get(node, id),
        OperationKind::Resize => compute::MinerComputeResizeRequests::<Test>::get(node, id),
        OperationKind::Delete => compute::MinerComputeDeletionRequests::<Test>::get(node, id),
    }
}

fn pools(model: &Model) -> Checked {
    let count = compute::IpPools::<Test>::iter_keys().count();
    same!("pools", "their number", count, model.pools.len());
    for (pool, addresses) in &model.pools {
        let (id, of) = (pool.id(), format!("pool {pool:?}"));
        let Some(chain) = compute::IpPools::<Test>::get(&id) else {
            return Err(format!("{of} is not on the chain"));
        };
        same!(of, "the network", chain.network, pool.network(addresses.network));
        same!(of, "the total", chain.total as usize, model.total(*pool));
        let free: Vec<_> =
            (0..chain.free).filter_map(|index| compute::FreeIps::<Test>::get(&id, index)).collect();
        let expected: Vec<_> = addresses.free.iter().map(|host| pool.address(*host)).collect();
        same!(of, "what is free", free, expected);
        let resting: Vec<_> = (chain.quarantine_first..chain.quarantine_next)
            .filter_map(|index| compute::QuarantinedIps::<Test>::get(&id, index))
            .collect();
        let expected: Vec<_> =
            addresses.resting.iter().map(|(host, _)| pool.address(*host)).collect();
        same!(of, "what rests", resting, expected);
        for (host, until) in &addresses.resting {
            let state = compute::Ips::<Test>::get(&id, pool.address(*host));
            let expected = Some(quarry_primitives::ip::IpState::Quarantined(*until));
            same!(of, "how long an address rests", state, expected);
        }
    }
    Ok(())
}

/// What a worker reads of its work, and how often the chain said that it changed.
pub struct Duties(Vec<(u8, u64, Vec<Duty>)>);

type Duty = (Label, u64, Option<OperationKind>, u8, u8, bool, Option<(Pool, u8)>);

impl Duties {
    pub fn of(model: &Model) -> Self {
        let each = model.nodes.keys().map(|number| {
            let record = pallet_registry::Nodes::<Test>::get(node_id(*number));
            let duties = model.vms_on(*number).map(|(label, vm)| {
                let operation = vm.operation.as_ref().map(|operation| operation.kind);
                let launched = vm.placed.as_ref().is_some_and(|placed| placed.launched);
                (*label, vm.generation, operation, vm.plan, vm.keys, launched, vm.address)
            });
            (*number, record.map_or(0, |record| record.work_version), duties.collect())
        });
        Self(each.collect())
    }

    /// Whoever has other work is told so, unless it said so itself.
    pub fn check_told(&self, after: &Self, by: Who, model: &Model) -> Checked {
        for (number, version, duties) in &self.0 {
            let now = after.0.iter().find(|(other, _, _)| other == number);
            let changed = now.is_some_and(|(_, new_version, new)| {
                new != duties && new_version == version && !model.works_on(by, *number)
            });
            if changed {
                return Err(format!("node {number} has other work and is not told"));
            }
        }
        Ok(())
    }
}
