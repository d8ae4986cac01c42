//! The market at the start.

use crate::{money, Config, GenesisConfig, Pallet, Params};
use frame_support::traits::fungible::{Inspect, Mutate};
use quarry_primitives::{
    ip::{IpAddress, IpNetwork, PoolId},
    request::{PlanDescription, PlanName},
    resources::Resources,
};
use serde::{Deserialize, Serialize};

/// A plan that is there from the start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GenesisPlan {
    /// Its name.
    pub name: PlanName,
    /// What it is.
    pub technical_description: PlanDescription,
    /// The VM's size.
    pub resources: Resources,
}

/// The global pool at the start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GenesisPool {
    /// Its network.
    pub network: IpNetwork,
    /// The first address.
    pub first: IpAddress,
    /// How many.
    pub count: u32,
}

impl<T: Config> Pallet<T> {
    /// Panics, as a genesis may, where a chain cannot start like that.
    #[allow(clippy::expect_used)]
    pub(crate) fn found(genesis: &GenesisConfig<T>) {
        // So that a credit of any size can be held there.
        T::Currency::mint_into(&money::pot::<T>(), T::Currency::minimum_balance())
            .expect("the account of credits can be funded");
        if let Some(params) = genesis.params.clone() {
            crate::checks::params::<T>(&params).expect("the parameters can work");
            Params::<T>::put(params);
        }
        for plan in genesis.plans.iter().cloned() {
            Self::do_add_plan(plan.name, plan.technical_description, plan.resources)
                .expect("the plan is sound, and there is one of this name only");
        }
        if let Some(pool) = &genesis.global_pool {
            Self::do_set_ip_pool(PoolId::Global, pool.network)
                .expect("the global pool's network is sound");
            Self::do_add_ips(PoolId::Global, pool.first, pool.count)
                .expect("the global pool's addresses lie in its network");
        }
    }
}
