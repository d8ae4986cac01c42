//! `quarry vms` and `quarry show`.

use crate::{
    context::Context,
    failure::Failure,
    output::{or_dash, table, Paint, Show},
    signer, ssh_key,
    units::Price,
    vm::{self, painted, Details, Summary, VmRef, Waits},
};
use quarry_client::At;
use quarry_primitives::{
    api::{Unfit, VmView},
    node::{NodeId, NodeRecord},
    request::ComputeRequestStatus,
    AccountId, RequestId,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Whose to list.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry vms --json | jq -r '.vms[] | select(.status == \"running\").id'"
)]
pub struct ListArgs {
    /// Those of this account, in place of your own.
    #[arg(long, value_name = "ADDRESS", value_parser = signer::address)]
    account: Option<AccountId>,
    /// Those as well that failed or were cancelled, while their record is kept.
    #[arg(long, short)]
    all: bool,
}

/// Which to show.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry show 12")]
pub struct ShowArgs {
    /// The VM's number or name.
    #[arg(value_name = "VM")]
    vm: VmRef,
}

/// VMs, as a list shows them.
#[derive(Serialize)]
pub struct Vms {
    /// Each.
    pub vms: Vec<Summary>,
    #[serde(skip)]
    hidden: usize,
}

impl Show for Vms {
    fn text(&self, paint: Paint) -> String {
        let hidden = match self.hidden {
            0 => String::new(),
            hidden => paint.faint(&format!("\n{hidden} that ended: see them with --all")),
        };
        if self.vms.is_empty() {
            return format!("no VMs: `quarry rent` gets one{hidden}");
        }
        let rows = self.vms.iter().map(|vm| {
            let mut status = painted(vm.status, paint);
            if vm.exhausted {
                status.push_str(&paint.bad(" (rent used up)"));
            }
            [
                vm.id.clone(),
                vm.name.clone(),
                status,
                vm.plan.clone(),
                vm.image.clone(),
                or_dash(vm.node.as_ref()),
                or_dash(vm.address.as_ref()),
                or_dash(vm.price.map(|price| price.hour)),
                or_dash(vm.paid_for()),
            ]
        });
        let header =
            ["VM", "NAME", "STATUS", "PLAN", "IMAGE", "NODE", "ADDRESS", "QRY/HOUR", "PAID FOR"];
        table(header, rows) + &hidden
    }
}

/// Lists an account's VMs.
pub async fn list(context: &Context, args: ListArgs) -> Result<(), Failure> {
    let account = match args.account {
        Some(account) => account,
        None => context.account().await?,
    };
    let vms = summaries(&context.now().await?, &account, args.all).await?;
    Ok(context.out.show(&vms)?)
}

/// An account's VMs at a block, those that ended only if `all` are wanted.
pub async fn summaries(now: &At, account: &AccountId, all: bool) -> Result<Vms, Failure> {
    let (vms, plans) = (now.user_vms(account).await?, now.plans().await?);
    let (shown, hidden): (Vec<_>, Vec<_>) =
        vms.into_iter().partition(|vm| all || !vm.request.status.has_ended());
    let mut nodes: BTreeMap<NodeId, NodeRecord> = BTreeMap::new();
    for node_id in shown.iter().filter_map(|vm| vm.request.miner_id.as_ref()) {
        if !nodes.contains_key(node_id) {
            if let Some(view) = now.node(node_id).await? {
                nodes.insert(node_id.clone(), view.node);
            }
        }
    }
    let node_of = |vm: &VmView| vm.request.miner_id.as_ref().and_then(|id| nodes.get(id));
    let vms = shown.iter().map(|vm| Summary::new(vm, &plans, node_of(vm))).collect();
    Ok(Vms { vms, hidden: hidden.len() })
}

/// Shows one VM.
pub async fn show(context: &Context, args: ShowArgs) -> Result<(), Failure> {
    let vm = vm::find(context, &args.vm).await?;
    Ok(context.out.show(&details(&context.now().await?, &vm).await?)?)
}

/// A VM as a list shows it.
pub async fn summary(now: &At, vm: &VmView) -> Result<Summary, Failure> {
    let node = match &vm.request.miner_id {
        Some(node_id) => now.node(node_id).await?.map(|view| view.node),
        None => None,
    };
    Ok(Summary::new(vm, &now.plans().await?, node.as_ref()))
}

/// All there is to say of a VM.
pub async fn details(now: &At, vm: &VmView) -> Result<Details, Failure> {
    let request = &vm.request;
    let waits_because = match request.status {
        ComputeRequestStatus::Pending => reasons(now, request.request_id).await?,
        _ => Vec::new(),
    };
    let host_key = vm.assignment.as_ref().and_then(|assignment| assignment.ssh_host_key);
    Ok(Details {
        summary: summary(now, vm).await?,
        owner: signer::address_of(&request.owner),
        created_at: request.created_at,
        access: vm.access.as_ref().map(|access| access.endpoint.to_string()),
        ssh_host_key: host_key.map(|key| ssh_key::line(&key)),
        ssh_keys: vm.ssh_keys.iter().map(ToString::to_string).collect(),
        country: request.country.as_ref().map(super::nodes::country_text),
        max_price: Price::per_block(request.max_price),
        cloud_init_cid: request.cloud_init_cid.as_ref().map(ToString::to_string),
        attempts: request.attempts,
        waits_because,
    })
}

/// Why a request waits, the most frequent reason first.
pub async fn reasons(now: &At, request_id: RequestId) -> Result<Vec<Waits>, Failure> {
    let mut counts: BTreeMap<Unfit, u32> = BTreeMap::new();
    let mut cursor = None;
    // A node may have taken it meanwhile: then nothing stands in the way any more.
    while let Ok(page) = now.why_pending(request_id, cursor).await? {
        for (reason, count) in page.reasons {
            *counts.entry(reason).or_default() += count;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut reasons: Vec<_> = counts.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let waits = |(reason, nodes): (Unfit, u32)| Waits { nodes, reason: reason.words().to_owned() };
    Ok(reasons.into_iter().map(waits).collect())
}
