use crate::{mock::*, Call, Error, Event};
use frame_support::{assert_noop, assert_ok, dispatch::CheckIfFeeless};
use quarry_primitives::{node::NodeMetricsData, NodeId};
use sp_keyring::Sr25519Keyring;

fn call(node_id: &NodeId, metrics: Option<NodeMetricsData>) -> Call<Test> {
    let metrics = metrics.map(Box::new);
    Call::submit_node_metrics { node_id: node_id.clone(), accepting: true, metrics }
}

fn is_free(who: Sr25519Keyring, node_id: &NodeId) -> bool {
    call(node_id, None).is_feeless(&by(who))
}

fn is_free_with_metrics(node_id: &NodeId) -> bool {
    call(node_id, Some(largest_metrics(node_id))).is_feeless(&by(WORKER))
}

fn beat_with_metrics(node_id: &NodeId) {
    let metrics = Some(Box::new(largest_metrics(node_id)));
    assert_ok!(Registry::submit_node_metrics(by(WORKER), node_id.clone(), true, metrics));
}

#[test]
fn a_heartbeat_is_noted() {
    run_with_node(|mia_1| {
        pass(4);
        assert_ok!(beat(&mia_1));
        let node = node(&mia_1);
        assert_eq!((node.heartbeat_count, node.last_heartbeat), (1, Some(5)));
        assert_eq!((node.last_seen, node.last_metrics), (Some(5), None));
        let owner = id(MIA);
        assert_event(Event::NodeMetricsSubmitted { node_id: mia_1, owner, accepting: true });
    });
}

#[test]
fn a_heartbeat_says_whether_the_worker_takes_vms() {
    run_with_node(|mia_1| {
        assert!(!node(&mia_1).worker_accepting);
        for accepting in [true, false] {
            assert_ok!(Registry::submit_node_metrics(by(WORKER), mia_1.clone(), accepting, None));
            assert_eq!(node(&mia_1).worker_accepting, accepting);
            assert!(node(&mia_1).miner_accepting);
        }
    });
}

#[test]
fn a_heartbeat_is_no_work_for_the_worker() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        assert_eq!(node(&mia_1).work_version, 0);
    });
}

#[test]
fn a_due_heartbeat_is_free() {
    run_with_node(|mia_1| {
        assert!(is_free(WORKER, &mia_1));
        assert_ok!(beat(&mia_1));
        pass(3);
        assert!(is_free(WORKER, &mia_1));
    });
}

#[test]
fn a_heartbeat_before_its_time_pays() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        assert!(!is_free(WORKER, &mia_1));
        pass(2);
        assert!(!is_free(WORKER, &mia_1));
    });
}

#[test]
fn a_heartbeat_before_its_time_does_its_work() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        assert_ok!(beat(&mia_1));
        assert_eq!(node(&mia_1).heartbeat_count, 2);
    });
}

#[test]
fn metrics_are_free_when_they_are_due() {
    run_with_node(|mia_1| {
        assert!(is_free_with_metrics(&mia_1));
        beat_with_metrics(&mia_1);
        pass(49);
        assert!(!is_free_with_metrics(&mia_1));
        assert!(is_free(WORKER, &mia_1));
        pass(1);
        assert!(is_free_with_metrics(&mia_1));
    });
}

#[test]
fn due_metrics_with_a_heartbeat_before_its_time_pay() {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        pass(2);
        assert!(!is_free_with_metrics(&mia_1));
    });
}

#[test]
fn a_strangers_heartbeat_pays() {
    run_with_node(|mia_1| {
        assert_ok!(register(MILO, "milo-1", OTHER_WORKER));
        for who in [MIA, MILO, OTHER_WORKER, STRANGER] {
            assert!(!is_free(who, &mia_1));
        }
    });
}

#[test]
fn only_the_nodes_own_worker_beats_for_it() {
    run_with_node(|mia_1| {
        assert_ok!(register(MILO, "milo-1", OTHER_WORKER));
        for who in [MIA, MILO, OTHER_WORKER, STRANGER] {
            assert_noop!(
                Registry::submit_node_metrics(by(who), mia_1.clone(), true, None),
                Error::<Test>::InvalidSignature
            );
        }
    });
}

#[test]
fn a_heartbeat_with_forged_metrics_pays() {
    run_with_node(|mia_1| {
        let of_another = largest_metrics(&node_id("milo-1"));
        assert!(!call(&mia_1, Some(of_another)).is_feeless(&by(WORKER)));
    });
}

#[test]
fn a_heartbeat_for_no_node_is_refused_and_pays() {
    run_test(|| {
        let nowhere = node_id("nowhere");
        assert!(!is_free(WORKER, &nowhere));
        assert_noop!(beat(&nowhere), Error::<Test>::NodeNotFound);
    });
}

#[test]
fn an_unsigned_heartbeat_is_not_free() {
    run_with_node(|mia_1| {
        for origin in [RuntimeOrigin::none(), RuntimeOrigin::root()] {
            assert!(!call(&mia_1, None).is_feeless(&origin));
        }
    });
}

#[test]
fn other_calls_are_never_free() {
    run_with_node(|node_id| {
        let calls = [
            Call::update_offer { node_id: node_id.clone(), offer: offer() },
            Call::set_miner_accepting { node_id: node_id.clone(), accepting: true },
            Call::deregister_node { node_id: node_id.clone() },
            Call::<Test>::withdraw_bond { node_id },
        ];
        for call in calls {
            assert!(!call.is_feeless(&by(MIA)));
            assert!(!call.is_feeless(&by(WORKER)));
        }
    });
}
