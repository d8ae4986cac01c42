use super::acts::*;
use crate::{mock::*, Error, Event, IpOf, Leases, MinerComputeDeletionRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::request::{ComputeRequestStatus, DeadlineKind, IpWish, OperationKind};

#[test]
fn a_vm_is_deleted() {
    run_test(|| {
        let vm = running();
        let (node_id, request_id, owner) = (MIA_1.id(), vm, id(TINA));
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_happened(Event::ComputeDeleteRequested {
            node_id: node_id.clone(),
            request_id,
            owner: owner.clone(),
            generation: 2,
        });
        assert!(MinerComputeDeletionRequests::<Test>::contains_key(&node_id, vm));
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        assert!(is_gone(vm));
        assert_eq!((MIA_1.record().vms, deposit_held(TINA)), (0, 0));
        assert_happened(Event::ComputeDeletionRequestRemoved {
            node_id: node_id.clone(),
            request_id,
            owner: owner.clone(),
        });
        let node_id = Some(node_id);
        assert_happened(Event::ComputeRequestDeleted { node_id, request_id, owner });
    });
}

#[test]
fn the_rest_of_the_hold_is_free_in_the_same_call() {
    run_test(|| {
        let vm = running();
        pass(20);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!((rent_held(TINA), Leases::<Test>::get(vm)), (0, None));
        assert_eq!(free(TINA) + deposit_held(TINA), FUNDS - 20 * PRICE);
        assert_eq!((free(MIA), treasury()), (FUNDS + 20 * 19, 20));
        let refunded = MOST * 100 - 20 * PRICE;
        assert_happened(Event::LeaseClosed { request_id: vm, owner: id(TINA), refunded });
    });
}

#[test]
fn the_least_rent_is_due_for_a_vm_that_ran_shortly() {
    run_test(|| {
        let vm = running();
        pass(3);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!(free(MIA), FUNDS + 10 * 19);
    });
}

#[test]
fn a_vm_that_never_ran_costs_nothing() {
    run_test(|| {
        let vm = launching();
        pass(10);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!(free(TINA) + deposit_held(TINA), FUNDS);
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
    });
}

#[test]
fn deletion_replaces_whatever_is_queued() {
    for ask_for_it in
        [Compute::request_compute_stop, Compute::request_compute_reboot, |origin, vm| {
            Compute::request_compute_resize(origin, vm, plan_id("large"))
        }]
    {
        run_test(|| {
            let vm = running();
            assert_ok!(ask_for_it(by(TINA), vm));
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
            assert_eq!(operation(vm), Some(OperationKind::Delete));
            assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        });
    }
}

#[test]
fn a_vm_is_deleted_whatever_it_is_in() {
    for find in [launching, running, stopped, exhausted] {
        run_test(|| {
            let vm = find();
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
            assert_ok!(MIA_1.does(OperationKind::Delete, vm));
            assert!(is_gone(vm));
        });
    }
}

#[test]
fn a_queued_boot_is_replaced_too() {
    run_test(|| {
        let vm = stopped();
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
        let late = done(OperationKind::Boot, &MIA_1, vm, generation(vm));
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_noop!(send(MIA_1.worker, late), Error::<Test>::StaleGeneration);
    });
}

#[test]
fn a_deletion_that_is_queued_stays_as_it_is() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        let before = request(vm);
        pass(5);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!(request(vm), before);
    });
}

#[test]
fn nothing_else_is_asked_of_a_vm_that_is_being_deleted() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_noop!(Compute::request_compute_stop(by(TINA), vm), Error::<Test>::OperationPending);
        assert_noop!(Compute::top_up(by(TINA), vm, 10), Error::<Test>::LeaseClosed);
        assert_noop!(Compute::settle(by(TINA), vm), Error::<Test>::LeaseClosed);
        assert_noop!(Compute::end_lease(by(MIA), vm), Error::<Test>::LeaseClosed);
        assert_noop!(Compute::evacuate(by(TINA), vm), Error::<Test>::OperationPending);
    });
}

