use crate::{mock::*, Error, Event, NodeOfWorker};
use codec::Encode;
use frame_support::{assert_noop, assert_ok};
use frame_system::CheckNonce;
use quarry_primitives::{node::proof_payload, Hash, NodeId, Signature};
use sp_core::{ecdsa, ed25519, Pair};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{
    traits::{IdentifyAccount, Verify},
    transaction_validity::{InvalidTransaction, TransactionValidityError},
    DispatchResult, MultiSigner,
};

fn set_worker(node_id: &NodeId, worker: Sr25519Keyring) -> DispatchResult {
    set_worker_with(node_id, worker, proof(worker, node_id, MIA))
}

fn set_worker_with(
    node_id: &NodeId,
    worker: Sr25519Keyring,
    proof: impl Into<Signature>,
) -> DispatchResult {
    Registry::set_worker(by(MIA), node_id.clone(), id(worker), proof.into())
}

#[test]
fn a_proof_is_over_the_genesis_the_node_and_the_miner() {
    let payload = proof_payload(&GENESIS, &node_id("mia-1"), &id(MIA));
    let miner: [u8; 32] = id(MIA).into();
    let expected = [&b"quarry-worker"[..], GENESIS.as_ref(), &[5 << 2], b"mia-1", &miner].concat();
    assert_eq!(payload, expected);
}

#[test]
fn a_worker_needs_no_balance() {
    run_with_node(|_| {
        assert_eq!(System::providers(&id(WORKER)), 1);
        assert_eq!(Balances::free_balance(id(WORKER)), 0);
    });
}

#[test]
fn a_squatted_worker_key_is_refused() {
    run_test(|| {
        let name = node_id("milo-1");
        let forged = proof(MILO, &name, MILO);
        assert_noop!(
            Registry::register_node(by(MILO), name, offer(), access(), id(WORKER), forged),
            Error::<Test>::InvalidWorkerProof
        );
    });
}

#[test]
fn a_squatted_worker_key_is_refused_as_a_successor() {
    run_with_node(|mia_1| {
        let forged = proof(MIA, &mia_1, MIA);
        assert_noop!(
            set_worker_with(&mia_1, OTHER_WORKER, forged),
            Error::<Test>::InvalidWorkerProof
        );
    });
}

#[test]
fn a_proof_replayed_for_another_miner_is_refused() {
    run_test(|| {
        let name = node_id("mia-1");
        let seen_in_mias_transaction = proof(WORKER, &name, MIA);
        assert_noop!(
            Registry::register_node(
                by(MILO),
                name,
                offer(),
                access(),
                id(WORKER),
                seen_in_mias_transaction
            ),
            Error::<Test>::InvalidWorkerProof
        );
    });
}

#[test]
fn a_proof_replayed_for_another_node_is_refused() {
    run_with_node(|mia_1| {
        let for_another = proof(OTHER_WORKER, &node_id("mia-2"), MIA);
        assert_noop!(
            set_worker_with(&mia_1, OTHER_WORKER, for_another),
            Error::<Test>::InvalidWorkerProof
        );
    });
}

#[test]
fn a_proof_replayed_from_another_chain_is_refused() {
    run_with_node(|mia_1| {
        let elsewhere = proof_payload(&Hash::repeat_byte(1), &mia_1, &id(MIA));
        assert_noop!(
            set_worker_with(&mia_1, OTHER_WORKER, OTHER_WORKER.sign(&elsewhere)),
            Error::<Test>::InvalidWorkerProof
        );
    });
}

#[test]
fn a_proof_may_be_of_any_kind_of_key() {
    run_with_node(|mia_1| {
        let payload = proof_payload(&GENESIS, &mia_1, &id(MIA));
        let ed = ed25519::Pair::from_seed(&[1; 32]);
        let ec = ecdsa::Pair::from_seed(&[2; 32]);
        let workers = [
            (MultiSigner::from(ed.public()), Signature::from(ed.sign(&payload))),
            (MultiSigner::from(ec.public()), Signature::from(ec.sign(&payload))),
        ];
        for (signer, proof) in workers {
            let worker = signer.into_account();
            assert!(proof.verify(payload.as_slice(), &worker));
            assert_ok!(Registry::set_worker(by(MIA), mia_1.clone(), worker.clone(), proof));
            assert_eq!(node(&mia_1).worker, worker);
        }
    });
}

#[test]
fn a_worker_key_works_on_one_node() {
    run_with_node(|mia_1| {
        assert_noop!(register(MIA, "mia-2", WORKER), Error::<Test>::WorkerTaken);
        assert_noop!(register(MILO, "milo-1", WORKER), Error::<Test>::WorkerTaken);
        assert_noop!(set_worker(&mia_1, WORKER), Error::<Test>::WorkerTaken);
    });
}

