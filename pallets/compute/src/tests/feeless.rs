//! Each report is free when it is valid and pays when it is forged, stale or repeated. That what is free
//! succeeds is checked by [`send`] in all tests.

use super::acts::*;
use crate::{mock::*, Call};
use frame_support::{assert_ok, storage};
use quarry_primitives::request::{OperationKind, RequestId};
use sp_keyring::Sr25519Keyring;
use sp_runtime::DispatchResult;

/// A report on a VM of [`MIA_1`] at a generation.
type Report = fn(&Host, RequestId, u64) -> Call<Test>;

/// What a call would do, without doing it.
fn tried(who: Sr25519Keyring, call: Call<Test>) -> DispatchResult {
    storage::with_transaction(|| {
        let done = send(who, call);
        sp_runtime::TransactionOutcome::Rollback(Ok::<_, sp_runtime::DispatchError>(done))
    })
    .expect("it was tried")
}

/// The feeless check agrees with the call.
#[track_caller]
fn assert_free(who: Sr25519Keyring, call: Call<Test>) {
    assert!(is_free(who, &call), "{who} pays for {call:?}");
    assert_ok!(tried(who, call));
}

#[track_caller]
fn assert_pays_as_it_fails(who: Sr25519Keyring, call: Call<Test>) {
    assert!(!is_free(who, &call), "free for {who}: {call:?}");
    assert!(tried(who, call.clone()).is_err(), "valid, and pays: {call:?}");
}

#[track_caller]
fn assert_pays_though_it_is_valid(who: Sr25519Keyring, call: Call<Test>) {
    assert!(!is_free(who, &call), "free for {who}: {call:?}");
    assert_ok!(tried(who, call));
}

/// Checks a report that is valid now and, once it was sent, is not any more.
fn check(vm: RequestId, report: Report) {
    let now = generation(vm);
    let valid = report(&MIA_1, vm, now);
    for who in [MIA_1.worker, MIA] {
        assert_free(who, valid.clone());
        for stale in [now - 1, now + 1, u64::MAX] {
            assert_pays_as_it_fails(who, report(&MIA_1, vm, stale));
        }
        assert_pays_as_it_fails(who, report(&MIA_1, vm + 100, now));
        assert_pays_as_it_fails(who, report(&MILO_1, vm, now));
        assert_pays_as_it_fails(who, report(&Host { name: "nowhere", ..MIA_1 }, vm, now));
    }
    for who in [TINA, TOM, MILO, MILO_1.worker, STRANGER] {
        assert_pays_as_it_fails(who, valid.clone());
        assert_pays_as_it_fails(who, report(&MILO_1, vm, now));
    }
    assert!(!free_for_root(&valid));
    assert_ok!(send(MIA_1.worker, valid.clone()));
    assert_pays_as_it_fails(MIA_1.worker, valid);
}

fn free_for_root(call: &Call<Test>) -> bool {
    use frame_support::dispatch::CheckIfFeeless;
    [RuntimeOrigin::root(), RuntimeOrigin::none()].iter().any(|origin| call.is_feeless(origin))
}

#[test]
fn a_start_is_free_once() {
    run_test(|| check(launching(), start));
}

#[test]
fn a_launch_is_free() {
    run_test(|| check(launching(), |host, vm, at| done(OperationKind::Launch, host, vm, at)));
}

#[test]
fn a_failed_launch_is_free() {
    run_test(|| check(launching(), |host, vm, at| failure(host, vm, at, RETRYABLE)));
}

#[test]
fn a_lost_vm_is_free() {
    run_test(|| check(running(), |host, vm, at| failure(host, vm, at, TERMINAL)));
}

#[test]
fn a_boot_is_free() {
    run_test(|| {
        let vm = stopped();
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
        check(vm, |host, vm, at| done(OperationKind::Boot, host, vm, at));
    });
}

#[test]
fn a_stop_is_free() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        check(vm, |host, vm, at| done(OperationKind::Stop, host, vm, at));
    });
}

#[test]
fn a_reboot_is_free() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_reboot(by(TINA), vm));
        check(vm, |host, vm, at| done(OperationKind::Reboot, host, vm, at));
    });
}

#[test]
fn a_resize_is_free() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_resize(by(TINA), vm, plan_id("large")));
        check(vm, |host, vm, at| done(OperationKind::Resize, host, vm, at));
    });
}

