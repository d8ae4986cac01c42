use super::acts::*;
use crate::{
    mock::*, Error, Event, MinerComputeBootRequests, MinerComputeRebootRequests,
    MinerComputeStopRequests,
};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::request::{ComputeRequestStatus, OperationKind, QueuedOperation, RequestId};

#[test]
fn a_running_vm_is_stopped() {
    run_test(|| {
        let vm = running();
        let (node_id, request_id, owner) = (MIA_1.id(), vm, id(TINA));
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_eq!(status(vm), ComputeRequestStatus::Running);
        assert_happened(Event::ComputeStopRequested {
            node_id: node_id.clone(),
            request_id,
            owner: owner.clone(),
            generation: 2,
        });
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Stopped, None));
        assert_happened(Event::ComputeStopRequestRemoved { node_id, request_id, owner });
    });
}

#[test]
fn a_stopped_vm_is_booted() {
    run_test(|| {
        let vm = stopped();
        let (node_id, request_id, owner) = (MIA_1.id(), vm, id(TINA));
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
        assert_eq!(status(vm), ComputeRequestStatus::Stopped);
        assert_happened(Event::ComputeBootRequested {
            node_id: node_id.clone(),
            request_id,
            owner: owner.clone(),
            generation: 3,
        });
        assert_ok!(MIA_1.does(OperationKind::Boot, vm));
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        assert_happened(Event::ComputeBootRequestRemoved { node_id, request_id, owner });
    });
}

#[test]
fn a_running_vm_is_rebooted() {
    run_test(|| {
        let vm = running();
        let (node_id, request_id, owner) = (MIA_1.id(), vm, id(TINA));
        assert_ok!(Compute::request_compute_reboot(by(TINA), vm));
        assert_happened(Event::ComputeRebootRequested {
            node_id: node_id.clone(),
            request_id,
            owner: owner.clone(),
            generation: 2,
        });
        assert_ok!(MIA_1.does(OperationKind::Reboot, vm));
        assert_eq!((status(vm), operation(vm)), (ComputeRequestStatus::Running, None));
        assert_happened(Event::ComputeRebootRequestFulfilled { node_id, request_id, owner });
    });
}

fn queued(generation: u64, vm: RequestId) -> Option<QueuedOperation> {
    Some(QueuedOperation {
        miner_node_id: MIA_1.id(),
        job_id: Some(text("job-1")),
        request_id: vm,
        user_id: id(TINA),
        plan_id: plan_id("small"),
        created_at: now(),
        fullfilled: false,
        generation,
    })
}

#[test]
fn what_is_asked_stands_in_the_nodes_queue() {
    run_test(|| {
        pass(3);
        let (stopping, rebooting, booting) = (running(), running(), stopped());
        let node = MIA_1.id();
        assert_ok!(Compute::request_compute_stop(by(TINA), stopping));
        let entry = MinerComputeStopRequests::<Test>::get(&node, stopping);
        assert_eq!(entry, queued(2, stopping));
        assert_ok!(Compute::request_compute_reboot(by(TINA), rebooting));
        let entry = MinerComputeRebootRequests::<Test>::get(&node, rebooting);
        assert_eq!(entry, queued(2, rebooting));
        assert_ok!(Compute::request_compute_boot(by(TINA), booting));
        let entry = MinerComputeBootRequests::<Test>::get(&node, booting);
        assert_eq!(entry, queued(3, booting));
        assert_ok!(MIA_1.does(OperationKind::Stop, stopping));
        assert_eq!(MinerComputeStopRequests::<Test>::get(&node, stopping), None);
    });
}

#[test]
fn what_is_asked_is_told_to_the_worker() {
    run_test(|| {
        let vm = running();
        let before = MIA_1.record().work_version;
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_eq!(MIA_1.record().work_version, before + 1);
    });
}

#[test]
fn a_vm_that_does_not_run_is_neither_stopped_nor_rebooted() {
    for find in [pending, launching, stopped] {
        run_test(|| {
            let vm = find();
            let refusal = match operation(vm) {
                Some(_) => Error::<Test>::OperationPending,
                None => Error::<Test>::NotRunning,
            };
            let stop = Compute::request_compute_stop(by(TINA), vm);
            assert_eq!(stop, Err(refusal.into()));
            let refusal = stop.unwrap_err();
            assert_noop!(Compute::request_compute_stop(by(TINA), vm), refusal);
            assert_noop!(Compute::request_compute_reboot(by(TINA), vm), refusal);
        });
    }
}

#[test]
fn a_vm_that_is_not_stopped_is_not_booted() {
    run_test(|| {
        for vm in [pending(), running()] {
            assert_noop!(Compute::request_compute_boot(by(TINA), vm), Error::<Test>::NotStopped);
        }
        let vm = launching();
        assert_noop!(Compute::request_compute_boot(by(TINA), vm), Error::<Test>::OperationPending);
    });
}

#[test]
fn a_second_stop_is_refused_by_its_own_name() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_noop!(
            Compute::request_compute_stop(by(TINA), vm),
            Error::<Test>::ComputeStopRequestAlreadyExists
        );
    });
}

