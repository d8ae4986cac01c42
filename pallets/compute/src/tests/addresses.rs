use super::acts::*;
use crate::{mock::*, Error, Event, IpOf, IpPools, Ips, MinerComputeRequests};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    ip::{IpAddress, IpState, PoolId},
    request::{IpWish, OperationKind, RequestId},
    Balance,
};
use sp_runtime::{traits::BadOrigin, DispatchResult};

const OWN_PRICE: Balance = 3;

fn v4(last: u8) -> IpAddress {
    IpAddress::V4([203, 0, 113, last])
}

fn own() -> PoolId {
    PoolId::Node(MIA_1.id())
}

fn wanted() -> Ask {
    Ask { ip: IpWish::Require, ..ask() }
}

fn has_own_pool(count: u32) {
    assert_ok!(Compute::set_ip_pool(by(MIA), own(), network()));
    assert_ok!(Compute::add_ips(by(MIA), own(), v4(20), count));
}

fn assign(vm: RequestId, ip: IpAddress) -> DispatchResult {
    Compute::assign_ip_to_vm(by(MIA), vm, ip)
}

#[test]
fn a_vm_gets_an_address_with_its_node() {
    run_test(|| {
        let vm = create(wanted());
        assert_eq!(IpOf::<Test>::get(vm), None);
        assert_ok!(MIA_1.claims(vm));
        let ip = v4(12);
        assert_eq!(IpOf::<Test>::get(vm), Some((PoolId::Global, ip)));
        assert_eq!(Ips::<Test>::get(PoolId::Global, ip), Some(IpState::Held(vm)));
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!(entry.ip_assigned, Some(ip));
        let (node_id, owner, pool) = (MIA_1.id(), id(TINA), PoolId::Global);
        assert_happened(Event::IpAssigned { node_id, request_id: vm, owner, pool, ip });
    });
}

#[test]
fn a_free_address_goes_to_one_vm_only() {
    run_test(|| {
        let given: std::collections::BTreeSet<_> = (0..3)
            .map(|_| {
                let vm = create(wanted());
                assert_ok!(send(TINA, claim(&MIA_1, vm)));
                IpOf::<Test>::get(vm).unwrap()
            })
            .collect();
        assert_eq!(given.len(), 3);
        let vm = create(wanted());
        assert_noop!(MILO_1.claims(vm), Error::<Test>::NoAvailableIp);
    });
}

#[test]
fn an_address_rests_before_it_is_given_again() {
    run_test(|| {
        let root = RuntimeOrigin::root();
        assert_ok!(Compute::remove_ips(root, PoolId::Global, v4(11), 2));
        let vm = running_as(wanted());
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_ok!(MIA_1.does(OperationKind::Delete, vm));
        let until = now() + 16;
        let (owner, pool, ip) = (id(TINA), PoolId::Global, v4(10));
        assert_happened(Event::IpReturned { request_id: vm, owner, pool, ip, until });
        let next = create(wanted());
        pass(15);
        assert_noop!(MIA_1.claims(next), Error::<Test>::NoAvailableIp);
        pass(1);
        assert_ok!(MIA_1.claims(next));
        assert_eq!(IpOf::<Test>::get(next), Some((PoolId::Global, v4(10))));
    });
}

#[test]
fn rested_addresses_do_not_pile_up() {
    run_test(|| {
        for _ in 0..20 {
            let vm = running_as(wanted());
            assert_ok!(Compute::force_close(RuntimeOrigin::root(), vm));
            pass(16);
        }
        let pool = IpPools::<Test>::get(PoolId::Global).unwrap();
        assert!(pool.quarantine_next - pool.quarantine_first <= 1);
    });
}

#[test]
fn the_nodes_own_pool_goes_first() {
    run_test(|| {
        has_own_pool(1);
        let (first, second) = (launching_as(wanted()), launching_as(wanted()));
        assert_eq!(IpOf::<Test>::get(first), Some((own(), v4(20))));
        assert_eq!((lease(first).price, lease(first).ip_fee), (PRICE + OWN_PRICE, 0));
        assert_eq!(IpOf::<Test>::get(second), Some((PoolId::Global, v4(12))));
        let price = PRICE + GLOBAL_IP_PRICE;
        assert_eq!((lease(second).price, lease(second).ip_fee), (price, GLOBAL_IP_PRICE));
    });
}

