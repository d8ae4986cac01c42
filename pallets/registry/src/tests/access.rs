use crate::{mock::*, Call, Error, Event};
use frame_support::{assert_noop, assert_ok, dispatch::CheckIfFeeless};
use quarry_primitives::{node::Access, NodeId};
use sp_keyring::Sr25519Keyring;
use sp_runtime::DispatchResult;

fn elsewhere() -> Access {
    Access { endpoint: text("[2001:db8::1]:22"), host_key: [8; 32] }
}

fn set_access(who: Sr25519Keyring, node_id: &NodeId, access: Access) -> DispatchResult {
    Registry::set_access(by(who), node_id.clone(), access)
}

fn is_free(who: Sr25519Keyring, node_id: &NodeId, access: Access) -> bool {
    Call::<Test>::set_access { node_id: node_id.clone(), access }.is_feeless(&by(who))
}

#[test]
fn the_miner_moves_the_endpoint() {
    run_with_node(|mia_1| {
        assert_ok!(set_access(MIA, &mia_1, elsewhere()));
        assert_eq!(node(&mia_1).access, elsewhere());
        assert_eq!(node(&mia_1).access_moved_at, None);
        assert_event(Event::AccessSet { node_id: mia_1, owner: id(MIA), by: id(MIA) });
    });
}

#[test]
fn the_worker_moves_the_endpoint() {
    run_with_node(|mia_1| {
        pass(1);
        assert_ok!(set_access(WORKER, &mia_1, elsewhere()));
        assert_eq!(node(&mia_1).access, elsewhere());
        assert_eq!(node(&mia_1).access_moved_at, Some(2));
        assert_event(Event::AccessSet { node_id: mia_1, owner: id(MIA), by: id(WORKER) });
    });
}

#[test]
fn a_moved_endpoint_is_work_for_the_worker() {
    run_with_node(|mia_1| {
        assert_ok!(set_access(MIA, &mia_1, elsewhere()));
        assert_ok!(set_access(WORKER, &mia_1, access()));
        assert_eq!(node(&mia_1).work_version, 2);
    });
}

#[test]
fn nobody_else_moves_the_endpoint() {
    run_with_node(|mia_1| {
        assert_ok!(register(MILO, "milo-1", OTHER_WORKER));
        for who in [MILO, OTHER_WORKER, STRANGER] {
            assert_noop!(set_access(who, &mia_1, elsewhere()), Error::<Test>::InvalidSignature);
            assert!(!is_free(who, &mia_1, elsewhere()));
        }
    });
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    run_with_node(|mia_1| {
        for endpoint in [
            "",
            "mia.example",
            ":22",
            "mia.example:",
            "mia.example:0",
            "mia.example:+22",
            "mia.example:65536",
            "mia example:22",
            "ssh://mia.example:22",
            "2001:db8::1:22",
            "[2001:db8::1:22",
            "[mia.example]:22",
            "-oProxyCommand=sh:22",
        ] {
            let wrong = Access { endpoint: text(endpoint), ..access() };
            assert!(!is_free(WORKER, &mia_1, wrong.clone()), "{endpoint}");
            assert_noop!(set_access(WORKER, &mia_1, wrong), Error::<Test>::InvalidEndpoint);
        }
        let rubbish = Access { endpoint: rubbish(), ..access() };
        assert_noop!(set_access(MIA, &mia_1, rubbish), Error::<Test>::InvalidEndpoint);
    });
}

#[test]
fn a_host_key_of_zeroes_is_refused() {
    run_with_node(|mia_1| {
        let keyless = Access { host_key: [0; 32], ..access() };
        assert!(!is_free(WORKER, &mia_1, keyless.clone()));
        assert_noop!(set_access(WORKER, &mia_1, keyless), Error::<Test>::InvalidHostKey);
    });
}

#[test]
fn the_worker_moves_the_endpoint_for_nothing_once_in_a_while() {
    run_with_node(|mia_1| {
        assert!(is_free(WORKER, &mia_1, elsewhere()));
        assert_ok!(set_access(WORKER, &mia_1, elsewhere()));
        pass(99);
        assert!(!is_free(WORKER, &mia_1, access()));
        pass(1);
        assert!(is_free(WORKER, &mia_1, access()));
    });
}

#[test]
fn the_worker_that_pays_moves_the_endpoint_before_its_time() {
    run_with_node(|mia_1| {
        assert_ok!(set_access(WORKER, &mia_1, elsewhere()));
        assert_ok!(set_access(WORKER, &mia_1, access()));
        assert_eq!(node(&mia_1).access, access());
    });
}

#[test]
fn the_miner_pays_for_moving_the_endpoint() {
    run_with_node(|mia_1| assert!(!is_free(MIA, &mia_1, elsewhere())));
}

#[test]
fn a_node_that_is_not_there_is_not_moved() {
    run_test(|| {
        let nowhere = node_id("nowhere");
        assert!(!is_free(WORKER, &nowhere, elsewhere()));
        assert_noop!(set_access(WORKER, &nowhere, elsewhere()), Error::<Test>::NodeNotFound);
    });
}

#[test]
fn an_unsigned_move_is_not_free() {
    run_with_node(|node_id| {
        let call = Call::<Test>::set_access { node_id, access: elsewhere() };
        assert!(!call.is_feeless(&RuntimeOrigin::none()));
    });
}
