use super::acts::*;
use crate::{mock::*, Error, Event, MinerComputeRequests, MinerComputeResizeRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    request::{ComputeRequestStatus, OperationKind, RequestId},
    resources::Resources,
};
use sp_runtime::DispatchResult;

const WIDE: Resources = Resources { vcpus: 1, memory_mib: 1_024, disk_gib: 20 };

fn resize(vm: RequestId, plan: &str) -> DispatchResult {
    Compute::request_compute_resize(by(TINA), vm, plan_id(plan))
}

fn add_wide_plan() {
    assert_ok!(Compute::add_plan(RuntimeOrigin::root(), text("wide"), text(""), WIDE));
}

#[test]
fn a_vm_gets_another_size() {
    for find in [running, stopped] {
        run_test(|| {
            let vm = find();
            let (before, plan) = (status(vm), plan_id("large"));
            assert_ok!(resize(vm, "large"));
            let (node_id, request_id, owner) = (MIA_1.id(), vm, id(TINA));
            assert_happened(Event::ComputeResizeRequested {
                node_id: node_id.clone(),
                request_id,
                owner: owner.clone(),
                generation: generation(vm),
                plan_id: plan,
            });
            assert_eq!((request(vm).resources, request(vm).plan_id), (SMALL, plan_id("small")));
            assert_ok!(MIA_1.does(OperationKind::Resize, vm));
            assert_eq!((request(vm).resources, request(vm).plan_id), (LARGE, plan));
            assert_eq!((status(vm), operation(vm)), (before, None));
            let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
            assert_eq!(entry.plan_id, plan);
            assert_happened(Event::ComputeResizeRequestFulfilled {
                node_id,
                request_id,
                owner,
                plan_id: plan,
            });
        });
    }
}

#[test]
fn the_queue_names_the_new_plan() {
    run_test(|| {
        let vm = running();
        assert_ok!(resize(vm, "large"));
        let entry = MinerComputeResizeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!((entry.plan_id, entry.generation), (plan_id("large"), generation(vm)));
    });
}

#[test]
fn the_larger_of_both_sizes_is_reserved_until_it_is_done() {
    run_test(|| {
        add_wide_plan();
        let vm = running_as(Ask { plan: "strong", ..ask() });
        assert_ok!(resize(vm, "wide"));
        let both = Resources { disk_gib: 20, ..STRONG };
        assert_eq!(MIA_1.record().reserved, both);
        assert_ok!(MIA_1.does(OperationKind::Resize, vm));
        assert_eq!(MIA_1.record().reserved, WIDE);
    });
}

#[test]
fn the_price_changes_when_it_is_done() {
    run_test(|| {
        let vm = running();
        assert_ok!(resize(vm, "large"));
        pass(5);
        assert_eq!(lease(vm).price, PRICE);
        assert_ok!(MIA_1.does(OperationKind::Resize, vm));
        assert_eq!((lease(vm).price, lease(vm).billed), (LARGE_PRICE, 5));
        pass(5);
        assert_ok!(Compute::settle(by(TINA), vm));
        assert_eq!(lease(vm).held, MOST * 100 - 5 * PRICE - 5 * LARGE_PRICE);
    });
}

#[test]
fn the_rates_stay_those_of_the_assignment() {
    run_test(|| {
        let vm = running();
        MIA_1.change(|node| node.offer.rates.vcpu = 1_000);
        assert_ok!(resize(vm, "large"));
        assert_ok!(MIA_1.does(OperationKind::Resize, vm));
        assert_eq!(lease(vm).price, LARGE_PRICE);
    });
}

#[test]
fn processors_and_memory_shrink_too() {
    run_test(|| {
        let vm = running_as(Ask { plan: "strong", ..ask() });
        assert_ok!(resize(vm, "small"));
        assert_ok!(MIA_1.does(OperationKind::Resize, vm));
        assert_eq!((MIA_1.record().reserved, lease(vm).price), (SMALL, PRICE));
    });
}

#[test]
fn a_disk_never_shrinks() {
    run_test(|| {
        let vm = running_as(Ask { plan: "large", ..ask() });
        assert_noop!(resize(vm, "small"), Error::<Test>::DiskCannotShrink);
        assert_noop!(resize(vm, "strong"), Error::<Test>::DiskCannotShrink);
    });
}

