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
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use session::SessionPeriod;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use super::WeightInfo;
    use alloc::vec::Vec;
    use frame_support::{pallet_prelude::*, traits::ValidatorRegistration};
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
            let distinct = self
                .validators
                .iter()
                .collect::<alloc::collections::BTreeSet<_>>();
            assert_eq!(
                distinct.len(),
                self.validators.len(),
                "a validator stands twice in genesis"
            );
            match BoundedVec::try_from(self.validators.clone()) {
                Ok(validators) => Validators::<T>::put(validators),
                Err(_) => panic!(
                    "genesis has more than {} validators",
                    T::MaxValidators::get()
                ),
            }
            if let Some(length) = self.session_length {
                assert!(length > 0u32.into(), "a session has one block at least");
                SessionLength::<T>::put(length);
            }
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
            assert!(
                T::DefaultSessionLength::get() > 0u32.into(),
                "a session needs a block"
            );
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

    impl<T: Config> Pallet<T> {
        fn do_add_validator(who: T::AccountId) -> DispatchResult {
            Validators::<T>::try_mutate(|validators| {
                ensure!(!validators.contains(&who), Error::<T>::AlreadyValidator);
                ensure!(
                    pallet_session::Pallet::<T>::is_registered(&who),
                    Error::<T>::NoSessionKeys
                );
                validators
                    .try_push(who.clone())
                    .map_err(|_| Error::<T>::TooManyValidators)?;
                Self::deposit_event(Event::ValidatorAdded { who });
                Ok(())
            })
        }

        fn do_remove_validator(who: T::AccountId) -> DispatchResult {
            Validators::<T>::try_mutate(|validators| {
                let place = validators
                    .iter()
                    .position(|validator| *validator == who)
                    .ok_or(Error::<T>::NotValidator)?;
                ensure!(validators.len() > 1, Error::<T>::LastValidator);
                validators.remove(place);
                Self::deposit_event(Event::ValidatorRemoved { who });
                Ok(())
            })
        }

        /// The invariants: nobody stands twice in the set, and a session has blocks.
        #[cfg(any(feature = "try-runtime", test))]
        pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
            let validators = Validators::<T>::get();
            let distinct = validators
                .iter()
                .collect::<alloc::collections::BTreeSet<_>>();
            ensure!(
                distinct.len() == validators.len(),
                "a validator stands twice in the set"
            );
            ensure!(
                SessionLength::<T>::get() > 0u32.into(),
                "a session has no blocks"
            );
            Ok(())
        }
    }
}
