use super::acts::*;
use crate::{mock::*, Error, Event};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    request::{IpWish, OperationKind},
    Balance,
};

#[test]
fn rent_goes_to_the_miner_and_a_share_to_the_treasury() {
    run_test(|| {
        let vm = running();
        pass(10);
        assert_ok!(Compute::settle(by(STRANGER), vm));
        assert_eq!((free(MIA), treasury()), (FUNDS + 190, 10));
        assert_eq!(lease(vm).held, MOST * 100 - 10 * PRICE);
        assert_happened(Event::LeaseSettled {
            node_id: MIA_1.id(),
            request_id: vm,
            owner: id(TINA),
            blocks: 10,
            miner_share: 190,
            treasury_share: 10,
        });
    });
}

#[test]
fn the_treasurys_share_is_rounded_up() {
    run_test(|| {
        MIA_1.change(|node| node.offer.rates.vcpu += 1);
        let vm = running();
        pass(1);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((free(MIA), treasury()), (FUNDS + 19, 2));
    });
}

#[test]
fn what_is_settled_twice_is_paid_once() {
    run_test(|| {
        let vm = running();
        pass(10);
        assert_ok!(Compute::settle(by(TINA), vm));
        let once = (free(TINA), free(MIA), treasury(), lease(vm));
        assert_ok!(Compute::settle(by(MIA), vm));
        assert_eq!((free(TINA), free(MIA), treasury(), lease(vm)), once);
    });
}

#[test]
fn settling_often_or_once_costs_the_same() {
    let cost = |often: bool| {
        let mut left = 0;
        run_test(|| {
            let vm = running();
            for _ in 0..30 {
                pass(1);
                if often {
                    assert_ok!(Compute::settle(by(TINA), vm));
                }
            }
            assert_ok!(Compute::settle(by(TINA), vm));
            left = lease(vm).held;
        });
        left
    };
    assert_eq!(cost(true), cost(false));
}

#[test]
fn time_offline_is_not_billed() {
    run_test(|| {
        let vm = running();
        pass(5);
        MIA_1.fall_silent();
        pass(100);
        MIA_1.come_back();
        pass(3);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!(lease(vm).held, MOST * 100 - 8 * PRICE);
        assert_eq!(lease(vm).billed, 8);
    });
}

#[test]
fn a_short_silence_was_served() {
    run_test(|| {
        let vm = running();
        MIA_1.fall_silent();
        pass(8);
        MIA_1.come_back();
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!(lease(vm).billed, 8);
    });
}

#[test]
fn a_lease_is_not_used_up_while_its_node_is_offline() {
    run_test(|| {
        let vm = running_as(Ask { blocks: 31, max_price: PRICE, ..ask() });
        MIA_1.fall_silent();
        pass(300);
        assert!(!lease(vm).exhausted);
        assert_eq!(lease(vm).held, 31 * PRICE);
        MIA_1.come_back();
        pass(20);
        assert!(lease(vm).exhausted);
    });
}

#[test]
fn a_stopped_vm_keeps_its_room_and_pays_for_it() {
    run_test(|| {
        let vm = stopped();
        pass(10);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((lease(vm).billed, MIA_1.record().reserved), (10, SMALL));
    });
}

#[test]
fn a_vm_that_waits_or_is_launched_pays_nothing() {
    for find in [pending, launching] {
        run_test(|| {
            let vm = find();
            pass(10);
            assert_ok!(Compute::settle(by(TINA), vm));
            assert_eq!(lease(vm).held, MOST * 100);
        });
    }
}

#[test]
fn what_is_closed_or_not_there_is_not_settled() {
    run_test(|| {
        let vm = pending();
        assert_ok!(Compute::cancel_compute_request(by(TINA), vm));
        assert_noop!(Compute::settle(by(TINA), vm), Error::<Test>::LeaseClosed);
        assert_noop!(Compute::settle(by(TINA), vm + 1), Error::<Test>::ComputeRequestNotFound);
    });
}

#[test]
fn a_global_address_is_paid_to_the_treasury() {
    run_test(|| {
        let vm = running_as(Ask { ip: IpWish::Require, ..ask() });
        assert_eq!(lease(vm).price, PRICE + GLOBAL_IP_PRICE);
        pass(10);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((free(MIA), treasury()), (FUNDS + 190, 10 + 10 * GLOBAL_IP_PRICE));
    });
}

#[test]
fn a_miner_that_rents_from_itself_pays_the_treasury_only() {
    run_test(|| {
        let vm = running_as(Ask { tenant: MIA, ..ask() });
        pass(10);
        assert_ok!(Compute::request_compute_delete(by(MIA), vm));
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        assert_eq!((free(MIA), treasury()), (FUNDS - 10, 10));
    });
}

#[test]
fn a_free_vm_runs_for_ever() {
    run_test(|| {
        MIA_1.change(|node| node.offer.rates = Default::default());
        let vm = running_as(Ask { max_price: 1, blocks: 30, ..ask() });
        pass(300);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((lease(vm).held, lease(vm).exhausted), (30, false));
    });
}

#[test]
fn a_lease_is_paid_out_of_its_own_hold_only() {
    run_test(|| {
        let (short, long) = (exhausted(), running());
        pass(60);
        assert_ok!(Compute::settle(by(TINA), long));
        assert_eq!(rent_held(TINA), lease(long).held);
        assert!(is_gone(short) || operation(short) == Some(OperationKind::Delete));
        assert_eq!(lease(long).held, MOST * 100 - Balance::from(lease(long).billed) * PRICE);
    });
}
