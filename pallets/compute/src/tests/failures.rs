use super::acts::*;
use crate::{mock::*, Error, Event, IpOf, Leases};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    node::NodeCounts,
    request::{ComputeRequestStatus, DeadlineKind, IpWish, OperationKind},
};

#[test]
fn a_launch_that_fails_goes_to_another_node() {
    run_test(|| {
        let vm = launching();
        let held = rent_held(TINA);
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_eq!((status(vm), request(vm).miner_id), (ComputeRequestStatus::Pending, None));
        assert_eq!((request(vm).attempts, rent_held(TINA)), (1, held));
        assert_eq!(request(vm).last_failure, Some(text("no image")));
        assert_happened(Event::ComputeRequestFailed {
            node_id: MIA_1.id(),
            request_id: vm,
            owner: id(TINA),
            reason: text("no image"),
            pending: true,
        });
        assert_eq!(MIA_1.record().counts, NodeCounts { failed: 1, ..Default::default() });
        assert_noop!(MIA_1.claims(vm), Error::<Test>::MinerExcluded);
        assert_ok!(MILO_1.claims(vm));
        assert_ok!(MILO_1.launches(vm));
        assert_eq!(status(vm), ComputeRequestStatus::Running);
    });
}

#[test]
fn a_miner_that_failed_a_request_does_not_get_it_with_another_node() {
    run_test(|| {
        MILO_1.change(|node| node.owner = id(MIA));
        let vm = launching();
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_noop!(MILO_1.claims(vm), Error::<Test>::MinerExcluded);
        assert_noop!(send(TINA, claim(&MILO_1, vm)), Error::<Test>::MinerExcluded);
    });
}

#[test]
fn a_launch_that_fails_gives_back_room_and_address() {
    run_test(|| {
        let vm = launching_as(Ask { ip: IpWish::Require, ..ask() });
        assert!(IpOf::<Test>::contains_key(vm));
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert!(!IpOf::<Test>::contains_key(vm));
        assert_eq!((MIA_1.record().vms, lease(vm).price, lease(vm).node), (0, 0, None));
    });
}

#[test]
fn a_request_that_three_miners_failed_is_failed() {
    run_test(|| {
        let vm = pending();
        for host in HOSTS {
            assert_eq!(status(vm), ComputeRequestStatus::Pending);
            assert_ok!(host.claims(vm));
            assert_ok!(host.fails(vm, RETRYABLE));
        }
        assert_eq!((status(vm), rent_held(TINA)), (ComputeRequestStatus::Failed, 0));
        assert_eq!(request(vm).last_failure, Some(text("no image")));
        assert_happened(Event::ComputeRequestFailed {
            node_id: MAX_1.id(),
            request_id: vm,
            owner: id(TINA),
            reason: text("no image"),
            pending: false,
        });
        let refunded = MOST * 100;
        assert_happened(Event::LeaseClosed { request_id: vm, owner: id(TINA), refunded });
    });
}

#[test]
fn what_two_miners_call_terminal_is_failed() {
    run_test(|| {
        let vm = launching();
        assert_ok!(MIA_1.fails(vm, TERMINAL));
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
        assert_ok!(MILO_1.claims(vm));
        assert_ok!(MILO_1.fails(vm, TERMINAL));
        assert_eq!(status(vm), ComputeRequestStatus::Failed);
    });
}

#[test]
fn a_request_whose_named_node_failed_is_failed() {
    run_test(|| {
        let vm = create(ask_for(&MIA_1));
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_eq!((status(vm), rent_held(TINA)), (ComputeRequestStatus::Failed, 0));
    });
}

#[test]
fn a_request_whose_named_node_was_too_slow_is_failed() {
    run_test(|| {
        let vm = create(ask_for(&MIA_1));
        pass(15);
        assert_eq!((status(vm), rent_held(TINA)), (ComputeRequestStatus::Failed, 0));
    });
}

