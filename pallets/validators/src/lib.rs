//! # Validators
//!
//! The accounts that author blocks and finalize them, as a set that an admin grows and shrinks while
//! the chain runs.
//!
//! ## Terms
//!
//! - *Validator*: an account in [`Validators`] that has registered session keys.
//! - *Session*: [`SessionLength`] blocks with one set of authorities. A change of [`Validators`] is
//!   planned at the end of the current session and in force one session later.
//!
//! ## A story
//!
//! Erin runs a chain node, registers its keys with `session.set_keys`, and asks to join. The admin
//! calls [`add_validator`](Pallet::add_validator). Two session ends later Erin's node authors blocks.
//! When Erin leaves, the admin calls [`remove_validator`](Pallet::remove_validator); Erin's node goes
//! on until the second session end from then.
//!
//! ## Properties
//!
//! - *The set is never empty*: the last validator cannot be removed
//!   (`the_last_validator_cannot_be_removed`), and if all of them purge their keys, those in force stay
//!   (`the_set_in_force_goes_on_when_every_validator_purged_its_keys`).
//! - *No validator without keys*: an account without session keys is refused
//!   (`an_account_without_session_keys_is_refused`), and one that purges its keys is left out of the
//!   next session planned (`a_validator_that_purged_its_keys_is_left_out`).
//! - *Only the admin changes it* (`only_the_admin_changes_the_set`).
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
mod session;
mod set;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use session::SessionPeriod;
pub use weights::WeightInfo;

// What the macro expands to expects; what is ours stands in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::WeightInfo;
    use alloc::vec::Vec;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    /// The pallet itself.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// What the pallet needs of the runtime.
    #[pallet::config]
    pub trait Config:
        frame_system::Config
        + pallet_session::Config<ValidatorId = <Self as frame_system::Config>::AccountId>
    {
        /// Who may change the set.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The most validators there can be.
        #[pallet::constant]
        type MaxValidators: Get<u32>;

        /// The length of a session where genesis names none.
        #[pallet::constant]
        type DefaultSessionLength: Get<BlockNumberFor<Self>>;

        /// The weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// The validators from the next session planned on, in the order in which they joined.
    #[pallet::storage]
    pub type Validators<T: Config> =
        StorageValue<_, BoundedVec<T::AccountId, T::MaxValidators>, ValueQuery>;

    /// The blocks in one session.
    #[pallet::storage]
    pub type SessionLength<T: Config> =
        StorageValue<_, BlockNumberFor<T>, ValueQuery, T::DefaultSessionLength>;

    /// The set at genesis.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The first validators; their keys stand in the session pallet's genesis.
        pub validators: Vec<T::AccountId>,
        /// The blocks in one session; the default length where this is `null`.
        pub session_length: Option<BlockNumberFor<T>>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Pallet::<T>::found(&self.validators, self.session_length);
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The account validates from the second session end on.
        ValidatorAdded {
            /// The new validator.
            who: T::AccountId,
        },
        /// The account validates until the second session end.
        ValidatorRemoved {
            /// The former validator.
            who: T::AccountId,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// The account is a validator already.
        AlreadyValidator,
        /// The account is not a validator.
        NotValidator,
        /// The account has registered no session keys: it calls `session.set_keys` first.
        NoSessionKeys,
        /// There are as many validators as there can be.
        TooManyValidators,
        /// The last validator cannot be removed: the chain would stop.
        LastValidator,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            assert!(T::MaxValidators::get() > 0, "a chain needs a validator");
            assert!(T::DefaultSessionLength::get() > 0u32.into(), "a session needs a block");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight = <T as Config>::WeightInfo)]
    impl<T: Config> Pallet<T> {
        /// Adds an account that has registered session keys to the validators.
        #[pallet::call_index(0)]
        pub fn add_validator(origin: OriginFor<T>, who: T::AccountId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_add_validator(who)
        }

        /// Removes an account from the validators.
        #[pallet::call_index(1)]
        pub fn remove_validator(origin: OriginFor<T>, who: T::AccountId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_remove_validator(who)
        }
    }
}
