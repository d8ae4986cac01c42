//! The weights of the calls. The storage accesses are counted; the time is an upper bound.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What each call may take.
pub trait WeightInfo {
    /// See [`register_node`](crate::Pallet::register_node).
    fn register_node() -> Weight;
    /// See [`update_offer`](crate::Pallet::update_offer).
    fn update_offer() -> Weight;
    /// See [`set_miner_accepting`](crate::Pallet::set_miner_accepting).
    fn set_miner_accepting() -> Weight;
    /// See [`set_worker`](crate::Pallet::set_worker).
    fn set_worker() -> Weight;
    /// See [`set_access`](crate::Pallet::set_access); with the check whether it is free.
    fn set_access() -> Weight;
    /// See [`deregister_node`](crate::Pallet::deregister_node).
    fn deregister_node() -> Weight;
    /// See [`submit_node_metrics`](crate::Pallet::submit_node_metrics) without metrics; with the check
    /// whether it is free.
    fn heartbeat() -> Weight;
    /// See [`submit_node_metrics`](crate::Pallet::submit_node_metrics) with metrics; with the check
    /// whether it is free.
    fn heartbeat_with_metrics() -> Weight;
    /// See [`withdraw_bond`](crate::Pallet::withdraw_bond).
    fn withdraw_bond() -> Weight;
}

/// Weights by the runtime's database.
pub struct SubstrateWeight<T>(PhantomData<T>);

fn counted<T: frame_system::Config>(micros: u64, reads: u64, writes: u64) -> Weight {
    let time = Weight::from_parts(micros.saturating_mul(1_000_000), 0);
    time.saturating_add(T::DbWeight::get().reads_writes(reads, writes))
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Nodes` (r:1 w:1), `NodeOfWorker` (r:1 w:1), `NodesByOwner` (w:1), `System::BlockHash`
    /// (r:1), `System::Account` (r:2 w:2), `Balances::Holds` (r:1 w:1)
    fn register_node() -> Weight {
        counted::<T>(150, 6, 6)
    }

    /// Storage: `Nodes` (r:1 w:1), `System::Account` (r:1 w:1), `Balances::Holds` (r:1 w:1)
    fn update_offer() -> Weight {
        counted::<T>(60, 3, 3)
    }

    /// Storage: `Nodes` (r:1 w:1)
    fn set_miner_accepting() -> Weight {
        counted::<T>(20, 1, 1)
    }

    /// Storage: `Nodes` (r:1 w:1), `NodeOfWorker` (r:1 w:2), `System::BlockHash` (r:1),
    /// `System::Account` (r:2 w:2)
    fn set_worker() -> Weight {
        counted::<T>(110, 5, 5)
    }

    /// Storage: `Nodes` (r:1 w:1)
    fn set_access() -> Weight {
        counted::<T>(25, 1, 1)
    }

    /// Storage: `Nodes` (r:1 w:1), `NodeOfWorker` (w:1), `System::Account` (r:1 w:1), the pool of
    /// `Tenancy` (r:1), the unbonding time (r:1)
    fn deregister_node() -> Weight {
        counted::<T>(35, 4, 3)
    }

    /// Storage: `Nodes` (r:1 w:1), `StatusHistory` (r:1 w:1)
    fn heartbeat() -> Weight {
        counted::<T>(30, 2, 2)
    }

    /// Storage: `Nodes` (r:1 w:1), `StatusHistory` (r:1 w:1), `MetricsHistory` (r:1 w:1),
    /// `NodeMetrics` (w:1)
    fn heartbeat_with_metrics() -> Weight {
        counted::<T>(40, 3, 4)
    }

    /// Storage: `Nodes` (r:1 w:1), `NodesByOwner` (w:1), `NodeMetrics` (w:1), `StatusHistory` (w:1),
    /// `MetricsHistory` (w:1), `System::Account` (r:1 w:1), `Balances::Holds` (r:1 w:1), the pool of
    /// `Tenancy` (r:1)
    fn withdraw_bond() -> Weight {
        counted::<T>(60, 4, 7)
    }
}

impl WeightInfo for () {
    fn register_node() -> Weight {
        Weight::zero()
    }

    fn update_offer() -> Weight {
        Weight::zero()
    }

    fn set_miner_accepting() -> Weight {
        Weight::zero()
    }

    fn set_worker() -> Weight {
        Weight::zero()
    }

    fn set_access() -> Weight {
        Weight::zero()
    }

    fn deregister_node() -> Weight {
        Weight::zero()
    }

    fn heartbeat() -> Weight {
        Weight::zero()
    }

    fn heartbeat_with_metrics() -> Weight {
        Weight::zero()
    }

    fn withdraw_bond() -> Weight {
        Weight::zero()
    }
}
