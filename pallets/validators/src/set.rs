//! The set itself: founding it at genesis, growing it, shrinking it.

use crate::{Config, Error, Event, Pallet, SessionLength, Validators};
use alloc::collections::BTreeSet;
use frame_support::{
    ensure,
    pallet_prelude::DispatchResult,
    traits::{Get, ValidatorRegistration},
    BoundedVec,
};
use frame_system::pallet_prelude::BlockNumberFor;

impl<T: Config> Pallet<T> {
    /// Takes the set and the session length of genesis. Panics when they are unsound: a chain must not start so.
    pub(crate) fn found(validators: &[T::AccountId], session_length: Option<BlockNumberFor<T>>) {
        assert!(distinct(validators), "a validator stands twice in genesis");
        let most = T::MaxValidators::get();
        assert!(validators.len() <= most as usize, "genesis has more than {most} validators");
        Validators::<T>::put(BoundedVec::truncate_from(validators.to_vec()));
        if let Some(length) = session_length {
            assert!(length > 0u32.into(), "a session has one block at least");
            SessionLength::<T>::put(length);
        }
    }

    /// Fails with `AlreadyValidator`, `NoSessionKeys` or `TooManyValidators`.
    pub(crate) fn do_add_validator(who: T::AccountId) -> DispatchResult {
        Validators::<T>::try_mutate(|validators| {
            ensure!(!validators.contains(&who), Error::<T>::AlreadyValidator);
            ensure!(pallet_session::Pallet::<T>::is_registered(&who), Error::<T>::NoSessionKeys);
            validators.try_push(who.clone()).map_err(|_| Error::<T>::TooManyValidators)?;
            Self::deposit_event(Event::ValidatorAdded { who });
            Ok(())
        })
    }

    /// Fails with `NotValidator` or `LastValidator`.
    pub(crate) fn do_remove_validator(who: T::AccountId) -> DispatchResult {
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
    pub(crate) fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        ensure!(distinct(&Validators::<T>::get()), "a validator stands twice in the set");
        ensure!(SessionLength::<T>::get() > 0u32.into(), "a session has no blocks");
        Ok(())
    }
}

fn distinct<AccountId: Ord>(accounts: &[AccountId]) -> bool {
    accounts.iter().collect::<BTreeSet<_>>().len() == accounts.len()
}
