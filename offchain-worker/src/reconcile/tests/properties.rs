use super::world::*;
use crate::reconcile::*;
use proptest::prelude::*;
use quarry_primitives::{api::Desired, request::OperationKind};
use std::time::Duration;

fn any_shape() -> impl Strategy<Value = Shape> {
    (1u16..3, 1u32..3, 5u32..8, any::<bool>()).prop_map(|(vcpus, memory, disk_gib, address)| {
        Shape {
            vcpus,
            memory_mib: memory * 512,
            disk_gib,
            address: address.then(|| "10.0.0.9".parse().unwrap()),
        }
    })
}

/// What the chain can ask: an operation goes with what the VM should be.
fn any_wanted() -> impl Strategy<Value = Wanted> {
    let asked = prop_oneof![
        Just((Desired::Launch, Some(OperationKind::Launch))),
        Just((Desired::Running, None)),
        Just((Desired::Running, Some(OperationKind::Boot))),
        Just((Desired::Running, Some(OperationKind::Reboot))),
        Just((Desired::Running, Some(OperationKind::Resize))),
        Just((Desired::Stopped, None)),
        Just((Desired::Stopped, Some(OperationKind::Stop))),
        Just((Desired::Stopped, Some(OperationKind::Resize))),
        Just((Desired::Deleted, Some(OperationKind::Delete))),
    ];
    (asked, 3u64..7, 0u32..60, any::<bool>(), any_shape()).prop_map(
        |((desired, operation), generation, left, launched, shape)| Wanted {
            request_id: 1,
            generation,
            desired,
            operation,
            blocks_left: operation.map(|_| left),
            launched: match desired {
                Desired::Launch => false,
                Desired::Deleted => launched,
                Desired::Running | Desired::Stopped => true,
            },
            shape,
        },
    )
}

fn any_domain() -> impl Strategy<Value = Domain> {
    let power = prop_oneof![Just(Power::On), Just(Power::Paused), Just(Power::Off)];
    (power, prop::option::of(0u64..7), 0u64..7, prop::option::of(any_shape())).prop_map(
        |(power, stored, live, shape)| Domain {
            // What is transient is active, or it would not be there.
            stored: if power == Power::Off { stored.or(Some(0)) } else { stored },
            live: (power != Power::Off).then_some(live),
            power,
            shape,
        },
    )
}

fn any_folder() -> impl Strategy<Value = Folder> {
    (any::<bool>(), any::<bool>(), any_shape(), prop::option::of(0u64..9_000)).prop_map(
        |(disk, started, shape, orphan)| Folder {
            disk,
            started,
            shape,
            orphan_for: orphan.map(Duration::from_secs),
        },
    )
}

fn any_world() -> impl Strategy<Value = World> {
    let found = (prop::option::of(any_folder()), prop::option::of(any_domain()))
        .prop_map(|(folder, domain)| Found { folder, domain });
    (prop::option::of(any_wanted()), found, any::<bool>(), any::<bool>()).prop_map(
        |(wanted, mut found, polite, authority)| {
            // Nothing was done yet for a generation that the chain has not reached.
            if let (Some(wanted), Some(domain)) = (&wanted, &mut found.domain) {
                domain.stored = domain.stored.map(|stored| stored.min(wanted.generation));
                domain.live = domain.live.map(|live| live.min(wanted.generation));
            }
            World { polite, authority, ..World::new(wanted, found) }
        },
    )
}

/// What a VM is when there is nothing left to do.
fn is_as_wanted(world: &World) -> bool {
    let Some(wanted) = &world.wanted else { return world.found.is_nothing() };
    let power = world.found.domain.as_ref().map(|domain| domain.power);
    wanted.operation.is_none()
        && match wanted.desired {
            Desired::Launch | Desired::Deleted => false,
            Desired::Running => power == Some(Power::On),
            Desired::Stopped => power == Some(Power::Off),
        }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whatever_is_found_ends_as_wanted(mut world in any_world()) {
        world.authority = true;
        world.settle();
        prop_assert!(is_as_wanted(&world), "{world:#?}");
    }

    #[test]
    fn a_restart_at_any_step_ends_the_same(mut world in any_world(), steps in 0usize..12) {
        world.authority = true;
        let mut undisturbed = world.clone();
        undisturbed.settle();
        for _ in 0..steps {
            match world.next() {
                Next::Do(action) => world.apply(action),
                Next::Wait(_) | Next::Rest => break,
            }
        }
        world.restart();
        world.settle();
        prop_assert!(is_as_wanted(&world), "{world:#?}");
        let end = |world: &World| (
            world.wanted.clone(),
            world.found.domain.as_ref().map(|d| (d.power, d.live)),
            world.found.folder.clone(),
        );
        prop_assert_eq!(end(&world), end(&undisturbed));
    }

    #[test]
    fn without_authority_nothing_is_done_that_cannot_be_undone(mut world in any_world()) {
        world.authority = false;
        let actions = world.settle();
        prop_assert!(!actions.iter().any(Action::is_destructive), "{actions:?}");
    }

    #[test]
    fn while_the_chain_node_is_syncing_no_guest_is_started(mut world in any_world()) {
        world.synced = false;
        let actions = world.settle();
        prop_assert!(!actions.iter().any(Action::is_start), "{actions:?}");
    }

    #[test]
    fn a_disk_goes_only_by_a_deletion_or_as_an_orphans(mut world in any_world()) {
        let gone = match &world.wanted {
            None => true,
            Some(wanted) => wanted.desired == Desired::Deleted,
        };
        let before = world.clone();
        let actions = world.settle();
        let reported_away = actions.iter().any(|action| matches!(
            action,
            Action::Report(Outcome::Lost | Outcome::LaunchFailed)
        ));
        if !gone && !reported_away {
            prop_assert!(!actions.contains(&Action::RemoveDisk), "{before:#?} {actions:?}");
            prop_assert!(!actions.contains(&Action::Undefine), "{before:#?} {actions:?}");
        }
    }

    #[test]
    fn a_guest_that_should_run_is_stopped_only_for_a_reboot(mut world in any_world()) {
        let Some(wanted) = world.wanted.clone() else { return Ok(()) };
        let reboot = wanted.operation == Some(OperationKind::Reboot);
        let runs_on = matches!(wanted.desired, Desired::Running | Desired::Launch) && !reboot;
        let actions = world.settle();
        if runs_on && world.wanted.is_some() {
            let stopped = |action: &Action| matches!(action, Action::ShutDown | Action::Destroy);
            prop_assert!(!actions.iter().any(stopped), "{wanted:#?} {actions:?}");
        }
    }

    #[test]
    fn what_ran_is_never_started_from_a_new_disk(mut world in any_world()) {
        let ran = world.wanted.as_ref().is_some_and(|wanted| wanted.launched)
            || world.found.folder.as_ref().is_some_and(|folder| folder.started);
        let actions = world.settle();
        if ran {
            prop_assert!(!actions.contains(&Action::MakeFolder), "{actions:?}");
        }
    }
}
