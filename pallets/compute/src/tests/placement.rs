use super::acts::*;
use crate::{mock::*, Call, Error, Event, MinerComputeRequests, PendingRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    node::{Country, NodeRecord},
    request::{ComputeRequestStatus, IpWish, OperationKind, RequestId},
    resources::{Rates, Resources},
};
use sp_runtime::DispatchResult;

/// The tenant's own choice.
fn assign(host: &Host, vm: RequestId) -> DispatchResult {
    send(TINA, claim(host, vm))
}

/// Has [`MIA_1`] so, and a request for it.
fn with_node(change: impl FnOnce(&mut NodeRecord), test: impl FnOnce(RequestId)) {
    run_test(|| {
        MIA_1.change(change);
        test(pending());
    });
}

#[test]
fn a_tenant_gives_a_request_to_a_node() {
    run_test(|| {
        let vm = pending();
        assert_ok!(assign(&MIA_1, vm));
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
        assert_eq!((request(vm).miner_id, generation(vm)), (Some(MIA_1.id()), 1));
        assert!(!PendingRequests::<Test>::contains_key(vm));
        assert_happened(Event::ComputeRequestSubmitted {
            node_id: MIA_1.id(),
            request_id: vm,
            owner: id(TINA),
            generation: 1,
            claimed: false,
        });
    });
}

#[test]
fn an_assignment_is_on_the_nodes_list() {
    run_test(|| {
        pass(4);
        let vm = pending();
        assert_ok!(assign(&MIA_1, vm));
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!((entry.miner_node_id, entry.miner_account_id), (MIA_1.id(), id(MIA)));
        assert_eq!((entry.request_id, entry.plan_id), (vm, plan_id("small")));
        assert_eq!((entry.generation, entry.created_at), (1, now()));
        assert_eq!((entry.job_id, entry.fail_reason, entry.ip_assigned), (None, None, None));
        assert_eq!((entry.fullfilled, entry.claimed), (false, false));
    });
}

#[test]
fn the_nodes_rates_are_fixed() {
    run_test(|| {
        let vm = pending();
        assert_ok!(assign(&MIA_1, vm));
        assert_eq!((lease(vm).price, lease(vm).rates), (PRICE, Some(market::RATES)));
        MIA_1.change(|node| node.offer.rates = Rates { vcpu: 40, ..market::RATES });
        assert_ok!(MIA_1.launches(vm));
        pass(10);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!(rent_held(TINA), MOST * 100 - PRICE * 10);
    });
}

#[test]
fn nobody_else_gives_a_request_away() {
    run_test(|| {
        let vm = pending();
        for who in [TOM, MILO, MILO_1.worker, STRANGER] {
            assert_noop!(send(who, claim(&MIA_1, vm)), Error::<Test>::InvalidSignature);
        }
    });
}

#[test]
fn a_request_that_is_not_the_named_tenants_is_not_found() {
    run_test(|| {
        let vm = pending();
        let mut call = claim(&MIA_1, vm);
        if let Call::submit_compute_request_assignment { owner, .. } = &mut call {
            *owner = id(TOM);
        }
        assert_noop!(send(MIA_1.worker, call), Error::<Test>::ComputeRequestNotFound);
        let nothing = claim(&MIA_1, vm + 1);
        assert_noop!(send(MIA_1.worker, nothing), Error::<Test>::ComputeRequestNotFound);
    });
}

#[test]
fn a_node_that_is_not_there_gets_nothing() {
    run_test(|| {
        let nowhere = Host { name: "nowhere", ..MIA_1 };
        let vm = pending();
        assert_noop!(assign(&nowhere, vm), Error::<Test>::NodeNotFound);
    });
}

#[test]
fn the_plan_that_is_named_must_be_the_requests() {
    run_test(|| {
        let vm = pending();
        let mut call = claim(&MIA_1, vm);
        if let Call::submit_compute_request_assignment { plan_id: named, .. } = &mut call {
            *named = plan_id("large");
        }
        assert_noop!(send(MIA_1.worker, call), Error::<Test>::PlanMismatch);
    });
}

#[test]
fn a_request_goes_to_one_node_only() {
    run_test(|| {
        let vm = launching();
        assert_noop!(MILO_1.claims(vm), Error::<Test>::NotPending);
        assert_ok!(MIA_1.launches(vm));
        assert_noop!(MILO_1.claims(vm), Error::<Test>::NotPending);
        assert_noop!(assign(&MILO_1, vm), Error::<Test>::NotPending);
    });
}

#[test]
fn a_node_that_leaves_gets_nothing() {
    with_node(
        |node| node.leaves_at = Some(50),
        |vm| {
            assert_noop!(assign(&MIA_1, vm), Error::<Test>::NodeLeaving);
        },
    );
}

