//! A VM as tenants see it.

use crate::{
    context::Context,
    failure::Failure,
    output::{fields, or_dash, Paint, Show},
    units::{rough, size, time_of, Price, Qry},
};
use quarry_primitives::{
    api::VmView,
    ip::IpAddress,
    node::NodeRecord,
    request::{ComputeRequestStatus, OperationKind, Plan, PlanId},
    resources::Resources,
    BlockNumber, RequestId,
};
use serde::Serialize;
use std::str::FromStr;

/// How a VM is named on the command line: by its number, or by what its tenant calls it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VmRef {
    /// Its number.
    Id(RequestId),
    /// Its name, among the account's own.
    Name(String),
}

impl FromStr for VmRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true if text.is_empty() => Err("name a VM by its number or its name".into()),
            true => text.parse().map(Self::Id).map_err(|_| format!("{text} is no VM's number")),
            false => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// Finds a VM.
pub async fn find(context: &Context, vm: &VmRef) -> Result<VmView, Failure> {
    let now = context.now().await?;
    match vm {
        VmRef::Id(id) => {
            let missing = || Failure::NotFound(format!("there is no VM {id}: see `quarry vms`"));
            now.vm(*id).await?.ok_or_else(missing)
        }
        VmRef::Name(name) => {
            let account = context.account().await?;
            let vms = now.user_vms(&account).await?;
            let fits = |vm: &VmView| vm.request.name.as_str() == Some(name);
            // Of several, those that ended are not meant.
            let (ended, live): (Vec<_>, Vec<_>) =
                vms.into_iter().filter(fits).partition(|vm| vm.request.status.has_ended());
            let mut found = if live.is_empty() { ended } else { live };
            match (found.pop(), found.len()) {
                (Some(vm), 0) => Ok(vm),
                (Some(vm), _) => {
                    let ids = found.iter().chain([&vm]).map(|vm| vm.request.request_id.to_string());
                    let ids = ids.collect::<Vec<_>>().join(", ");
                    Err(Failure::Usage(format!(
                        "several VMs are called {name:?}: name one of {ids}"
                    )))
                }
                (None, _) => Err(Failure::NotFound(format!(
                    "you have no VM called {name:?}: see `quarry vms`"
                ))),
            }
        }
    }
}

/// A VM in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its number, as a string, which may be larger than JSON's numbers.
    pub id: String,
    /// What its tenant calls it.
    pub name: String,
    /// What it is in, and what is under way: `running`, `stopped`, `booting`.
    pub status: &'static str,
    /// Its plan's name.
    pub plan: String,
    /// Its size.
    pub resources: Resources,
    /// What it started from.
    pub image: String,
    /// The node that has it.
    pub node: Option<String>,
    /// Its own address.
    pub address: Option<String>,
    /// What it costs; none once it was closed.
    pub price: Option<Price>,
    /// What is held for its rent.
    pub held: Option<Qry>,
    /// For how long that lasts while it runs, in seconds.
    pub paid_for_seconds: Option<u64>,
    /// Whether only the reserve is left.
    pub exhausted: bool,
    /// Why the last thing that failed did.
    pub last_failure: Option<String>,
}

impl Summary {
    /// Of what the chain says, with the node's record where it is known.
    pub fn new(vm: &VmView, plans: &[(PlanId, Plan)], node: Option<&NodeRecord>) -> Self {
        let request = &vm.request;
        let assigned = request.is_assigned.then_some(request.miner_id.as_ref()).flatten();
        let lease = vm.lease.as_ref();
        let left = lease.and_then(|lease| {
            let owed = match (lease.mark, node) {
                (Some(mark), Some(node)) => {
                    lease.price.saturating_mul(node.served.saturating_sub(mark).into())
                }
                _ => 0,
            };
            lease.held.saturating_sub(owed).checked_div(lease.price)
        });
        let seconds = left.map(|blocks| {
            time_of(BlockNumber::try_from(blocks).unwrap_or(BlockNumber::MAX)).as_secs()
        });
        Self {
            id: request.request_id.to_string(),
            name: request.name.to_string(),
            status: status(vm),
            plan: plan_name(plans, &request.plan_id),
            resources: request.resources,
            image: request.selected_image.name.to_string(),
            node: assigned.map(ToString::to_string),
            address: vm.address.as_ref().map(|address| address_text(&address.address)),
            price: lease.filter(|lease| lease.price > 0).map(|lease| Price::per_block(lease.price)),
            held: lease.map(|lease| Qry(lease.held)),
            paid_for_seconds: seconds.filter(|_| assigned.is_some()),
            exhausted: lease.is_some_and(|lease| lease.exhausted),
            last_failure: request.last_failure.as_ref().map(ToString::to_string),
        }
    }

    /// How long it is paid for, in words.
    pub fn paid_for(&self) -> Option<String> {
        self.paid_for_seconds.map(|seconds| rough(std::time::Duration::from_secs(seconds)))
    }
}

