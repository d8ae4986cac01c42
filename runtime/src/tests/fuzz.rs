//! Calls of the market made of bytes that were damaged on the way: none may panic, none may break an
//! invariant, and what is refused changes nothing.
//!
//! The bytes come from sound calls of every kind, mutated. A run is told by its seed, which a failure
//! prints; `QUARRY_FUZZ_SEED` repeats it, `QUARRY_FUZZ_SECONDS` says how long to go on.

use super::{
    market::{launch, market, node_id, pass, rent, worker},
    *,
};
use crate::{Compute, Registry, Runtime, RuntimeCall, RuntimeOrigin};
use codec::{DecodeAll, Encode};
use frame_support::dispatch::{CheckIfFeeless, GetDispatchInfo};
use pallet_compute::Call as ComputeCall;
use pallet_registry::Call as RegistryCall;
use quarry_primitives::{
    ip::{IpAddress, IpNetwork, PoolId},
    request::{FailureKind, IpWish, Placement, PlanName, VmAccess},
    resources::Resources,
};
use rand::{rngs::StdRng, seq::SliceRandom, Rng, SeedableRng};
use sp_runtime::traits::Dispatchable;
use std::{
    env,
    time::{Duration, Instant},
};

/// A market is fuzzed for so many steps, then a fresh one.
const STEPS: u32 = 2_000;
/// The invariants are looked at every so many steps.
const LOOK_EVERY: u32 = 20;

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

fn plan(name: &str) -> sp_core::H256 {
    sp_io::hashing::blake2_256(PlanName::try_from(name).unwrap().as_bytes()).into()
}

/// A sound call of every kind, on one of the requests that there may be.
fn sound_calls(request_id: u128, generation: u64) -> Vec<RuntimeCall> {
    let node_id = node_id();
    let reason = || "no disk".try_into().unwrap();
    let access = VmAccess {
        job_id: "job".try_into().unwrap(),
        hypervisor_ip: Some(IpAddress::V4([10, 0, 0, 1])),
        vnc_port: Some(5_900),
        ssh_host_key: Some([3; 32]),
    };
    let network = IpNetwork {
        prefix_len: 24,
        gateway: IpAddress::V4([10, 1, 0, 1]),
        dns: IpAddress::V4([10, 1, 0, 1]),
    };
    let own = PoolId::Node(node_id.clone());
    let ip = IpAddress::V4([10, 1, 0, 9]);
    let node = super::market::node();
    let compute = [
        ComputeCall::add_plan {
            name: "tiny".try_into().unwrap(),
            technical_description: "very small".try_into().unwrap(),
            resources: Resources { vcpus: 1, memory_mib: 128, disk_gib: 3 },
        },
        ComputeCall::set_plan_enabled { plan_id: plan("nano"), enabled: true },
        ComputeCall::set_image_enabled { name: "debian-12".try_into().unwrap(), enabled: true },
        ComputeCall::force_close { request_id },
        ComputeCall::create_compute_request {
            name: "vm".try_into().unwrap(),
            plan_id: plan("nano"),
            image: "debian-12".try_into().unwrap(),
            ssh_keys: Default::default(),
            cloud_init_cid: None,
            placement: Placement { miner_id: Some(node_id.clone()), country: None },
            max_price: 100_000_000,
            prepaid_blocks: 1_000,
            ip: IpWish::Prefer,
        },
        ComputeCall::cancel_compute_request { request_id },
        ComputeCall::submit_compute_request_assignment {
            miner_node_id: node_id.clone(),
            plan_id: plan("small"),
            request_id,
            owner: alice(),
        },
        ComputeCall::update_miner_compute_request {
            node_id: node_id.clone(),
            request_id,
            generation,
            job_id: "job".try_into().unwrap(),
        },
        ComputeCall::mark_compute_request_fulfilled {
            node_id: node_id.clone(),
            request_id,
            generation,
            access,
        },
        ComputeCall::handle_miner_compute_request_failure {
            node_id: node_id.clone(),
            request_id,
            generation,
            kind: FailureKind::Retryable,
            reason: reason(),
        },
        ComputeCall::request_compute_boot { request_id },
        ComputeCall::request_compute_stop { request_id },
        ComputeCall::request_compute_reboot { request_id },
        ComputeCall::request_compute_resize { request_id, plan_id: plan("medium") },
        ComputeCall::request_compute_delete { request_id },
        ComputeCall::set_ssh_keys { request_id, keys: Default::default() },
        ComputeCall::submit_compute_boot_request_fulfillment {
            node_id: node_id.clone(),
            request_id,
            generation,
        },
        ComputeCall::mark_miner_compute_stop_request_fulfilled {
            node_id: node_id.clone(),
            request_id,
            generation,
        },
        ComputeCall::submit_compute_reboot_request_fulfillment {
            node_id: node_id.clone(),
            request_id,
            generation,
        },
        ComputeCall::submit_compute_resize_request_fulfillment {
            node_id: node_id.clone(),
            request_id,
            generation,
        },
        ComputeCall::submit_compute_deletion_request {
            node_id: node_id.clone(),
            request_id,
            generation,
        },
        ComputeCall::report_operation_failure {
            node_id: node_id.clone(),
            request_id,
            generation,
            kind: FailureKind::Terminal,
            reason: reason(),
        },
        ComputeCall::top_up { request_id, blocks: 500 },
        ComputeCall::evacuate { request_id },
        ComputeCall::end_lease { request_id },
        ComputeCall::settle { request_id },
        ComputeCall::expire { request_id },
        ComputeCall::claim_credit { account: bob() },
        ComputeCall::set_ip_pool { pool: own.clone(), network },
        ComputeCall::add_ips { pool: own.clone(), first: ip, count: 3 },
        ComputeCall::remove_ips { pool: own, first: ip, count: 1 },
        ComputeCall::assign_ip_to_vm { request_id, ip },
        ComputeCall::release_ip_from_vm { request_id },
    ];
    let registry = [
        RegistryCall::update_offer { node_id: node_id.clone(), offer: node.offer },
        RegistryCall::set_miner_accepting { node_id: node_id.clone(), accepting: true },
        RegistryCall::set_access { node_id: node_id.clone(), access: node.access },
        RegistryCall::submit_node_metrics {
            node_id: node_id.clone(),
            accepting: true,
            metrics: Some(Box::default()),
        },
        RegistryCall::submit_node_metrics {
            node_id: node_id.clone(),
            accepting: true,
            metrics: None,
        },
        RegistryCall::deregister_node { node_id: node_id.clone() },
        RegistryCall::withdraw_bond { node_id },
    ];
    compute.into_iter().map(Into::into).chain(registry.into_iter().map(Into::into)).collect()
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.gen_range(0..4) {
        // The first two bytes say which call it is, and stay.
        let at = rng.gen_range(2..=bytes.len());
        match rng.gen_range(0..5) {
            0 => bytes.insert(at, rng.gen()),
            1 => bytes.truncate(at),
            2 => bytes.extend((0..rng.gen_range(1..40)).map(|_| rng.gen::<u8>())),
            3 if at < bytes.len() => bytes[at] = *[0, 1, 3, 127, 128, 255].choose(rng).unwrap(),
            4 if at < bytes.len() => bytes[at] ^= 1 << rng.gen_range(0..8),
            _ => {}
        }
    }
}

