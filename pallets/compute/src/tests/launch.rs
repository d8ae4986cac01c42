use super::acts::*;
use crate::{mock::*, Error, Event, MinerComputeRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    node::NodeCounts,
    request::{ComputeRequestStatus, DeadlineKind, OperationKind},
};

#[test]
fn the_worker_says_that_it_is_at_a_launch() {
    run_test(|| {
        let vm = launching();
        assert_ok!(MIA_1.starts(vm));
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!(entry.job_id, Some(text("job-1")));
        let (node_id, owner, job_id) = (MIA_1.id(), id(TINA), text("job-1"));
        let started = Event::ComputeRequestStarted { node_id, request_id: vm, owner, job_id };
        assert_happened(started);
    });
}

#[test]
fn the_worker_says_so_once_only() {
    run_test(|| {
        let vm = launching();
        assert_ok!(MIA_1.starts(vm));
        assert_noop!(MIA_1.starts(vm), Error::<Test>::AlreadyStarted);
    });
}

#[test]
fn a_launch_that_is_under_way_gets_its_time_anew() {
    run_test(|| {
        let vm = launching();
        pass(14);
        assert_ok!(MIA_1.starts(vm));
        pass(14);
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
        pass(1);
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
    });
}

#[test]
fn a_vm_runs_once_its_launch_is_reported() {
    run_test(|| {
        let vm = launching();
        assert_ok!(MIA_1.launches(vm));
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        let (node_id, owner) = (MIA_1.id(), id(TINA));
        assert_happened(Event::ComputeRequestFulfilled { node_id, request_id: vm, owner });
        assert_eq!(MIA_1.record().counts, NodeCounts { launched: 1, ..Default::default() });
    });
}

#[test]
fn how_to_reach_a_vm_is_kept() {
    run_test(|| {
        let vm = running();
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!((entry.job_id, entry.fullfilled), (Some(text("job-1")), true));
        assert_eq!((entry.vnc_port, entry.ssh_host_key), (Some(5_900), Some([9; 32])));
    });
}

#[test]
fn a_miner_may_report_for_its_node() {
    run_test(|| {
        let vm = launching();
        assert_ok!(send(MIA, start(&MIA_1, vm, 1)));
        assert_ok!(send(MIA, done(OperationKind::Launch, &MIA_1, vm, 1)));
        assert_eq!(status(vm), ComputeRequestStatus::Running);
    });
}

#[test]
fn rent_starts_with_the_launch() {
    run_test(|| {
        let vm = launching();
        pass(10);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!((lease(vm).mark, lease(vm).held), (None, MOST * 100));
        assert_ok!(MIA_1.launches(vm));
        assert_eq!(lease(vm).mark, Some(MIA_1.record().served));
    });
}

#[test]
fn a_launch_out_of_time_goes_to_another_node() {
    run_test(|| {
        let vm = launching();
        pass(14);
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
        pass(1);
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
        assert_eq!(MIA_1.record().counts, NodeCounts { timed_out: 1, ..Default::default() });
        assert_happened(Event::DeadlineExpired {
            node_id: Some(MIA_1.id()),
            request_id: vm,
            owner: id(TINA),
            kind: DeadlineKind::Launch,
        });
        assert_happened(Event::ComputeRequestFailed {
            node_id: MIA_1.id(),
            request_id: vm,
            owner: id(TINA),
            reason: text("the launch took too long"),
            pending: true,
        });
        assert_noop!(MIA_1.claims(vm), Error::<Test>::MinerExcluded);
        assert_ok!(MILO_1.claims(vm));
    });
}

#[test]
fn a_vm_that_runs_is_not_launched_again() {
    run_test(|| {
        let vm = running();
        let again = Error::<Test>::ComputeLaunchRequestNotFound;
        assert_noop!(MIA_1.launches(vm), again);
        assert_noop!(MIA_1.starts(vm), Error::<Test>::ComputeLaunchRequestNotFound);
    });
}

#[test]
fn a_launch_that_the_chain_gave_up_cannot_be_reported() {
    run_test(|| {
        let vm = launching();
        pass(15);
        let late = done(OperationKind::Launch, &MIA_1, vm, 1);
        assert_noop!(send(MIA_1.worker, late.clone()), Error::<Test>::ComputeRequestNotFound);
        assert_ok!(MILO_1.claims(vm));
        assert_noop!(send(MIA_1.worker, late), Error::<Test>::ComputeRequestNotFound);
    });
}

#[test]
fn a_report_on_another_generation_is_refused() {
    run_test(|| {
        let vm = launching();
        for other in [0, 2, u64::MAX] {
            let report = done(OperationKind::Launch, &MIA_1, vm, other);
            assert_noop!(send(MIA_1.worker, report), Error::<Test>::StaleGeneration);
            let report = start(&MIA_1, vm, other);
            assert_noop!(send(MIA_1.worker, report), Error::<Test>::StaleGeneration);
            let report = failure(&MIA_1, vm, other, RETRYABLE);
            assert_noop!(send(MIA_1.worker, report), Error::<Test>::StaleGeneration);
        }
    });
}

#[test]
fn a_valid_report_shows_that_the_node_is_there() {
    run_test(|| {
        let vm = launching();
        MIA_1.fall_silent();
        pass(5);
        assert_ok!(MIA_1.starts(vm));
        assert_eq!(MIA_1.record().last_seen, Some(now()));
        pass(5);
        assert_ok!(MIA_1.launches(vm));
        assert_eq!(MIA_1.record().last_seen, Some(now()));
    });
}

#[test]
fn what_a_miner_reports_is_told_to_the_worker() {
    run_test(|| {
        let vm = launching();
        let before = MIA_1.record().work_version;
        assert_ok!(MIA_1.starts(vm));
        assert_eq!(MIA_1.record().work_version, before);
        assert_ok!(send(MIA, done(OperationKind::Launch, &MIA_1, vm, 1)));
        assert_eq!(MIA_1.record().work_version, before + 1);
    });
}
