use super::acts::*;
use crate::{mock::*, DeadlineCursor, Deadlines, Error, Event, WeightInfo};
use frame_support::{assert_noop, assert_ok, weights::Weight};
use quarry_primitives::request::{ComputeRequestStatus, DeadlineKind, OperationKind};
use sp_runtime::DispatchError;

#[test]
fn an_operation_out_of_time_is_dropped() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        let (before, work) = (generation(vm), MIA_1.record().work_version);
        pass(9);
        assert_eq!(operation(vm), Some(OperationKind::Stop));
        pass(1);
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        assert_eq!(generation(vm), before + 1);
        assert_eq!(MIA_1.record().work_version, work + 1);
        assert_eq!(request(vm).last_failure, Some(text("the node did not do it in time")));
        assert_happened(Event::DeadlineExpired {
            node_id: Some(MIA_1.id()),
            request_id: vm,
            owner: id(TINA),
            kind: DeadlineKind::Operation,
        });
    });
}

#[test]
fn each_kind_of_operation_is_dropped_when_it_is_out_of_time() {
    for ask_for_it in
        [Compute::request_compute_boot, Compute::request_compute_reboot, |origin, vm| {
            Compute::request_compute_resize(origin, vm, plan_id("large"))
        }]
    {
        run_test(|| {
            let (run, rest) = (running(), stopped());
            let vm = if ask_for_it(by(TINA), run).is_ok() { run } else { rest };
            if vm == rest {
                assert_ok!(ask_for_it(by(TINA), rest));
            }
            let before = status(vm);
            pass(10);
            assert_eq!((status(vm), operation(vm)), (before, None));
        });
    }
}

#[test]
fn a_failing_deadline_does_not_stop_the_others() {
    run_test(|| {
        let (stuck, other) = (running(), pending());
        assert_ok!(MILO_1.claims(other));
        assert_ok!(MILO_1.launches(other));
        for vm in [stuck, other] {
            assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        }
        let at = now() + 12;
        MIA_1.refuse_releases(true);
        pass(12);
        assert!(is_gone(other));
        assert_eq!(operation(stuck), Some(OperationKind::Delete));
        assert_happened(Event::DeadlineFailed {
            request_id: stuck,
            kind: DeadlineKind::Deletion,
            error: DispatchError::Other(""),
        });
        assert_eq!(DeadlineCursor::<Test>::get(), at + 1);
        MIA_1.refuse_releases(false);
        pass(9);
        assert!(!is_gone(stuck));
        pass(1);
        assert!(is_gone(stuck));
    });
}

#[test]
fn what_a_failing_deadline_did_is_undone() {
    run_test(|| {
        let vm = launching();
        let before = (generation(vm), MIA_1.record());
        MIA_1.fall_silent();
        MIA_1.refuse_releases(true);
        pass(15);
        assert_eq!((generation(vm), MIA_1.record()), before);
        assert_eq!(MIA_1.slashes(), vec![]);
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
    });
}

#[test]
fn each_kind_of_deadline_that_fails_is_put_off() {
    run_test(|| {
        let (launch, resize, lease_of) = (launching(), running(), exhausted());
        assert_ok!(Compute::request_compute_resize(by(TINA), resize, plan_id("large")));
        MIA_1.fall_silent();
        MIA_1.refuse_releases(true);
        // Far enough that the lease ends on a node that is offline, which takes a release.
        let mut record = lease(lease_of);
        record.ends_at = Some(now() + 12);
        Compute::store_lease(lease_of, record);
        pass(30);
        for (vm, kind) in [
            (launch, DeadlineKind::Launch),
            (resize, DeadlineKind::Operation),
            (lease_of, DeadlineKind::Lease),
        ] {
            let error = DispatchError::Other("");
            assert_happened(Event::DeadlineFailed { request_id: vm, kind, error });
            assert!(!is_gone(vm));
        }
        assert_eq!(Compute::do_try_state(), Ok(()));
        MIA_1.refuse_releases(false);
        pass(10);
        assert_eq!(status(launch), ComputeRequestStatus::Pending);
        assert_eq!(operation(resize), None);
        assert!(is_gone(lease_of));
    });
}

#[test]
fn without_room_nothing_is_done_and_nothing_is_lost() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        pass_busy(20);
        assert_eq!(idle(Weight::zero()), Weight::zero());
        assert_eq!(operation(vm), Some(OperationKind::Stop));
        idle(Weight::MAX);
        assert_eq!(operation(vm), None);
    });
}

