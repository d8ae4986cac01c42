use crate::{
    mock::*, Call, Error, Event, MetricsHistory, NodeMetrics, NodeOfWorker, Nodes, NodesByOwner,
    StatusHistory,
};
use frame_support::{
    assert_noop, assert_ok, dispatch::CheckIfFeeless, traits::UnfilteredDispatchable,
};
use quarry_primitives::{
    market::{NodeRegistry, Speaker},
    resources::Resources,
    NodeId,
};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{DispatchError::BadOrigin, DispatchResult};

const SMALL: Resources = Resources { vcpus: 1, memory_mib: 1_024, disk_gib: 20 };

fn deregister(who: Sr25519Keyring, node_id: &NodeId) -> DispatchResult {
    Registry::deregister_node(by(who), node_id.clone())
}

fn withdraw(who: Sr25519Keyring, node_id: &NodeId) -> DispatchResult {
    Registry::withdraw_bond(by(who), node_id.clone())
}

/// Runs a test on a market with a node that its miner just deregistered.
fn run_with_leaving_node(test: impl FnOnce(NodeId)) {
    run_with_node(|mia_1| {
        assert_ok!(beat(&mia_1));
        assert_ok!(deregister(MIA, &mia_1));
        test(mia_1);
    });
}

#[test]
fn a_deregistered_node_leaves_after_the_unbonding_time() {
    run_with_node(|node_id| {
        assert_ok!(deregister(MIA, &node_id));
        let leaves_at = 1 + Unbonding::get();
        assert_eq!(node(&node_id).leaves_at, Some(leaves_at));
        assert_event(Event::NodeDeregistered { node_id, owner: id(MIA), leaves_at });
    });
}

#[test]
fn only_the_miner_deregisters() {
    run_with_node(|mia_1| {
        for who in [WORKER, MILO, STRANGER] {
            assert_noop!(deregister(who, &mia_1), Error::<Test>::NotNodeOwner);
        }
    });
}

#[test]
fn a_node_that_is_not_there_does_not_leave() {
    run_test(|| {
        let refusal = Error::<Test>::NodeNotFound;
        assert_noop!(deregister(MIA, &node_id("nowhere")), refusal);
    });
}

#[test]
fn a_node_with_vms_stays() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &SMALL));
        assert_noop!(deregister(MIA, &mia_1), Error::<Test>::NodeInUse);
        assert_ok!(Registry::release(&mia_1, &SMALL, None));
        assert_ok!(deregister(MIA, &mia_1));
    });
}

#[test]
fn a_node_with_a_vm_that_takes_nothing_stays() {
    run_with_node(|mia_1| {
        assert_ok!(Registry::reserve(&mia_1, &Resources::NONE));
        assert_noop!(deregister(MIA, &mia_1), Error::<Test>::NodeInUse);
    });
}

#[test]
fn a_node_with_addresses_stays() {
    run_with_node(|mia_1| {
        NodesWithAddresses::set(&vec![mia_1.clone()]);
        assert_noop!(deregister(MIA, &mia_1), Error::<Test>::PoolNotEmpty);
        NodesWithAddresses::set(&vec![]);
        assert_ok!(deregister(MIA, &mia_1));
    });
}

#[test]
fn a_leaving_node_is_offline_and_takes_no_vms() {
    run_with_leaving_node(|mia_1| {
        assert!(!Registry::is_online(&node(&mia_1)));
        assert_noop!(Registry::reserve(&mia_1, &SMALL), Error::<Test>::NodeLeaving);
    });
}

#[test]
fn a_leaving_node_frees_its_workers_key_at_once() {
    run_with_leaving_node(|mia_1| {
        assert_eq!(NodeOfWorker::<Test>::get(id(WORKER)), None);
        assert_ok!(register(MILO, "milo-1", WORKER));
        assert_eq!(Registry::speaker(&node(&mia_1), &id(WORKER)), None);
        assert_eq!(Registry::speaker(&node(&mia_1), &id(MIA)), Some(Speaker::Miner));
    });
}

#[test]
fn a_leaving_node_changes_no_more() {
    run_with_leaving_node(|mia_1| {
        let calls = [
            Call::update_offer { node_id: mia_1.clone(), offer: offer() },
            Call::set_miner_accepting { node_id: mia_1.clone(), accepting: true },
            Call::set_worker {
                node_id: mia_1.clone(),
                worker: id(OTHER_WORKER),
                proof: proof(OTHER_WORKER, &mia_1, MIA),
            },
            Call::set_access { node_id: mia_1.clone(), access: access() },
            Call::<Test>::deregister_node { node_id: mia_1 },
        ];
        for call in calls {
            let refused = || {
                let result = call.clone().dispatch_bypass_filter(by(MIA));
                result.map_err(|refused| refused.error)
            };
            assert_noop!(refused(), Error::<Test>::NodeLeaving);
        }
    });
}

