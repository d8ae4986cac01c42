use crate::{mock::*, Error};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    market::{NodeRegistry, Outcome, Speaker},
    node::{NodeCounts, Offer},
    resources::Resources,
};
use sp_runtime::DispatchError;

const SMALL: Resources = Resources { vcpus: 1, memory_mib: 1_024, disk_gib: 20 };
const LARGE: Resources = Resources { vcpus: 2, memory_mib: 4_096, disk_gib: 100 };

#[test]
fn a_vm_takes_room() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        let node = node(&mia_1);
        assert_eq!((node.reserved, node.vms), (SMALL, 1));
        assert_eq!(node.room(), Resources { vcpus: 1, memory_mib: 8_192 - 1_024, disk_gib: 180 });
    });
}

#[test]
fn a_vm_that_goes_gives_its_room_back() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_ok!(Registry::release(&mia_1, &SMALL, None));
        assert_eq!((node(&mia_1).reserved, node(&mia_1).vms), (Resources::NONE, 0));
        assert_eq!(node(&mia_1).counts, NodeCounts::default());
    });
}

#[test]
fn a_node_takes_no_more_than_its_capacity() {
    run_with_node(|mia_1| {
        for too_large in [
            Resources { vcpus: CAPACITY.vcpus + 1, ..SMALL },
            Resources { memory_mib: CAPACITY.memory_mib + 1, ..SMALL },
            Resources { disk_gib: CAPACITY.disk_gib + 1, ..SMALL },
            Resources { vcpus: u16::MAX, memory_mib: u32::MAX, disk_gib: u32::MAX },
        ] {
            assert_noop!(Registry::reserve(&mia_1, &too_large), Error::<Test>::NodeFull);
        }
        assert_ok!(Registry::reserve(&mia_1, &CAPACITY));
        assert_noop!(Registry::reserve(&mia_1, &SMALL), Error::<Test>::NodeFull);
    });
}

#[test]
fn what_is_beyond_all_numbers_does_not_fit_either() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        let endless = Resources { disk_gib: u32::MAX, ..SMALL };
        assert_noop!(Registry::reserve(&mia_1, &endless), Error::<Test>::NodeFull);
        assert_noop!(
            Registry::change_reserved(&mia_1, &Resources::NONE, &endless),
            Error::<Test>::NodeFull
        );
    });
}

#[test]
fn a_node_takes_no_more_vms_than_it_offers() {
    run_test(|| {
        let for_one = Offer { max_vms: 1, ..offer() };
        assert_ok!(register_offer(MIA, "mia-1", WORKER, for_one));
        let mia_1 = node_id("mia-1");
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_noop!(Registry::reserve(&mia_1, &SMALL), Error::<Test>::TooManyVms);
        assert_ok!(Registry::release(&mia_1, &SMALL, None));
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
    });
}

#[test]
fn a_vm_grows_within_the_room() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_ok!(Registry::change_reserved(&mia_1, &SMALL, &LARGE));
        assert_eq!((node(&mia_1).reserved, node(&mia_1).vms), (LARGE, 1));
    });
}

#[test]
fn a_vm_does_not_grow_beyond_the_room() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_noop!(Registry::change_reserved(&mia_1, &SMALL, &LARGE), Error::<Test>::NodeFull);
    });
}

#[test]
fn a_vm_shrinks() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &CAPACITY));
        assert_ok!(Registry::change_reserved(&mia_1, &CAPACITY, &SMALL));
        assert_eq!((node(&mia_1).reserved, node(&mia_1).vms), (SMALL, 1));
    });
}

#[test]
fn a_vm_shrinks_though_its_node_is_overfull() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &CAPACITY));
        // No call does this; a faulty upgrade might.
        crate::Nodes::<Test>::mutate(&mia_1, |node| {
            node.as_mut().unwrap().offer.capacity = SMALL;
        });
        assert_ok!(Registry::change_reserved(&mia_1, &CAPACITY, &LARGE));
        assert_ok!(Registry::change_reserved(&mia_1, &LARGE, &SMALL));
        let refusal = DispatchError::from(Error::<Test>::NodeFull);
        assert_noop!(Registry::change_reserved(&mia_1, &SMALL, &LARGE), refusal);
    });
}

#[test]
fn no_more_is_given_back_than_was_taken() {
    run_with_node(|mia_1| {
        let underflow = DispatchError::from(Error::<Test>::ReservedUnderflow);
        assert_noop!(Registry::release(&mia_1, &Resources::NONE, None), underflow);
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_noop!(Registry::release(&mia_1, &LARGE, Some(Outcome::Lost)), underflow);
        assert_noop!(
            Registry::change_reserved(&mia_1, &LARGE, &SMALL),
            Error::<Test>::ReservedUnderflow
        );
    });
}

#[test]
fn what_became_of_vms_is_counted() {
    run_with_node(|mia_1| {
        let outcomes = [Outcome::Failed, Outcome::TimedOut, Outcome::Evacuated, Outcome::Lost];
        for (times, outcome) in outcomes.into_iter().enumerate() {
            for _ in 0..times + 2 {
                assert_ok!(Registry::reserve(&mia_1, &SMALL));
                assert_ok!(Registry::release(&mia_1, &SMALL, Some(outcome)));
            }
        }
        assert_ok!(Registry::launched(&mia_1));
        let counts = NodeCounts { launched: 1, failed: 2, timed_out: 3, evacuated: 4, lost: 5 };
        assert_eq!(node(&mia_1).counts, counts);
    });
}

#[test]
fn what_its_vms_do_is_work_for_the_worker() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_ok!(Registry::change_reserved(&mia_1, &SMALL, &LARGE));
        assert_ok!(Registry::release(&mia_1, &LARGE, None));
        assert_ok!(Registry::touch(&mia_1));
        assert_eq!(node(&mia_1).work_version, 4);
    });
}

#[test]
fn a_report_is_no_work_for_the_worker() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::seen(&mia_1));
        assert_ok!(Registry::launched(&mia_1));
        assert_eq!(node(&mia_1).work_version, 0);
    });
}

#[test]
fn its_miner_and_its_worker_speak_for_a_node() {
    run_with_node(|mia_1| {
        assert_ok!(register(MILO, "milo-1", OTHER_WORKER));
        let part = |who| Registry::speaker(&node(&mia_1), &id(who));
        assert_eq!(part(MIA), Some(Speaker::Miner));
        assert_eq!(part(WORKER), Some(Speaker::Worker));
        for other in [MILO, OTHER_WORKER, STRANGER] {
            assert_eq!(part(other), None);
        }
    });
}

#[test]
fn a_node_that_is_not_there_takes_nothing() {
    run_test(|| {
        let nowhere = node_id("nowhere");
        assert_eq!(Registry::node(&nowhere), None);
        let refusal = DispatchError::from(Error::<Test>::NodeNotFound);
        assert_noop!(Registry::reserve(&nowhere, &SMALL), refusal);
        assert_noop!(Registry::change_reserved(&nowhere, &SMALL, &LARGE), refusal);
        assert_noop!(Registry::release(&nowhere, &SMALL, None), refusal);
        assert_noop!(Registry::launched(&nowhere), refusal);
        assert_noop!(Registry::touch(&nowhere), refusal);
    });
}
