use super::acts::*;
use crate::{mock::*, money, GenesisConfig, GenesisPool, IpPools, Params, Plans};
use frame_support::traits::fungible::Inspect;
use quarry_primitives::{
    ip::{IpAddress, PoolId},
    request::Params as ParamsData,
};
use sp_runtime::BuildStorage;

fn found(change: impl FnOnce(&mut GenesisConfig<Test>)) -> sp_io::TestExternalities {
    let mut genesis = genesis();
    change(&mut genesis.compute);
    genesis.build_storage().expect("it builds or panics").into()
}

#[test]
fn a_chain_starts_with_its_plans_and_its_pool() {
    new_test_ext().execute_with(|| {
        assert_eq!(Plans::<Test>::iter().count(), 3);
        let pool = IpPools::<Test>::get(PoolId::Global).unwrap();
        assert_eq!((pool.total, pool.free, pool.network), (3, 3, network()));
        assert_eq!(Compute::do_try_state(), Ok(()));
    });
}

#[test]
fn the_account_of_credits_is_there_from_the_start() {
    new_test_ext().execute_with(|| {
        assert_eq!(Balances::balance(&money::pot::<Test>()), DUST);
    });
}

#[test]
fn a_genesis_sets_the_parameters() {
    let other = ParamsData { grace_period: 7, ..params() };
    found(|genesis| genesis.params = Some(other.clone())).execute_with(|| {
        assert_eq!(Params::<Test>::get(), other);
    });
}

#[test]
fn a_chain_may_start_empty() {
    found(|genesis| *genesis = Default::default()).execute_with(|| {
        assert_eq!(Plans::<Test>::iter().count(), 0);
        assert_eq!(IpPools::<Test>::get(PoolId::Global), None);
        assert_eq!(Params::<Test>::get(), params());
    });
}

#[test]
fn a_genesis_is_json() {
    let json = serde_json::json!({
        "params": null,
        "plans": [{
            "name": "nano",
            "technical_description": "1 vCPU",
            "resources": { "vcpus": 1, "memory_mib": 512, "disk_gib": 5 },
        }],
        "globalPool": {
            "network": { "prefix_len": 24, "gateway": "203.0.113.1", "dns": "9.9.9.9" },
            "first": "203.0.113.10",
            "count": 16,
        },
    });
    let read: GenesisConfig<Test> = serde_json::from_value(json).unwrap();
    found(|genesis| *genesis = read).execute_with(|| {
        assert!(Plans::<Test>::contains_key(plan_id("nano")));
        assert_eq!(IpPools::<Test>::get(PoolId::Global).unwrap().free, 16);
    });
}

#[test]
#[should_panic(expected = "the parameters can work")]
fn parameters_that_cannot_work_start_no_chain() {
    found(|genesis| genesis.params = Some(ParamsData { retention: 0, ..params() }));
}

#[test]
#[should_panic(expected = "there is one of this name only")]
fn two_plans_of_one_name_start_no_chain() {
    found(|genesis| genesis.plans.extend(genesis.plans.clone()));
}

#[test]
#[should_panic(expected = "the global pool's addresses lie in its network")]
fn a_pool_beyond_its_network_starts_no_chain() {
    let first = IpAddress::V4([203, 0, 114, 10]);
    found(|genesis| genesis.global_pool = Some(GenesisPool { first, ..global_pool() }));
}