fn some_origin(rng: &mut StdRng) -> RuntimeOrigin {
    match rng.gen_range(0..10) {
        0 => RuntimeOrigin::root(),
        1 => RuntimeOrigin::none(),
        2 => RuntimeOrigin::signed(eve()),
        3 | 4 => RuntimeOrigin::signed(bob()),
        5 | 6 => RuntimeOrigin::signed(worker()),
        _ => RuntimeOrigin::signed(alice()),
    }
}

/// How many mutated calls decoded, and how many of those succeeded.
#[derive(Default)]
struct Tally {
    decoded: u64,
    succeeded: u64,
}

fn step(rng: &mut StdRng, tally: &mut Tally) {
    let next = pallet_compute::NextRequestId::<Runtime>::get();
    let id = rng.gen_range(0..=next);
    let generation = Compute::vm(id).map_or(0, |vm| vm.request.generation);
    let call = sound_calls(id, generation).choose(rng).unwrap().clone();
    let mut bytes = call.encode();
    mutate(&mut bytes, rng);
    let Ok(call) = RuntimeCall::decode_all(&mut &bytes[..]) else { return };
    tally.decoded += 1;
    let origin = some_origin(rng);
    let _ = call.get_dispatch_info();
    let feeless = call.is_feeless(&origin);
    // The root of a large overlay takes its time.
    let root = || sp_io::storage::root(Default::default());
    let before = rng.gen_ratio(1, 20).then(root);
    match call.clone().dispatch(origin) {
        Ok(_) => tally.succeeded += 1,
        Err(refusal) => {
            assert!(!feeless, "{call:?} was free, and refused: {:?}", refusal.error);
            let same = before.is_none_or(|before| before == root());
            assert!(same, "{call:?} was refused, and changed the state");
        }
    }
}

fn fuzz_market(seed: u64, until: Instant, tally: &mut Tally) {
    let mut rng = StdRng::seed_from_u64(seed);
    market().execute_with(|| {
        let id = rent(1_000, true);
        launch(id);
        rent(1_000, false);
        for number in 0..STEPS {
            step(&mut rng, tally);
            if rng.gen_ratio(1, 8) {
                let blocks = *[1, 3, 9, 60, 200].choose(&mut rng).unwrap();
                pass_as_it_is(blocks);
            }
            if number % LOOK_EVERY == 0 {
                Compute::do_try_state().unwrap_or_else(|broken| panic!("{broken:?}"));
                Registry::do_try_state().unwrap_or_else(|broken| panic!("{broken:?}"));
                if Instant::now() > until {
                    return;
                }
            }
        }
    });
}

/// Blocks go by, with heartbeats where the node still is there to send them.
fn pass_as_it_is(blocks: u32) {
    let there = pallet_registry::NodeOfWorker::<Runtime>::contains_key(worker());
    pass(blocks, there);
}

#[test]
fn damaged_calls_neither_panic_nor_break_an_invariant() {
    let seconds = from_env("QUARRY_FUZZ_SECONDS", 5);
    let first = from_env("QUARRY_FUZZ_SEED", 1);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tally = Tally::default();
    let mut seed = first;
    while Instant::now() < until {
        println!("QUARRY_FUZZ_SEED={seed}");
        fuzz_market(seed, until, &mut tally);
        seed += 1;
    }
    let Tally { decoded, succeeded } = tally;
    println!("ran {decoded} damaged calls on {} markets, {succeeded} succeeded", seed - first);
    assert!(succeeded > 100, "the calls are so damaged that none does anything");
}
