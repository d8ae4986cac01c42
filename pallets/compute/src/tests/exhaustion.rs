use super::acts::*;
use crate::{mock::*, Error, Event, Leases};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    request::{ComputeRequestStatus, OperationKind, RequestId},
    Balance,
};

const RESERVE: Balance = 20 * PRICE;

fn short() -> Ask {
    Ask { blocks: 31, max_price: PRICE, ..ask() }
}

#[test]
fn a_vm_is_stopped_when_only_the_reserve_is_left() {
    run_test(|| {
        let vm = nearly_exhausted();
        assert_eq!(operation(vm), None);
        pass(1);
        assert_eq!((lease(vm).held, lease(vm).exhausted), (RESERVE, true));
        assert_eq!(operation(vm), Some(OperationKind::Stop));
        let (node_id, request_id, owner) = (MIA_1.id(), vm, id(TINA));
        assert_happened(Event::LeaseExhausted {
            node_id: node_id.clone(),
            request_id,
            owner: owner.clone(),
        });
        let generation = generation(vm);
        assert_happened(Event::ComputeStopRequested { node_id, request_id, owner, generation });
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        assert_eq!(status(vm), ComputeRequestStatus::Stopped);
    });
}

#[test]
fn anyone_may_have_the_chain_look_at_a_lease() {
    run_test(|| {
        let vm = nearly_exhausted();
        pass_busy(1);
        assert!(!lease(vm).exhausted);
        assert_ok!(Compute::settle(by(STRANGER), vm));
        assert!(lease(vm).exhausted);
        assert_eq!(operation(vm), Some(OperationKind::Stop));
    });
}

#[test]
fn the_chains_stop_replaces_what_is_queued() {
    for ask_for_it in
        [Compute::request_compute_stop, Compute::request_compute_reboot, |origin, vm| {
            Compute::request_compute_resize(origin, vm, plan_id("small"))
        }]
    {
        run_test(|| {
            let wanted = Ask { plan: "strong", max_price: LARGE_PRICE, blocks: 30, ..ask() };
            let vm = running_as(wanted);
            pass(9);
            assert_ok!(ask_for_it(by(TINA), vm));
            let before = generation(vm);
            pass(1);
            assert!(lease(vm).exhausted);
            assert_eq!(operation(vm), Some(OperationKind::Stop));
            assert_eq!((MIA_1.record().reserved, generation(vm)), (STRONG, before + 2));
        });
    }
}

#[test]
fn a_vm_in_grace_is_neither_booted_rebooted_nor_resized() {
    run_test(|| {
        let vm = exhausted();
        pass(10);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        assert_noop!(Compute::request_compute_reboot(by(TINA), vm), Error::<Test>::LeaseExhausted);
        assert_noop!(
            Compute::request_compute_resize(by(TINA), vm, plan_id("strong")),
            Error::<Test>::LeaseExhausted
        );
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        assert_noop!(Compute::request_compute_boot(by(TINA), vm), Error::<Test>::LeaseExhausted);
    });
}

#[test]
fn a_top_up_takes_back_a_stop_that_is_not_done() {
    run_test(|| {
        let vm = exhausted();
        let before = (generation(vm), MIA_1.record().work_version);
        let late = done(OperationKind::Stop, &MIA_1, vm, generation(vm));
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_eq!((operation(vm), lease(vm).exhausted), (None, false));
        assert_eq!((generation(vm), MIA_1.record().work_version), (before.0 + 1, before.1 + 1));
        assert_noop!(send(MIA_1.worker, late), Error::<Test>::StaleGeneration);
    });
}

#[test]
fn a_top_up_boots_a_vm_that_the_chain_stopped() {
    run_test(|| {
        let vm = exhausted();
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_eq!((operation(vm), lease(vm).exhausted), (Some(OperationKind::Boot), false));
        assert_ok!(MIA_1.does(OperationKind::Boot, vm));
        assert_eq!(status(vm), ComputeRequestStatus::Running);
    });
}

#[test]
fn a_top_up_that_only_reaches_the_reserve_changes_nothing() {
    run_test(|| {
        let vm = exhausted();
        pass(3);
        assert_ok!(Compute::top_up(by(TINA), vm, 3));
        assert_eq!((lease(vm).held, lease(vm).exhausted), (RESERVE, true));
        assert_eq!(operation(vm), Some(OperationKind::Stop));
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert!(!lease(vm).exhausted);
    });
}

#[test]
fn a_top_up_leaves_the_tenants_own_stop() {
    run_test(|| {
        let vm = nearly_exhausted();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        pass(1);
        assert!(lease(vm).exhausted);
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_eq!(operation(vm), Some(OperationKind::Stop));
    });
}

