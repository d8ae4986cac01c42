//! What an admin keeps: plans, images and the parameters.

use crate::{checks, Config, Error, Event, Images, Pallet, Params, Plans};
use frame_support::ensure;
use quarry_primitives::{
    request::{
        ImageMetadata, ImageName, Params as ParamsData, Plan, PlanDescription, PlanId, PlanName,
    },
    resources::Resources,
};
use sp_runtime::DispatchResult;

/// A plan's id.
pub fn plan_id(name: &PlanName) -> PlanId {
    sp_io::hashing::blake2_256(name.as_bytes()).into()
}

impl<T: Config> Pallet<T> {
    /// Fails with `InvalidPlanName`, `InvalidPlanDescription`, `InvalidResources` or `PlanAlreadyExists`.
    pub(crate) fn do_add_plan(
        name: PlanName,
        technical_description: PlanDescription,
        resources: Resources,
    ) -> DispatchResult {
        ensure!(name.is_text(), Error::<T>::InvalidPlanName);
        ensure!(technical_description.is_clean(), Error::<T>::InvalidPlanDescription);
        ensure!(resources.is_sound(), Error::<T>::InvalidResources);
        let plan_id = plan_id(&name);
        ensure!(!Plans::<T>::contains_key(plan_id), Error::<T>::PlanAlreadyExists);
        let plan = Plan { name: name.clone(), technical_description, resources, enabled: true };
        Plans::<T>::insert(plan_id, plan);
        Self::deposit_event(Event::PlanAdded { plan_id, name });
        Ok(())
    }

    /// Fails with `PlanNotFound`.
    pub(crate) fn do_set_plan_enabled(plan_id: PlanId, enabled: bool) -> DispatchResult {
        Plans::<T>::try_mutate(plan_id, |plan| {
            plan.as_mut().ok_or(Error::<T>::PlanNotFound)?.enabled = enabled;
            Self::deposit_event(Event::PlanEnabled { plan_id, enabled });
            Ok(())
        })
    }

    /// Fails with the error of a wrong field, `ImageAlreadyExists`, or `ImageNotFound` where there is
    /// none that it could supersede.
    pub(crate) fn do_add_image(image: ImageMetadata) -> DispatchResult {
        checks::image::<T>(&image)?;
        ensure!(!Images::<T>::contains_key(&image.name), Error::<T>::ImageAlreadyExists);
        let known = image.supersedes.as_ref().is_none_or(Images::<T>::contains_key);
        ensure!(known, Error::<T>::ImageNotFound);
        let name = image.name.clone();
        Images::<T>::insert(&name, image);
        Self::deposit_event(Event::ImageAdded { name });
        Ok(())
    }

    /// Fails with `ImageNotFound`.
    pub(crate) fn do_set_image_enabled(name: ImageName, enabled: bool) -> DispatchResult {
        Images::<T>::try_mutate(&name, |image| {
            image.as_mut().ok_or(Error::<T>::ImageNotFound)?.enabled = enabled;
            Ok::<_, Error<T>>(())
        })?;
        Self::deposit_event(Event::ImageEnabled { name, enabled });
        Ok(())
    }

    /// Fails with the error of a wrong field.
    pub(crate) fn do_set_params(params: ParamsData) -> DispatchResult {
        checks::params::<T>(&params)?;
        Params::<T>::put(params);
        Self::deposit_event(Event::ParamsSet);
        Ok(())
    }

    /// Fails with `PlanNotFound` or `PlanDisabled`.
    pub(crate) fn rentable_plan(plan_id: PlanId) -> Result<Plan, Error<T>> {
        let plan = Plans::<T>::get(plan_id).ok_or(Error::<T>::PlanNotFound)?;
        ensure!(plan.enabled, Error::<T>::PlanDisabled);
        Ok(plan)
    }

    /// Fails with `ImageNotFound` or `ImageDisabled`.
    pub(crate) fn usable_image(name: &ImageName) -> Result<ImageMetadata, Error<T>> {
        let image = Images::<T>::get(name).ok_or(Error::<T>::ImageNotFound)?;
        ensure!(image.enabled, Error::<T>::ImageDisabled);
        Ok(image)
    }
}
