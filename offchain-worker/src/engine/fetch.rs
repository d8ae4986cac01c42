//! What a launch needs from elsewhere: the image, and the tenant's user data.

use super::Engine;
use crate::{crash, reconcile::Outcome};
use quarry_images::{FetchError, Held, Wanted};
use quarry_primitives::{
    api::WorkItem,
    request::{Cid, FailureKind, ImageMetadata},
};
use std::sync::Arc;
use uuid::Uuid;

/// An image, and user data if the tenant has any.
type Provisions = (Held, Option<Vec<u8>>);

impl Engine {
    /// Fetches beside the lane: it may take long, and an order to delete must not wait for it.
    pub(super) fn fetch_for(self: &Arc<Self>, uuid: Uuid, item: Option<Arc<WorkItem>>) {
        let Some(item) = item else { return };
        crash::point("before", "fetch");
        let mut is_first = true;
        if let Some(vm) = self.table().vms.get_mut(&uuid) {
            vm.memory.fetching = true;
            is_first = vm.memory.failures == 0;
        }
        let is_here = self.images.contains(&item.image.digest);
        if is_first && !is_here {
            // It takes its time: the chain waits longer for a launch that is known to be under way.
            self.report(uuid, Some(item.clone()), Outcome::Working);
        }
        let engine = self.clone();
        self.runtime.spawn(async move {
            let provisions = engine.provisions(&item.image, item.cloud_init_cid.as_ref()).await;
            engine.fetched(uuid, &item, provisions);
        });
    }

    /// The image and the user data of a VM, from the store or from where they are.
    pub(crate) async fn provisions(
        &self,
        image: &ImageMetadata,
        cid: Option<&Cid>,
    ) -> Result<Provisions, FetchError> {
        let image = self.images.get(&wanted(image)).await?;
        let user_data = match cid {
            Some(cid) => Some(self.images.user_data(cid.as_str().unwrap_or_default()).await?),
            None => None,
        };
        Ok((image, user_data))
    }

    fn fetched(&self, uuid: Uuid, item: &WorkItem, provisions: Result<Provisions, FetchError>) {
        crash::point("after", "fetch");
        let now = self.now();
        let mut table = self.table();
        let Some(vm) = table.vms.get_mut(&uuid) else { return };
        vm.memory.fetching = false;
        let asked = vm.item.as_ref().is_some_and(|now| now.generation == item.generation);
        match provisions {
            Ok((image, user_data)) => {
                vm.image = Some(image);
                vm.user_data = user_data;
                vm.memory.provisions = true;
            }
            // Something else is asked by now, and has not failed.
            Err(_) if !asked => (),
            Err(error) => {
                tracing::warn!(request = %item.request_id, %error, "what the launch needs cannot be fetched");
                let kind = match error.is_terminal() {
                    true => FailureKind::Terminal,
                    false => FailureKind::Retryable,
                };
                vm.last_error = Some(error.to_string());
                vm.memory.last_failure = Some((kind, error.to_string()));
                vm.memory.failures = vm.memory.failures.saturating_add(1);
                vm.memory.not_before = Some(now + super::lane::wait_after(vm.memory.failures));
            }
        }
        drop(table);
        self.wake.notify_one();
    }
}

/// An image as the store knows it.
pub(super) fn wanted(image: &ImageMetadata) -> Wanted {
    Wanted {
        url: image.image_url.as_str().unwrap_or_default().to_owned(),
        digest: image.digest,
        format: image.format,
        virtual_size_gib: image.virtual_size_gib,
    }
}
