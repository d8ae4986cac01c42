//! What the calls cost. Written by `scripts/weights validators` from benchmarks of 10 steps,
//! 5 rounds and 10 repeats: run that again rather than edit this.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::RocksDbWeight, Weight},
};

/// What each call takes.
pub trait WeightInfo {
    /// The weight of `add_validator`.
    fn add_validator() -> Weight;
    /// The weight of `remove_validator`.
    fn remove_validator() -> Weight;
}

/// Weights by the runtime's database. Of the storage that a call touches, each key counts once.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Session::NextKeys` (r:1 w:0)
    /// Storage: `Validators::Validators` (r:1 w:1)
    fn add_validator() -> Weight {
        Weight::from_parts(20_500_000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Validators::Validators` (r:1 w:1)
    fn remove_validator() -> Weight {
        Weight::from_parts(13_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }
}

/// The same by RocksDB's figures, for tests.
impl WeightInfo for () {
    fn add_validator() -> Weight {
        Weight::from_parts(20_500_000, 0)
            .saturating_add(RocksDbWeight::get().reads(2))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn remove_validator() -> Weight {
        Weight::from_parts(13_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(1))
            .saturating_add(RocksDbWeight::get().writes(1))
    }
}