#[test]
fn an_address_of_the_nodes_own_is_paid_to_the_miner() {
    run_test(|| {
        has_own_pool(1);
        let deposit = deposit_held(MIA);
        running_as(wanted());
        pass(20);
        assert_ok!(Compute::settle(by(TINA), 0));
        // 23 a block, of which 5 % are 23 after 20 blocks.
        assert_eq!((free(MIA), treasury()), (FUNDS - deposit + 437, 23));
    });
}

#[test]
fn who_asks_for_no_address_gets_none() {
    run_test(|| assert_eq!(IpOf::<Test>::get(launching()), None));
}

#[test]
fn who_prefers_an_address_gets_one_within_the_price() {
    run_test(|| {
        let prefers = Ask { ip: IpWish::Prefer, ..ask() };
        let vm = launching_as(prefers.clone());
        assert_eq!((lease(vm).price, IpOf::<Test>::contains_key(vm)), (24, true));
        let vm = launching_as(Ask { max_price: 23, ..prefers });
        assert_eq!((lease(vm).price, IpOf::<Test>::contains_key(vm)), (20, false));
    });
}

#[test]
fn who_prefers_an_address_goes_without_where_there_is_none() {
    run_test(|| {
        MIA_1.change(|node| node.offer.global_ips = false);
        let vm = launching_as(Ask { ip: IpWish::Prefer, ..ask() });
        assert_eq!((lease(vm).price, IpOf::<Test>::contains_key(vm)), (PRICE, false));
    });
}

#[test]
fn an_address_beyond_the_price_is_too_dear() {
    run_test(|| {
        let vm = create(Ask { max_price: 23, ..wanted() });
        assert_noop!(MIA_1.claims(vm), Error::<Test>::PriceAboveMax);
    });
}

#[test]
fn a_stopped_vm_is_given_an_address() {
    run_test(|| {
        has_own_pool(3);
        let vm = stopped();
        let before = MIA_1.record().work_version;
        assert_ok!(assign(vm, v4(21)));
        assert_eq!(IpOf::<Test>::get(vm), Some((own(), v4(21))));
        assert_eq!(MIA_1.record().work_version, before + 1);
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!(entry.ip_assigned, Some(v4(21)));
    });
}

#[test]
fn a_vm_that_is_not_stopped_keeps_what_it_has() {
    run_test(|| {
        has_own_pool(3);
        for find in [pending, launching, running] {
            let vm = find();
            let refusal = Error::<Test>::NotStopped;
            assert_noop!(assign(vm, v4(21)), refusal);
            assert_noop!(Compute::release_ip_from_vm(by(MIA), vm), Error::<Test>::NotStopped);
        }
        let vm = stopped();
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
        assert_noop!(assign(vm, v4(21)), Error::<Test>::OperationPending);
        assert_noop!(Compute::release_ip_from_vm(by(MIA), vm), Error::<Test>::OperationPending);
    });
}

#[test]
fn a_vm_has_one_address() {
    run_test(|| {
        has_own_pool(3);
        let vm = stopped_as(wanted());
        assert_noop!(assign(vm, v4(20)), Error::<Test>::VmAlreadyHasIp);
    });
}

#[test]
fn only_an_address_that_is_free_is_given() {
    run_test(|| {
        has_own_pool(2);
        let (holder, vm) = (stopped_as(wanted()), stopped());
        assert_noop!(assign(vm, v4(21)), Error::<Test>::IpInUse);
        assert_noop!(assign(vm, v4(99)), Error::<Test>::IpNotFound);
        assert_ok!(Compute::release_ip_from_vm(by(MIA), holder));
        assert_noop!(assign(vm, v4(21)), Error::<Test>::IpQuarantined);
        pass(16);
        assert_ok!(assign(vm, v4(21)));
    });
}

#[test]
fn only_the_admin_gives_global_addresses() {
    run_test(|| {
        let vm = stopped();
        assert_noop!(assign(vm, v4(10)), Error::<Test>::IpNotFound);
        assert_ok!(Compute::assign_ip_to_vm(RuntimeOrigin::root(), vm, v4(10)));
        assert_noop!(Compute::release_ip_from_vm(by(MIA), vm), Error::<Test>::InvalidSignature);
        assert_ok!(Compute::release_ip_from_vm(RuntimeOrigin::root(), vm));
    });
}

