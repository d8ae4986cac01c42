use super::world::*;
use crate::reconcile::*;
use quarry_primitives::{
    api::Desired,
    request::{FailureKind, OperationKind},
};
use std::time::Duration;

fn done(kind: OperationKind) -> Action {
    Action::Report(Outcome::Done(kind))
}

#[test]
fn a_launch_is_made_from_the_image_to_the_report() {
    let mut world = World::empty(Some(wanted(Desired::Launch, Some(OperationKind::Launch))));
    assert_eq!(
        world.settle(),
        [
            Action::Fetch,
            Action::MakeFolder,
            Action::Define,
            Action::Start,
            Action::MarkStarted,
            Action::Report(Outcome::Launched),
        ]
    );
}

#[test]
fn a_launch_whose_image_is_being_fetched_waits() {
    let mut world = World::empty(Some(wanted(Desired::Launch, Some(OperationKind::Launch))));
    world.memory.fetching = true;
    assert_eq!(world.next(), Next::Rest);
}

#[test]
fn a_launch_that_fails_for_good_is_reported_at_once() {
    let mut world = World::empty(Some(wanted(Desired::Launch, Some(OperationKind::Launch))));
    world.fail(FailureKind::Terminal);
    assert_eq!(world.settle(), [Action::Report(Outcome::LaunchFailed)]);
}

#[test]
fn a_launch_that_fails_is_tried_again_before_it_is_reported() {
    let mut world = World::empty(Some(wanted(Desired::Launch, Some(OperationKind::Launch))));
    for _ in 0..3 {
        world.fail(FailureKind::Retryable);
        assert_eq!(world.next(), Next::Do(Action::Fetch));
    }
    world.fail(FailureKind::Retryable);
    assert_eq!(world.settle(), [Action::Report(Outcome::LaunchFailed)]);
}

#[test]
fn a_disk_that_vanished_after_a_start_is_not_made_again_by_the_launch() {
    let mut world = World::empty(Some(wanted(Desired::Launch, Some(OperationKind::Launch))));
    world.found.folder = Some(folder(false));
    assert_eq!(world.next(), Next::Do(Action::Report(Outcome::LaunchFailed)));
}

#[test]
fn nothing_is_done_to_a_vm_that_is_as_it_should_be() {
    assert_eq!(World::running(Some(wanted(Desired::Running, None))).next(), Next::Rest);
    assert_eq!(World::off(Some(wanted(Desired::Stopped, None))).next(), Next::Rest);
}

#[test]
fn a_vm_that_died_is_started_again_when_it_may_be() {
    let mut world = World::off(Some(wanted(Desired::Running, None)));
    world.memory.start_not_before = Some(Duration::from_secs(5));
    assert_eq!(world.next(), Next::Wait(Duration::from_secs(5)));
    assert_eq!(world.settle(), [Action::Start]);
}

#[test]
fn a_paused_guest_goes_on() {
    let mut world = World::running(Some(wanted(Desired::Running, None)));
    world.found.domain = Some(domain(Power::Paused, Some(4)));
    assert_eq!(world.settle(), [Action::Resume]);
}

#[test]
fn a_vm_without_its_disk_is_reported_lost_and_nothing_is_made_in_its_place() {
    for desired in [Desired::Running, Desired::Stopped] {
        for found in [
            Found::default(),
            Found { folder: Some(folder(false)), domain: None },
            Found { folder: None, domain: Some(domain(Power::On, Some(4))) },
        ] {
            let world = World::new(Some(wanted(desired, None)), found);
            assert_eq!(world.next(), Next::Do(Action::Report(Outcome::Lost)));
        }
    }
}

#[test]
fn a_domain_that_is_gone_is_defined_again_over_its_disk() {
    let mut world = World::running(Some(wanted(Desired::Running, None)));
    world.found.domain = None;
    assert_eq!(world.settle(), [Action::Define, Action::Start]);
}

#[test]
fn a_stop_asks_the_guest() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    assert_eq!(world.settle(), [Action::Retag, Action::ShutDown, done(OperationKind::Stop)]);
}

#[test]
fn a_guest_that_does_not_listen_is_asked_again_until_its_time_is_up() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    world.polite = false;
    let actions = world.settle();
    assert_eq!(world.now, GRACE);
    let asked = actions.iter().filter(|action| **action == Action::ShutDown).count();
    assert_eq!(asked, 9);
    assert_eq!(actions[10..], [Action::Destroy, done(OperationKind::Stop)]);
}

