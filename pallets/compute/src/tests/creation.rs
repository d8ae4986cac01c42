use super::acts::*;
use crate::{mock::*, ComputeRequests, Error, Event, Leases, NextRequestId, PendingRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    market::NodeRegistry,
    node::Country,
    request::{ComputeRequestStatus, IpWish, OperationKind},
    Balance,
};
use sp_runtime::TokenError;

#[test]
fn a_request_without_a_node_is_pending() {
    run_test(|| {
        let vm = pending();
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
        assert_eq!((request(vm).miner_id, request(vm).is_assigned), (None, false));
        assert!(PendingRequests::<Test>::contains_key(vm));
        let owner = id(TINA);
        assert_happened(Event::ComputeRequestCreated { request_id: vm, owner, node_id: None });
    });
}

#[test]
fn what_was_asked_for_is_kept() {
    run_test(|| {
        let vm = request(create(Ask { country: Some(Country(*b"SE")), ..ask() }));
        assert_eq!((vm.owner, vm.name), (id(TINA), text("web")));
        assert_eq!((vm.plan_id, vm.resources), (plan_id("small"), SMALL));
        assert_eq!(vm.plan_technical_description, text("a test's"));
        assert_eq!(vm.selected_image, image("debian"));
        assert_eq!((vm.country, vm.max_price), (Some(Country(*b"SE")), MOST));
        assert_eq!((vm.generation, vm.attempts, vm.created_at), (0, 0, now()));
    });
}

#[test]
fn each_request_has_a_number_and_a_birth_of_its_own() {
    run_test(|| {
        let (first, second) = (pending(), pending());
        assert_eq!((first, second), (0, 1));
        assert_ne!(request(first).birth, request(second).birth);
        assert_eq!(NextRequestId::<Test>::get(), 2);
    });
}

#[test]
fn a_number_is_not_given_again() {
    run_test(|| {
        let first = pending();
        assert_ok!(Compute::force_close(RuntimeOrigin::root(), first));
        assert_eq!(pending(), first + 1);
    });
}

#[test]
fn a_birth_differs_after_a_chain_reset() {
    let birth = |parent: u8| {
        let mut birth = None;
        run_test(|| {
            let (block, hash) = (&2, sp_core::H256::repeat_byte(parent));
            System::initialize(block, &hash, &Default::default());
            birth = Some(request(pending()).birth);
        });
        birth.unwrap()
    };
    assert_eq!(birth(1), birth(1));
    assert_ne!(birth(1), birth(2));
}

#[test]
fn the_rent_is_held_in_advance() {
    run_test(|| {
        let vm = pending();
        assert_eq!(rent_held(TINA), MOST * Balance::from(BLOCKS));
        assert_eq!(lease(vm).held, rent_held(TINA));
        assert_eq!(free(TINA) + rent_held(TINA) + deposit_held(TINA), FUNDS);
    });
}

#[test]
fn the_room_in_the_chain_takes_a_deposit_which_grows_with_the_keys() {
    run_test(|| {
        pending();
        let with_one = deposit_held(TINA);
        create(Ask { tenant: TOM, keys: vec![SSH_KEY.into(); 2], ..ask() });
        assert_eq!(deposit_held(TOM), with_one + SSH_KEY.len() as u128 + 2);
    });
}

#[test]
fn a_named_node_with_room_gets_the_request_at_once() {
    run_test(|| {
        let vm = create(ask_for(&MIA_1));
        assert_eq!(status(vm), ComputeRequestStatus::InProgress);
        assert_eq!(operation(vm), Some(OperationKind::Launch));
        assert_eq!((request(vm).miner_id, request(vm).is_assigned), (Some(MIA_1.id()), true));
        assert_eq!((MIA_1.record().reserved, MIA_1.record().vms), (SMALL, 1));
        let (node_id, owner) = (MIA_1.id(), id(TINA));
        let created = Some(node_id.clone());
        assert_happened(Event::ComputeRequestCreated {
            request_id: vm,
            owner: owner.clone(),
            node_id: created,
        });
        assert_happened(Event::ComputeRequestSubmitted {
            node_id,
            request_id: vm,
            owner,
            generation: 1,
            claimed: false,
        });
    });
}

#[test]
fn a_request_waits_for_a_named_node_that_has_no_room_yet() {
    run_test(|| {
        MIA_1.change(|node| node.reserved = node.offer.capacity);
        let vm = create(ask_for(&MIA_1));
        assert_eq!(status(vm), ComputeRequestStatus::Pending);
        assert_eq!((request(vm).miner_id, request(vm).is_assigned), (Some(MIA_1.id()), false));
        assert_noop!(MILO_1.claims(vm), Error::<Test>::OtherNodeNamed);
        MIA_1.change(|node| node.reserved = Default::default());
        assert_ok!(MIA_1.claims(vm));
    });
}

