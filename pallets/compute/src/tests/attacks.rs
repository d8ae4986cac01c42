//! What somebody gains by breaking the spirit of the rules: nothing.

use super::acts::*;
use crate::{mock::*, Credits, Error, IpOf, Leases};
use frame_support::{assert_noop, assert_ok, traits::Get};
use quarry_primitives::request::{ComputeRequestStatus, IpWish, OperationKind};

#[test]
fn a_miner_that_claims_everything_and_fails_it_loses_its_bond_and_holds_up_nobody() {
    run_test(|| {
        let vms: Vec<_> = (0..6).map(|_| pending()).collect();
        for vm in &vms {
            let _ = MIA_1.claims(*vm);
        }
        let taken = vms.iter().filter(|vm| request(**vm).is_assigned).count();
        assert_eq!(taken, 2, "a node has so many claims at once");
        for vm in &vms {
            if !request(*vm).is_assigned {
                assert_ok!(send(TINA, claim(&MILO_1, *vm)));
            }
            let _ = MIA_1.fails(*vm, RETRYABLE);
        }
        assert_eq!(MIA_1.slashes(), vec![60 * PRICE; 2]);
        for vm in vms.iter().filter(|vm| !request(**vm).is_assigned) {
            assert_noop!(MIA_1.claims(*vm), Error::<Test>::MinerExcluded);
            assert_ok!(send(TINA, claim(&MILO_1, *vm)));
        }
        // With its bond it loses the right to claim.
        while MIA_1.record().bond >= market::BOND {
            let vm = create(Ask { tenant: TOM, ..ask() });
            assert_ok!(MIA_1.claims(vm));
            assert_ok!(MIA_1.fails(vm, RETRYABLE));
        }
        let vm = pending();
        assert_noop!(MIA_1.claims(vm), Error::<Test>::BondTooSmall);
    });
}

#[test]
fn a_miner_that_asks_for_nothing_loses_the_right_to_claim_all_the_same() {
    run_test(|| {
        MIA_1.change(|node| {
            node.offer.rates = Default::default();
            node.bond = market::BOND;
        });
        let vm = pending();
        assert_ok!(MIA_1.claims(vm));
        assert_eq!(lease(vm).price, 0);
        assert_ok!(MIA_1.fails(vm, TERMINAL));
        assert_eq!(MIA_1.slashes(), vec![<Test as crate::Config>::LeastPenalty::get()]);
        let vm = pending();
        assert_noop!(MIA_1.claims(vm), Error::<Test>::BondTooSmall);
    });
}

#[test]
fn a_stranger_that_takes_the_name_of_a_named_node_does_not_get_what_waits_for_it() {
    run_test(|| {
        MIA_1.change(|node| node.worker_accepting = false);
        let vm = create(ask_for(&MIA_1));
        MIA_1.change(|node| {
            node.owner = id(MILO);
            node.registered_at = now() + 1;
            node.worker_accepting = true;
        });
        pass(1);
        assert_noop!(MIA_1.claims(vm), Error::<Test>::OtherNodeNamed);
        MIA_1.change(|node| node.registered_at = now() - 1);
        assert_ok!(MIA_1.claims(vm));
    });
}

#[test]
fn a_miner_that_raises_its_rates_and_claims_at_once_is_refused() {
    run_test(|| {
        let vm = pending();
        MIA_1.change(|node| {
            node.offer.rates.vcpu += 30;
            node.rates_raised_at = Some(now());
        });
        assert_noop!(MIA_1.claims(vm), Error::<Test>::RatesRaisedLately);
        assert_noop!(send(MIA, claim(&MIA_1, vm)), Error::<Test>::RatesRaisedLately);
        assert_ok!(MILO_1.claims(vm));
        assert_eq!(lease(vm).price, PRICE);
    });
}

#[test]
fn a_miner_that_rents_its_own_vms_to_drain_the_global_pool_pays_the_treasury() {
    run_test(|| {
        MIA_1.change(|node| node.offer.rates = Default::default());
        let own = || Ask { tenant: MIA, ip: IpWish::Require, ..ask_for(&MIA_1) };
        let vms = [create(own()), create(own()), create(own())];
        for vm in vms {
            assert_ok!(MIA_1.launches(vm));
        }
        assert_eq!(status(create(own())), ComputeRequestStatus::Pending);
        pass(40);
        for vm in vms {
            assert_ok!(Compute::settle(by(STRANGER), vm));
        }
        assert_eq!(treasury(), 3 * 40 * GLOBAL_IP_PRICE);
        assert_eq!(FUNDS - free(MIA) - rent_held(MIA) - deposit_held(MIA), treasury());
    });
}

#[test]
fn a_foreign_worker_key_reports_nothing() {
    run_test(|| {
        let vm = launching();
        let at = generation(vm);
        for call in [
            start(&MIA_1, vm, at),
            done(OperationKind::Launch, &MIA_1, vm, at),
            failure(&MIA_1, vm, at, TERMINAL),
            trouble(&MIA_1, vm, at),
        ] {
            let refused = send(MILO_1.worker, call.clone());
            assert_eq!(refused, Err(Error::<Test>::InvalidSignature.into()));
            assert!(!is_free(MILO_1.worker, &call));
        }
        // As the worker of its own node it is let in, but the VM is not there.
        let other_node = failure(&MILO_1, vm, at, TERMINAL);
        assert_noop!(send(MILO_1.worker, other_node), Error::<Test>::ComputeRequestNotFound);
    });
}