#[test]
fn a_node_that_routes_no_global_address_gets_none() {
    run_test(|| {
        MIA_1.change(|node| node.offer.global_ips = false);
        let vm = stopped();
        assert_noop!(
            Compute::assign_ip_to_vm(RuntimeOrigin::root(), vm, v4(10)),
            Error::<Test>::NoAvailableIp
        );
    });
}

#[test]
fn nobody_else_gives_or_takes_addresses() {
    run_test(|| {
        has_own_pool(1);
        let vm = stopped();
        for who in [TINA, MIA_1.worker, MILO, STRANGER] {
            assert_noop!(
                Compute::assign_ip_to_vm(by(who), vm, v4(20)),
                Error::<Test>::InvalidSignature
            );
            assert_noop!(Compute::release_ip_from_vm(by(who), vm), Error::<Test>::InvalidSignature);
        }
        let none = RuntimeOrigin::none();
        assert_noop!(Compute::release_ip_from_vm(none, vm), BadOrigin);
    });
}

#[test]
fn who_did_not_ask_for_an_address_does_not_pay_for_one() {
    run_test(|| {
        has_own_pool(1);
        let (own, global) = (stopped(), stopped());
        assert_ok!(assign(own, v4(20)));
        assert_ok!(Compute::assign_ip_to_vm(RuntimeOrigin::root(), global, v4(10)));
        assert_eq!((lease(own).price, lease(global).price), (PRICE, PRICE));
    });
}

#[test]
fn who_asked_for_an_address_pays_from_the_day_it_comes() {
    run_test(|| {
        MIA_1.change(|node| node.offer.global_ips = false);
        let vm = stopped_as(Ask { ip: IpWish::Prefer, ..ask() });
        pass(5);
        MIA_1.change(|node| node.offer.global_ips = true);
        assert_ok!(Compute::assign_ip_to_vm(RuntimeOrigin::root(), vm, v4(10)));
        assert_eq!((lease(vm).price, lease(vm).ip_fee), (24, 4));
        assert_eq!(lease(vm).held, MOST * 100 - 5 * PRICE);
        pass(5);
        assert_ok!(Compute::release_ip_from_vm(RuntimeOrigin::root(), vm));
        assert_eq!((lease(vm).price, lease(vm).ip_fee), (PRICE, 0));
        assert_eq!(lease(vm).held, MOST * 100 - 5 * PRICE - 5 * 24);
    });
}

#[test]
fn a_later_address_costs_what_it_did_when_the_node_got_the_vm() {
    run_test(|| {
        MIA_1.change(|node| node.offer.global_ips = false);
        let vm = stopped_as(Ask { ip: IpWish::Prefer, ..ask() });
        has_own_pool(1);
        MIA_1.change(|node| node.offer.rates.ip = 30);
        assert_ok!(assign(vm, v4(20)));
        assert_eq!((lease(vm).price, lease(vm).ip_fee), (PRICE + OWN_PRICE, 0));
    });
}

#[test]
fn an_address_is_not_given_beyond_the_highest_price() {
    run_test(|| {
        has_own_pool(1);
        MIA_1.change(|node| node.offer.rates.ip = 31);
        let vm = stopped_as(Ask { ip: IpWish::Prefer, ..ask() });
        assert_eq!(IpOf::<Test>::get(vm), None);
        assert_noop!(assign(vm, v4(20)), Error::<Test>::PriceAboveMax);
    });
}

#[test]
fn a_vm_without_an_address_gives_none_back() {
    run_test(|| {
        let vm = stopped();
        assert_noop!(Compute::release_ip_from_vm(by(MIA), vm), Error::<Test>::VmHasNoIp);
    });
}

#[test]
fn an_address_that_is_taken_rests() {
    run_test(|| {
        has_own_pool(1);
        let vm = stopped_as(wanted());
        assert_ok!(Compute::release_ip_from_vm(by(MIA), vm));
        assert_eq!(IpOf::<Test>::get(vm), None);
        let resting = Some(IpState::Quarantined(now() + 16));
        assert_eq!(Ips::<Test>::get(own(), v4(20)), resting);
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vm).unwrap();
        assert_eq!(entry.ip_assigned, None);
    });
}