#[test]
fn one_thing_is_asked_at_a_time() {
    run_test(|| {
        let (run, rest) = (running(), stopped());
        assert_ok!(Compute::request_compute_reboot(by(TINA), run));
        assert_ok!(Compute::request_compute_boot(by(TINA), rest));
        for vm in [run, rest] {
            let busy = Error::<Test>::OperationPending;
            assert_noop!(Compute::request_compute_reboot(by(TINA), vm), busy);
            assert_noop!(
                Compute::request_compute_stop(by(TINA), vm),
                Error::<Test>::OperationPending
            );
            assert_noop!(
                Compute::request_compute_boot(by(TINA), vm),
                Error::<Test>::OperationPending
            );
            assert_noop!(
                Compute::request_compute_resize(by(TINA), vm, plan_id("large")),
                Error::<Test>::OperationPending
            );
        }
    });
}

#[test]
fn what_ended_is_asked_nothing() {
    run_test(|| {
        let vm = pending();
        assert_ok!(Compute::cancel_compute_request(by(TINA), vm));
        let origin = || by(TINA);
        assert_noop!(Compute::request_compute_boot(origin(), vm), Error::<Test>::NotStopped);
        assert_noop!(Compute::request_compute_stop(origin(), vm), Error::<Test>::NotRunning);
        assert_noop!(Compute::request_compute_reboot(origin(), vm), Error::<Test>::NotRunning);
        assert_noop!(
            Compute::request_compute_resize(origin(), vm, plan_id("large")),
            Error::<Test>::NotLaunched
        );
        assert_noop!(Compute::set_ssh_keys(origin(), vm, keys(&[])), Error::<Test>::RequestEnded);
    });
}

#[test]
fn a_report_on_what_was_not_asked_is_refused() {
    run_test(|| {
        let vm = running();
        let refused = [
            (OperationKind::Boot, Error::<Test>::ComputeBootRequestNotFound),
            (OperationKind::Stop, Error::<Test>::ComputeStopRequestNotFound),
            (OperationKind::Reboot, Error::<Test>::ComputeRebootRequestNotFound),
            (OperationKind::Resize, Error::<Test>::ComputeResizeRequestNotFound),
            (OperationKind::Delete, Error::<Test>::ComputeDeletionRequestNotFound),
            (OperationKind::Launch, Error::<Test>::ComputeLaunchRequestNotFound),
        ];
        for (kind, refusal) in refused {
            assert_noop!(MIA_1.does(kind, vm), refusal);
        }
    });
}

#[test]
fn a_report_on_another_operation_is_refused() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        let refusal = Error::<Test>::ComputeRebootRequestNotFound;
        assert_noop!(MIA_1.does(OperationKind::Reboot, vm), refusal);
        let refusal = Error::<Test>::ComputeDeletionRequestNotFound;
        assert_noop!(MIA_1.does(OperationKind::Delete, vm), refusal);
    });
}

#[test]
fn a_report_that_comes_twice_is_refused_the_second_time() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        let refusal = Error::<Test>::ComputeStopRequestNotFound;
        assert_noop!(MIA_1.does(OperationKind::Stop, vm), refusal);
    });
}

#[test]
fn a_late_report_is_not_taken_for_another() {
    run_test(|| {
        let vm = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        let late = done(OperationKind::Stop, &MIA_1, vm, generation(vm));
        pass(10);
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_noop!(send(MIA_1.worker, late), Error::<Test>::StaleGeneration);
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
    });
}

#[test]
fn the_keys_to_a_vm_can_be_changed_at_any_time() {
    for find in [pending, launching, running, stopped] {
        run_test(|| {
            let vm = find();
            let new = keys(&[SSH_KEY.into(), format!("{SSH_KEY} tina@home").into()]);
            assert_ok!(Compute::set_ssh_keys(by(TINA), vm, new.clone()));
            assert_eq!(crate::SshKeys::<Test>::get(vm), Some(new));
            let node_id = request(vm).miner_id;
            let owner = id(TINA);
            assert_happened(Event::SshKeysSet { node_id, request_id: vm, owner });
        });
    }
}

#[test]
fn other_keys_are_told_to_the_worker() {
    run_test(|| {
        let vm = running();
        let before = MIA_1.record().work_version;
        assert_ok!(Compute::set_ssh_keys(by(TINA), vm, keys(&[])));
        assert_eq!(MIA_1.record().work_version, before + 1);
    });
}

#[test]
fn the_deposit_follows_the_keys() {
    run_test(|| {
        let vm = pending();
        let before = deposit_held(TINA);
        assert_ok!(Compute::set_ssh_keys(by(TINA), vm, keys(&[])));
        assert_eq!(deposit_held(TINA), before - SSH_KEY.len() as u128 - 2);
    });
}

#[test]
fn who_has_not_the_deposit_for_longer_keys_keeps_the_old_ones() {
    run_test(|| {
        let vm = create(Ask { keys: vec![], ..ask() });
        assert_ok!(Balances::transfer_keep_alive(by(TINA), id(TOM), free(TINA) - DUST));
        assert_noop!(
            Compute::set_ssh_keys(by(TINA), vm, keys(&[SSH_KEY.into()])),
            sp_runtime::TokenError::FundsUnavailable
        );
    });
}
