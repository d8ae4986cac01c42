use super::acts::*;
use crate::{mock::*, Error};
use frame_support::{assert_noop, assert_ok, traits::Hooks};
use quarry_primitives::request::Params;
use sp_runtime::DispatchResult;

fn set(change: impl FnOnce(&mut Params)) -> DispatchResult {
    let mut params = params();
    change(&mut params);
    Compute::set_params(RuntimeOrigin::root(), params)
}

#[test]
fn no_wait_is_nothing() {
    run_test(|| {
        assert_noop!(set(|all| all.launch_timeout = 0), Error::<Test>::InvalidLaunchTimeout);
        assert_noop!(set(|all| all.operation_timeout = 0), Error::<Test>::InvalidOperationTimeout);
        assert_noop!(set(|all| all.delete_timeout = 0), Error::<Test>::InvalidDeleteTimeout);
        assert_noop!(set(|all| all.retention = 0), Error::<Test>::InvalidRetention);
        assert_noop!(set(|all| all.grace_period = 0), Error::<Test>::InvalidGracePeriod);
    });
}

#[test]
fn something_can_be_paid_for_in_advance() {
    run_test(|| {
        assert_noop!(set(|all| all.max_prepaid = 29), Error::<Test>::InvalidMaxPrepaid);
        assert_ok!(set(|all| all.max_prepaid = 30));
    });
}

#[test]
fn a_grace_period_beyond_all_blocks_is_refused() {
    run_test(|| {
        assert_noop!(set(|all| all.grace_period = u32::MAX), Error::<Test>::InvalidMaxPrepaid);
    });
}

#[test]
fn no_more_attempts_than_miners_that_a_request_keeps_away_from() {
    run_test(|| {
        for attempts in [0, 9] {
            assert_noop!(set(|all| all.max_attempts = attempts), Error::<Test>::InvalidMaxAttempts);
        }
        assert_ok!(set(|all| all.max_attempts = 8));
    });
}

#[test]
fn a_node_may_claim_something() {
    run_test(|| {
        assert_noop!(set(|all| all.max_claims = 0), Error::<Test>::InvalidMaxClaims);
    });
}

#[test]
fn sound_settings_pass() {
    run_test(Compute::integrity_test);
}

#[test]
#[should_panic(expected = "the default parameters are refused")]
fn default_parameters_that_cannot_work_are_refused() {
    run_test(|| {
        DefaultParams::set(&Params { max_claims: 0, ..params() });
        Compute::integrity_test();
    });
}

#[test]
#[should_panic(expected = "could not be given back")]
fn a_deposit_that_could_not_be_given_back_is_refused() {
    run_test(|| {
        FreeDeposits::set(&true);
        Compute::integrity_test();
    });
}

#[test]
#[should_panic(expected = "MinBilled")]
fn a_least_rent_that_is_not_prepaid_is_refused() {
    run_test(|| {
        MinBilled::set(&11);
        Compute::integrity_test();
    });
}
