//! What the calls cost. Written by `scripts/weights registry` from benchmarks of 10 steps,
//! 5 rounds and 10 repeats: run that again rather than edit this.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::RocksDbWeight, Weight},
};

/// What each call takes.
pub trait WeightInfo {
    /// The weight of `register_node`.
    fn register_node() -> Weight;
    /// The weight of `update_offer`.
    fn update_offer() -> Weight;
    /// The weight of `set_miner_accepting`.
    fn set_miner_accepting() -> Weight;
    /// The weight of `set_worker`.
    fn set_worker() -> Weight;
    /// The weight of `set_access`.
    fn set_access() -> Weight;
    /// The weight of `deregister_node`.
    fn deregister_node() -> Weight;
    /// The weight of `heartbeat`.
    fn heartbeat() -> Weight;
    /// The weight of `heartbeat_with_metrics`.
    fn heartbeat_with_metrics() -> Weight;
    /// The weight of `withdraw_bond`.
    fn withdraw_bond() -> Weight;
}

/// Weights by the runtime's database. Of the storage that a call touches, each key counts once.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::NodeOfWorker` (r:1 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::NodesByOwner` (r:0 w:1)
    /// Storage: `System::Account` (r:1 w:1)
    /// Storage: `System::BlockHash` (r:1 w:0)
    fn register_node() -> Weight {
        Weight::from_parts(141_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn update_offer() -> Weight {
        Weight::from_parts(70_200_000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(2))
    }

    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn set_miner_accepting() -> Weight {
        Weight::from_parts(18_300_000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Registry::NodeOfWorker` (r:1 w:2)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:2 w:2)
    /// Storage: `System::BlockHash` (r:1 w:0)
    fn set_worker() -> Weight {
        Weight::from_parts(101_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn set_access() -> Weight {
        Weight::from_parts(26_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Compute::IpPools` (r:1 w:0)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::NodeOfWorker` (r:0 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:1 w:1)
    fn deregister_node() -> Weight {
        Weight::from_parts(37_300_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(3))
    }

    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn heartbeat() -> Weight {
        Weight::from_parts(38_200_000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(2))
    }

    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::MetricsHistory` (r:1 w:1)
    /// Storage: `Registry::NodeMetrics` (r:0 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn heartbeat_with_metrics() -> Weight {
        Weight::from_parts(55_500_000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(4))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::MetricsHistory` (r:0 w:1)
    /// Storage: `Registry::NodeMetrics` (r:0 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::NodesByOwner` (r:0 w:1)
    /// Storage: `Registry::StatusHistory` (r:0 w:1)
    fn withdraw_bond() -> Weight {
        Weight::from_parts(88_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(7))
    }
}

/// The same by RocksDB's figures, for tests.
impl WeightInfo for () {
    fn register_node() -> Weight {
        Weight::from_parts(141_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(6))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn update_offer() -> Weight {
        Weight::from_parts(70_200_000, 0)
            .saturating_add(RocksDbWeight::get().reads(2))
            .saturating_add(RocksDbWeight::get().writes(2))
    }

    fn set_miner_accepting() -> Weight {
        Weight::from_parts(18_300_000, 0)
            .saturating_add(RocksDbWeight::get().reads(1))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn set_worker() -> Weight {
        Weight::from_parts(101_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn set_access() -> Weight {
        Weight::from_parts(26_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(2))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn deregister_node() -> Weight {
        Weight::from_parts(37_300_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(3))
    }

    fn heartbeat() -> Weight {
        Weight::from_parts(38_200_000, 0)
            .saturating_add(RocksDbWeight::get().reads(3))
            .saturating_add(RocksDbWeight::get().writes(2))
    }

    fn heartbeat_with_metrics() -> Weight {
        Weight::from_parts(55_500_000, 0)
            .saturating_add(RocksDbWeight::get().reads(4))
            .saturating_add(RocksDbWeight::get().writes(4))
    }

    fn withdraw_bond() -> Weight {
        Weight::from_parts(88_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(4))
            .saturating_add(RocksDbWeight::get().writes(7))
    }
}
