use crate::{mock::*, Error, Event};
use frame_support::{assert_noop, assert_ok, traits::fungible::Mutate};
use quarry_primitives::{market::NodeRegistry, node::Offer, resources::Resources, Balance, NodeId};
use sp_runtime::{DispatchResult, TokenError};

fn set_capacity(node_id: &NodeId, capacity: Resources) -> DispatchResult {
    Registry::update_offer(by(MIA), node_id.clone(), Offer { capacity, ..offer() })
}

fn treasury() -> Balance {
    Balances::free_balance(Treasury::get())
}

#[test]
fn a_bond_has_a_base_and_a_part_for_each_unit() {
    let size = Resources { vcpus: 3, memory_mib: 2_048, disk_gib: 7 };
    assert_eq!(Registry::bond_for(&size), Some(1_000 + 300 + 20 + 7));
}

#[test]
fn a_part_of_a_gib_of_memory_is_bonded_as_one() {
    let size = |memory_mib| Resources { vcpus: 1, memory_mib, disk_gib: 1 };
    assert_eq!(Registry::bond_for(&size(1)), Some(1_111));
    assert_eq!(Registry::bond_for(&size(1_024)), Some(1_111));
    assert_eq!(Registry::bond_for(&size(1_025)), Some(1_121));
}

#[test]
fn the_bond_is_on_hold() {
    run_with_node(|_| {
        assert_eq!(held(MIA), BOND);
        assert_eq!(Balances::free_balance(id(MIA)), FUNDS - BOND);
    });
}

#[test]
fn the_bond_follows_the_capacity() {
    run_with_node(|mia_1| {
        assert_ok!(set_capacity(&mia_1, Resources { disk_gib: 300, ..CAPACITY }));
        assert_eq!((node(&mia_1).bond, held(MIA)), (BOND + 100, BOND + 100));
        assert_ok!(set_capacity(&mia_1, Resources { disk_gib: 50, ..CAPACITY }));
        assert_eq!((node(&mia_1).bond, held(MIA)), (BOND - 150, BOND - 150));
    });
}

#[test]
fn a_node_does_not_grow_beyond_its_miners_funds() {
    run_with_node(|mia_1| {
        let huge = Resources { disk_gib: FUNDS as u32, ..CAPACITY };
        assert_noop!(set_capacity(&mia_1, huge), TokenError::FundsUnavailable);
    });
}

#[test]
fn a_bond_that_no_balance_holds_is_refused() {
    run_with_node(|mia_1| {
        BondPerVcpu::set(Balance::MAX);
        assert_noop!(register(MIA, "mia-2", OTHER_WORKER), Error::<Test>::BondOverflow);
        assert_noop!(set_capacity(&mia_1, CAPACITY), Error::<Test>::BondOverflow);
        BondPerVcpu::set(100);
    });
}

#[test]
fn a_slash_goes_to_the_treasury() {
    run_with_node(|mia_1| {
        let before = treasury();
        assert_eq!(Registry::slash(&mia_1, 80), 80);
        assert_eq!(treasury(), before + 80);
        assert_eq!((node(&mia_1).bond, held(MIA)), (BOND - 80, BOND - 80));
        assert_event(Event::BondSlashed { node_id: mia_1, owner: id(MIA), amount: 80 });
    });
}

#[test]
fn a_slash_takes_no_more_than_the_nodes_own_bond() {
    run_with_node(|mia_1| {
        assert_ok!(register(MIA, "mia-2", OTHER_WORKER));
        assert_eq!(Registry::slash(&mia_1, Balance::MAX), BOND);
        assert_eq!(node(&mia_1).bond, 0);
        assert_eq!(held(MIA), BOND);
    });
}

#[test]
fn a_slash_of_nothing_is_not_told() {
    run_with_node(|mia_1| {
        System::reset_events();
        assert_eq!(Registry::slash(&mia_1, 0), 0);
        assert_eq!(Registry::slash(&node_id("nowhere"), 80), 0);
        assert!(System::events().is_empty());
    });
}

#[test]
fn a_slash_that_the_treasury_cannot_receive_takes_nothing() {
    run_with_node(|mia_1| {
        Balances::set_balance(&Treasury::get(), 0);
        assert_eq!(Registry::slash(&mia_1, DUST - 1), 0);
        assert_eq!((node(&mia_1).bond, held(MIA)), (BOND, BOND));
    });
}

#[test]
fn a_slashed_bond_does_not_suffice_until_the_offer_is_renewed() {
    run_with_node(|mia_1| {
        assert!(Registry::bond_suffices(&node(&mia_1)));
        Registry::slash(&mia_1, 1);
        assert!(!Registry::bond_suffices(&node(&mia_1)));
        assert_ok!(set_capacity(&mia_1, CAPACITY));
        assert!(Registry::bond_suffices(&node(&mia_1)));
        assert_eq!(held(MIA), BOND);
    });
}

#[test]
fn a_slashed_bond_suffices_for_a_smaller_offer() {
    run_with_node(|mia_1| {
        Registry::slash(&mia_1, 80);
        assert_ok!(set_capacity(&mia_1, Resources { disk_gib: 20, ..CAPACITY }));
        assert_eq!((node(&mia_1).bond, held(MIA)), (BOND - 180, BOND - 180));
    });
}
