use super::acts::*;
use crate::{mock::*, Error, Event, FreeIps, IpPools, Ips};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    ip::{IpAddress, IpNetwork, IpState, PoolId},
    market::Tenancy,
    request::IpWish,
};
use sp_runtime::{traits::BadOrigin, DispatchResult, TokenError};

fn v4(last: u8) -> IpAddress {
    IpAddress::V4([203, 0, 113, last])
}

fn v6(last: u8) -> IpAddress {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    octets[15] = last;
    IpAddress::V6(octets)
}

fn own() -> PoolId {
    PoolId::Node(MIA_1.id())
}

fn set_own(network: IpNetwork) -> DispatchResult {
    Compute::set_ip_pool(by(MIA), own(), network)
}

fn add(first: IpAddress, count: u32) -> DispatchResult {
    Compute::add_ips(by(MIA), own(), first, count)
}

fn remove(first: IpAddress, count: u32) -> DispatchResult {
    Compute::remove_ips(by(MIA), own(), first, count)
}

/// A pool of [`MIA_1`]'s own in the same network as the global one.
fn with_own_pool(test: impl FnOnce()) {
    run_test(|| {
        assert_ok!(set_own(network()));
        test();
    });
}

#[test]
fn a_miner_keeps_a_pool_for_its_node() {
    run_test(|| {
        assert_ok!(set_own(network()));
        assert_happened(Event::IpPoolSet { pool: own(), network: network() });
        assert_ok!(add(v4(20), 3));
        assert_happened(Event::IpAdded { pool: own(), first: v4(20), count: 3 });
        let pool = IpPools::<Test>::get(own()).unwrap();
        assert_eq!((pool.total, pool.free, pool.network), (3, 3, network()));
        assert!(!<Compute as Tenancy>::pool_is_empty(&MIA_1.id()));
        assert_ok!(remove(v4(20), 3));
        assert_happened(Event::IpRemoved { pool: own(), first: v4(20), count: 3 });
        assert!(<Compute as Tenancy>::pool_is_empty(&MIA_1.id()));
        assert_eq!(deposit_held(MIA), 0);
        <Compute as Tenancy>::forget_pool(&MIA_1.id());
        assert_eq!(IpPools::<Test>::get(own()), None);
    });
}

#[test]
fn the_admin_keeps_the_global_pool() {
    run_test(|| {
        let root = RuntimeOrigin::root;
        assert_ok!(Compute::add_ips(root(), PoolId::Global, v4(20), 2));
        assert_ok!(Compute::remove_ips(root(), PoolId::Global, v4(10), 1));
        assert_eq!(IpPools::<Test>::get(PoolId::Global).unwrap().total, 4);
    });
}

#[test]
fn nobody_else_keeps_the_global_pool() {
    run_test(|| {
        for who in [TINA, MIA, MIA_1.worker] {
            let pool = PoolId::Global;
            assert_noop!(Compute::add_ips(by(who), pool.clone(), v4(20), 1), BadOrigin);
            assert_noop!(Compute::remove_ips(by(who), pool.clone(), v4(10), 1), BadOrigin);
            assert_noop!(Compute::set_ip_pool(by(who), pool, network()), BadOrigin);
        }
    });
}

#[test]
fn nobody_else_keeps_a_nodes_pool() {
    with_own_pool(|| {
        for who in [TINA, MILO, MIA_1.worker, STRANGER] {
            assert_noop!(
                Compute::add_ips(by(who), own(), v4(20), 1),
                Error::<Test>::InvalidSignature
            );
            assert_noop!(
                Compute::set_ip_pool(by(who), own(), network()),
                Error::<Test>::InvalidSignature
            );
        }
        let root = RuntimeOrigin::root();
        assert_noop!(Compute::add_ips(root, own(), v4(20), 1), BadOrigin);
    });
}

#[test]
fn a_node_that_is_not_there_or_leaves_has_no_pool() {
    run_test(|| {
        let nowhere = PoolId::Node(text("nowhere"));
        assert_noop!(
            Compute::set_ip_pool(by(MIA), nowhere, network()),
            Error::<Test>::NodeNotFound
        );
        MIA_1.change(|node| node.leaves_at = Some(50));
        assert_noop!(set_own(network()), Error::<Test>::NodeLeaving);
    });
}

#[test]
fn a_pool_has_a_sound_network() {
    run_test(|| {
        for prefix_len in [0, 33, 255] {
            assert_noop!(
                set_own(IpNetwork { prefix_len, ..network() }),
                Error::<Test>::InvalidPrefixLength
            );
        }
        let wide = IpNetwork { prefix_len: 129, gateway: v6(1), dns: v6(2) };
        assert_noop!(set_own(wide), Error::<Test>::InvalidPrefixLength);
        for gateway in [v4(0), v4(255), IpAddress::V4([127, 0, 0, 1]), IpAddress::V4([0; 4])] {
            assert_noop!(
                set_own(IpNetwork { gateway, ..network() }),
                Error::<Test>::InvalidGateway
            );
        }
        for dns in [IpAddress::V4([224, 0, 0, 1]), IpAddress::V6([0; 16])] {
            assert_noop!(set_own(IpNetwork { dns, ..network() }), Error::<Test>::InvalidDns);
        }
        assert_ok!(set_own(IpNetwork { prefix_len: 64, gateway: v6(1), dns: v6(2) }));
    });
}