/// A plan's name by its id, or the id where nobody knows it.
pub fn plan_name(plans: &[(PlanId, Plan)], id: &PlanId) -> String {
    let plan = plans.iter().find(|(known, _)| known == id);
    plan.map_or_else(|| format!("{id:?}"), |(_, plan)| plan.name.to_string())
}

/// An address as people write it.
pub fn address_text(address: &IpAddress) -> String {
    match address {
        IpAddress::V4(bytes) => std::net::Ipv4Addr::from(*bytes).to_string(),
        IpAddress::V6(bytes) => std::net::Ipv6Addr::from(*bytes).to_string(),
    }
}

/// What a VM is in, in a word: the operation under way, where there is one.
pub fn status(vm: &VmView) -> &'static str {
    let request = &vm.request;
    match (request.status, request.pending_operation()) {
        (ComputeRequestStatus::InProgress, _) => "launching",
        (_, Some(OperationKind::Launch)) => "launching",
        (_, Some(OperationKind::Boot)) => "booting",
        (_, Some(OperationKind::Stop)) => "stopping",
        (_, Some(OperationKind::Reboot)) => "rebooting",
        (_, Some(OperationKind::Resize)) => "resizing",
        (_, Some(OperationKind::Delete)) => "deleting",
        (ComputeRequestStatus::Pending, None) => "pending",
        (ComputeRequestStatus::Stopped, None) => "stopped",
        (ComputeRequestStatus::Running, None) => "running",
        (ComputeRequestStatus::Failed, None) => "failed",
        (ComputeRequestStatus::Cancelled, None) => "cancelled",
    }
}

/// A status with its colour.
pub fn painted(status: &str, paint: Paint) -> String {
    match status {
        "running" => paint.good(status),
        "failed" => paint.bad(status),
        "stopped" | "cancelled" => paint.faint(status),
        _ => paint.waiting(status),
    }
}

/// All there is to say of a VM.
#[derive(Debug, Serialize)]
pub struct Details {
    /// As in the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// Its tenant.
    pub owner: String,
    /// The block in which it was asked for.
    pub created_at: BlockNumber,
    /// Its node's SSH port.
    pub access: Option<String>,
    /// The guest's SSH host key, as a line of OpenSSH.
    pub ssh_host_key: Option<String>,
    /// Who may log in, each a line of OpenSSH.
    pub ssh_keys: Vec<String>,
    /// The country that it must run in.
    pub country: Option<String>,
    /// The most that it may cost.
    pub max_price: Price,
    /// User data that it got at its first start.
    pub cloud_init_cid: Option<String>,
    /// How many launches failed.
    pub attempts: u8,
    /// Why it waits, while it does: how many nodes, and their reason.
    pub waits_because: Vec<Waits>,
}

/// Why some nodes do not take a request.
#[derive(Debug, Serialize)]
pub struct Waits {
    /// How many nodes.
    pub nodes: u32,
    /// Their reason.
    pub reason: String,
}

impl Show for Details {
    fn text(&self, paint: Paint) -> String {
        let vm = &self.summary;
        let paid = vm.paid_for().map(|left| format!("{left} more while it runs"));
        let exhausted = vm
            .exhausted
            .then(|| paint.bad(&format!("the prepaid rent is used up: `quarry top-up {}`", vm.id)));
        let mut text = fields([
            ("VM", format!("{} {}", paint.strong(&vm.id), vm.name)),
            ("status", painted(vm.status, paint)),
            ("plan", format!("{} ({})", vm.plan, size(&vm.resources))),
            ("image", vm.image.clone()),
            ("node", or_dash(vm.node.as_ref())),
            ("port", self.access.clone().unwrap_or_default()),
            ("address", vm.address.clone().unwrap_or_default()),
            ("price", vm.price.map_or_else(String::new, |price| price.to_string())),
            ("paid for", exhausted.or(paid).unwrap_or_default()),
            ("held", vm.held.map_or_else(String::new, Qry::with_symbol)),
            ("at most", self.max_price.to_string()),
            ("country", self.country.clone().unwrap_or_default()),
            ("user data", self.cloud_init_cid.clone().unwrap_or_default()),
            ("tenant", self.owner.clone()),
            ("asked for", format!("in live block {}", self.created_at)),
            ("host key", self.ssh_host_key.clone().unwrap_or_default()),
            ("failure", vm.last_failure.as_deref().map_or_else(String::new, |why| paint.bad(why))),
        ]);
        for key in &self.ssh_keys {
            text.push_str(&format!("\nlets in    {key}"));
        }
        for Waits { nodes, reason } in &self.waits_because {
            text.push_str(&format!("\nwaits      {nodes} of the nodes: {reason}"));
        }
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_is_named_by_its_number_or_its_name() {
        assert_eq!("12".parse(), Ok(VmRef::Id(12)));
        assert_eq!("web-1".parse(), Ok(VmRef::Name("web-1".into())));
        assert!("".parse::<VmRef>().is_err());
        assert!("9".repeat(40).parse::<VmRef>().is_err());
    }
}