#[test]
fn the_same_plan_is_refused() {
    run_test(|| {
        let vm = running();
        assert_noop!(resize(vm, "small"), Error::<Test>::SamePlan);
    });
}

#[test]
fn a_plan_that_cannot_be_rented_is_refused() {
    run_test(|| {
        let vm = running();
        assert_noop!(resize(vm, "huge"), Error::<Test>::PlanNotFound);
        let large = plan_id("large");
        assert_ok!(Compute::set_plan_enabled(RuntimeOrigin::root(), large, false));
        assert_noop!(resize(vm, "large"), Error::<Test>::PlanDisabled);
    });
}

#[test]
fn a_plan_that_is_disabled_meanwhile_is_still_given() {
    run_test(|| {
        let vm = running();
        assert_ok!(resize(vm, "large"));
        let large = plan_id("large");
        assert_ok!(Compute::set_plan_enabled(RuntimeOrigin::root(), large, false));
        assert_ok!(MIA_1.does(OperationKind::Resize, vm));
    });
}

#[test]
fn a_size_beyond_the_highest_price_is_refused() {
    run_test(|| {
        let vm = running_as(Ask { max_price: LARGE_PRICE - 1, ..ask() });
        assert_noop!(resize(vm, "large"), Error::<Test>::PriceAboveMax);
    });
}

#[test]
fn a_size_that_the_hold_does_not_cover_is_refused() {
    run_test(|| {
        // 31 blocks at 40 cover the least at 40 until two were paid at 20.
        let vm = running_as(Ask { max_price: LARGE_PRICE, blocks: 31, ..ask() });
        pass(3);
        assert_noop!(resize(vm, "large"), Error::<Test>::LeaseTooShort);
        assert_ok!(Compute::top_up(by(TINA), vm, 1));
        assert_ok!(resize(vm, "large"));
    });
}

#[test]
fn a_size_beyond_the_nodes_room_is_refused() {
    run_test(|| {
        MIA_1.change(|node| node.offer.capacity = Resources { memory_mib: 2_047, ..LARGE });
        let vm = running();
        assert_noop!(resize(vm, "large"), Error::<Test>::NodeFull);
    });
}

#[test]
fn a_resize_takes_room_from_others() {
    run_test(|| {
        MIA_1.change(|node| node.offer.capacity = LARGE);
        let vm = running();
        assert_ok!(resize(vm, "large"));
        let vm = pending();
        assert_noop!(MIA_1.claims(vm), Error::<Test>::NodeFull);
    });
}

#[test]
fn a_vm_that_was_not_launched_has_its_size() {
    run_test(|| {
        let vm = pending();
        assert_noop!(resize(vm, "large"), Error::<Test>::NotLaunched);
        let vm = launching();
        assert_noop!(resize(vm, "large"), Error::<Test>::OperationPending);
    });
}

#[test]
fn a_resize_that_is_not_done_gives_its_room_back() {
    for end in 0..3 {
        run_test(|| {
            let vm = running();
            assert_ok!(resize(vm, "large"));
            assert_eq!(MIA_1.record().reserved, LARGE);
            match end {
                0 => {
                    assert_ok!(MIA_1.has_trouble(vm));
                }
                1 => pass(10),
                _ => {
                    assert_ok!(Compute::request_compute_delete(by(TINA), vm));
                }
            }
            assert_eq!(MIA_1.record().reserved, SMALL, "{end}");
            assert_eq!(request(vm).resources, SMALL);
            if end < 2 {
                assert_eq!((lease(vm).price, operation(vm)), (PRICE, None));
                assert_eq!(status(vm), ComputeRequestStatus::Running);
            }
        });
    }
}

#[test]
fn an_address_costs_the_same_after_a_resize() {
    run_test(|| {
        let wanted = Ask { ip: quarry_primitives::request::IpWish::Require, ..ask() };
        let vm = running_as(wanted);
        assert_ok!(resize(vm, "large"));
        assert_ok!(MIA_1.does(OperationKind::Resize, vm));
        assert_eq!(lease(vm).price, LARGE_PRICE + GLOBAL_IP_PRICE);
        assert_eq!(lease(vm).ip_fee, GLOBAL_IP_PRICE);
    });
}
