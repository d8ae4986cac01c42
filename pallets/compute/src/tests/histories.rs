//! What hurt other markets, as far as it concerns the chain.

use super::acts::*;
use crate::{mock::*, Error, IpOf, Ips, MinerComputeDeletionRequests, MinerComputeStopRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    ip::{IpAddress, IpState, PoolId},
    request::{ComputeRequestStatus, IpWish, OperationKind, RequestId},
};

fn with_address() -> Ask {
    Ask { ip: IpWish::Require, ..ask() }
}

fn own_pool() -> PoolId {
    let pool = PoolId::Node(MIA_1.id());
    let first = IpAddress::V4([203, 0, 113, 20]);
    assert_ok!(Compute::set_ip_pool(by(MIA), pool.clone(), network()));
    assert_ok!(Compute::add_ips(by(MIA), pool.clone(), first, 1));
    pool
}

#[test]
fn an_address_is_freed_under_the_key_under_which_it_was_stored() {
    run_test(|| {
        for pool in [PoolId::Global, own_pool()] {
            let vm = running_as(with_address());
            let (found, ip) = IpOf::<Test>::get(vm).unwrap();
            assert_eq!(Ips::<Test>::get(&found, ip), Some(IpState::Held(vm)));
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
            assert_ok!(MIA_1.does(OperationKind::Delete, vm));
            assert!(is_gone(vm), "{pool:?}");
            let rests = Ips::<Test>::get(&found, ip);
            assert!(matches!(rests, Some(IpState::Quarantined(_))));
        }
    });
}

#[test]
fn one_vm_that_fails_blocks_none_behind_it() {
    run_test(|| {
        let vms: Vec<RequestId> = (0..4).map(|_| running()).collect();
        for vm in &vms {
            assert_ok!(Compute::request_compute_stop(by(TINA), *vm));
        }
        assert_ok!(MIA_1.has_trouble(vms[0]));
        for vm in &vms[2..] {
            assert_ok!(MIA_1.does(OperationKind::Stop, *vm));
        }
        pass(10);
        assert_eq!(operation(vms[1]), None, "what is not done leaves the queue too");
        assert_eq!(MinerComputeStopRequests::<Test>::iter().count(), 0);
        for vm in &vms {
            assert_ok!(Compute::request_compute_delete(by(TINA), *vm));
        }
        assert_ok!(MIA_1.has_trouble(vms[0]));
        assert_ok!(MIA_1.does(OperationKind::Delete, vms[3]));
        pass(12);
        assert_eq!(MinerComputeDeletionRequests::<Test>::iter().count(), 0);
        assert!(vms.into_iter().all(is_gone));
    });
}

#[test]
fn addresses_are_chosen_on_the_chain_only() {
    run_test(|| {
        let (first, second) = (create(with_address()), create(with_address()));
        assert_ok!(MIA_1.claims(first));
        assert_ok!(MILO_1.claims(second));
        let chosen = [first, second].map(|vm| IpOf::<Test>::get(vm).unwrap());
        assert_ne!(chosen[0], chosen[1]);
        // A report has no say in it, so neither is refused for its address.
        assert_ok!(MIA_1.launches(first));
        assert_ok!(MILO_1.launches(second));
        assert_eq!([first, second].map(|vm| IpOf::<Test>::get(vm).unwrap()), chosen);
    });
}

#[test]
fn a_boot_asked_of_a_running_vm_does_not_fire_after_the_next_stop() {
    run_test(|| {
        let vm = running();
        assert_noop!(Compute::request_compute_boot(by(TINA), vm), Error::<Test>::NotStopped);
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_noop!(Compute::request_compute_boot(by(TINA), vm), Error::<Test>::OperationPending);
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        pass(30);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Stopped, None));
    });
}

#[test]
fn an_address_is_freed_once_the_node_is_gone() {
    run_test(|| {
        own_pool();
        let (own, global) = (running_as(with_address()), running_as(with_address()));
        let held = [own, global].map(|vm| IpOf::<Test>::get(vm).unwrap());
        MIA_1.fall_silent();
        pass(9);
        for vm in [own, global] {
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        }
        for (pool, ip) in held {
            assert!(matches!(Ips::<Test>::get(pool, ip), Some(IpState::Quarantined(_))));
        }
    });
}

