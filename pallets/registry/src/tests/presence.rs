use crate::{mock::*, Error, Event, StatusHistory, HISTORY_LENGTH};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    market::NodeRegistry,
    node::{
        NodeStatus::{Offline, Online},
        StatusChange,
        StatusReason::{Joined, Returned, Silent},
    },
    NodeId,
};

fn is_online(node_id: &NodeId) -> bool {
    Registry::is_online(&node(node_id))
}

fn history(node_id: &NodeId) -> Vec<StatusChange> {
    StatusHistory::<Test>::get(node_id).into_inner()
}

fn joined(at: u32) -> StatusChange {
    StatusChange { at, from: Offline, to: Online, reason: Joined }
}

fn silent(at: u32) -> StatusChange {
    StatusChange { at, from: Online, to: Offline, reason: Silent }
}

fn returned(at: u32) -> StatusChange {
    StatusChange { at, from: Offline, to: Online, reason: Returned }
}

#[test]
fn a_new_node_is_offline_until_its_first_report() {
    run_with_node(|mia_1| {
        assert!(!is_online(&mia_1));
        assert_ok!(beat(&mia_1));
        assert!(is_online(&mia_1));
    });
}

#[test]
fn the_first_report_counts_nothing() {
    run_with_node(|mia_1| {
        pass(500);
        assert_ok!(beat(&mia_1));
        assert_eq!((node(&mia_1).served, node(&mia_1).downtime), (0, 0));
        assert_eq!(history(&mia_1), [joined(501)]);
    });
}

#[test]
fn the_first_report_is_told() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::seen(&mia_1));
        assert_event(Event::NodeJoined { node_id: mia_1, owner: id(MIA) });
    });
}

#[test]
fn a_node_is_online_as_long_as_its_last_report_is_young_enough() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(Registry::offline_after());
        assert!(is_online(&mia_1));
        pass(1);
        assert!(!is_online(&mia_1));
    });
}

#[test]
fn a_gap_within_bounds_was_served() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        for gap in [3, 8] {
            pass(gap);
            assert_ok!(beat(&mia_1));
        }
        assert_eq!((node(&mia_1).served, node(&mia_1).downtime), (11, 0));
        assert_eq!(history(&mia_1), [joined(1)]);
    });
}

#[test]
fn a_longer_gap_was_downtime() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(9);
        assert_ok!(beat(&mia_1));
        assert_eq!((node(&mia_1).served, node(&mia_1).downtime), (0, 9));
    });
}

#[test]
fn a_return_is_written_with_the_silence_before_it() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(100);
        assert_ok!(beat(&mia_1));
        assert_eq!(history(&mia_1), [joined(1), silent(10), returned(101)]);
        assert!(is_online(&mia_1));
    });
}

#[test]
fn a_return_after_the_shortest_silence_has_both_entries_in_one_block() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(9);
        assert_ok!(beat(&mia_1));
        assert_eq!(history(&mia_1), [joined(1), silent(10), returned(10)]);
    });
}

#[test]
fn a_return_is_told() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(100);
        assert_ok!(Registry::seen(&mia_1));
        assert_event(Event::NodeReturned { node_id: mia_1, owner: id(MIA), downtime: 100 });
    });
}

#[test]
fn every_live_block_counts_once() {
    run_with_node(|mia_1| {
        for gap in [0, 1, 8, 9, 3, 1_000, 0, 8] {
            pass(gap);
            assert_ok!(Registry::seen(&mia_1));
            let node = node(&mia_1);
            assert_eq!(node.served + node.downtime + 1, node.last_seen.unwrap_or_default());
        }
        assert_eq!((node(&mia_1).served, node(&mia_1).downtime), (1 + 8 + 3 + 8, 9 + 1_000));
    });
}

#[test]
fn two_reports_in_one_block_count_nothing() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        assert_ok!(Registry::seen(&mia_1));
        assert_eq!(node(&mia_1).served, 0);
    });
}

#[test]
fn any_valid_report_keeps_a_node_online() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(8);
        assert_ok!(Registry::seen(&mia_1));
        pass(8);
        assert!(is_online(&mia_1));
        assert_eq!((node(&mia_1).heartbeat_count, node(&mia_1).served), (1, 8));
    });
}

#[test]
fn a_full_history_loses_its_oldest_changes() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        for _ in 0..HISTORY_LENGTH {
            pass(20);
            assert_ok!(beat(&mia_1));
        }
        let history = history(&mia_1);
        assert_eq!(history.len(), HISTORY_LENGTH as usize);
        assert_eq!(history.last(), Some(&returned(1 + 20 * HISTORY_LENGTH)));
        assert_eq!(history.first(), Some(&silent(330)));
    });
}

#[test]
fn a_node_that_is_not_there_is_not_seen() {
    run_test(|| {
        assert_noop!(Registry::seen(&node_id("nowhere")), Error::<Test>::NodeNotFound);
    });
}
