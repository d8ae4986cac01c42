//! What people and Prometheus see of the VMs and the images.

use super::{lane::operation_name, table::Vm, Engine, Time};
use crate::{
    http::status::{ImageStatus, Timestamp, VmStatus},
    reconcile::{Found, Power},
};
use data_encoding::HEXLOWER;
use quarry_images::{Digest, Fetching};
use quarry_primitives::{api::Desired, request::RequestId};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

/// What a line of the status says that "since when" is about.
pub(super) type Shown = (&'static str, &'static str, Option<&'static str>, Timestamp);

/// Starts in a row that came to nothing, from which on a guest counts as one that dies over and over;
/// until it has lived for so long.
const DYING: (u32, Duration) = (3, Duration::from_secs(600));

impl Engine {
    /// Writes a line for each VM and each image to the status board.
    pub(super) fn publish(&self) {
        let fetching: HashMap<Digest, Fetching> =
            self.images.fetching().into_iter().map(|fetch| (fetch.digest, fetch)).collect();
        let (lines, dying): (Vec<VmStatus>, usize) = {
            let mut table = self.table();
            let dying = table.vms.values().filter(|vm| is_dying(vm, self.now())).count();
            (table.vms.values_mut().map(|vm| line(vm, &fetching)).collect(), dying)
        };
        let failing = lines.iter().filter(|line| line.last_error.is_some()).count();
        self.metrics.set_vm_troubles(failing, dying);
        self.metrics.set_registered(self.board.status().registered);
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        for line in &lines {
            *states.entry(line.observed.clone()).or_default() += 1;
        }
        self.metrics.set_vm_states(states.iter().map(|(state, count)| (state.as_str(), *count)));
        let there: HashSet<RequestId> = lines.iter().map(|line| line.request_id).collect();
        for line in lines {
            self.board.set_vm(line);
        }
        self.board.retain_vms(|request_id| there.contains(&request_id));
        self.publish_images(fetching.into_values());
    }

    fn publish_images(&self, fetching: impl Iterator<Item = Fetching>) {
        let stored = self.images.list();
        let limit = self.settings.images.store_bytes;
        self.metrics.set_image_store(stored.len(), self.images.bytes(), limit);
        self.metrics.set_fetches(&self.images.fetches());
        let stored = stored.into_iter().map(|image| ImageStatus {
            digest: HEXLOWER.encode(&image.digest),
            bytes: image.bytes,
            total_bytes: Some(image.bytes),
            ready: true,
        });
        let coming = fetching.map(|fetch| ImageStatus {
            digest: HEXLOWER.encode(&fetch.digest),
            bytes: fetch.received,
            total_bytes: fetch.total,
            ready: false,
        });
        let images = stored.chain(coming).collect();
        self.board.update(|status| status.images = images);
    }
}

fn is_dying(vm: &Vm, now: Time) -> bool {
    let (deaths, recently) = DYING;
    let lives = |at: Time| now.saturating_sub(at) > recently;
    vm.deaths >= deaths && !vm.started_at.is_none_or(lives)
}

fn line(vm: &mut Vm, fetching: &HashMap<Digest, Fetching>) -> VmStatus {
    let item = vm.item.as_deref();
    let desired = item.map_or("none", |item| desired_name(item.desired));
    let observed = observed_name(&vm.found);
    let since = match vm.shown {
        Some((wanted, is, at, since)) if (wanted, is, at) == (desired, observed, vm.progress) => {
            since
        }
        _ => Timestamp::now(),
    };
    vm.shown = Some((desired, observed, vm.progress, since));
    let fetch = item.and_then(|item| fetching.get(&item.image.digest));
    VmStatus {
        request_id: vm.request_id,
        name: item.and_then(|item| item.name.as_str()).unwrap_or_default().to_owned(),
        desired: desired.to_owned(),
        observed: observed.to_owned(),
        generation: item.map_or(0, |item| item.generation),
        operation: item.and_then(operation_name).map(str::to_owned),
        progress: match fetch {
            Some(fetch) if vm.memory.fetching => Some(fetched(fetch)),
            _ => vm.progress.map(str::to_owned),
        },
        since,
        address: item
            .and_then(|item| item.address.as_ref())
            .map(|address| std::net::IpAddr::from(address.address).to_string()),
        image: item.and_then(|item| item.image.name.as_str()).unwrap_or_default().to_owned(),
        last_error: vm.last_error.clone(),
    }
}

fn fetched(fetch: &Fetching) -> String {
    let mib = |bytes: u64| bytes >> 20;
    match fetch.total {
        Some(total) => format!("image: {} of {} MiB", mib(fetch.received), mib(total)),
        None => format!("image: {} MiB", mib(fetch.received)),
    }
}

fn desired_name(desired: Desired) -> &'static str {
    match desired {
        Desired::Launch => "launch",
        Desired::Running => "running",
        Desired::Stopped => "stopped",
        Desired::Deleted => "deleted",
    }
}

fn observed_name(found: &Found) -> &'static str {
    match (&found.domain, &found.folder) {
        (Some(domain), _) => match domain.power {
            Power::On => "running",
            Power::Paused => "paused",
            Power::Off => "off",
        },
        (None, Some(_)) => "undefined",
        (None, None) => "absent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_dies_over_and_over_until_it_has_lived_for_a_while() {
        let at = Duration::from_secs;
        let vm = |deaths| Vm { deaths, started_at: Some(at(100)), ..Vm::default() };
        assert!(is_dying(&vm(3), at(400)) && !is_dying(&vm(2), at(400)));
        assert!(!is_dying(&vm(3), at(701)));
        assert!(!is_dying(&Vm { deaths: 3, ..Vm::default() }, at(400)), "it was not started here");
    }
}
