use crate::{mock::*, Error, Event, GenesisConfig, SessionLength};
use codec::Encode;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{testing::UintAuthorityId, BuildStorage, DispatchError::BadOrigin};

fn add(who: u64) -> sp_runtime::DispatchResult {
    Validators::add_validator(RuntimeOrigin::root(), who)
}

fn remove(who: u64) -> sp_runtime::DispatchResult {
    Validators::remove_validator(RuntimeOrigin::root(), who)
}

fn validating() -> Vec<u64> {
    Session::validators()
}

#[test]
fn genesis_names_the_first_validators_and_the_session_length() {
    run_test(|| {
        assert_eq!(validating(), [1, 2, 3]);
        assert_eq!(SessionLength::<Test>::get(), SESSION);
    });
}

#[test]
fn a_session_has_the_default_length_where_genesis_names_none() {
    let storage = RuntimeGenesisConfig::default().build_storage().expect("genesis is sound");
    sp_io::TestExternalities::from(storage)
        .execute_with(|| assert_eq!(SessionLength::<Test>::get(), 100));
}

#[test]
fn an_added_validator_validates_from_the_second_session_end_on() {
    run_test(|| {
        assert_ok!(add(4));
        System::assert_last_event(Event::ValidatorAdded { who: 4 }.into());
        end_sessions(1);
        assert_eq!(validating(), [1, 2, 3]);
        end_sessions(1);
        assert_eq!(validating(), [1, 2, 3, 4]);
    });
}

#[test]
fn a_removed_validator_validates_until_the_second_session_end() {
    run_test(|| {
        assert_ok!(remove(2));
        System::assert_last_event(Event::ValidatorRemoved { who: 2 }.into());
        end_sessions(1);
        assert_eq!(validating(), [1, 2, 3]);
        end_sessions(1);
        assert_eq!(validating(), [1, 3]);
    });
}

#[test]
fn a_validator_is_not_added_twice() {
    run_test(|| {
        assert_noop!(add(1), Error::<Test>::AlreadyValidator);
    });
}

#[test]
fn an_account_without_session_keys_is_refused() {
    run_test(|| {
        assert_noop!(add(6), Error::<Test>::NoSessionKeys);
    });
}

#[test]
fn a_full_set_takes_no_more() {
    run_test(|| {
        assert_ok!(add(4));
        assert_ok!(add(5));
        pallet_session::NextKeys::<Test>::insert(6, MockSessionKeys::from(UintAuthorityId(6)));
        assert_noop!(add(6), Error::<Test>::TooManyValidators);
    });
}

#[test]
fn an_account_that_is_no_validator_cannot_be_removed() {
    run_test(|| {
        assert_noop!(remove(4), Error::<Test>::NotValidator);
    });
}

#[test]
fn the_last_validator_cannot_be_removed() {
    run_test(|| {
        assert_ok!(remove(1));
        assert_ok!(remove(2));
        assert_noop!(remove(3), Error::<Test>::LastValidator);
    });
}

#[test]
fn only_the_admin_changes_the_set() {
    run_test(|| {
        for origin in [RuntimeOrigin::signed(1), RuntimeOrigin::none()] {
            assert_noop!(Validators::add_validator(origin.clone(), 4), BadOrigin);
            assert_noop!(Validators::remove_validator(origin, 1), BadOrigin);
        }
    });
}

#[test]
fn a_validator_that_purged_its_keys_is_left_out() {
    run_test(|| {
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(2)));
        end_sessions(2);
        assert_eq!(validating(), [1, 3]);
    });
}

#[test]
fn the_set_in_force_goes_on_when_every_validator_purged_its_keys() {
    run_test(|| {
        for who in 1..=3 {
            assert_ok!(Session::purge_keys(RuntimeOrigin::signed(who)));
        }
        end_sessions(5);
        assert_eq!(validating(), [1, 2, 3]);
    });
}

#[test]
fn keys_that_were_kept_can_be_purged_again_and_replaced() {
    run_test(|| {
        let references = || System::consumers(&1);
        // Stands for one that another pallet holds.
        assert_ok!(System::inc_consumers(&1));
        let registered = references();
        for who in 1..=3 {
            assert_ok!(Session::purge_keys(RuntimeOrigin::signed(who)));
        }
        end_sessions(1);
        assert_ok!(Session::purge_keys(RuntimeOrigin::signed(1)));
        assert_eq!(references(), registered - 1);
        let mut keys = MockSessionKeys::from(UintAuthorityId(1));
        let proof = keys.create_ownership_proof(&1u64.encode()).unwrap().encode();
        assert_ok!(Session::set_keys(RuntimeOrigin::signed(1), keys, proof));
        assert_eq!(references(), registered);
    });
}

#[test]
fn a_session_like_the_last_changes_no_authorities() {
    run_test(|| {
        end_sessions(2);
        assert!(!pallet_session::QueuedChanged::<Test>::get());
        assert_ok!(add(4));
        end_sessions(1);
        assert!(pallet_session::QueuedChanged::<Test>::get());
    });
}

fn build(genesis: GenesisConfig<Test>) {
    let _ = genesis.build_storage();
}

#[test]
#[should_panic(expected = "a validator stands twice in genesis")]
fn genesis_refuses_a_validator_twice() {
    build(GenesisConfig { validators: vec![1, 1], session_length: None });
}

#[test]
#[should_panic(expected = "genesis has more than 5 validators")]
fn genesis_refuses_too_many_validators() {
    build(GenesisConfig { validators: (1..=6).collect(), session_length: None });
}

#[test]
#[should_panic(expected = "a session has one block at least")]
fn genesis_refuses_a_session_without_blocks() {
    build(GenesisConfig { validators: vec![1], session_length: Some(0) });
}