#[test]
fn an_offline_node_gets_nothing() {
    run_test(|| {
        let vm = pending();
        MIA_1.fall_silent();
        pass(9);
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::NodeOffline);
        assert_noop!(MIA_1.claims(vm), Error::<Test>::NodeOffline);
        MIA_1.come_back();
        assert_ok!(assign(&MIA_1, vm));
    });
}

#[test]
fn a_drained_node_gets_nothing() {
    with_node(
        |node| node.miner_accepting = false,
        |vm| {
            assert_noop!(assign(&MIA_1, vm), Error::<Test>::NodeNotAccepting);
        },
    );
}

#[test]
fn a_loaded_node_gets_nothing() {
    with_node(
        |node| node.worker_accepting = false,
        |vm| {
            assert_noop!(assign(&MIA_1, vm), Error::<Test>::NodeNotAccepting);
        },
    );
}

#[test]
fn a_node_whose_bond_is_used_up_gets_nothing() {
    with_node(
        |node| node.bond = market::BOND - 1,
        |vm| {
            assert_noop!(assign(&MIA_1, vm), Error::<Test>::BondTooSmall);
        },
    );
}

#[test]
fn a_node_elsewhere_gets_nothing() {
    run_test(|| {
        let vm = create(Ask { country: Some(Country(*b"SE")), ..ask() });
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::WrongCountry);
        assert_ok!(assign(&MILO_1, vm));
    });
}

#[test]
fn a_full_node_takes_nothing() {
    run_test(|| {
        MIA_1.change(|node| node.offer.max_vms = 100);
        for _ in 0..8 {
            assert_ok!(assign(&MIA_1, pending()));
        }
        assert_eq!(MIA_1.record().reserved, market::CAPACITY);
        let vm = pending();
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::NodeFull);
        assert_noop!(MIA_1.claims(vm), Error::<Test>::NodeFull);
        assert_ok!(assign(&MILO_1, vm));
    });
}

#[test]
fn a_node_without_enough_of_one_resource_takes_nothing() {
    for capacity in [
        Resources { vcpus: 1, ..market::CAPACITY },
        Resources { memory_mib: 2_047, ..market::CAPACITY },
        Resources { disk_gib: 9, ..market::CAPACITY },
    ] {
        run_test(|| {
            MIA_1.change(|node| node.offer.capacity = capacity);
            let vm = create(Ask { plan: "large", ..ask() });
            assert_noop!(assign(&MIA_1, vm), Error::<Test>::NodeFull);
        });
    }
}

#[test]
fn a_node_takes_no_more_vms_than_it_offers() {
    run_test(|| {
        for _ in 0..6 {
            assert_ok!(assign(&MIA_1, pending()));
        }
        let vm = pending();
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::TooManyVms);
    });
}

#[test]
fn a_vm_that_goes_makes_room() {
    run_test(|| {
        MIA_1.change(|node| node.offer.max_vms = 1);
        let vm = running();
        let next = pending();
        assert_noop!(assign(&MIA_1, next), Error::<Test>::TooManyVms);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_noop!(assign(&MIA_1, next), Error::<Test>::TooManyVms);
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        assert_ok!(assign(&MIA_1, next));
    });
}

#[test]
fn a_node_that_is_too_dear_gets_nothing() {
    run_test(|| {
        let vm = create(Ask { max_price: PRICE - 1, ..ask() });
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::PriceAboveMax);
        MIA_1.change(|node| node.offer.rates.vcpu -= 1);
        assert_ok!(assign(&MIA_1, vm));
    });
}

#[test]
fn a_price_beyond_all_balances_is_too_dear() {
    with_node(
        |node| node.offer.rates.vcpu = u128::MAX,
        |vm| {
            assert_noop!(assign(&MIA_1, vm), Error::<Test>::PriceAboveMax);
        },
    );
}

#[test]
fn a_node_without_an_address_gets_nothing_that_requires_one() {
    run_test(|| {
        MIA_1.change(|node| node.offer.global_ips = false);
        let vm = create(Ask { ip: IpWish::Require, ..ask() });
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::NoAvailableIp);
        assert_ok!(assign(&MILO_1, vm));
    });
}

#[test]
fn a_pending_request_is_taken_back() {
    run_test(|| {
        let vm = pending();
        assert_noop!(
            Compute::cancel_compute_request(by(TOM), vm),
            Error::<Test>::ComputeRequestNotFound
        );
        assert_ok!(Compute::cancel_compute_request(by(TINA), vm));
        assert_eq!((status(vm), rent_held(TINA)), (ComputeRequestStatus::Cancelled, 0));
        assert_happened(Event::ComputeRequestCancelled { request_id: vm, owner: id(TINA) });
        assert_noop!(assign(&MIA_1, vm), Error::<Test>::NotPending);
    });
}

#[test]
fn what_a_node_has_is_not_taken_back() {
    run_test(|| {
        let vm = launching();
        assert_noop!(Compute::cancel_compute_request(by(TINA), vm), Error::<Test>::NotPending);
    });
}