#[test]
fn a_worker_key_that_was_rotated_out_reports_nothing() {
    run_test(|| {
        let vm = launching();
        MIA_1.change(|node| node.worker = id(STRANGER));
        assert_noop!(MIA_1.starts(vm), Error::<Test>::InvalidSignature);
        assert_ok!(send(STRANGER, start(&MIA_1, vm, generation(vm))));
    });
}

#[test]
fn a_tenant_that_tops_up_for_ever_cannot_keep_the_node() {
    run_test(|| {
        let vm = running_as(Ask { max_price: PRICE, ..ask() });
        while Compute::top_up(by(TINA), vm, 50).is_ok() {}
        assert_noop!(Compute::top_up(by(TINA), vm, 50), Error::<Test>::PrepaidTooLong);
        assert!(lease(vm).held <= 1_000 * PRICE);
        assert_ok!(Compute::end_lease(by(MIA), vm));
        for _ in 0..59 {
            pass(1);
            assert!(Compute::top_up(by(TINA), vm, 50).is_err());
        }
        assert_noop!(Compute::top_up(by(TINA), vm, 1), Error::<Test>::LeaseIsEnding);
        pass(1);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        assert!(is_gone(vm));
        assert_eq!(MIA_1.record().vms, 0);
    });
}

#[test]
fn a_tenant_that_tops_up_a_little_now_and_then_pays_for_all_of_it() {
    run_test(|| {
        let vm = nearly_exhausted();
        let mut blocks = 10;
        while Leases::<Test>::contains_key(vm) {
            if blocks % 9 == 1 {
                let _ = Compute::top_up(by(TINA), vm, 1);
            }
            pass(1);
            blocks += 1;
            assert!(blocks < 1_000, "the chain never looks at the lease");
        }
        let paid = FUNDS - free(TINA) - deposit_held(TINA);
        assert!(paid + 10 * PRICE >= blocks * PRICE, "{paid} for {blocks} blocks");
    });
}

#[test]
fn a_hold_that_is_used_up_cannot_be_topped_up() {
    run_test(|| {
        let vm = exhausted();
        pass_busy(20);
        assert_noop!(Compute::top_up(by(TINA), vm, 50), Error::<Test>::LeaseClosed);
        pass(1);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
    });
}

#[test]
fn a_payout_below_the_existential_deposit_in_the_middle_of_a_delete_waits_as_a_credit() {
    run_test(|| {
        let vm = create(ask_for(&MAX_1));
        assert_ok!(MAX_1.launches(vm));
        pass(3);
        MAX_1.fall_silent();
        pass(9);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert!(is_gone(vm));
        assert_eq!(Credits::<Test>::get(id(MAX)), 57);
        assert_ok!(Balances::transfer_keep_alive(by(TOM), id(MAX), DUST));
        assert_ok!(Compute::claim_credit(by(MAX), id(MAX)));
        assert_eq!(free(MAX), DUST + 57);
    });
}

#[test]
fn a_boot_in_grace_is_refused() {
    run_test(|| {
        let vm = exhausted();
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        for _ in 0..19 {
            assert_noop!(
                Compute::request_compute_boot(by(TINA), vm),
                Error::<Test>::LeaseExhausted
            );
            pass(1);
        }
        pass(1);
        assert_eq!(operation(vm), Some(OperationKind::Delete));
    });
}

#[test]
fn a_tenant_that_leaves_at_once_pays_the_least_rent() {
    run_test(|| {
        for _ in 0..5 {
            let vm = running();
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
            assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        }
        assert_eq!(free(TINA), FUNDS - 5 * 10 * PRICE);
    });
}

#[test]
fn a_miner_cannot_bill_what_its_node_did_not_serve() {
    run_test(|| {
        let vm = running();
        MIA_1.fall_silent();
        pass(100);
        // What the miner signs itself does not show that the node is there.
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_ok!(send(MIA, done(OperationKind::Stop, &MIA_1, vm, generation(vm))));
        assert_ok!(Compute::settle(by(MIA), vm));
        assert_eq!(lease(vm).billed, 0);
    });
}

#[test]
fn one_tenant_cannot_spend_anothers_hold() {
    run_test(|| {
        let (poor, rich) = (exhausted(), create(Ask { tenant: TOM, ..ask_for(&MIA_1) }));
        assert_ok!(MIA_1.launches(rich));
        let held = rent_held(TOM);
        pass(25);
        assert!(is_gone(poor) || operation(poor) == Some(OperationKind::Delete));
        assert_eq!((rent_held(TOM), lease(rich).held), (held, held));
    });
}

#[test]
fn a_full_pool_of_pending_requests_holds_no_address() {
    run_test(|| {
        for _ in 0..10 {
            create(Ask { ip: IpWish::Require, ..ask() });
        }
        assert_eq!(IpOf::<Test>::iter().count(), 0);
    });
}
