//! Funds on hold, and payouts that never fail.

use crate::{Config, Credits, Error, Event, HoldReason, Pallet};
use frame_support::{
    defensive, ensure,
    storage::with_storage_layer,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
        Get,
    },
};
use quarry_primitives::{AccountId, Balance};
use sp_runtime::{traits::AccountIdConversion, DispatchResult};

/// The account that holds credits.
pub fn pot<T: Config>() -> AccountId {
    T::PalletId::get().into_account_truncating()
}

impl<T: Config> Pallet<T> {
    /// Fails as the currency does, where the account has not as much that is free.
    pub(crate) fn hold_rent(from: &AccountId, amount: Balance) -> DispatchResult {
        T::Currency::hold(&HoldReason::Lease.into(), from, amount)
    }

    /// Pays out of a tenant's hold. What the receiver cannot take, as it would stay below the existential
    /// deposit, becomes its credit, so that nobody's empty account stops a deletion.
    pub(crate) fn pay(from: &AccountId, to: &AccountId, amount: Balance) {
        if amount > 0 && Self::unhold(from, to, amount, Restriction::Free).is_err() {
            Self::credit(from, to, amount);
        }
    }

    fn credit(from: &AccountId, to: &AccountId, amount: Balance) {
        if Self::unhold(from, &pot::<T>(), amount, Restriction::OnHold).is_err() {
            defensive!("the account of credits cannot take a credit; its payer keeps the hold");
            return;
        }
        Credits::<T>::mutate(to, |credit| *credit = credit.saturating_add(amount));
        Self::deposit_event(Event::CreditAdded { account: to.clone(), amount });
    }

    fn unhold(
        from: &AccountId,
        to: &AccountId,
        amount: Balance,
        mode: Restriction,
    ) -> DispatchResult {
        let reason = HoldReason::Lease.into();
        with_storage_layer(|| {
            let exact = Precision::Exact;
            if from == to {
                T::Currency::release(&reason, from, amount, exact)?;
            } else {
                let force = Fortitude::Force;
                T::Currency::transfer_on_hold(&reason, from, to, amount, exact, mode, force)?;
            }
            Ok(())
        })
    }

    /// Fails with `NoCredit`, or as the currency does while the account still cannot take it.
    pub(crate) fn do_claim_credit(account: &AccountId) -> DispatchResult {
        let amount = Credits::<T>::take(account);
        ensure!(amount > 0, Error::<T>::NoCredit);
        Self::unhold(&pot::<T>(), account, amount, Restriction::Free)?;
        Self::deposit_event(Event::CreditClaimed { account: account.clone(), amount });
        Ok(())
    }
}