#[test]
fn a_request_waits_for_a_named_node_that_is_offline_draining_or_without_address() {
    run_test(|| {
        MIA_1.fall_silent();
        MILO_1.change(|node| node.miner_accepting = false);
        MAX_1.change(|node| node.offer.global_ips = false);
        pass(9);
        for wanted in
            [ask_for(&MIA_1), ask_for(&MILO_1), Ask { ip: IpWish::Require, ..ask_for(&MAX_1) }]
        {
            assert_eq!(status(create(wanted)), ComputeRequestStatus::Pending);
        }
    });
}

#[test]
fn a_named_node_that_is_not_there_is_refused() {
    run_test(|| {
        let nowhere = Ask { node: Some(text("nowhere")), ..ask() };
        assert_noop!(submit(nowhere), Error::<Test>::NodeNotFound);
    });
}

#[test]
fn a_named_node_that_leaves_is_refused() {
    run_test(|| {
        MIA_1.change(|node| node.leaves_at = Some(50));
        assert_noop!(submit(ask_for(&MIA_1)), Error::<Test>::NodeLeaving);
    });
}

#[test]
fn a_named_node_in_another_country_is_refused_even_while_it_is_offline() {
    run_test(|| {
        let wanted = Ask { country: Some(Country(*b"SE")), ..ask_for(&MIA_1) };
        assert_noop!(submit(wanted.clone()), Error::<Test>::WrongCountry);
        MIA_1.fall_silent();
        pass(9);
        assert!(!Market::is_online(&MIA_1.record()));
        assert_noop!(submit(wanted), Error::<Test>::WrongCountry);
    });
}

#[test]
fn a_named_node_that_is_too_dear_is_refused_even_while_it_is_full() {
    run_test(|| {
        let wanted = Ask { max_price: PRICE - 1, ..ask_for(&MIA_1) };
        assert_noop!(submit(wanted.clone()), Error::<Test>::PriceAboveMax);
        MIA_1.change(|node| node.reserved = node.offer.capacity);
        assert_noop!(submit(wanted), Error::<Test>::PriceAboveMax);
        MIA_1.change(|node| node.reserved = Default::default());
    });
}

#[test]
fn a_plan_that_is_not_there_or_disabled_is_refused() {
    run_test(|| {
        let unknown = Ask { plan: "huge", ..ask() };
        assert_noop!(submit(unknown), Error::<Test>::PlanNotFound);
        let root = RuntimeOrigin::root();
        assert_ok!(Compute::set_plan_enabled(root, plan_id("small"), false));
        assert_noop!(submit(ask()), Error::<Test>::PlanDisabled);
    });
}

#[test]
fn an_image_that_is_not_there_or_disabled_is_refused() {
    run_test(|| {
        assert_noop!(submit(Ask { image: "beos", ..ask() }), Error::<Test>::ImageNotFound);
        let root = RuntimeOrigin::root();
        assert_ok!(Compute::set_image_enabled(root, text("debian"), false));
        assert_noop!(submit(ask()), Error::<Test>::ImageDisabled);
    });
}

#[test]
fn an_image_that_needs_a_larger_disk_is_refused() {
    run_test(|| {
        let mut large = image("desktop");
        large.virtual_size_gib = SMALL.disk_gib + 1;
        assert_ok!(Compute::add_image(RuntimeOrigin::root(), Box::new(large)));
        let wanted = Ask { image: "desktop", ..ask() };
        assert_noop!(submit(wanted.clone()), Error::<Test>::ImageTooLarge);
        assert_ok!(submit(Ask { plan: "large", ..wanted }));
    });
}

#[test]
fn the_grace_period_and_the_least_lease_are_paid_for_at_least() {
    run_test(|| {
        assert_noop!(submit(Ask { blocks: 29, ..ask() }), Error::<Test>::PrepaidTooShort);
        assert_ok!(submit(Ask { blocks: 30, ..ask() }));
    });
}

#[test]
fn no_more_is_paid_in_advance_than_the_parameters_say() {
    run_test(|| {
        assert_noop!(submit(Ask { blocks: 1_001, ..ask() }), Error::<Test>::PrepaidTooLong);
        assert_ok!(submit(Ask { blocks: 1_000, ..ask() }));
    });
}

#[test]
fn a_price_beyond_all_balances_is_refused() {
    run_test(|| {
        let endless = Ask { max_price: Balance::MAX, ..ask() };
        assert_noop!(submit(endless), Error::<Test>::PriceOverflow);
    });
}

#[test]
fn who_has_not_the_funds_gets_nothing_and_pays_nothing() {
    run_test(|| {
        let poor = Ask { tenant: STRANGER, ..ask() };
        assert_noop!(submit(poor), TokenError::FundsUnavailable);
        // The rent is there, the deposit is not.
        let rent = MOST * 1_000;
        assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), id(TOM), rent + DUST));
        let dear = Ask { tenant: TOM, blocks: 1_000, ..ask() };
        assert_noop!(submit(dear), TokenError::FundsUnavailable);
        // So that nothing is missing at the end.
        assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), id(TOM), FUNDS));
        assert_eq!(ComputeRequests::<Test>::iter().count(), 0);
        assert_eq!(Leases::<Test>::iter().count(), 0);
    });
}