#[test]
fn a_pools_network_stays_while_it_has_addresses() {
    with_own_pool(|| {
        assert_ok!(add(v4(20), 1));
        let moved = IpNetwork { gateway: v4(2), ..network() };
        assert_noop!(set_own(moved), Error::<Test>::IpPoolInUse);
        let narrowed = IpNetwork { prefix_len: 25, ..network() };
        assert_noop!(set_own(narrowed), Error::<Test>::IpPoolInUse);
        let other_dns = IpNetwork { dns: v4(53), ..network() };
        assert_ok!(set_own(other_dns));
        assert_eq!(IpPools::<Test>::get(own()).unwrap().network, other_dns);
        assert_ok!(remove(v4(20), 1));
        assert_ok!(set_own(moved));
    });
}

#[test]
fn addresses_come_after_their_network() {
    run_test(|| {
        assert_noop!(add(v4(20), 1), Error::<Test>::IpPoolNotFound);
        assert_noop!(remove(v4(20), 1), Error::<Test>::IpPoolNotFound);
    });
}

#[test]
fn so_many_addresses_come_and_go_at_once() {
    with_own_pool(|| {
        for count in [0, 257, u32::MAX] {
            assert_noop!(add(v4(20), count), Error::<Test>::InvalidIpCount);
            assert_noop!(remove(v4(20), count), Error::<Test>::InvalidIpCount);
        }
        assert_ok!(set_own(IpNetwork { prefix_len: 64, gateway: v6(1), dns: v6(2) }));
        let rich = RuntimeOrigin::root();
        assert_ok!(Balances::force_set_balance(rich, id(TOM), FUNDS));
        assert_ok!(add(v6(10), 256));
        assert_ok!(remove(v6(10), 256));
    });
}

#[test]
fn an_address_is_one_that_a_guest_of_the_network_can_have() {
    with_own_pool(|| {
        let elsewhere = IpAddress::V4([203, 0, 114, 7]);
        for ip in [v4(0), v4(1), v4(255), elsewhere, v6(7), IpAddress::V4([224, 0, 0, 1])] {
            assert_noop!(add(ip, 1), Error::<Test>::InvalidIp);
        }
        assert_ok!(set_own(IpNetwork { dns: v4(53), ..network() }));
        assert_noop!(add(v4(53), 1), Error::<Test>::InvalidIp);
    });
}

#[test]
fn a_range_that_leaves_the_network_is_refused_whole() {
    with_own_pool(|| {
        assert_noop!(add(v4(250), 6), Error::<Test>::InvalidIp);
        assert_ok!(add(v4(250), 5));
    });
}

#[test]
fn a_range_that_leaves_all_addresses_is_refused() {
    with_own_pool(|| {
        let last = IpAddress::V4([255; 4]);
        assert_noop!(remove(last, 2), Error::<Test>::IpNotFound);
        let high = IpNetwork { gateway: IpAddress::V4([255, 255, 255, 1]), ..network() };
        assert_ok!(set_own(IpNetwork { prefix_len: 32, ..high }));
        assert_noop!(add(last, 2), Error::<Test>::InvalidIp);
    });
}

#[test]
fn an_address_stands_in_a_pool_once() {
    with_own_pool(|| {
        assert_ok!(add(v4(20), 2));
        assert_noop!(add(v4(19), 2), Error::<Test>::IpAlreadyExists);
    });
}

#[test]
fn what_is_not_there_in_use_or_at_rest_is_not_removed() {
    with_own_pool(|| {
        assert_ok!(add(v4(20), 2));
        assert_noop!(remove(v4(21), 2), Error::<Test>::IpNotFound);
        // The last is given first.
        let vm = running_as(Ask { ip: IpWish::Require, ..ask() });
        assert_noop!(remove(v4(20), 2), Error::<Test>::IpInUse);
        assert_ok!(Compute::force_close(RuntimeOrigin::root(), vm));
        assert_noop!(remove(v4(20), 2), Error::<Test>::IpQuarantined);
        pass(16);
        assert_ok!(remove(v4(20), 2));
    });
}

#[test]
fn an_address_from_the_middle_leaves_no_gap() {
    with_own_pool(|| {
        assert_ok!(add(v4(20), 4));
        assert_ok!(remove(v4(21), 1));
        let listed: Vec<_> = (0..3).map(|index| FreeIps::<Test>::get(own(), index)).collect();
        assert_eq!(listed, vec![Some(v4(20)), Some(v4(23)), Some(v4(22))]);
        assert_eq!(Ips::<Test>::get(own(), v4(23)), Some(IpState::Free(1)));
        assert_eq!(FreeIps::<Test>::get(own(), 3), None);
    });
}

#[test]
fn a_miner_holds_a_deposit_for_its_pool_that_follows_its_size() {
    with_own_pool(|| {
        assert_ok!(add(v4(20), 1));
        let for_one = deposit_held(MIA);
        assert!(for_one > 0);
        assert_ok!(add(v4(21), 3));
        assert_eq!(deposit_held(MIA), 4 * for_one);
        assert_ok!(remove(v4(20), 2));
        assert_eq!(deposit_held(MIA), 2 * for_one);
    });
}

#[test]
fn the_global_pool_takes_no_deposit() {
    run_test(|| {
        let root = RuntimeOrigin::root();
        assert_ok!(Compute::add_ips(root, PoolId::Global, v4(20), 5));
        assert_eq!(deposit_held(MIA) + deposit_held(TINA), 0);
    });
}

#[test]
fn who_has_not_the_deposit_has_no_pool() {
    run_test(|| {
        let pool = PoolId::Node(MAX_1.id());
        assert_ok!(Compute::set_ip_pool(by(MAX), pool.clone(), network()));
        assert_noop!(Compute::add_ips(by(MAX), pool, v4(20), 1), TokenError::FundsUnavailable);
    });
}
