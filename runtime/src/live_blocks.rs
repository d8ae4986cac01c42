//! # Live blocks
//!
//! The clock of the market: a count that rises once a block and stands still while a multi-block
//! migration runs or safe mode is on. In those blocks no transaction of the market gets in, so nobody
//! could meet a deadline or pay for more; what waits by this count loses no time to an upgrade or an
//! emergency.
//!
//! Other pallets read it through [`BlockNumberProvider`].

pub use pallet::*;

use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::BlockNumberProvider;

/// The pallet, as the runtime macro wants it; what the macro expands to expects.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use frame_support::{migrations::MultiStepMigrator, pallet_prelude::*};
    use frame_system::pallet_prelude::*;
    use sp_runtime::{traits::One, Saturating};

    /// The pallet itself.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// The runtime tells through [`frame_system::Config::MultiBlockMigrator`] whether a migration runs.
    #[pallet::config]
    pub trait Config: frame_system::Config {
        /// Whether the chain is closed to the market's transactions.
        type Closed: Get<bool>;
    }

    /// How many live blocks there have been.
    #[pallet::storage]
    pub type Count<T: Config> = StorageValue<_, BlockNumberFor<T>, ValueQuery>;

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            if T::MultiBlockMigrator::ongoing() || T::Closed::get() {
                return T::DbWeight::get().reads(2);
            }
            Count::<T>::mutate(|count| count.saturating_accrue(One::one()));
            T::DbWeight::get().reads_writes(3, 1)
        }
    }
}

impl<T: Config> BlockNumberProvider for Pallet<T> {
    type BlockNumber = BlockNumberFor<T>;

    fn current_block_number() -> Self::BlockNumber {
        Count::<T>::get()
    }

    #[cfg(any(feature = "std", feature = "runtime-benchmarks"))]
    fn set_block_number(block: Self::BlockNumber) {
        Count::<T>::put(block);
    }
}