#[test]
fn nobody_is_billed_while_the_node_is_down() {
    run_test(|| {
        let (run, rest) = (running(), stopped());
        MIA_1.fall_silent();
        pass(200);
        for vm in [run, rest] {
            assert_ok!(Compute::settle(by(MIA), vm));
            assert_eq!(lease(vm).held, MOST * 100);
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        }
        assert_eq!(free(TINA), FUNDS);
    });
}

#[test]
fn a_top_up_in_grace_ends_the_grace() {
    run_test(|| {
        let vm = exhausted();
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        pass(10);
        assert_ok!(Compute::top_up(by(TINA), vm, 100));
        assert_ok!(MIA_1.does(OperationKind::Boot, vm));
        pass(50);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        assert!(!lease(vm).exhausted);
    });
}

#[test]
fn a_settlement_done_twice_pays_once() {
    run_test(|| {
        let vm = running();
        pass(7);
        assert_ok!(Compute::settle(by(MIA), vm));
        let paid = (free(MIA), treasury());
        for _ in 0..3 {
            assert_ok!(Compute::settle(by(MIA), vm));
        }
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_eq!((free(MIA), treasury()), paid);
        assert_eq!(paid, (FUNDS + 7 * 19, 7));
    });
}

#[test]
fn nobody_else_stops_boots_reboots_resizes_or_evacuates_a_vm() {
    run_test(|| {
        let (run, rest) = (running(), stopped());
        for who in [TOM, MIA, MIA_1.worker, MILO, STRANGER] {
            let unknown = Error::<Test>::ComputeRequestNotFound;
            assert_noop!(Compute::request_compute_stop(by(who), run), unknown);
            let unknown = Error::<Test>::ComputeRequestNotFound;
            assert_noop!(Compute::request_compute_reboot(by(who), run), unknown);
            let unknown = Error::<Test>::ComputeRequestNotFound;
            assert_noop!(Compute::request_compute_boot(by(who), rest), unknown);
            assert_noop!(
                Compute::request_compute_resize(by(who), run, plan_id("large")),
                Error::<Test>::ComputeRequestNotFound
            );
            assert_noop!(
                Compute::set_ssh_keys(by(who), run, keys(&[])),
                Error::<Test>::ComputeRequestNotFound
            );
            let unknown = Error::<Test>::ComputeRequestNotFound;
            assert_noop!(Compute::evacuate(by(who), run), unknown);
            let unknown = Error::<Test>::ComputeRequestNotFound;
            assert_noop!(Compute::cancel_compute_request(by(who), run), unknown);
        }
    });
}

#[test]
fn a_wrong_node_is_an_error_and_no_panic() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        let at = generation(vm);
        for name in ["nowhere", ""] {
            let nowhere = Host { name, ..MIA_1 };
            for call in [
                claim(&nowhere, vm),
                start(&nowhere, vm, at),
                failure(&nowhere, vm, at, RETRYABLE),
                trouble(&nowhere, vm, at),
                done(OperationKind::Stop, &nowhere, vm, at),
                done(OperationKind::Delete, &nowhere, vm, at),
            ] {
                assert_noop!(send(MIA_1.worker, call), Error::<Test>::NodeNotFound);
            }
        }
        for call in [
            start(&MILO_1, vm, at),
            failure(&MILO_1, vm, at, RETRYABLE),
            trouble(&MILO_1, vm, at),
            done(OperationKind::Stop, &MILO_1, vm, at),
        ] {
            assert_noop!(send(MILO_1.worker, call), Error::<Test>::ComputeRequestNotFound);
        }
    });
}

#[test]
fn nobody_forges_a_report() {
    run_test(|| {
        let (vm, lost) = (running(), running());
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        for who in [TINA, TOM, MILO, MILO_1.worker, STRANGER] {
            for call in [
                done(OperationKind::Stop, &MIA_1, vm, generation(vm)),
                trouble(&MIA_1, vm, generation(vm)),
                failure(&MIA_1, lost, generation(lost), TERMINAL),
            ] {
                assert_noop!(send(who, call), Error::<Test>::InvalidSignature);
            }
        }
    });
}

#[test]
fn a_report_is_signed() {
    use frame_support::traits::UnfilteredDispatchable;
    run_test(|| {
        let vm = launching();
        let call = done(OperationKind::Launch, &MIA_1, vm, generation(vm));
        for origin in [RuntimeOrigin::none(), RuntimeOrigin::root()] {
            let refused = call.clone().dispatch_bypass_filter(origin);
            assert_eq!(refused.unwrap_err().error, sp_runtime::traits::BadOrigin.into());
        }
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
    });
}