#[test]
fn what_the_tenant_assigned_goes_to_another_node_when_it_fails() {
    run_test(|| {
        let vm = pending();
        assert_ok!(send(TINA, claim(&MIA_1, vm)));
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_ok!(MILO_1.claims(vm));
    });
}

#[test]
fn a_lost_vm_is_failed_and_its_lease_is_closed() {
    for find in [running, stopped] {
        run_test(|| {
            let vm = find();
            pass(5);
            assert_ok!(MIA_1.fails(vm, RETRYABLE));
            assert_eq!((status(vm), rent_held(TINA)), (ComputeRequestStatus::Failed, 0));
            assert_eq!(MIA_1.record().counts.lost, 1);
            assert_eq!((MIA_1.record().vms, Leases::<Test>::get(vm)), (0, None));
            assert_happened(Event::ComputeRequestFailed {
                node_id: MIA_1.id(),
                request_id: vm,
                owner: id(TINA),
                reason: text("no image"),
                pending: false,
            });
        });
    }
}

#[test]
fn a_lost_vm_costs_what_it_ran_and_no_least_rent() {
    run_test(|| {
        let vm = running();
        pass(3);
        assert_ok!(MIA_1.fails(vm, TERMINAL));
        assert_eq!(FUNDS - free(TINA) - deposit_held(TINA), 3 * PRICE);
    });
}

#[test]
fn a_lost_vm_takes_what_is_queued_with_it() {
    for ask_for_it in
        [Compute::request_compute_stop, Compute::request_compute_reboot, |origin, vm| {
            Compute::request_compute_resize(origin, vm, plan_id("large"))
        }]
    {
        run_test(|| {
            let vm = running();
            assert_ok!(ask_for_it(by(TINA), vm));
            assert_ok!(MIA_1.fails(vm, RETRYABLE));
            assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Failed, None));
            assert_eq!(MIA_1.record().vms, 0);
        });
    }
}

#[test]
fn a_vm_that_is_being_deleted_cannot_be_lost() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_noop!(MIA_1.fails(vm, RETRYABLE), Error::<Test>::OperationPending);
    });
}

#[test]
fn the_record_of_a_failed_request_goes_after_a_while() {
    run_test(|| {
        let vm = create(ask_for(&MIA_1));
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        pass(39);
        assert_eq!(status(vm), ComputeRequestStatus::Failed);
        pass(1);
        assert!(is_gone(vm));
        assert_eq!(free(TINA), FUNDS);
        let (node_id, owner) = (None, id(TINA));
        let kind = DeadlineKind::Retention;
        assert_happened(Event::DeadlineExpired {
            node_id: node_id.clone(),
            request_id: vm,
            owner: owner.clone(),
            kind,
        });
        assert_happened(Event::ComputeRequestDeleted { node_id, request_id: vm, owner });
    });
}

#[test]
fn an_operation_that_fails_leaves_the_queue() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        let before = generation(vm);
        assert_ok!(MIA_1.has_trouble(vm));
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        assert_eq!(generation(vm), before + 1);
        assert_eq!(request(vm).last_failure, Some(text("no disk")));
        let entry = crate::MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!(entry.fail_reason, Some(text("no disk")));
        assert_happened(Event::OperationFailed {
            node_id: MIA_1.id(),
            request_id: vm,
            owner: id(TINA),
            operation: OperationKind::Stop,
            kind: RETRYABLE,
            reason: text("no disk"),
        });
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
    });
}

#[test]
fn a_deletion_that_fails_stays_queued_and_its_reason_is_kept() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_ok!(MIA_1.has_trouble(vm));
        assert_eq!(operation(vm), Some(OperationKind::Delete));
        assert_eq!(request(vm).last_failure, Some(text("no disk")));
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
    });
}

#[test]
fn what_is_not_queued_cannot_fail() {
    run_test(|| {
        let (launching, idle) = (launching(), running());
        assert_noop!(MIA_1.has_trouble(launching), Error::<Test>::OperationNotFound);
        assert_noop!(MIA_1.has_trouble(idle), Error::<Test>::OperationNotFound);
    });
}