#[test]
fn a_guest_is_not_waited_for_when_the_chain_stops_waiting() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    world.wanted.as_mut().unwrap().blocks_left = Some(5);
    assert_eq!(world.settle(), [Action::Retag, Action::Destroy, done(OperationKind::Stop)]);
}

#[test]
fn a_boot_starts_the_vm_for_its_generation() {
    let mut world = World::off(Some(wanted(Desired::Running, Some(OperationKind::Boot))));
    assert_eq!(world.settle(), [Action::Retag, Action::Start, done(OperationKind::Boot)]);
    assert_eq!(world.found.domain.unwrap().live, Some(5));
}

#[test]
fn a_boot_of_a_vm_that_runs_is_done() {
    let mut world = World::running(Some(wanted(Desired::Running, Some(OperationKind::Boot))));
    assert_eq!(world.settle(), [done(OperationKind::Boot)]);
}

#[test]
fn a_reboot_is_a_start_for_its_generation() {
    let mut world = World::running(Some(wanted(Desired::Running, Some(OperationKind::Reboot))));
    assert_eq!(
        world.settle(),
        [Action::Retag, Action::ShutDown, Action::Start, done(OperationKind::Reboot)]
    );
}

#[test]
fn a_reboot_that_was_reached_is_not_done_twice() {
    let mut world = World::running(Some(wanted(Desired::Running, Some(OperationKind::Reboot))));
    world.found.domain = Some(Domain { stored: Some(5), ..domain(Power::On, Some(5)) });
    assert_eq!(world.settle(), [done(OperationKind::Reboot)]);
}

#[test]
fn a_resize_grows_the_disk_and_writes_the_config_of_a_running_vm() {
    let mut world = World::running(Some(wanted(Desired::Running, Some(OperationKind::Resize))));
    world.wanted.as_mut().unwrap().shape = Shape { vcpus: 2, ..shape(9) };
    assert_eq!(world.settle(), [Action::Grow, Action::Define, done(OperationKind::Resize)]);
    let domain = world.found.domain.unwrap();
    assert_eq!((domain.power, domain.live), (Power::On, Some(4)));
}

#[test]
fn a_resize_that_was_dropped_takes_cpus_back_and_leaves_the_disk() {
    let mut world = World::running(Some(wanted(Desired::Running, None)));
    world.found.folder.as_mut().unwrap().shape.disk_gib = 9;
    world.found.domain.as_mut().unwrap().shape = Some(Shape { vcpus: 2, ..shape(9) });
    assert_eq!(world.settle(), [Action::Define]);
}

#[test]
fn an_address_that_changed_while_the_vm_was_off_is_in_its_next_seed() {
    let mut world = World::off(Some(wanted(Desired::Running, Some(OperationKind::Boot))));
    world.wanted.as_mut().unwrap().shape.address = Some("10.1.0.5".parse().unwrap());
    assert_eq!(
        world.settle(),
        [Action::Reseed, Action::Define, Action::Start, done(OperationKind::Boot)]
    );
}

#[test]
fn a_deletion_leaves_no_trace_and_says_so_last() {
    let mut world = World::running(Some(wanted(Desired::Deleted, Some(OperationKind::Delete))));
    assert_eq!(
        world.settle(),
        [
            Action::Destroy,
            Action::RemoveDisk,
            Action::Undefine,
            Action::RemoveFolder,
            done(OperationKind::Delete),
        ]
    );
}

#[test]
fn a_deletion_that_fails_is_told_once_and_goes_on() {
    let mut world = World::off(Some(wanted(Desired::Deleted, Some(OperationKind::Delete))));
    for _ in 0..9 {
        world.fail(FailureKind::Retryable);
    }
    assert_eq!(world.next(), Next::Do(Action::Report(Outcome::Failed(OperationKind::Delete))));
    assert_eq!(world.settle().last(), Some(&done(OperationKind::Delete)));
}

#[test]
fn an_orphan_is_destroyed_at_once_and_its_disk_later() {
    let mut world = World::running(None);
    assert_eq!(
        world.settle(),
        [
            Action::Destroy,
            Action::MarkOrphan,
            Action::RemoveDisk,
            Action::Undefine,
            Action::RemoveFolder,
        ]
    );
    assert_eq!(world.now, ORPHAN_DELAY);
}

