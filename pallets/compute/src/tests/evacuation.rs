use super::acts::*;
use crate::{mock::*, Error, Event, IpOf, Ips};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    ip::IpState,
    request::{ComputeRequestStatus, IpWish, OperationKind},
};

/// Offline for `evict_after`.
const GONE: u32 = 8 + 30 + 1;

#[test]
fn an_evacuated_vm_is_pending_again() {
    run_test(|| {
        let vm = running();
        pass(5);
        MIA_1.fall_silent();
        pass(GONE);
        let before = generation(vm);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Pending, None));
        assert_eq!((request(vm).miner_id, request(vm).is_assigned), (None, false));
        assert_eq!(generation(vm), before + 1);
        assert_eq!(lease(vm).held, MOST * 100 - 5 * PRICE);
        assert_eq!((MIA_1.record().vms, MIA_1.record().counts.evacuated), (0, 1));
        let (node_id, owner) = (MIA_1.id(), id(TINA));
        assert_happened(Event::ComputeRequestEvacuated { node_id, request_id: vm, owner });
        assert_ok!(MILO_1.claims(vm));
        assert_ok!(MILO_1.launches(vm));
        pass(10);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((lease(vm).billed, free(MILO)), (10, FUNDS + 190));
    });
}

#[test]
fn a_node_that_was_away_shortly_keeps_its_vms() {
    run_test(|| {
        let vm = running();
        assert_noop!(Compute::evacuate(by(TINA), vm), Error::<Test>::NodeNotGone);
        MIA_1.fall_silent();
        pass(GONE - 1);
        assert_noop!(Compute::evacuate(by(TINA), vm), Error::<Test>::NodeNotGone);
        pass(1);
        assert_ok!(Compute::evacuate(by(TINA), vm));
    });
}

#[test]
fn a_node_that_came_back_keeps_its_vms() {
    run_test(|| {
        let vm = running();
        MIA_1.fall_silent();
        pass(GONE);
        MIA_1.come_back();
        assert_noop!(Compute::evacuate(by(TINA), vm), Error::<Test>::NodeNotGone);
    });
}

#[test]
fn only_its_tenant_evacuates_a_vm() {
    run_test(|| {
        let vm = running();
        MIA_1.fall_silent();
        pass(GONE);
        for who in [TOM, MIA, MIA_1.worker] {
            assert_noop!(Compute::evacuate(by(who), vm), Error::<Test>::ComputeRequestNotFound);
        }
    });
}

#[test]
fn what_no_node_has_is_not_evacuated() {
    run_test(|| {
        let vm = pending();
        assert_noop!(Compute::evacuate(by(TINA), vm), Error::<Test>::NotAssigned);
    });
}

#[test]
fn a_vm_whose_hold_is_too_small_for_another_node_is_not_evacuated() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 30, ..ask() });
        pass(1);
        MIA_1.fall_silent();
        pass(GONE);
        assert_noop!(Compute::evacuate(by(TINA), vm), Error::<Test>::LeaseTooShort);
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_ok!(Compute::evacuate(by(TINA), vm));
    });
}

#[test]
fn a_vm_is_evacuated_whatever_is_queued() {
    for find in [running, stopped] {
        for kind in [OperationKind::Stop, OperationKind::Resize] {
            run_test(|| {
                let vm = find();
                pass(1);
                MIA_1.fall_silent();
                let queued = match (kind, status(vm)) {
                    (OperationKind::Resize, _) => {
                        Compute::request_compute_resize(by(TINA), vm, plan_id("large"))
                    }
                    (_, ComputeRequestStatus::Running) => {
                        Compute::request_compute_stop(by(TINA), vm)
                    }
                    _ => Compute::request_compute_boot(by(TINA), vm),
                };
                assert_ok!(queued);
                pass_busy(GONE);
                assert_ok!(Compute::evacuate(by(TINA), vm));
                assert_eq!(MIA_1.record().vms, 0);
            });
        }
    }
}

#[test]
fn a_claimed_launch_is_evacuated_without_a_penalty() {
    run_test(|| {
        let vm = launching();
        MIA_1.fall_silent();
        pass_busy(GONE);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        assert_eq!(MIA_1.slashes(), vec![]);
    });
}

#[test]
fn a_vm_with_a_named_node_goes_anywhere_once_it_is_evacuated() {
    run_test(|| {
        let vm = create(ask_for(&MIA_1));
        assert_ok!(MIA_1.launches(vm));
        MIA_1.fall_silent();
        pass(GONE);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        assert!(!request(vm).named_node);
        assert_ok!(MILO_1.claims(vm));
        assert_ok!(MILO_1.fails(vm, RETRYABLE));
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
    });
}

#[test]
fn what_failed_before_does_not_count_any_more() {
    run_test(|| {
        let vm = pending();
        for host in [MILO_1, MAX_1] {
            assert_ok!(host.claims(vm));
            assert_ok!(host.fails(vm, RETRYABLE));
        }
        assert_ok!(MIA_1.claims(vm));
        assert_ok!(MIA_1.launches(vm));
        MIA_1.fall_silent();
        pass(GONE);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        assert_eq!((request(vm).attempts, request(vm).excluded.len()), (0, 0));
        assert_ok!(MILO_1.claims(vm));
    });
}

#[test]
fn its_address_rests_longer() {
    run_test(|| {
        let vm = running_as(Ask { ip: IpWish::Require, ..ask() });
        let (pool, ip) = IpOf::<Test>::get(vm).unwrap();
        MIA_1.fall_silent();
        pass(GONE);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        let until = now() + 64;
        assert_eq!(Ips::<Test>::get(&pool, ip), Some(IpState::Quarantined(until)));
        let (request_id, owner) = (vm, id(TINA));
        assert_happened(Event::IpReturned { request_id, owner, pool, ip, until });
    });
}

#[test]
fn a_notice_does_not_follow_the_vm() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::end_lease(by(MIA), vm));
        MIA_1.fall_silent();
        pass(GONE);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        assert_eq!((lease(vm).ends_at, lease(vm).check_at), (None, None));
    });
}

#[test]
fn the_old_node_cannot_report_on_it_any_more() {
    run_test(|| {
        let vm = running();
        MIA_1.fall_silent();
        pass(GONE);
        assert_ok!(Compute::evacuate(by(TINA), vm));
        assert_noop!(MIA_1.fails(vm, RETRYABLE), Error::<Test>::ComputeRequestNotFound);
        assert_ok!(MILO_1.claims(vm));
        assert_noop!(MIA_1.launches(vm), Error::<Test>::ComputeRequestNotFound);
    });
}