#[test]
fn deleting_a_pending_request_cancels_it() {
    run_test(|| {
        let vm = pending();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!((status(vm), rent_held(TINA)), (ComputeRequestStatus::Cancelled, 0));
        assert_happened(Event::ComputeRequestCancelled { request_id: vm, owner: id(TINA) });
    });
}

#[test]
fn deleting_what_ended_removes_its_record() {
    run_test(|| {
        let (cancelled, failed) = (pending(), create(ask_for(&MIA_1)));
        assert_ok!(Compute::cancel_compute_request(by(TINA), cancelled));
        assert_ok!(MIA_1.fails(failed, RETRYABLE));
        for vm in [cancelled, failed] {
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
            assert!(is_gone(vm));
            let (node_id, owner) = (None, id(TINA));
            assert_happened(Event::ComputeRequestDeleted { node_id, request_id: vm, owner });
        }
        assert_eq!(free(TINA), FUNDS);
    });
}

#[test]
fn nobody_deletes_anothers_vm() {
    run_test(|| {
        let vm = running();
        for who in [TOM, MIA, MIA_1.worker, STRANGER] {
            assert_noop!(
                Compute::request_compute_delete(by(who), vm),
                Error::<Test>::ComputeRequestNotFound
            );
        }
    });
}

#[test]
fn a_vm_on_an_offline_node_is_gone_at_once() {
    run_test(|| {
        let vm = running_as(Ask { ip: IpWish::Require, ..ask() });
        pass(3);
        MIA_1.fall_silent();
        pass(9);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert!(is_gone(vm) && !IpOf::<Test>::contains_key(vm));
        assert_eq!(MIA_1.record().vms, 0);
        // Without the least rent, as the node is not there.
        assert_eq!(free(TINA), FUNDS - 3 * (PRICE + GLOBAL_IP_PRICE));
    });
}

#[test]
fn a_queued_deletion_is_finished_at_once_when_the_node_is_gone_meanwhile() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        MIA_1.fall_silent();
        pass(9);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert!(is_gone(vm));
    });
}

#[test]
fn a_deletion_out_of_time_is_finished_by_the_chain() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        pass(11);
        assert!(!is_gone(vm));
        pass(1);
        assert!(is_gone(vm));
        assert_eq!(MIA_1.record().vms, 0);
        assert_happened(Event::DeadlineExpired {
            node_id: Some(MIA_1.id()),
            request_id: vm,
            owner: id(TINA),
            kind: DeadlineKind::Deletion,
        });
        let late = done(OperationKind::Delete, &MIA_1, vm, 2);
        assert_noop!(send(MIA_1.worker, late), Error::<Test>::ComputeRequestNotFound);
    });
}

#[test]
fn the_admin_closes_a_request_whatever_it_is_in() {
    for find in [pending, launching, running, stopped, exhausted] {
        run_test(|| {
            let vm = find();
            let (node_id, paid) = (request(vm).miner_id, FUNDS - free(TINA) - rent_held(TINA));
            let paid = paid - deposit_held(TINA);
            assert_ok!(Compute::force_close(RuntimeOrigin::root(), vm));
            assert!(is_gone(vm));
            assert_eq!(free(TINA), FUNDS - paid);
            let owner = id(TINA);
            assert_happened(Event::ComputeRequestDeleted { node_id, request_id: vm, owner });
        });
    }
}

#[test]
fn the_admin_closes_what_ended_or_is_being_deleted_too() {
    run_test(|| {
        let (ended, deleting, failed) = (pending(), running(), create(ask_for(&MIA_1)));
        assert_ok!(Compute::cancel_compute_request(by(TINA), ended));
        assert_ok!(Compute::request_compute_delete(by(TINA), deleting));
        assert_ok!(MIA_1.fails(failed, RETRYABLE));
        for vm in [ended, deleting, failed] {
            assert_ok!(Compute::force_close(RuntimeOrigin::root(), vm));
            assert!(is_gone(vm));
        }
    });
}

#[test]
fn the_admin_cannot_close_what_is_not_there() {
    run_test(|| {
        assert_noop!(
            Compute::force_close(RuntimeOrigin::root(), 7),
            Error::<Test>::ComputeRequestNotFound
        );
    });
}
