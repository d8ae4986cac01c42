use crate::{mock::*, Error, Event, NodeOfWorker, Nodes, NodesByOwner};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    market::NodeRegistry,
    node::{NodeCounts, NodeId, NodeRecord, Offer},
    resources::Resources,
};
use sp_runtime::{DispatchError::BadOrigin, DispatchResult, TokenError};

fn register_as(node_id: NodeId) -> DispatchResult {
    let proof = proof(WORKER, &node_id, MIA);
    Registry::register_node(by(MIA), node_id, offer(), access(), id(WORKER), proof)
}

#[test]
fn a_registered_node_is_on_record_with_its_offer_and_bond() {
    run_test(|| {
        pass(41);
        assert_ok!(register(MIA, "mia-1", WORKER));
        let expected = NodeRecord {
            owner: id(MIA),
            worker: id(WORKER),
            offer: offer(),
            access: access(),
            bond: BOND,
            reserved: Resources::NONE,
            vms: 0,
            miner_accepting: true,
            worker_accepting: false,
            registered_at: 42,
            last_seen: None,
            last_heartbeat: None,
            last_metrics: None,
            access_moved_at: None,
            heartbeat_count: 0,
            served: 0,
            downtime: 0,
            rates_raised_at: None,
            leaves_at: None,
            work_version: 0,
            counts: NodeCounts::default(),
        };
        assert_eq!(Registry::node(&node_id("mia-1")), Some(expected));
    });
}

#[test]
fn a_registered_node_is_listed_with_its_miner_and_its_worker() {
    run_with_node(|mia_1| {
        assert!(NodesByOwner::<Test>::contains_key(id(MIA), &mia_1));
        assert_eq!(NodeOfWorker::<Test>::get(id(WORKER)), Some(mia_1));
    });
}

#[test]
fn a_registration_is_told() {
    run_with_node(|node_id| {
        let (owner, worker) = (id(MIA), id(WORKER));
        assert_event(Event::NodeRegistered { node_id, owner, worker, bond: BOND });
    });
}

#[test]
fn a_miner_has_several_nodes() {
    run_test(|| {
        assert_ok!(register(MIA, "mia-1", WORKER));
        assert_ok!(register(MIA, "mia-2", OTHER_WORKER));
        assert_eq!(NodesByOwner::<Test>::iter_prefix(id(MIA)).count(), 2);
        assert_eq!(held(MIA), 2 * BOND);
    });
}

#[test]
fn a_name_is_taken_once() {
    run_with_node(|_| {
        for miner in [MIA, MILO] {
            let again = || register(miner, "mia-1", OTHER_WORKER);
            assert_noop!(again(), Error::<Test>::NodeAlreadyRegistered);
        }
    });
}

#[test]
fn a_name_that_people_cannot_read_is_refused() {
    run_test(|| {
        for name in [node_id(""), rubbish(), node_id("mia\n1"), node_id("mia\u{1b}[2J")] {
            assert_noop!(register_as(name), Error::<Test>::InvalidNodeId);
        }
    });
}

#[test]
fn a_name_may_have_letters_of_any_language_and_64_bytes() {
    run_test(|| {
        assert_ok!(register_as(node_id(&"ü".repeat(32))));
    });
}

#[test]
fn a_miner_without_the_funds_registers_nothing() {
    run_test(|| {
        let dear = Offer { capacity: Resources { disk_gib: FUNDS as u32, ..CAPACITY }, ..offer() };
        assert_noop!(register_offer(MIA, "mia-1", WORKER, dear), TokenError::FundsUnavailable);
        assert!(!System::account_exists(&id(WORKER)));
    });
}

#[test]
fn an_access_that_leads_nowhere_is_refused() {
    run_test(|| {
        let node_id = node_id("mia-1");
        let mut access = access();
        access.endpoint = text("mia.example");
        let proof = proof(WORKER, &node_id, MIA);
        assert_noop!(
            Registry::register_node(by(MIA), node_id, offer(), access, id(WORKER), proof),
            Error::<Test>::InvalidEndpoint
        );
    });
}

#[test]
fn only_a_signed_call_registers() {
    run_test(|| {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            let name = node_id("mia-1");
            let proof = proof(WORKER, &name, MIA);
            assert_noop!(
                Registry::register_node(origin, name, offer(), access(), id(WORKER), proof),
                BadOrigin
            );
        }
        assert_eq!(Nodes::<Test>::iter().count(), 0);
    });
}
