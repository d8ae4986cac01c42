//! Both calls with a full set.

use super::*;
use alloc::vec::Vec;
use codec::Decode;
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{EnsureOrigin, Get},
    BoundedVec,
};
use sp_runtime::traits::TrailingZeroInput;

/// Session keys for the accounts that a benchmark adds.
fn register_keys<T: Config>(who: &T::AccountId) -> Result<(), BenchmarkError> {
    let keys = T::Keys::decode(&mut TrailingZeroInput::zeroes())
        .map_err(|_| BenchmarkError::Stop("keys of zeroes do not decode"))?;
    pallet_session::NextKeys::<T>::insert(who, keys);
    Ok(())
}

fn fill_set<T: Config>(size: u32) -> Result<(), BenchmarkError> {
    let accounts = (0..size).map(|seed| account("validator", seed, 0)).collect::<Vec<_>>();
    let set = BoundedVec::try_from(accounts)
        .map_err(|_| BenchmarkError::Stop("more validators than there can be"))?;
    Validators::<T>::put(set);
    Ok(())
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn add_validator() -> Result<(), BenchmarkError> {
        fill_set::<T>(T::MaxValidators::get() - 1)?;
        let who: T::AccountId = whitelisted_caller();
        register_keys::<T>(&who)?;
        let origin = T::AdminOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no admin origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone());

        assert_eq!(Validators::<T>::get().last(), Some(&who));
        Ok(())
    }

    #[benchmark]
    fn remove_validator() -> Result<(), BenchmarkError> {
        fill_set::<T>(T::MaxValidators::get())?;
        let who: T::AccountId = account("validator", T::MaxValidators::get() - 1, 0);
        let origin = T::AdminOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no admin origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, who.clone());

        assert!(!Validators::<T>::get().contains(&who));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
