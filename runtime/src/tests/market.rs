//! The market in the runtime that the chain runs: its settings, its clock, its money.

use super::*;
use crate::{
    feeless::Subject, fees, market::DEFAULT_PARAMS, Balances, Block, Compute, LiveBlocks, Registry,
    Runtime, RuntimeCall, RuntimeOrigin,
};
use frame_support::{
    assert_ok,
    traits::{fungible::InspectHold, Hooks},
    weights::Weight,
};
use pallet_compute::{Deadlines, HoldReason, Leases};
use pallet_migrations::{ActiveCursor, Cursor, MigrationCursor};
use quarry_primitives::{
    api::{runtime_decl_for_compute_api::ComputeApi, Desired},
    node::{proof_payload, Access, Country, NodeId, NodeRecord, Offer},
    request::{
        ComputeRequestStatus, DeadlineKind, ImageFormat, ImageMetadata, IpWish, Placement,
        PlanName, VmAccess,
    },
    resources::{Rates, Resources},
    Balance, BlockNumber, MICRO_QRY, QRY,
};
use sp_core::Pair;

pub fn node_id() -> NodeId {
    NodeId::try_from("bob-1").unwrap()
}

pub fn node() -> NodeRecord {
    pallet_registry::Nodes::<Runtime>::get(node_id()).unwrap()
}

pub fn worker() -> AccountId {
    Sr25519Keyring::Ferdie.to_account_id()
}

/// Blocks go by: the clock rises, the worker reports every third, and what is due is done.
pub fn pass(blocks: BlockNumber, worker_is_there: bool) {
    for _ in 0..blocks {
        let number = System::block_number() + 1;
        System::set_block_number(number);
        LiveBlocks::on_initialize(number);
        if worker_is_there && number.is_multiple_of(3) {
            heartbeat();
        }
        Compute::on_idle(number, Weight::MAX);
    }
}

pub fn heartbeat() {
    assert_ok!(Registry::submit_node_metrics(
        RuntimeOrigin::signed(worker()),
        node_id(),
        true,
        None
    ));
}

/// Bob's node with room for a few VMs, online; an image; and nothing rented yet.
pub fn market() -> sp_io::TestExternalities {
    let mut ext = dev_chain();
    ext.execute_with(|| {
        let genesis = System::block_hash(0);
        let payload = proof_payload(&genesis, &node_id(), &bob());
        let proof = Sr25519Keyring::Ferdie.pair().sign(&payload).into();
        let offer = Offer {
            capacity: Resources { vcpus: 8, memory_mib: 16_384, disk_gib: 200 },
            rates: Rates { vcpu: MICRO_QRY, memory_gib: MICRO_QRY, disk_gib: 0, ip: 0 },
            country: Country(*b"SE"),
            max_vms: 8,
            global_ips: true,
        };
        let endpoint = "node.example:2222".try_into().unwrap();
        let access = Access { endpoint, host_key: [1; 32] };
        let miner = RuntimeOrigin::signed(bob());
        assert_ok!(Registry::register_node(miner, node_id(), offer, access, worker(), proof));
        heartbeat();
        let image = ImageMetadata {
            name: "debian-12".try_into().unwrap(),
            image_url: "https://images.example/debian-12.qcow2".try_into().unwrap(),
            digest: [2; 32],
            format: ImageFormat::Qcow2,
            virtual_size_gib: 3,
            supersedes: None,
            enabled: true,
        };
        assert_ok!(Compute::add_image(RuntimeOrigin::root(), Box::new(image)));
    });
    ext
}

/// Alice rents on Bob's node; says which request it is.
pub fn rent(prepaid_blocks: BlockNumber, named: bool) -> u128 {
    let id = pallet_compute::NextRequestId::<Runtime>::get();
    let plan = PlanName::try_from("small").unwrap();
    let placement = Placement { miner_id: named.then(node_id), country: None };
    assert_ok!(Compute::create_compute_request(
        RuntimeOrigin::signed(alice()),
        "web".try_into().unwrap(),
        sp_io::hashing::blake2_256(plan.as_bytes()).into(),
        "debian-12".try_into().unwrap(),
        Default::default(),
        None,
        placement,
        20 * MICRO_QRY,
        prepaid_blocks,
        IpWish::Prefer,
    ));
    id
}

pub fn launch(id: u128) {
    let access = VmAccess {
        job_id: "job".try_into().unwrap(),
        hypervisor_ip: None,
        vnc_port: None,
        ssh_host_key: None,
    };
    let generation = Compute::vm(id).unwrap().request.generation;
    assert_ok!(Compute::mark_compute_request_fulfilled(
        RuntimeOrigin::signed(worker()),
        node_id(),
        id,
        generation,
        access
    ));
}

pub fn check() {
    assert_ok!(Compute::do_try_state());
    assert_ok!(Registry::do_try_state());
}

#[test]
fn a_rented_vm_runs_and_its_miner_and_the_treasury_are_paid() {
    market().execute_with(|| {
        let id = rent(1_000, true);
        launch(id);
        let lease = Leases::<Runtime>::get(id).unwrap();
        assert_eq!(lease.price, 3 * MICRO_QRY + DEFAULT_PARAMS.global_ip_price);
        let (miner, treasury) =
            (Balances::free_balance(bob()), Balances::free_balance(fees::treasury()));
        pass(60, true);
        let served = node().served - lease.mark.unwrap();
        assert_ok!(Compute::request_compute_delete(RuntimeOrigin::signed(alice()), id));
        let blocks = Balance::from(served);
        let rent = 3 * MICRO_QRY * blocks;
        let share = rent / 20;
        assert_eq!(Balances::free_balance(bob()) - miner, rent - share);
        let fee = DEFAULT_PARAMS.global_ip_price * blocks;
        assert_eq!(Balances::free_balance(fees::treasury()) - treasury, share + fee);
        assert_eq!(Balances::balance_on_hold(&HoldReason::Lease.into(), &alice()), 0);
        check();
    });
}