#[test]
fn a_top_up_leaves_a_stop_that_the_tenant_asked_for_in_grace() {
    for is_done in [true, false] {
        run_test(|| {
            let vm = exhausted();
            pass(10);
            assert_eq!(operation(vm), None, "the chain's own was given up");
            assert_ok!(Compute::request_compute_stop(by(TINA), vm));
            if is_done {
                assert_ok!(MIA_1.does(OperationKind::Stop, vm));
            }
            let before = operation(vm);
            assert_ok!(Compute::top_up(by(TINA), vm, 20));
            assert_eq!((operation(vm), lease(vm).exhausted), (before, false));
        });
    }
}

#[test]
fn a_top_up_does_not_boot_what_its_tenant_stopped() {
    run_test(|| {
        let vm = stopped_as(short());
        pass(11);
        assert_eq!((lease(vm).exhausted, operation(vm)), (true, None));
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_eq!((lease(vm).exhausted, operation(vm)), (false, None));
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
    });
}

#[test]
fn a_boot_is_taken_back_and_comes_with_the_top_up() {
    run_test(|| {
        let vm = stopped_as(short());
        pass(10);
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
        let before = MIA_1.record().work_version;
        pass(1);
        assert_eq!((lease(vm).exhausted, operation(vm)), (true, None));
        assert_eq!(MIA_1.record().work_version, before + 1, "the worker is told");
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_eq!(operation(vm), Some(OperationKind::Boot));
    });
}

#[test]
fn a_vm_whose_hold_is_empty_is_deleted() {
    for stop_is_done in [true, false] {
        run_test(|| {
            let vm = exhausted();
            if stop_is_done {
                assert_ok!(MIA_1.does(OperationKind::Stop, vm));
            }
            pass(19);
            assert!(Leases::<Test>::contains_key(vm));
            pass(1);
            assert_eq!(operation(vm), Some(OperationKind::Delete));
            assert_eq!((Leases::<Test>::get(vm), rent_held(TINA)), (None, 0));
            assert_eq!((free(MIA), treasury()), (FUNDS + 31 * 19, 31));
            assert_ok!(MIA_1.does(OperationKind::Delete, vm));
            assert!(is_gone(vm));
        });
    }
}

#[test]
fn a_vm_of_a_bare_hold_is_stopped_after_its_least_lease() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 30, max_price: PRICE, ..ask() });
        pass(10);
        assert!(lease(vm).exhausted);
        pass(20);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
    });
}

#[test]
fn a_tenant_pays_more_in_advance() {
    run_test(|| {
        let vm = running();
        pass(10);
        assert_ok!(Compute::top_up(by(TINA), vm, 7));
        let held = MOST * 100 - 3 * PRICE;
        assert_eq!((lease(vm).held, rent_held(TINA)), (held, held));
        let (owner, amount) = (id(TINA), 7 * PRICE);
        assert_happened(Event::LeaseToppedUp { request_id: vm, owner, amount, held });
    });
}

#[test]
fn a_pending_request_is_topped_up_at_its_highest_price() {
    run_test(|| {
        let vm = pending();
        assert_ok!(Compute::top_up(by(TINA), vm, 7));
        assert_eq!(lease(vm).held, MOST * 107);
    });
}

#[test]
fn a_top_up_pays_for_something() {
    run_test(|| {
        let vm = running();
        assert_noop!(Compute::top_up(by(TINA), vm, 0), Error::<Test>::InvalidBlocks);
    });
}

#[test]
fn nobody_tops_up_what_is_closed_or_anothers() {
    run_test(|| {
        let vm = pending();
        let other = Error::<Test>::ComputeRequestNotFound;
        assert_noop!(Compute::top_up(by(TOM), vm, 1), other);
        assert_ok!(Compute::cancel_compute_request(by(TINA), vm));
        assert_noop!(Compute::top_up(by(TINA), vm, 1), Error::<Test>::LeaseClosed);
    });
}

#[test]
fn a_top_up_takes_funds() {
    run_test(|| {
        let vm: RequestId = running();
        assert_ok!(Balances::transfer_keep_alive(by(TINA), id(TOM), free(TINA) - DUST));
        assert_noop!(Compute::top_up(by(TINA), vm, 100), sp_runtime::TokenError::FundsUnavailable);
    });
}

#[test]
fn no_more_is_topped_up_than_may_be_paid_in_advance() {
    run_test(|| {
        let vm = create(Ask { blocks: 1_000, max_price: PRICE, ..ask() });
        assert_ok!(MIA_1.claims(vm));
        assert_ok!(MIA_1.launches(vm));
        assert_noop!(Compute::top_up(by(TINA), vm, 1), Error::<Test>::PrepaidTooLong);
        pass(3);
        assert_ok!(Compute::top_up(by(TINA), vm, 3));
        assert_noop!(Compute::top_up(by(TINA), vm, 1), Error::<Test>::PrepaidTooLong);
    });
}
