//! What was signed counts once.

use super::{
    fees::signed,
    market::{market, node, node_id, pass},
    *,
};
use crate::{Balances, Executive, Hash, Registry, Runtime};
use frame_support::traits::Get;
use quarry_primitives::{node::proof_payload, Balance, BlockNumber};
use sp_runtime::transaction_validity::InvalidTransaction;

/// Neither has funds.
const WORKER: Sr25519Keyring = Sr25519Keyring::One;
const OTHER_WORKER: Sr25519Keyring = Sr25519Keyring::Two;

fn set_worker(worker: Sr25519Keyring) {
    let payload = proof_payload(&System::block_hash(0), &node_id(), &bob());
    let proof = worker.sign(&payload).into();
    let miner = RuntimeOrigin::signed(bob());
    assert_ok!(Registry::set_worker(miner, node_id(), worker.to_account_id(), proof));
}

/// One that is due, and so free, after the time from one to the next.
fn signed_heartbeat() -> crate::UncheckedExtrinsic {
    let node_id = node_id();
    let call =
        pallet_registry::Call::submit_node_metrics { node_id, accepting: true, metrics: None };
    signed(WORKER, call.into(), 0)
}

#[test]
fn what_a_worker_signed_counts_once_though_its_key_was_let_go_and_taken_back() {
    let every: BlockNumber = <Runtime as pallet_registry::Config>::HeartbeatEvery::get();
    market().execute_with(|| {
        frame_system::BlockHash::<Runtime>::insert(0, Hash::zero());
        set_worker(WORKER);
        pass(every, false);
        let recorded = signed_heartbeat();
        assert_ok!(Executive::apply_extrinsic(recorded.clone()).unwrap());

        set_worker(OTHER_WORKER);
        set_worker(WORKER);
        pass(every, false);
        let heartbeats = node().heartbeat_count;
        assert_eq!(Executive::apply_extrinsic(recorded), Err(InvalidTransaction::Stale.into()));
        assert_eq!(node().heartbeat_count, heartbeats);
        assert_ok!(Executive::apply_extrinsic(signed_heartbeat()).unwrap());
        assert_eq!(node().heartbeat_count, heartbeats + 1);
    });
}

/// docs/security.md warns of it: nothing but a balance keeps such an account.
#[test]
fn what_a_tenant_signed_without_an_end_counts_again_after_its_account_was_emptied() {
    const TENANT: Sr25519Keyring = Sr25519Keyring::Two;
    let fund = || {
        let alice = RuntimeOrigin::signed(alice());
        let least: Balance = <Runtime as pallet_balances::Config>::ExistentialDeposit::get();
        let tenant = TENANT.to_account_id().into();
        assert_ok!(Balances::transfer_keep_alive(alice, tenant, 1_000 * least));
    };
    market().execute_with(|| {
        pass(1, false);
        fund();
        let remark = frame_system::Call::remark { remark: b"once".to_vec() };
        let recorded = signed(TENANT, remark.into(), 0);
        assert_ok!(Executive::apply_extrinsic(recorded.clone()).unwrap());
        assert_eq!(
            Executive::apply_extrinsic(recorded.clone()),
            Err(InvalidTransaction::Stale.into())
        );
        let tenant = RuntimeOrigin::signed(TENANT.to_account_id());
        assert_ok!(Balances::transfer_all(tenant, alice().into(), false));
        fund();
        assert_ok!(Executive::apply_extrinsic(recorded).unwrap());
    });
}
