//! What people and Prometheus see of the VMs.

use super::{lane::operation_name, table::Vm, Engine};
use crate::{
    http::status::{Timestamp, VmStatus},
    reconcile::{Found, Power},
};
use quarry_primitives::{api::Desired, request::RequestId};
use std::collections::{BTreeMap, HashSet};

impl Engine {
    /// Writes a line for each VM to the status board.
    pub(super) fn publish(&self) {
        let lines: Vec<VmStatus> = {
            let table = self.table();
            table.vms.values().map(line).collect()
        };
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
    }
}

fn line(vm: &Vm) -> VmStatus {
    let item = vm.item.as_deref();
    VmStatus {
        request_id: vm.request_id,
        name: item.and_then(|item| item.name.as_str()).unwrap_or_default().to_owned(),
        desired: item.map_or("none", |item| desired_name(item.desired)).to_owned(),
        observed: observed_name(&vm.found).to_owned(),
        generation: item.map_or(0, |item| item.generation),
        operation: item.and_then(operation_name).map(str::to_owned),
        progress: vm.progress.map(str::to_owned),
        since: Timestamp::now(),
        address: item
            .and_then(|item| item.address.as_ref())
            .map(|address| std::net::IpAddr::from(address.address).to_string()),
        image: item.and_then(|item| item.image.name.as_str()).unwrap_or_default().to_owned(),
        last_error: vm.last_error.clone(),
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
