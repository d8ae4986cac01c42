use super::acts::*;
use crate::{mock::*, Claims, Error, Event, MinerComputeRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::request::{ComputeRequestStatus, OperationKind};

#[test]
fn a_node_claims_a_pending_request() {
    run_test(|| {
        let vm = pending();
        assert_ok!(MIA_1.claims(vm));
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
        assert!(MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap().claimed);
        assert_eq!(Claims::<Test>::get(MIA_1.id()), 1);
        assert_happened(Event::ComputeRequestSubmitted {
            node_id: MIA_1.id(),
            request_id: vm,
            owner: id(TINA),
            generation: 1,
            claimed: true,
        });
    });
}

#[test]
fn a_miner_claims_for_its_node() {
    run_test(|| {
        assert_ok!(send(MIA, claim(&MIA_1, pending())));
        assert_eq!(Claims::<Test>::get(MIA_1.id()), 1);
    });
}

#[test]
fn a_claim_shows_that_the_node_is_there() {
    run_test(|| {
        MIA_1.fall_silent();
        let vm = pending();
        pass(5);
        assert_ok!(MIA_1.claims(vm));
        assert_eq!(MIA_1.record().last_seen, Some(now()));
    });
}

#[test]
fn a_miners_claim_does_not_show_that_the_node_is_there() {
    run_test(|| {
        MIA_1.fall_silent();
        let vm = pending();
        pass(5);
        assert_ok!(send(MIA, claim(&MIA_1, vm)));
        assert_eq!(MIA_1.record().last_seen, Some(1));
    });
}

#[test]
fn a_node_launches_so_many_claims_at_once() {
    run_test(|| {
        let (first, second, third) = (launching(), launching(), pending());
        assert_noop!(MIA_1.claims(third), Error::<Test>::TooManyClaims);
        assert_ok!(MILO_1.claims(third));
        assert_ok!(MIA_1.launches(first));
        assert_eq!(Claims::<Test>::get(MIA_1.id()), 1);
        assert_ok!(MIA_1.claims(pending()));
        assert_ok!(MIA_1.launches(second));
    });
}

#[test]
fn a_claim_ends_however_the_launch_ends() {
    run_test(|| {
        for end in 0..5 {
            let vm = launching();
            match end {
                0 => {
                    assert_ok!(MIA_1.launches(vm));
                }
                1 => {
                    assert_ok!(MIA_1.fails(vm, RETRYABLE));
                }
                2 => {
                    assert_ok!(Compute::request_compute_delete(by(TINA), vm));
                }
                3 => {
                    assert_ok!(Compute::force_close(RuntimeOrigin::root(), vm));
                }
                _ => pass(15),
            }
            assert!(!Claims::<Test>::contains_key(MIA_1.id()), "{end}");
        }
    });
}

#[test]
fn what_a_tenant_gives_to_a_node_is_no_claim() {
    run_test(|| {
        for _ in 0..3 {
            assert_ok!(send(TINA, claim(&MIA_1, pending())));
        }
        assert_eq!(Claims::<Test>::get(MIA_1.id()), 0);
        assert_ok!(MIA_1.claims(pending()));
    });
}

#[test]
fn what_names_the_node_is_no_claim() {
    run_test(|| {
        MIA_1.change(|node| node.worker_accepting = false);
        let vm = create(ask_for(&MIA_1));
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
        launching_elsewhere();
        MIA_1.change(|node| {
            node.worker_accepting = true;
            node.rates_raised_at = Some(now());
        });
        assert_ok!(MIA_1.claims(vm));
        assert_eq!(Claims::<Test>::get(MIA_1.id()), 0);
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_eq!(MIA_1.slashes(), vec![]);
    });
}

fn launching_elsewhere() {
    assert_ok!(MILO_1.claims(pending()));
}

#[test]
fn a_node_that_raised_its_rates_waits_before_it_claims() {
    run_test(|| {
        let vm = pending();
        MIA_1.change(|node| node.rates_raised_at = Some(now()));
        pass(24);
        assert_noop!(MIA_1.claims(vm), Error::<Test>::RatesRaisedLately);
        pass(1);
        assert_ok!(MIA_1.claims(vm));
    });
}

#[test]
fn a_tenant_may_choose_a_node_that_raised_its_rates() {
    run_test(|| {
        MIA_1.change(|node| node.rates_raised_at = Some(now()));
        assert_ok!(send(TINA, claim(&MIA_1, pending())));
    });
}

#[test]
fn a_claim_that_fails_costs_the_bond() {
    run_test(|| {
        let vm = launching();
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_eq!(MIA_1.slashes(), vec![60 * PRICE]);
        let (node_id, amount) = (MIA_1.id(), 60 * PRICE);
        assert_happened(Event::ClaimPenalized { node_id, request_id: vm, amount });
    });
}

#[test]
fn a_claim_out_of_time_costs_the_bond() {
    run_test(|| {
        launching();
        pass(15);
        assert_eq!(MIA_1.slashes(), vec![60 * PRICE]);
    });
}

#[test]
fn a_claim_costs_no_more_than_the_bond_has() {
    run_test(|| {
        let vm = launching();
        MIA_1.change(|node| node.bond = 7);
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_eq!(MIA_1.slashes(), vec![7]);
        let node_id = MIA_1.id();
        assert_happened(Event::ClaimPenalized { node_id, request_id: vm, amount: 7 });
    });
}

#[test]
fn what_the_tenant_chose_costs_the_node_nothing() {
    run_test(|| {
        let (assigned, named) = (pending(), create(ask_for(&MIA_1)));
        assert_ok!(send(TINA, claim(&MIA_1, assigned)));
        assert_ok!(MIA_1.fails(assigned, RETRYABLE));
        assert_ok!(MIA_1.fails(named, RETRYABLE));
        assert_eq!(MIA_1.slashes(), vec![]);
    });
}

#[test]
fn a_claim_that_the_tenant_ends_costs_the_node_nothing() {
    run_test(|| {
        let vm = launching();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        assert_eq!(MIA_1.slashes(), vec![]);
    });
}