#[test]
fn the_runtime_api_tells_a_worker_what_to_do() {
    market().execute_with(|| {
        let id = rent(1_000, false);
        let open = <Runtime as ComputeApi<Block>>::open_for(node_id(), None, 10);
        assert_eq!(open.rows.len(), 1);
        let row = &open.rows[0];
        assert_ok!(Compute::submit_compute_request_assignment(
            RuntimeOrigin::signed(worker()),
            node_id(),
            row.plan_id,
            row.request_id,
            row.owner.clone()
        ));
        let work = <Runtime as ComputeApi<Block>>::work_for(node_id(), None, 10);
        assert_eq!(work.rows[0].request_id, id);
        assert_eq!(work.rows[0].desired, Desired::Launch);
        assert!(work.rows[0].address.is_some());
        check();
    });
}

/// A deadline of each kind, and the block in which the first is due.
fn every_deadline() -> Vec<u128> {
    let at_launch = rent(1_000, true);
    let operating = rent(1_000, true);
    launch(operating);
    assert_ok!(Compute::request_compute_stop(RuntimeOrigin::signed(alice()), operating));
    let deleting = rent(1_000, true);
    launch(deleting);
    assert_ok!(Compute::request_compute_delete(RuntimeOrigin::signed(alice()), deleting));
    let cancelled = rent(1_000, false);
    assert_ok!(Compute::cancel_compute_request(RuntimeOrigin::signed(alice()), cancelled));
    let kinds = Deadlines::<Runtime>::iter_keys().map(|(_, _, kind)| kind);
    let kinds = kinds.collect::<std::collections::BTreeSet<_>>();
    assert_eq!(kinds.len(), 5, "one of each kind: {kinds:?}");
    vec![at_launch, operating, deleting, cancelled]
}

#[test]
fn no_deadline_passes_while_a_migration_runs() {
    market().execute_with(|| {
        every_deadline();
        let before: std::collections::BTreeSet<_> = Deadlines::<Runtime>::iter_keys().collect();
        let running = ActiveCursor { index: 0, inner_cursor: None, started_at: 1 };
        Cursor::<Runtime>::put(MigrationCursor::Active(running));
        // Longer than every wait but the retention, whose turn comes with the clock's jump below.
        for _ in 0..DEFAULT_PARAMS.launch_timeout * 3 {
            let number = System::block_number() + 1;
            System::set_block_number(number);
            LiveBlocks::on_initialize(number);
        }
        Cursor::<Runtime>::kill();
        // The first block after it: nothing is due, the node is still there, nobody owes anything more.
        pass(1, false);
        let after: std::collections::BTreeSet<_> = Deadlines::<Runtime>::iter_keys().collect();
        assert_eq!(after, before);
        assert!(Compute::node_view(node_id(), node()).online);
        check();
        // They all come in their time.
        pass(DEFAULT_PARAMS.launch_timeout + 1, true);
        let left = Deadlines::<Runtime>::iter_keys().map(|(_, _, kind)| kind).collect::<Vec<_>>();
        assert!(!left.contains(&DeadlineKind::Launch), "{left:?}");
        assert!(!left.contains(&DeadlineKind::Operation), "{left:?}");
        assert!(!left.contains(&DeadlineKind::Deletion), "{left:?}");
        check();
    });
}

#[test]
fn a_stopped_market_owes_nothing() {
    market().execute_with(|| {
        let id = rent(1_000, true);
        launch(id);
        pallet_safe_mode::EnteredUntil::<Runtime>::put(u32::MAX);
        let held = Leases::<Runtime>::get(id).unwrap().held;
        for _ in 0..500 {
            let number = System::block_number() + 1;
            System::set_block_number(number);
            LiveBlocks::on_initialize(number);
            Compute::on_idle(number, Weight::MAX);
        }
        assert_ok!(Compute::settle(RuntimeOrigin::signed(eve()), id));
        assert_eq!(Leases::<Runtime>::get(id).unwrap().held, held);
        let vm = Compute::vm(id).unwrap();
        assert_eq!(vm.request.status, ComputeRequestStatus::Running);
        check();
    });
}

#[test]
fn a_bond_is_ten_tokens_and_a_part_for_each_unit() {
    market().execute_with(|| {
        let bond = node().bond;
        assert_eq!(bond, 10 * QRY + 8 * 5 * QRY + 16 * 2 * QRY + 200 * QRY / 10);
    });
}

#[test]
fn a_nodes_heartbeats_have_one_subject_and_reports_one_for_each_generation() {
    let beat = |node_id: &str, accepting| {
        let node_id = NodeId::try_from(node_id).unwrap();
        let call = pallet_registry::Call::submit_node_metrics { node_id, accepting, metrics: None };
        RuntimeCall::from(call).subject()
    };
    assert_eq!(beat("a", true), beat("a", false));
    assert_ne!(beat("a", true), beat("b", true));
    let stopped = |request_id, generation| {
        RuntimeCall::from(pallet_compute::Call::mark_miner_compute_stop_request_fulfilled {
            node_id: node_id(),
            request_id,
            generation,
        })
        .subject()
    };
    let deleted = pallet_compute::Call::submit_compute_deletion_request {
        node_id: node_id(),
        request_id: 1,
        generation: 2,
    };
    assert_eq!(stopped(1, 2), RuntimeCall::from(deleted).subject());
    assert_ne!(stopped(1, 2), stopped(1, 3));
    assert_ne!(stopped(1, 2), stopped(2, 2));
}
