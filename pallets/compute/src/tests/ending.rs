use super::acts::*;
use crate::{mock::*, Error, Event, Leases};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::request::{ComputeRequestStatus, OperationKind};

#[test]
fn a_miner_ends_a_lease_after_its_notice() {
    run_test(|| {
        let vm = running();
        let at = now() + 60;
        assert_ok!(Compute::end_lease(by(MIA), vm));
        assert_eq!(lease(vm).ends_at, Some(at));
        let (node_id, owner) = (MIA_1.id(), id(TINA));
        assert_happened(Event::LeaseEnding { node_id, request_id: vm, owner, at });
        pass(59);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        pass(1);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
        assert_eq!((Leases::<Test>::get(vm), rent_held(TINA)), (None, 0));
        assert_eq!(free(MIA), FUNDS + 60 * 19);
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        assert!(is_gone(vm));
        assert_eq!(free(TINA), FUNDS - 60 * PRICE);
    });
}

#[test]
fn a_lease_that_the_miner_ends_has_no_least_rent() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(3);
        MIA_1.fall_silent();
        pass(56);
        MIA_1.come_back();
        pass(1);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
        assert_eq!(free(TINA) + deposit_held(TINA), FUNDS - 4 * PRICE);
    });
}

#[test]
fn only_the_miner_ends_a_lease() {
    run_test(|| {
        let vm = running();
        for who in [TINA, MIA_1.worker, MILO, STRANGER] {
            assert_noop!(Compute::end_lease(by(who), vm), Error::<Test>::InvalidSignature);
        }
    });
}

#[test]
fn a_notice_is_given_once() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::end_lease(by(MIA), vm));
        assert_noop!(Compute::end_lease(by(MIA), vm), Error::<Test>::LeaseIsEnding);
    });
}

#[test]
fn what_no_node_has_cannot_be_ended() {
    run_test(|| {
        let vm = pending();
        assert_noop!(Compute::end_lease(by(MIA), vm), Error::<Test>::NotAssigned);
        assert_noop!(Compute::end_lease(by(MIA), vm + 1), Error::<Test>::ComputeRequestNotFound);
    });
}

#[test]
fn a_top_up_does_not_pass_the_end() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 30, max_price: PRICE, ..ask() });
        assert_ok!(Compute::end_lease(by(MIA), vm));
        assert_noop!(Compute::top_up(by(TINA), vm, 31), Error::<Test>::LeaseIsEnding);
        assert_ok!(Compute::top_up(by(TINA), vm, 30));
        assert_noop!(Compute::top_up(by(TINA), vm, 1), Error::<Test>::LeaseIsEnding);
    });
}

#[test]
fn a_lease_that_ends_may_be_exhausted_before() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 31, max_price: PRICE, ..ask() });
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(11);
        assert!(lease(vm).exhausted);
        pass(20);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
    });
}

#[test]
fn a_vm_that_is_paid_to_its_end_runs_to_its_end() {
    // What the node served since its last report, as it is paid for, cannot be paid in advance.
    for unreported in [0, 8] {
        run_test(|| {
            let vm = running_as(Ask { blocks: 30, max_price: PRICE, ..ask() });
            assert_ok!(Compute::end_lease(by(MIA), vm));
            MIA_1.fall_silent();
            pass(unreported);
            assert_ok!(Compute::top_up(by(TINA), vm, 30 - unreported));
            MIA_1.come_back();
            pass(50 - unreported);
            assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
            assert!(!lease(vm).exhausted);
            pass(10);
            assert_eq!(operation(vm), Some(OperationKind::Delete));
        });
    }
}

#[test]
fn what_is_exhausted_can_be_paid_to_its_end() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 45, max_price: PRICE, ..ask() });
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(42);
        assert!(lease(vm).exhausted);
        assert_noop!(Compute::top_up(by(TINA), vm, 16), Error::<Test>::LeaseIsEnding);
        assert_ok!(Compute::top_up(by(TINA), vm, 15));
        assert!(!lease(vm).exhausted);
        pass(17);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
    });
}

#[test]
fn what_an_absence_made_suffice_can_be_started_again() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 45, max_price: PRICE, ..ask() });
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(25);
        assert!(lease(vm).exhausted);
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        MIA_1.fall_silent();
        pass(20);
        MIA_1.come_back();
        // 20 blocks are paid, and 15 are left.
        assert_noop!(Compute::top_up(by(TINA), vm, 1), Error::<Test>::LeaseIsEnding);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((lease(vm).exhausted, operation(vm)), (false, Some(OperationKind::Boot)));
        assert_ok!(MIA_1.does(OperationKind::Boot, vm));
        pass(14);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
    });
}

#[test]
fn what_lacks_a_block_to_its_end_stays_exhausted() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 45, max_price: PRICE, ..ask() });
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(25);
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        MIA_1.fall_silent();
        pass(14);
        MIA_1.come_back();
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((lease(vm).exhausted, operation(vm)), (true, None));
    });
}

/// What its node has not told yet is not paid yet, and so the hold looks larger than it is.
#[test]
fn what_a_node_has_not_told_does_not_put_off_a_stop() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 45, max_price: PRICE, ..ask() });
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(30);
        MIA_1.fall_silent();
        pass(8);
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert!(!lease(vm).exhausted);
        MIA_1.come_back();
        pass(10);
        assert!(lease(vm).exhausted);
    });
}

#[test]
fn a_notice_settles_and_does_not_put_off_the_stop() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 70, max_price: PRICE, ..ask() });
        pass(45);
        let before = rent_held(TINA);
        assert_ok!(Compute::end_lease(by(MIA), vm));
        assert_eq!(before - rent_held(TINA), 45 * PRICE);
        pass(4);
        assert!(!lease(vm).exhausted);
        pass(1);
        assert!(lease(vm).exhausted);
    });
}

#[test]
fn a_launch_whose_lease_is_ended_fails_over_to_another_node() {
    run_test(|| {
        let vm = launching();
        assert_ok!(Compute::end_lease(by(MIA), vm));
        pass(15);
        assert_eq!((status(vm), lease(vm).ends_at), (ComputeRequestStatus::Pending, None));
        assert_ok!(MILO_1.claims(vm));
        assert_ok!(MILO_1.launches(vm));
        pass(60);
        assert_eq!(status(vm), ComputeRequestStatus::Running);
    });
}

#[test]
fn a_lease_that_ends_on_an_offline_node_is_over_at_once() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::end_lease(by(MIA), vm));
        MIA_1.fall_silent();
        pass(60);
        assert!(is_gone(vm));
        assert_eq!(free(TINA), FUNDS);
    });
}
