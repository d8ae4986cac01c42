use super::acts::*;
use crate::{mock::*, money, Credits, Error, Event, HoldReason};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use quarry_primitives::{
    request::{OperationKind, RequestId},
    Balance,
};
use sp_runtime::TokenError;

/// What three blocks of rent give a miner: less than the existential deposit.
const LITTLE: Balance = 3 * 19;

fn on_hold_in_the_pot() -> Balance {
    Balances::balance_on_hold(&HoldReason::Lease.into(), &money::pot::<Test>())
}

/// Runs on the node of [`MAX`], who has nothing.
fn running_on_max() -> RequestId {
    let vm = create(ask_for(&MAX_1));
    assert_ok!(MAX_1.launches(vm));
    vm
}

#[test]
fn a_payout_below_the_existential_deposit_becomes_a_credit() {
    run_test(|| {
        MinBilled::set(&0);
        let vm = running_on_max();
        pass(3);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!((free(MAX), Credits::<Test>::get(id(MAX))), (0, LITTLE));
        assert_eq!((on_hold_in_the_pot(), rent_held(TINA)), (LITTLE, 0));
        let credit = Event::CreditAdded { account: id(MAX), amount: LITTLE };
        assert_happened(credit);
        assert_ok!(MAX_1.does(OperationKind::Delete, vm));
        assert!(is_gone(vm));
    });
}

#[test]
fn credits_add_up() {
    run_test(|| {
        let vm = running_on_max();
        for times in 1..4 {
            pass(1);
            assert_ok!(Compute::settle(by(TINA), vm));
            assert_eq!(Credits::<Test>::get(id(MAX)), 19 * times);
        }
    });
}

#[test]
fn a_credit_is_claimed_once_the_account_can_take_it() {
    run_test(|| {
        let vm = running_on_max();
        pass(3);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_noop!(Compute::claim_credit(by(STRANGER), id(MAX)), TokenError::CannotCreate);
        assert_ok!(Balances::transfer_keep_alive(by(TOM), id(MAX), DUST));
        assert_ok!(Compute::claim_credit(by(STRANGER), id(MAX)));
        assert_eq!((free(MAX), on_hold_in_the_pot()), (DUST + LITTLE, 0));
        let claimed = Event::CreditClaimed { account: id(MAX), amount: LITTLE };
        assert_happened(claimed);
        assert_noop!(Compute::claim_credit(by(STRANGER), id(MAX)), Error::<Test>::NoCredit);
    });
}

#[test]
fn a_credit_that_grew_to_the_existential_deposit_opens_the_account() {
    run_test(|| {
        let vm = running_on_max();
        for _ in 0..2 {
            pass(3);
            assert_ok!(Compute::settle(by(TINA), vm));
        }
        assert_ok!(Compute::claim_credit(by(MAX), id(MAX)));
        assert_eq!(free(MAX), 2 * LITTLE);
    });
}

#[test]
fn a_payout_that_the_account_can_take_is_made() {
    run_test(|| {
        let vm = running_on_max();
        pass(6);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((free(MAX), Credits::<Test>::get(id(MAX))), (2 * LITTLE, 0));
    });
}

#[test]
fn who_has_no_credit_claims_none() {
    run_test(|| {
        assert_noop!(Compute::claim_credit(by(MIA), id(MIA)), Error::<Test>::NoCredit);
    });
}

#[test]
fn a_treasury_without_funds_gets_a_credit_too() {
    run_test(|| {
        let treasury = Treasury::get();
        let to = id(TOM);
        let signed = RuntimeOrigin::signed(treasury.clone());
        assert_ok!(Balances::transfer_all(signed, to, false));
        let vm = running();
        pass(5);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!(Credits::<Test>::get(&treasury), 5);
    });
}
