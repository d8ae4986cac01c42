//! What the session pallet asks: how long a session is, and who validates in the next one.

use crate::{Config, Pallet, SessionLength, Validators};
use alloc::vec::Vec;
use core::marker::PhantomData;
use frame_support::traits::{Get, ValidatorRegistration};
use frame_system::pallet_prelude::BlockNumberFor;
use pallet_session::SessionManager;
use sp_staking::SessionIndex;

/// [`SessionLength`] as the period of [`pallet_session::PeriodicSessions`].
pub struct SessionPeriod<T>(PhantomData<T>);

impl<T: Config> Get<BlockNumberFor<T>> for SessionPeriod<T> {
    fn get() -> BlockNumberFor<T> {
        SessionLength::<T>::get()
    }
}

impl<T: Config> SessionManager<T::AccountId> for Pallet<T> {
    /// `None` while nothing changes, so that GRANDPA proves no change of authorities where there is none.
    fn new_session(_: SessionIndex) -> Option<Vec<T::AccountId>> {
        let ready = Validators::<T>::get()
            .into_iter()
            .filter(pallet_session::Pallet::<T>::is_registered)
            .collect::<Vec<_>>();
        if ready.is_empty() {
            keep_keys_in_force::<T>();
            return None;
        }
        (ready != pallet_session::Validators::<T>::get()).then_some(ready)
    }

    fn start_session(_: SessionIndex) {}

    fn end_session(_: SessionIndex) {}
}

/// Every validator purged its keys. A chain without validators would stop for good, so those in force
/// stay.
fn keep_keys_in_force<T: Config>() {
    for (validator, keys) in pallet_session::QueuedKeys::<T>::get() {
        // They hold neither a deposit nor a reference to the account any more.
        pallet_session::ExternallySetKeys::<T>::insert(&validator, ());
        pallet_session::NextKeys::<T>::insert(validator, keys);
    }
}