#[test]
fn the_miners_own_key_is_no_worker_key() {
    run_with_node(|mia_1| {
        assert_noop!(register(MILO, "milo-1", MILO), Error::<Test>::WorkerIsMiner);
        assert_noop!(set_worker(&mia_1, MIA), Error::<Test>::WorkerIsMiner);
    });
}

#[test]
fn a_rotated_key_takes_the_place_of_the_former() {
    run_with_node(|mia_1| {
        assert_ok!(set_worker(&mia_1, OTHER_WORKER));
        assert_eq!(node(&mia_1).worker, id(OTHER_WORKER));
        assert_eq!(NodeOfWorker::<Test>::get(id(OTHER_WORKER)), Some(mia_1.clone()));
        assert_eq!(NodeOfWorker::<Test>::get(id(WORKER)), None);
        assert_eq!(node(&mia_1).work_version, 1);
        let (owner, worker) = (id(MIA), id(OTHER_WORKER));
        assert_event(Event::WorkerSet { node_id: mia_1, owner, worker });
    });
}

#[test]
fn a_former_worker_speaks_for_its_node_no_more() {
    run_with_node(|mia_1| {
        assert_ok!(set_worker(&mia_1, OTHER_WORKER));
        assert_noop!(beat(&mia_1), Error::<Test>::InvalidSignature);
    });
}

/// What is said of a transaction of [`WORKER`] that names this nonce.
fn validity(nonce: u32) -> Result<(), TransactionValidityError> {
    CheckNonce::<Test>::validate_nonce_for_account(&id(WORKER), nonce).map(drop)
}

#[test]
fn what_a_former_worker_signed_does_not_count_again() {
    run_with_node(|mia_1| {
        assert_ok!(validity(0));
        System::inc_account_nonce(id(WORKER));
        assert_ok!(set_worker(&mia_1, OTHER_WORKER));
        assert_eq!(validity(0), Err(InvalidTransaction::Stale.into()));
        assert_ok!(set_worker(&mia_1, WORKER));
        assert_eq!(validity(0), Err(InvalidTransaction::Stale.into()));
        assert_ok!(validity(1));
    });
}

#[test]
fn nor_does_it_after_its_node_left_and_its_account_was_emptied() {
    run_with_node(|mia_1| {
        System::inc_account_nonce(id(WORKER));
        assert_ok!(Balances::transfer_keep_alive(by(MIA), id(WORKER), 500));
        assert_ok!(Registry::deregister_node(by(MIA), mia_1));
        assert_ok!(Balances::transfer_allow_death(by(WORKER), id(MIA), 500));
        assert_ok!(register(MIA, "mia-2", WORKER));
        assert_eq!(validity(0), Err(InvalidTransaction::Stale.into()));
    });
}

#[test]
fn a_former_worker_keeps_its_balance() {
    run_with_node(|mia_1| {
        assert_ok!(Balances::transfer_keep_alive(by(MIA), id(WORKER), 500));
        assert_ok!(set_worker(&mia_1, OTHER_WORKER));
        assert_eq!(Balances::free_balance(id(WORKER)), 500);
    });
}

#[test]
fn a_worker_cannot_tie_its_miner_down() {
    run_with_node(|mia_1| {
        // Something else depends on the worker's account, which only our reference keeps.
        assert_ok!(System::inc_consumers(&id(WORKER)));
        assert_ok!(set_worker(&mia_1, OTHER_WORKER));
        assert!(System::account_exists(&id(WORKER)));
        assert_eq!(NodeOfWorker::<Test>::get(id(WORKER)), None);
    });
}

#[test]
fn a_former_worker_joins_again_with_a_proof() {
    run_with_node(|mia_1| {
        assert_ok!(set_worker(&mia_1, OTHER_WORKER));
        assert_ok!(set_worker(&mia_1, WORKER));
        assert_ok!(beat(&mia_1));
    });
}

#[test]
fn only_the_miner_rotates_the_key() {
    run_with_node(|mia_1| {
        for who in [WORKER, MILO] {
            let proof = proof(OTHER_WORKER, &mia_1, who);
            assert_noop!(
                Registry::set_worker(by(who), mia_1.clone(), id(OTHER_WORKER), proof),
                Error::<Test>::NotNodeOwner
            );
        }
    });
}

#[test]
fn a_node_that_is_not_there_has_no_key_to_rotate() {
    run_test(|| {
        let refusal = Error::<Test>::NodeNotFound;
        assert_noop!(set_worker(&node_id("nowhere"), WORKER), refusal);
    });
}

#[test]
fn a_name_in_a_proof_is_told_apart_from_a_longer_one() {
    let payload = |name: &str| proof_payload(&GENESIS, &node_id(name), &id(MIA)).encode();
    assert_ne!(payload("mia"), payload("mia-1"));
}
