//! The calls of both pallets, each on a request that is in a state for it.

use crate::{
    chain::Measured,
    market::{
        address, as_admin, debian, dispatch, image, keys, offer, plan_id, set_clock, text, Place,
    },
    Prepare,
};
use frame_support::{
    dispatch::CheckIfFeeless,
    traits::{
        fungible::{Mutate, MutateHold},
        Hooks, UnfilteredDispatchable,
    },
    weights::Weight,
};
use pallet_compute::{Call, Credits, DeadlineCursor, FreeIps, HoldReason, IpPools, Leases};
use pallet_registry::Nodes;
use quarry_primitives::{
    ip::{IpNetwork, PoolId},
    market::NodeRegistry,
    node::{proof_payload, Access, NodeId, Offer},
    request::{FailureKind, RequestId},
    resources::Resources,
    AccountId, QRY,
};
use quarry_runtime::{
    market::{ComputeId, DEFAULT_PARAMS},
    Balances, Compute, LiveBlocks, Registry, Runtime, RuntimeCall, RuntimeOrigin, System,
};
use sp_core::{sr25519, Pair};
use sp_runtime::traits::{AccountIdConversion, BlockNumberProvider};

/// The call as this account sends it, with the check whether it is free.
fn by(who: &AccountId, call: impl Into<RuntimeCall>) -> Measured {
    let (who, call) = (who.clone(), call.into());
    Box::new(move || {
        let origin = RuntimeOrigin::signed(who.clone());
        let call = call.clone();
        std::hint::black_box(call.is_feeless(&origin));
        call.dispatch_bypass_filter(origin).map(drop).map_err(|refused| refused.error)
    })
}

/// The call of the admin.
fn admin(call: impl Into<RuntimeCall>) -> Measured {
    let call = call.into();
    Box::new(move || {
        let done = call.clone().dispatch_bypass_filter(RuntimeOrigin::root());
        done.map(drop).map_err(|refused| refused.error)
    })
}

fn boot(request_id: RequestId) -> Call<Runtime> {
    Call::request_compute_boot { request_id }
}

fn stop(request_id: RequestId) -> Call<Runtime> {
    Call::request_compute_stop { request_id }
}

fn reboot(request_id: RequestId) -> Call<Runtime> {
    Call::request_compute_reboot { request_id }
}

fn resize(request_id: RequestId) -> Call<Runtime> {
    Call::request_compute_resize { request_id, plan_id: plan_id("large") }
}

fn delete(request_id: RequestId) -> Call<Runtime> {
    Call::request_compute_delete { request_id }
}

/// A VM that runs and of which this is asked.
fn asked(place: &Place, ask: fn(RequestId) -> Call<Runtime>) -> RequestId {
    let id = place.running();
    dispatch(&place.tenant, ask(id));
    id
}

/// A VM whose node was silent for so long that it may be evacuated.
fn abandoned(place: &Place) -> RequestId {
    let id = place.running();
    let silence = DEFAULT_PARAMS.evict_after + <Registry as NodeRegistry>::offline_after();
    set_clock(LiveBlocks::current_block_number() + silence + 1);
    id
}

/// A claim whose time is up.
fn overdue(place: &Place) -> RequestId {
    let id = place.claimed();
    set_clock(LiveBlocks::current_block_number() + DEFAULT_PARAMS.launch_timeout);
    id
}

/// A node to come: its name, its miner, who has funds, and its worker's key.
fn newcomer() -> (NodeId, AccountId, sr25519::Pair) {
    let name = |number: &u8| text(&format!("newcomer-{number}"));
    let is_free = |number: &u8| !Nodes::<Runtime>::contains_key(name(number));
    let number = (0..u8::MAX).find(is_free).expect("there are few newcomers");
    let miner = AccountId::new([number; 32]);
    Balances::mint_into(&miner, 1_000_000 * QRY).expect("there can be as much");
    (name(&number), miner, sr25519::Pair::from_seed(&[number; 32]))
}

fn access_point() -> Access {
    Access { endpoint: text("other.example:2222"), host_key: [8; 32] }
}