#[test]
fn no_more_is_done_than_there_is_room_for() {
    run_test(|| {
        let vms = [running(), running(), running()];
        for vm in vms {
            assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        }
        let waiting = || vms.iter().filter(|vm| operation(**vm).is_some()).count();
        pass(9);
        pass_busy(1);
        let look = <() as WeightInfo>::deadline_cursor();
        // The cursor, the block, and one deadline found and done.
        let room = look * 3 + <() as WeightInfo>::deadline_operation();
        for left in [2, 1, 0] {
            let took = idle(room);
            assert!(took.all_lte(room), "{took:?} of {room:?}");
            assert_eq!(waiting(), left);
        }
    });
}

#[test]
fn what_one_block_left_the_next_takes_up() {
    run_test(|| {
        let first = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), first));
        pass_busy(3);
        let second = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), second));
        pass_busy(20);
        let before = DeadlineCursor::<Test>::get();
        idle(<() as WeightInfo>::deadline_cursor() * 4);
        assert!(DeadlineCursor::<Test>::get() > before);
        assert!(operation(first).is_some() && operation(second).is_some());
        pass(1);
        assert!(operation(first).is_none() && operation(second).is_none());
    });
}

#[test]
fn no_deadline_is_left_behind() {
    run_test(|| {
        let vms = [launching(), running(), stopped(), exhausted(), create(ask_for(&MILO_1))];
        assert_ok!(Compute::request_compute_delete(by(TINA), vms[1]));
        pass(15);
        for vm in vms.into_iter().filter(|vm| !is_gone(*vm)) {
            assert_ok!(Compute::force_close(RuntimeOrigin::root(), vm));
        }
        assert_eq!(Deadlines::<Test>::iter_keys().collect::<Vec<_>>(), vec![]);
    });
}

#[test]
fn anyone_has_done_what_is_due() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        pass_busy(9);
        assert_noop!(Compute::expire(by(STRANGER), vm), Error::<Test>::NothingToExpire);
        pass_busy(1);
        assert_ok!(Compute::expire(by(STRANGER), vm));
        assert_eq!(operation(vm), None);
        assert_noop!(Compute::expire(by(STRANGER), vm), Error::<Test>::NothingToExpire);
    });
}

#[test]
fn a_deadline_of_each_kind_can_be_expired() {
    run_test(|| {
        let (launch, deletion, used_up) = (launching(), running(), nearly_exhausted());
        assert_ok!(Compute::request_compute_delete(by(TINA), deletion));
        pass_busy(12);
        assert_ok!(Compute::expire(by(STRANGER), deletion));
        assert!(is_gone(deletion));
        assert_ok!(Compute::expire(by(STRANGER), used_up));
        assert!(lease(used_up).exhausted);
        pass_busy(3);
        assert_ok!(Compute::expire(by(STRANGER), launch));
        assert_eq!(status(launch), ComputeRequestStatus::Pending);
        assert_ok!(Compute::cancel_compute_request(by(TINA), launch));
        pass_busy(40);
        assert_ok!(Compute::expire(by(STRANGER), launch));
        assert!(is_gone(launch));
    });
}

#[test]
fn what_is_due_first_is_expired_first() {
    run_test(|| {
        let vm = nearly_exhausted();
        assert_ok!(Compute::request_compute_reboot(by(TINA), vm));
        pass_busy(12);
        // The lease was due after one block, the reboot after ten.
        assert_ok!(Compute::expire(by(STRANGER), vm));
        assert!(lease(vm).exhausted);
        assert_eq!(operation(vm), Some(OperationKind::Stop));
    });
}

#[test]
fn what_is_not_there_does_not_expire() {
    run_test(|| {
        assert_noop!(Compute::expire(by(STRANGER), 7), Error::<Test>::ComputeRequestNotFound);
        let waits = pending();
        assert_noop!(Compute::expire(by(STRANGER), waits), Error::<Test>::NothingToExpire);
    });
}

#[test]
fn a_deadline_that_was_expired_is_not_run_again() {
    run_test(|| {
        let vm = launching();
        pass_busy(15);
        assert_ok!(Compute::expire(by(STRANGER), vm));
        assert_ok!(MILO_1.claims(vm));
        pass(1);
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
        assert_eq!(MIA_1.slashes().len(), 1);
    });
}

#[test]
fn waits_stand_still_while_the_live_blocks_do() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        System::set_block_number(1_000);
        idle(Weight::MAX);
        assert_eq!(operation(vm), Some(OperationKind::Stop));
    });
}
