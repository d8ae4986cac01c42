use crate::{mock::*, Error, Event};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    market::NodeRegistry,
    node::{Country, Offer},
    resources::Resources,
    Balance, NodeId,
};
use sp_runtime::{DispatchError, DispatchResult};

fn update(node_id: &NodeId, offer: Offer) -> DispatchResult {
    Registry::update_offer(by(MIA), node_id.clone(), offer)
}

/// Refused with this error both when a node is registered and when its offer is updated.
fn assert_refused(offer: Offer, error: Error<Test>) {
    let error = DispatchError::from(error);
    assert_noop!(register_offer(MIA, "mia-2", OTHER_WORKER, offer.clone()), error);
    assert_noop!(update(&node_id("mia-1"), offer), error);
}

fn with_rates(change: impl FnOnce(&mut Offer)) -> Offer {
    let mut offer = offer();
    change(&mut offer);
    offer
}

#[test]
fn an_offer_is_replaced() {
    run_with_node(|mia_1| {
        let other = Offer { country: Country(*b"CH"), max_vms: 9, global_ips: false, ..offer() };
        assert_ok!(update(&mia_1, other.clone()));
        assert_eq!(node(&mia_1).offer, other);
        assert_event(Event::OfferUpdated { node_id: mia_1, owner: id(MIA), bond: BOND });
    });
}

#[test]
fn a_capacity_without_one_of_its_kinds_is_refused() {
    run_with_node(|_| {
        for capacity in [
            Resources { vcpus: 0, ..CAPACITY },
            Resources { memory_mib: 0, ..CAPACITY },
            Resources { disk_gib: 0, ..CAPACITY },
        ] {
            assert_refused(Offer { capacity, ..offer() }, Error::InvalidCapacity);
        }
    });
}

#[test]
fn a_country_is_two_capital_letters() {
    run_with_node(|_| {
        for letters in [*b"de", *b"D1", [0, 0], [0xc3, 0x84]] {
            assert_refused(Offer { country: Country(letters), ..offer() }, Error::InvalidCountry);
        }
    });
}

#[test]
fn a_node_takes_one_vm_at_least() {
    run_with_node(|_| assert_refused(Offer { max_vms: 0, ..offer() }, Error::InvalidMaxVms));
}

#[test]
fn a_price_that_no_balance_holds_is_refused() {
    run_with_node(|_| {
        for offer in [
            with_rates(|offer| offer.rates.vcpu = Balance::MAX),
            with_rates(|offer| offer.rates.memory_gib = Balance::MAX),
            with_rates(|offer| offer.rates.disk_gib = Balance::MAX),
            with_rates(|offer| offer.rates.ip = Balance::MAX),
        ] {
            assert_refused(offer, Error::RatesOverflow);
        }
    });
}

#[test]
fn an_offer_does_not_shrink_below_what_is_reserved() {
    run_with_node(|mia_1| {
        let taken = Resources { vcpus: 2, memory_mib: 1_024, disk_gib: 50 };
        assert_ok!(Registry::reserve(&mia_1, &taken));
        for capacity in [
            Resources { vcpus: 1, ..CAPACITY },
            Resources { memory_mib: 1_023, ..CAPACITY },
            Resources { disk_gib: 49, ..CAPACITY },
        ] {
            let refusal = Error::<Test>::CapacityBelowReserved;
            assert_noop!(update(&mia_1, Offer { capacity, ..offer() }), refusal);
        }
        assert_ok!(update(&mia_1, Offer { capacity: taken, ..offer() }));
    });
}

#[test]
fn an_offer_does_not_shrink_below_the_vms_there() {
    run_with_node(|mia_1| {
        let small = Resources { vcpus: 1, memory_mib: 512, disk_gib: 10 };
        assert_ok!(Registry::reserve(&mia_1, &small));
        assert_ok!(Registry::reserve(&mia_1, &small));
        let refusal = Error::<Test>::MaxVmsBelowCount;
        assert_noop!(update(&mia_1, Offer { max_vms: 1, ..offer() }), refusal);
        assert_ok!(update(&mia_1, Offer { max_vms: 2, ..offer() }));
    });
}

#[test]
fn raised_rates_are_noted() {
    run_with_node(|mia_1| {
        pass(6);
        assert_ok!(update(&mia_1, with_rates(|offer| offer.rates.ip += 1)));
        assert_eq!(node(&mia_1).rates_raised_at, Some(7));
    });
}

#[test]
fn one_raised_rate_is_noted_though_others_fell() {
    run_with_node(|mia_1| {
        let swapped = with_rates(|offer| {
            offer.rates.disk_gib += 1;
            offer.rates.vcpu = 0;
        });
        assert_ok!(update(&mia_1, swapped));
        assert_eq!(node(&mia_1).rates_raised_at, Some(1));
    });
}

#[test]
fn lowered_rates_are_not_held_against_a_node() {
    run_with_node(|mia_1| {
        assert_ok!(update(&mia_1, with_rates(|offer| offer.rates.vcpu -= 1)));
        assert_eq!(node(&mia_1).rates_raised_at, None);
    });
}

#[test]
fn lowering_rates_again_does_not_hide_that_they_were_raised() {
    run_with_node(|mia_1| {
        assert_ok!(update(&mia_1, with_rates(|offer| offer.rates.vcpu += 1)));
        pass(1);
        assert_ok!(update(&mia_1, offer()));
        assert_eq!(node(&mia_1).rates_raised_at, Some(1));
    });
}

#[test]
fn the_miner_drains_a_node_and_opens_it_again() {
    run_with_node(|mia_1| {
        for accepting in [false, true] {
            assert_ok!(Registry::set_miner_accepting(by(MIA), mia_1.clone(), accepting));
            assert_eq!(node(&mia_1).miner_accepting, accepting);
            let (node_id, owner) = (mia_1.clone(), id(MIA));
            assert_event(Event::MinerAcceptingSet { node_id, owner, accepting });
        }
    });
}

#[test]
fn a_change_of_the_offer_is_work_for_the_worker() {
    run_with_node(|mia_1| {
        assert_ok!(update(&mia_1, offer()));
        assert_eq!(node(&mia_1).work_version, 1);
        assert_ok!(Registry::set_miner_accepting(by(MIA), mia_1.clone(), false));
        assert_eq!(node(&mia_1).work_version, 2);
    });
}

#[test]
fn a_worker_key_cannot_set_offers() {
    run_with_node(|mia_1| {
        let refusal = DispatchError::from(Error::<Test>::NotNodeOwner);
        assert_noop!(Registry::update_offer(by(WORKER), mia_1.clone(), offer()), refusal);
        assert_noop!(Registry::set_miner_accepting(by(WORKER), mia_1, false), refusal);
    });
}

#[test]
fn another_miner_cannot_set_offers() {
    run_with_node(|mia_1| {
        let refusal = DispatchError::from(Error::<Test>::NotNodeOwner);
        assert_noop!(Registry::update_offer(by(MILO), mia_1.clone(), offer()), refusal);
        assert_noop!(Registry::set_miner_accepting(by(MILO), mia_1, false), refusal);
    });
}

#[test]
fn a_node_that_is_not_there_has_no_offer_to_set() {
    run_test(|| {
        let nowhere = node_id("nowhere");
        let refusal = DispatchError::from(Error::<Test>::NodeNotFound);
        assert_noop!(update(&nowhere, offer()), refusal);
        assert_noop!(Registry::set_miner_accepting(by(MIA), nowhere, true), refusal);
    });
}