pub fn all() -> Vec<(&'static str, Prepare)> {
    let tenants: [(&str, Prepare); 12] = [
        ("create_compute_request", |p| by(&p.tenant, p.create(true))),
        ("cancel_compute_request", |p| {
            by(&p.tenant, Call::cancel_compute_request { request_id: p.pending() })
        }),
        ("request_compute_boot", |p| by(&p.tenant, boot(p.stopped()))),
        ("request_compute_stop", |p| by(&p.tenant, stop(p.running()))),
        ("request_compute_reboot", |p| by(&p.tenant, reboot(p.running()))),
        ("request_compute_resize", |p| by(&p.tenant, resize(p.running()))),
        ("request_compute_delete", |p| by(&p.tenant, delete(p.running()))),
        ("set_ssh_keys", |p| {
            by(&p.tenant, Call::set_ssh_keys { request_id: p.running(), keys: keys() })
        }),
        ("top_up", |p| by(&p.tenant, Call::top_up { request_id: p.running(), blocks: 100 })),
        ("evacuate", |p| by(&p.tenant, Call::evacuate { request_id: abandoned(p) })),
        ("settle", |p| by(&p.miner, Call::settle { request_id: p.running() })),
        ("expire", |p| by(&p.tenant, Call::expire { request_id: overdue(p) })),
    ];
    let workers: [(&str, Prepare); 12] = [
        ("submit_node_metrics", |p| {
            p.pass(3);
            by(&p.worker, p.heartbeat())
        }),
        ("submit_compute_request_assignment", |p| by(&p.worker, p.claim(p.pending()))),
        ("update_miner_compute_request", |p| {
            let request_id = p.claimed();
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            let job_id = text("launch-1");
            by(
                &p.worker,
                Call::update_miner_compute_request { node_id, request_id, generation, job_id },
            )
        }),
        ("mark_compute_request_fulfilled", |p| by(&p.worker, p.launch(p.claimed()))),
        ("handle_miner_compute_request_failure", |p| {
            let request_id = p.claimed();
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            let (kind, reason) = (FailureKind::Retryable, text("no room"));
            by(
                &p.worker,
                Call::handle_miner_compute_request_failure {
                    node_id,
                    request_id,
                    generation,
                    kind,
                    reason,
                },
            )
        }),
        ("submit_compute_boot_request_fulfillment", |p| {
            let request_id = p.stopped();
            dispatch(&p.tenant, boot(request_id));
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            by(
                &p.worker,
                Call::submit_compute_boot_request_fulfillment { node_id, request_id, generation },
            )
        }),
        ("mark_miner_compute_stop_request_fulfilled", |p| {
            let request_id = asked(p, stop);
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            by(
                &p.worker,
                Call::mark_miner_compute_stop_request_fulfilled { node_id, request_id, generation },
            )
        }),
        ("submit_compute_reboot_request_fulfillment", |p| {
            let request_id = asked(p, reboot);
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            by(
                &p.worker,
                Call::submit_compute_reboot_request_fulfillment { node_id, request_id, generation },
            )
        }),
        ("submit_compute_resize_request_fulfillment", |p| {
            let request_id = asked(p, resize);
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            by(
                &p.worker,
                Call::submit_compute_resize_request_fulfillment { node_id, request_id, generation },
            )
        }),
        ("submit_compute_deletion_request", |p| {
            let request_id = asked(p, delete);
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            by(&p.worker, Call::submit_compute_deletion_request { node_id, request_id, generation })
        }),
        ("report_operation_failure", |p| {
            let request_id = asked(p, resize);
            let (node_id, generation) = (p.node_id.clone(), p.generation(request_id));
            let (kind, reason) = (FailureKind::Retryable, text("no room"));
            by(
                &p.worker,
                Call::report_operation_failure { node_id, request_id, generation, kind, reason },
            )
        }),
        ("set_access", |p| {
            let node_id = p.node_id.clone();
            let access = access_point();
            by(&p.worker, pallet_registry::Call::set_access { node_id, access })
        }),
    ];
    let miners: [(&str, Prepare); 10] = [
        ("end_lease", |p| by(&p.miner, Call::end_lease { request_id: p.running() })),
        ("update_offer", |p| {
            let (node_id, offer) = (p.node_id.clone(), offer(1_000_001));
            by(&p.miner, pallet_registry::Call::update_offer { node_id, offer })
        }),
        ("set_miner_accepting", |p| {
            let (node_id, accepting) = (p.node_id.clone(), false);
            by(&p.miner, pallet_registry::Call::set_miner_accepting { node_id, accepting })
        }),
        ("register_node", |_| {
            let (_, miner, call) = registration();
            by(&miner, call)
        }),
        ("set_worker", |p| {
            let (_, _, key) = newcomer();
            let payload = proof_payload(&System::block_hash(0), &p.node_id, &p.miner);
            let call = pallet_registry::Call::set_worker {
                node_id: p.node_id.clone(),
                worker: AccountId::from(key.public().0),
                proof: key.sign(&payload).into(),
            };
            by(&p.miner, call)
        }),
        ("deregister_node", |_| {
            let (node_id, miner) = registered();
            by(&miner, pallet_registry::Call::deregister_node { node_id })
        }),
        ("withdraw_bond", |_| {
            let (node_id, miner) = registered();
            let leave = pallet_registry::Call::deregister_node { node_id: node_id.clone() };
            dispatch(&miner, leave);
            set_clock(LiveBlocks::current_block_number() + DEFAULT_PARAMS.unbonding);
            by(&miner, pallet_registry::Call::withdraw_bond { node_id })
        }),
        ("add_ips, 1 address", |p| {
            let pool = own_pool(p);
            by(&p.miner, Call::add_ips { pool, first: address(16), count: 1 })
        }),
        ("remove_ips, 1 address", |p| {
            let pool = own_pool(p);
            let first = address(16 + IpPools::<Runtime>::get(&pool).map_or(0, |pool| pool.total));
            dispatch(&p.miner, Call::add_ips { pool: pool.clone(), first, count: 1 });
            by(&p.miner, Call::remove_ips { pool, first, count: 1 })
        }),
        ("set_ip_pool", |p| {
            let pool = own_pool(p);
            by(&p.miner, Call::set_ip_pool { pool, network: network() })
        }),
    ];
    let others: [(&str, Prepare); 10] = [
        ("claim_credit", |p| {
            let pot: AccountId = ComputeId::get().into_account_truncating();
            Balances::mint_into(&pot, 2 * QRY).expect("there can be as much");
            Balances::hold(&HoldReason::Lease.into(), &pot, QRY).expect("the pot has it");
            Credits::<Runtime>::insert(&p.miner, QRY);
            by(&p.tenant, Call::claim_credit { account: p.miner.clone() })
        }),
        ("add_plan", |_| {
            let resources = Resources { vcpus: 1, memory_mib: 1, disk_gib: 1 };
            let technical_description = text("a bench's");
            admin(Call::add_plan { name: text("other"), technical_description, resources })
        }),
        ("set_plan_enabled", |_| {
            admin(Call::set_plan_enabled { plan_id: plan_id("large"), enabled: false })
        }),
        ("add_image", |_| admin(Call::add_image { image: Box::new(debian("debian-13")) })),
        ("set_image_enabled", |_| admin(Call::set_image_enabled { name: image(), enabled: false })),
        ("set_params", |_| admin(Call::set_params { params: DEFAULT_PARAMS })),
        ("force_close", |p| admin(Call::force_close { request_id: p.running() })),
        ("assign_ip_to_vm", |p| {
            let request_id = p.stopped();
            as_admin(Call::release_ip_from_vm { request_id });
            let ip = FreeIps::<Runtime>::get(PoolId::Global, 0).expect("some are free");
            admin(Call::assign_ip_to_vm { request_id, ip })
        }),
        ("release_ip_from_vm", |p| admin(Call::release_ip_from_vm { request_id: p.stopped() })),
        ("a deadline, run in on_idle", |p| {
            let id = overdue(p);
            let due = p.request(id).operation.expect("it is being launched").deadline;
            Box::new(move || {
                set_clock(due);
                DeadlineCursor::<Runtime>::put(due);
                Compute::on_idle(due, Weight::MAX);
                let unplaced = Leases::<Runtime>::get(id).is_some_and(|lease| lease.node.is_none());
                unplaced.then_some(()).ok_or("the deadline did not run".into())
            })
        }),
    ];
    [&tenants[..], &workers[..], &miners[..], &others[..]].concat()
}

fn network() -> IpNetwork {
    IpNetwork { prefix_len: 64, gateway: address(1), dns: address(2) }
}

/// The node's own pool, of which the network is known.
fn own_pool(place: &Place) -> PoolId {
    let pool = PoolId::Node(place.node_id.clone());
    let call = Call::set_ip_pool { pool: pool.clone(), network: network() };
    dispatch(&place.miner, call);
    pool
}

fn registration() -> (NodeId, AccountId, pallet_registry::Call<Runtime>) {
    let (node_id, miner, key) = newcomer();
    let payload = proof_payload(&System::block_hash(0), &node_id, &miner);
    let capacity = Resources { vcpus: 8, memory_mib: 16_384, disk_gib: 200 };
    let call = pallet_registry::Call::register_node {
        node_id: node_id.clone(),
        offer: Offer { capacity, ..offer(1) },
        access: access_point(),
        worker: AccountId::from(key.public().0),
        worker_proof: key.sign(&payload).into(),
    };
    (node_id, miner, call)
}

fn registered() -> (NodeId, AccountId) {
    let (node_id, miner, call) = registration();
    dispatch(&miner, call);
    (node_id, miner)
}
