use super::*;
use crate::{AllPalletsWithSystem, Grandpa, Runtime, RuntimeOrigin, Session, SessionKeys};
use codec::Encode;
use frame_support::{
    assert_noop, assert_ok,
    traits::{OnFinalize, OnInitialize},
};
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::traits::BadOrigin;

/// A development chain whose tests can make session keys.
fn chain() -> sp_io::TestExternalities {
    let mut ext = dev_chain();
    ext.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    ext
}

fn register_keys(who: &AccountId) -> SessionKeys {
    let keys = SessionKeys::generate(&who.encode(), None);
    assert_ok!(Session::set_keys(
        RuntimeOrigin::signed(who.clone()),
        keys.keys.clone(),
        keys.proof.encode()
    ));
    keys.keys
}

fn run_to(block: u32) {
    for number in System::block_number() + 1..=block {
        System::set_block_number(number);
        AllPalletsWithSystem::on_initialize(number);
        <Grandpa as OnFinalize<u32>>::on_finalize(number);
    }
}

fn authorities() -> (usize, usize) {
    (pallet_aura::Authorities::<Runtime>::get().len(), Grandpa::grandpa_authorities().len())
}

#[test]
fn an_added_validator_authors_and_finalizes_after_two_sessions() {
    chain().execute_with(|| {
        let keys = register_keys(&eve());
        assert_ok!(as_admin(pallet_validators::Call::add_validator { who: eve() }));
        run_to(19);
        assert_eq!(authorities(), (1, 1));
        run_to(20);
        assert_eq!(authorities(), (2, 2));
        assert_eq!(pallet_aura::Authorities::<Runtime>::get()[1], keys.aura);
        assert_eq!(Grandpa::grandpa_authorities()[1].0, keys.grandpa);
    });
}

#[test]
fn a_removed_validator_neither_authors_nor_finalizes_after_two_sessions() {
    chain().execute_with(|| {
        register_keys(&eve());
        assert_ok!(as_admin(pallet_validators::Call::add_validator { who: eve() }));
        run_to(20);
        assert_ok!(as_admin(pallet_validators::Call::remove_validator { who: eve() }));
        run_to(30);
        assert_eq!(authorities(), (2, 2));
        run_to(40);
        assert_eq!(authorities(), (1, 1));
    });
}

#[test]
fn an_ordinary_account_cannot_change_the_set() {
    dev_chain().execute_with(|| {
        let origin = RuntimeOrigin::signed(alice());
        assert_noop!(crate::Validators::add_validator(origin, eve()), BadOrigin);
    });
}

#[test]
fn session_keys_are_taken_only_from_who_owns_them() {
    chain().execute_with(|| {
        let of_bob = SessionKeys::generate(&bob().encode(), None);
        assert_noop!(
            Session::set_keys(RuntimeOrigin::signed(eve()), of_bob.keys, of_bob.proof.encode()),
            pallet_session::Error::<Runtime>::InvalidProof
        );
    });
}