#[test]
fn an_orphan_that_never_ran_is_not_kept() {
    let mut world = World::off(None);
    world.found.folder.as_mut().unwrap().started = false;
    world.settle();
    assert_eq!(world.now, Duration::ZERO);
}

#[test]
fn a_report_that_the_chain_did_not_take_is_repeated_when_it_is_due() {
    let mut world = World::running(Some(wanted(Desired::Running, Some(OperationKind::Boot))));
    let outcome = Outcome::Done(OperationKind::Boot);
    let again = Some(Duration::from_secs(9));
    world.memory.reported = Some(Reported { generation: 5, outcome: outcome.clone(), again });
    assert_eq!(world.next(), Next::Wait(Duration::from_secs(9)));
    world.now = Duration::from_secs(9);
    assert_eq!(world.next(), Next::Do(Action::Report(outcome)));
}

#[test]
fn a_report_of_another_generation_does_not_count() {
    let mut world = World::running(Some(wanted(Desired::Running, Some(OperationKind::Boot))));
    let outcome = Outcome::Done(OperationKind::Boot);
    world.memory.reported = Some(Reported { generation: 4, outcome: outcome.clone(), again: None });
    assert_eq!(world.next(), Next::Do(Action::Report(outcome)));
}

#[test]
fn what_a_chain_node_says_that_lags_behind_is_not_done() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    world.found.domain = Some(Domain { stored: Some(6), ..domain(Power::On, Some(4)) });
    assert_eq!(world.next(), Next::Rest);
}

#[test]
fn without_authority_no_guest_is_asked_to_stop() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    world.authority = false;
    assert_eq!(world.settle(), [Action::Retag]);
}

#[test]
fn while_the_chain_node_is_syncing_nothing_is_started_and_nothing_stopped() {
    for operation in [None, Some(OperationKind::Boot)] {
        let mut world = World::off(Some(wanted(Desired::Running, operation)));
        (world.synced, world.authority) = (false, false);
        assert!(!world.settle().contains(&Action::Start));
        world.synced = true;
        assert!(world.settle().contains(&Action::Start));
    }
    let mut world = World::running(Some(wanted(Desired::Running, None)));
    (world.synced, world.authority) = (false, false);
    assert_eq!(world.next(), Next::Rest);
    world.found.domain = Some(domain(Power::Paused, Some(4)));
    assert_eq!(world.next(), Next::Rest);
}

#[test]
fn a_launch_goes_as_far_as_the_start_while_the_chain_node_is_syncing() {
    let mut world = World::empty(Some(wanted(Desired::Launch, Some(OperationKind::Launch))));
    (world.synced, world.authority) = (false, false);
    assert_eq!(world.settle(), [Action::Fetch, Action::MakeFolder, Action::Define]);
}

#[test]
fn without_authority_a_guest_that_died_is_started_again() {
    let mut world = World::off(Some(wanted(Desired::Running, None)));
    world.authority = false;
    assert_eq!(world.settle(), [Action::Start]);
}

#[test]
fn what_was_stopped_is_not_started_by_the_word_of_a_chain_node_that_lags_behind_the_stop() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    world.settle();
    world.restart();
    world.wanted = Some(Wanted { generation: 4, ..wanted(Desired::Running, None) });
    assert_eq!(world.next(), Next::Rest);
}

#[test]
fn a_guest_is_stopped_also_where_its_generation_cannot_be_written() {
    let mut world = World::running(Some(wanted(Desired::Stopped, Some(OperationKind::Stop))));
    assert_eq!(world.next(), Next::Do(Action::Retag));
    world.fail(FailureKind::Retryable);
    assert_eq!(world.next(), Next::Do(Action::ShutDown));
}

#[test]
fn an_orphan_is_not_started_by_the_word_of_a_chain_node_that_lags() {
    let mut world = World::off(None);
    world.apply(Action::MarkOrphan);
    world.wanted = Some(wanted(Desired::Running, None));
    world.authority = false;
    assert_eq!(world.next(), Next::Rest);
    world.authority = true;
    assert_eq!(world.settle(), [Action::Start]);
}
