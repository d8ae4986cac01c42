//! The weights of the calls. Both are the admin's alone. The storage accesses are counted; the time is
//! an upper bound for walking the whole set.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// What each call may take.
pub trait WeightInfo {
    /// See [`add_validator`](crate::Pallet::add_validator).
    fn add_validator() -> Weight;
    /// See [`remove_validator`](crate::Pallet::remove_validator).
    fn remove_validator() -> Weight;
}

/// Weights by the runtime's database.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Validators::Validators` (r:1 w:1), `Session::NextKeys` (r:1 w:0)
    fn add_validator() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// Storage: `Validators::Validators` (r:1 w:1)
    fn remove_validator() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }
}

impl WeightInfo for () {
    fn add_validator() -> Weight {
        Weight::zero()
    }

    fn remove_validator() -> Weight {
        Weight::zero()
    }
}