#[test]
fn a_deletion_is_free() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        check(vm, |host, vm, at| done(OperationKind::Delete, host, vm, at));
    });
}

#[test]
fn an_operation_that_failed_is_free_to_report() {
    for ask_for_it in
        [Compute::request_compute_stop, Compute::request_compute_reboot, |origin, vm| {
            Compute::request_compute_resize(origin, vm, plan_id("large"))
        }]
    {
        run_test(|| {
            let vm = running();
            assert_ok!(ask_for_it(by(TINA), vm));
            check(vm, trouble);
        });
    }
}

#[test]
fn a_deletion_that_failed_is_free_to_report_once() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        let report = trouble(&MIA_1, vm, generation(vm));
        assert_free(MIA_1.worker, report.clone());
        assert_ok!(send(MIA_1.worker, report.clone()));
        assert_pays_though_it_is_valid(MIA_1.worker, report.clone());
        assert_pays_though_it_is_valid(MIA, report);
        assert_free(MIA_1.worker, done(OperationKind::Delete, &MIA_1, vm, generation(vm)));
    });
}

#[test]
fn an_earlier_failure_does_not_make_that_of_a_deletion_pay() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_ok!(MIA_1.has_trouble(vm));
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_free(MIA_1.worker, trouble(&MIA_1, vm, generation(vm)));
    });
}

#[test]
fn what_is_not_what_was_asked_pays() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        for other in [
            OperationKind::Launch,
            OperationKind::Boot,
            OperationKind::Reboot,
            OperationKind::Resize,
            OperationKind::Delete,
        ] {
            assert_pays_as_it_fails(MIA_1.worker, done(other, &MIA_1, vm, generation(vm)));
        }
    });
}

#[test]
fn a_worker_of_a_node_that_leaves_pays() {
    run_test(|| {
        let vm = launching();
        MIA_1.change(|node| node.leaves_at = Some(50));
        assert_pays_as_it_fails(MIA_1.worker, start(&MIA_1, vm, generation(vm)));
    });
}

#[test]
fn a_claim_is_free_for_the_worker_when_it_succeeds() {
    run_test(|| {
        let vm = pending();
        assert_free(MIA_1.worker, claim(&MIA_1, vm));
        assert_pays_though_it_is_valid(MIA, claim(&MIA_1, vm));
        assert_pays_though_it_is_valid(TINA, claim(&MIA_1, vm));
        for who in [TOM, MILO, MILO_1.worker, STRANGER] {
            assert_pays_as_it_fails(who, claim(&MIA_1, vm));
        }
        assert_ok!(MIA_1.claims(vm));
        assert_pays_as_it_fails(MIA_1.worker, claim(&MIA_1, vm));
        assert_pays_as_it_fails(MILO_1.worker, claim(&MILO_1, vm));
    });
}

#[test]
fn a_claim_that_would_fail_pays() {
    let bars: [fn(); 6] = [
        || MIA_1.change(|node| node.worker_accepting = false),
        || MIA_1.change(|node| node.rates_raised_at = Some(now())),
        || MIA_1.change(|node| node.offer.rates.vcpu = 1_000),
        || MIA_1.change(|node| node.offer.max_vms = 0),
        || MIA_1.change(|node| node.bond = 0),
        || {
            launching();
            launching();
        },
    ];
    for bar in bars {
        run_test(|| {
            bar();
            assert_pays_as_it_fails(MIA_1.worker, claim(&MIA_1, pending()));
        });
    }
}

#[test]
fn taking_what_names_the_node_is_free_for_its_worker() {
    run_test(|| {
        MIA_1.change(|node| node.worker_accepting = false);
        let vm = create(ask_for(&MIA_1));
        MIA_1.change(|node| node.worker_accepting = true);
        assert_free(MIA_1.worker, claim(&MIA_1, vm));
        assert_pays_as_it_fails(MILO_1.worker, claim(&MILO_1, vm));
    });
}

#[test]
fn what_tenants_and_miners_ask_for_pays() {
    run_test(|| {
        let vm = running();
        for call in [
            Call::request_compute_stop { request_id: vm },
            Call::request_compute_delete { request_id: vm },
            Call::settle { request_id: vm },
            Call::end_lease { request_id: vm },
            Call::expire { request_id: vm },
            Call::top_up { request_id: vm, blocks: 1 },
        ] {
            for who in [TINA, MIA, MIA_1.worker] {
                assert!(!is_free(who, &call), "free for {who}: {call:?}");
            }
        }
    });
}