#[test]
fn a_leaving_nodes_reports_are_refused_and_pay() {
    run_with_leaving_node(|mia_1| {
        pass(3);
        assert_noop!(beat(&mia_1), Error::<Test>::NodeLeaving);
        assert_noop!(Registry::seen(&mia_1), Error::<Test>::NodeLeaving);
        let (node_id, access) = (mia_1, access());
        let heartbeat =
            Call::submit_node_metrics { node_id: node_id.clone(), accepting: true, metrics: None };
        let move_endpoint = Call::<Test>::set_access { node_id, access };
        for call in [heartbeat, move_endpoint] {
            assert!(!call.is_feeless(&by(WORKER)));
        }
    });
}

#[test]
fn a_leaving_node_keeps_its_name() {
    run_with_leaving_node(|_| {
        assert_noop!(register(MILO, "mia-1", OTHER_WORKER), Error::<Test>::NodeAlreadyRegistered);
    });
}

#[test]
fn the_bond_is_held_until_the_unbonding_time_is_over() {
    run_with_leaving_node(|mia_1| {
        pass(Unbonding::get() - 1);
        assert_noop!(withdraw(MIA, &mia_1), Error::<Test>::UnbondingNotOver);
        assert_eq!(held(MIA), BOND);
        pass(1);
        assert_ok!(withdraw(MIA, &mia_1));
        assert_eq!(held(MIA), 0);
        assert_eq!(Balances::free_balance(id(MIA)), FUNDS);
        assert_event(Event::BondWithdrawn { node_id: mia_1, owner: id(MIA), bond: BOND });
    });
}

#[test]
fn anyone_may_give_the_bond_back_to_its_owner() {
    run_with_node(|mia_1| {
        deregister_for_good(&mia_1);
        assert_ok!(withdraw(STRANGER, &mia_1));
        assert_eq!(Balances::free_balance(id(MIA)), FUNDS);
        assert_eq!(Balances::free_balance(id(STRANGER)), 0);
    });
}

#[test]
fn only_a_signed_call_withdraws() {
    run_with_node(|mia_1| {
        deregister_for_good(&mia_1);
        assert_noop!(Registry::withdraw_bond(RuntimeOrigin::none(), mia_1), BadOrigin);
    });
}

#[test]
fn a_worker_key_cannot_take_the_bond() {
    run_with_node(|mia_1| {
        assert_noop!(deregister(WORKER, &mia_1), Error::<Test>::NotNodeOwner);
        assert_noop!(withdraw(WORKER, &mia_1), Error::<Test>::NodeNotLeaving);
    });
}

#[test]
fn a_bond_is_withdrawn_once() {
    run_with_node(|mia_1| {
        deregister_for_good(&mia_1);
        assert_ok!(withdraw(MIA, &mia_1));
        assert_noop!(withdraw(MIA, &mia_1), Error::<Test>::NodeNotFound);
    });
}

#[test]
fn what_is_left_of_a_slashed_bond_goes_back() {
    run_with_leaving_node(|mia_1| {
        assert_eq!(Registry::slash(&mia_1, 480), 480);
        pass(Unbonding::get());
        assert_ok!(withdraw(MIA, &mia_1));
        assert_eq!(Balances::free_balance(id(MIA)), FUNDS - 480);
    });
}

#[test]
fn a_bond_that_was_taken_whole_does_not_keep_the_name() {
    run_with_leaving_node(|mia_1| {
        Registry::slash(&mia_1, BOND);
        pass(Unbonding::get());
        assert_ok!(withdraw(MIA, &mia_1));
        assert_eq!(Nodes::<Test>::get(&mia_1), None);
    });
}

#[test]
fn a_node_leaves_nothing_behind() {
    run_with_node(|mia_1| {
        let metrics = Some(Box::new(largest_metrics(&mia_1)));
        assert_ok!(Registry::submit_node_metrics(by(WORKER), mia_1.clone(), true, metrics));
        deregister_for_good(&mia_1);
        assert_ok!(withdraw(MIA, &mia_1));
        assert!(!Nodes::<Test>::contains_key(&mia_1));
        assert!(!NodesByOwner::<Test>::contains_key(id(MIA), &mia_1));
        assert!(!NodeMetrics::<Test>::contains_key(&mia_1));
        assert!(!StatusHistory::<Test>::contains_key(&mia_1));
        assert!(!MetricsHistory::<Test>::contains_key(&mia_1));
        assert_eq!(ForgottenPools::get(), vec![mia_1]);
    });
}

#[test]
fn a_name_that_is_free_again_is_anyones() {
    run_with_node(|mia_1| {
        deregister_for_good(&mia_1);
        assert_ok!(withdraw(MIA, &mia_1));
        assert_ok!(register(MILO, "mia-1", WORKER));
        assert_eq!(node(&mia_1).owner, id(MILO));
    });
}

#[test]
fn a_name_is_not_handed_on_with_addresses() {
    run_with_node(|mia_1| {
        deregister_for_good(&mia_1);
        NodesWithAddresses::set(&vec![mia_1.clone()]);
        assert_noop!(withdraw(MIA, &mia_1), Error::<Test>::PoolNotEmpty);
    });
}
