//! Whether what comes from outside has the form that it must have.

use crate::{Config, Error, Pallet};
use frame_support::{
    ensure,
    traits::{fungible::Inspect, Get},
};
use quarry_primitives::{
    content::{is_ssh_key, raw_cid_digest},
    request::{Cid, ImageMetadata, JobId, Params, Reason, SshKeyList, VmAccess, VmName},
    BlockNumber,
};
use sp_runtime::traits::Convert;

const IMAGE_SCHEMES: [&str; 3] = ["https://", "ipfs://", "file://"];
/// As many as a request keeps apart from itself.
const MOST_ATTEMPTS: u8 = 8;

/// Fails with `InvalidVmName`.
pub fn vm_name<T: Config>(name: &VmName) -> Result<(), Error<T>> {
    ensure!(name.is_text(), Error::<T>::InvalidVmName);
    Ok(())
}

/// Fails with `InvalidSshKey`.
pub fn ssh_keys<T: Config>(keys: &SshKeyList) -> Result<(), Error<T>> {
    let sound = keys.iter().all(|key| key.as_str().is_some_and(is_ssh_key));
    ensure!(sound, Error::<T>::InvalidSshKey);
    Ok(())
}

/// Fails with `InvalidCloudInitCid`.
pub fn cid<T: Config>(cid: &Cid) -> Result<(), Error<T>> {
    ensure!(cid.as_str().and_then(raw_cid_digest).is_some(), Error::<T>::InvalidCloudInitCid);
    Ok(())
}

/// Fails with `InvalidJobId`.
pub fn job_id<T: Config>(job_id: &JobId) -> Result<(), Error<T>> {
    ensure!(job_id.is_text(), Error::<T>::InvalidJobId);
    Ok(())
}

/// Fails with `InvalidReason`.
pub fn reason<T: Config>(reason: &Reason) -> Result<(), Error<T>> {
    ensure!(reason.is_text(), Error::<T>::InvalidReason);
    Ok(())
}

/// Fails with `InvalidJobId`, `InvalidHypervisorIp` or `InvalidVncPort`.
pub fn vm_access<T: Config>(access: &VmAccess) -> Result<(), Error<T>> {
    job_id::<T>(&access.job_id)?;
    let sound = access.hypervisor_ip.is_none_or(|ip| ip.is_sound());
    ensure!(sound, Error::<T>::InvalidHypervisorIp);
    ensure!(access.vnc_port != Some(0), Error::<T>::InvalidVncPort);
    Ok(())
}

/// Fails with the error that names the first field that is wrong.
pub fn image<T: Config>(image: &ImageMetadata) -> Result<(), Error<T>> {
    ensure!(image.name.is_text(), Error::<T>::InvalidImageName);
    ensure!(image.image_url.as_str().is_some_and(is_image_url), Error::<T>::InvalidImageUrl);
    ensure!(image.digest != [0; 32], Error::<T>::InvalidDigest);
    ensure!(image.virtual_size_gib > 0, Error::<T>::InvalidVirtualSize);
    Ok(())
}

fn is_image_url(url: &str) -> bool {
    let rest = IMAGE_SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()))
}

/// Fails with the error that names the first field that is wrong.
pub fn params<T: Config>(params: &Params) -> Result<(), Error<T>> {
    ensure!(params.launch_timeout > 0, Error::<T>::InvalidLaunchTimeout);
    ensure!(params.operation_timeout > 0, Error::<T>::InvalidOperationTimeout);
    ensure!(params.delete_timeout > 0, Error::<T>::InvalidDeleteTimeout);
    ensure!(params.retention > 0, Error::<T>::InvalidRetention);
    ensure!(params.grace_period > 0, Error::<T>::InvalidGracePeriod);
    ensure!(params.max_prepaid >= least_prepaid(params), Error::<T>::InvalidMaxPrepaid);
    let attempts = (1..=MOST_ATTEMPTS).contains(&params.max_attempts);
    ensure!(attempts, Error::<T>::InvalidMaxAttempts);
    ensure!(params.max_claims > 0, Error::<T>::InvalidMaxClaims);
    Ok(())
}

/// The fewest live blocks that a tenant pays for in advance.
pub fn least_prepaid(params: &Params) -> BlockNumber {
    params.grace_period.saturating_add(params.min_lease)
}

impl<T: Config> Pallet<T> {
    /// Panics where the runtime's settings cannot work; runs in tests only.
    pub(crate) fn check_config() {
        assert!(
            params::<T>(&T::DefaultParams::get()).is_ok(),
            "the default parameters are refused"
        );
        let least = T::DepositPrice::convert(Self::request_footprint(&SshKeyList::default()));
        assert!(
            least >= T::Currency::minimum_balance(),
            "a deposit below the existential one could not be given back to an account without funds",
        );
        assert!(T::MinBilled::get() <= T::DefaultParams::get().min_lease);
    }
}
