//! How a miner ends leases, leaves the market, and gets back what is his.

use super::{id_of, kept_node, node, node_id};
use crate::{
    context::Context,
    failure::Failure,
    output::{Paint, Show},
    signer,
    units::{rough, time_of, Qry},
};
use quarry_client::{bindings, At};
use quarry_primitives::{api::VmView, AccountId, BlockNumber, NodeId, RequestId};
use serde::Serialize;
use std::time::Duration;

/// Which VMs.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner end-lease 12")]
pub struct EndLeaseArgs {
    /// The VMs' numbers.
    #[arg(value_name = "VM", required = true)]
    vms: Vec<RequestId>,
}

/// Which node.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry miner deregister my-node, and after the unbonding time quarry miner withdraw-bond my-node"
)]
pub struct NodeArgs {
    /// The node.
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,
}

/// Whose credit.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner claim-credit")]
pub struct CreditArgs {
    /// For this account, in place of your own: anyone may pay the fee.
    #[arg(long, value_name = "ADDRESS", value_parser = signer::address)]
    account: Option<AccountId>,
}

#[derive(Serialize)]
struct Ending {
    vms: Vec<EndingVm>,
}

#[derive(Serialize)]
struct EndingVm {
    id: String,
    node: String,
    /// Until the chain deletes it.
    ends_in_seconds: Option<u64>,
    /// Why no notice was given.
    error: Option<String>,
}

impl Show for Ending {
    fn text(&self, paint: Paint) -> String {
        let lines = self.vms.iter().map(|vm| match (&vm.error, vm.ends_in_seconds) {
            (Some(why), _) => format!("VM {}: {}", vm.id, paint.bad(why)),
            (None, seconds) => {
                let span = rough(Duration::from_secs(seconds.unwrap_or_default()));
                format!("VM {} on {} ends in {span}; its tenant gets the rest back", vm.id, vm.node)
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Gives notice to their tenants.
pub async fn end_lease(context: &Context, args: EndLeaseArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let account = context.account().await?;
    let mut nodes = Vec::with_capacity(args.vms.len());
    for id in &args.vms {
        let vm = now.vm(*id).await?.ok_or_else(|| no_vm(*id))?;
        nodes.push(may_end(&now, &vm, &account).await?);
    }
    let span = rough(time_of(now.params().await?.notice_period));
    let ids: Vec<_> = args.vms.iter().map(ToString::to_string).collect();
    let ids = ids.join(", ");
    context.confirm_loss(&format!(
        "End the lease of {ids}? Tenants have {span} to move; then disks go."
    ))?;
    let calls = args.vms.iter().map(|id| bindings::tx().compute().end_lease(*id)).collect();
    let ends = context.submit_all("the notice", calls).await?;
    let live = context.now().await?.live_blocks().await?;
    let mut vms = Vec::with_capacity(nodes.len());
    let mut failed = None;
    for ((id, node), end) in args.vms.iter().zip(nodes).zip(ends) {
        let event = end
            .as_ref()
            .ok()
            .and_then(|included| included.find::<bindings::compute::events::LeaseEnding>());
        vms.push(EndingVm {
            id: id.to_string(),
            node: node.to_string(),
            ends_in_seconds: event.map(|event| time_of(event.at.saturating_sub(live)).as_secs()),
            error: end.as_ref().err().map(ToString::to_string),
        });
        failed = failed.or(end.err());
    }
    context.out.show(&Ending { vms })?;
    failed.map_or(Ok(()), Err)
}

/// That there is no such VM.
pub fn no_vm(id: RequestId) -> Failure {
    Failure::NotFound(format!(
        "there is no VM {id}: `quarry miner earnings` lists those on your nodes"
    ))
}

/// The node that has it, if it is this miner's and no notice was given yet.
async fn may_end(now: &At, vm: &VmView, miner: &AccountId) -> Result<NodeId, Failure> {
    let request = &vm.request;
    let id = request.request_id;
    let node_id = request.miner_id.as_ref().filter(|_| request.is_assigned);
    let node_id = node_id.ok_or_else(|| Failure::refused("Compute.NotAssigned"))?;
    let owner = node(now, node_id).await?.node.owner;
    if owner != *miner {
        return Err(Failure::refused_because(
            "Compute.InvalidSignature",
            format!("VM {id} is on {node_id}, a node of {}", signer::address_of(&owner)),
        ));
    }
    match &vm.lease {
        None => Err(Failure::refused("Compute.LeaseClosed")),
        Some(lease) => match lease.ends_at {
            None => Ok(node_id.clone()),
            Some(at) => {
                let left = rough(time_of(at.saturating_sub(now.live_blocks().await?)));
                let remedy = format!("notice was given for VM {id}: it ends in {left}");
                Err(Failure::refused_because("Compute.LeaseIsEnding", remedy))
            }
        },
    }
}

#[derive(Serialize)]
struct Deregistered {
    node: String,
    bond: Qry,
    /// Until the bond is free.
    bond_free_in_seconds: u64,
}

impl Show for Deregistered {
    fn text(&self, paint: Paint) -> String {
        let span = rough(Duration::from_secs(self.bond_free_in_seconds));
        let node = paint.strong(&self.node);
        format!(
            "{node} is deregistered. Its bond of {} is free in {span}: then `quarry miner withdraw-bond {}`",
            self.bond.with_symbol(),
            self.node
        )
    }
}

/// Takes it from the market.
pub async fn deregister(context: &Context, args: NodeArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let view = kept_node(context, &now, &args.node).await?;
    let id = &args.node;
    if view.node.vms > 0 {
        let vms = now.work_for(id).await?;
        let vms = vms.iter().map(|vm| vm.request_id.to_string()).collect::<Vec<_>>().join(" ");
        return Err(Failure::refused_because(
            "Registry.NodeInUse",
            format!(
                "it has VMs: `quarry miner drain {id}`, `quarry miner end-lease {vms}`, and when they are \
                 gone deregister it"
            ),
        ));
    }
    if view.free_ips > 0 {
        return Err(Failure::refused_because(
            "Registry.PoolNotEmpty",
            format!(
                "its pool has {} free addresses: remove them first (compute.removeIps)",
                view.free_ips
            ),
        ));
    }
    let unbonding = now.params().await?.unbonding;
    let bond = Qry(view.node.bond);
    context.confirm_loss(&format!(
        "Take {id} from the market? Its bond of {} is free in {}.",
        bond.with_symbol(),
        rough(time_of(unbonding))
    ))?;
    let call = bindings::tx().registry().deregister_node(id.into());
    context.submit("the deregistration", call).await?;
    let bond_free_in_seconds = time_of(unbonding).as_secs();
    Ok(context.out.show(&Deregistered { node: id.to_string(), bond, bond_free_in_seconds })?)
}

#[derive(Serialize)]
struct Withdrawn {
    node: String,
    owner: String,
    bond: Qry,
}

impl Show for Withdrawn {
    fn text(&self, _: Paint) -> String {
        let Self { node, owner, bond } = self;
        format!(
            "the bond of {node}, {}, is {owner}'s again, and the name is free",
            bond.with_symbol()
        )
    }
}

/// Gives the bond back. Anyone may; it goes to the node's owner.
pub async fn withdraw_bond(context: &Context, args: NodeArgs) -> Result<(), Failure> {
    let now = context.now().await?;
    let record = node(&now, &args.node).await?.node;
    let leaves_at = record.leaves_at.ok_or_else(|| Failure::refused("Registry.NodeNotLeaving"))?;
    let left: BlockNumber = leaves_at.saturating_sub(now.live_blocks().await?);
    if left > 0 {
        let remedy = format!("its bond is free in {}", rough(time_of(left)));
        return Err(Failure::refused_because("Registry.UnbondingNotOver", remedy));
    }
    let call = bindings::tx().registry().withdraw_bond((&args.node).into());
    context.submit("the bond's return", call).await?;
    Ok(context.out.show(&Withdrawn {
        node: args.node.to_string(),
        owner: signer::address_of(&record.owner),
        bond: Qry(record.bond),
    })?)
}

#[derive(Serialize)]
struct Claimed {
    account: String,
    amount: Qry,
}

impl Show for Claimed {
    fn text(&self, _: Paint) -> String {
        format!("{} got {}", self.account, self.amount.with_symbol())
    }
}

/// Takes what could not be paid out.
pub async fn claim_credit(context: &Context, args: CreditArgs) -> Result<(), Failure> {
    let account = match args.account {
        Some(account) => account,
        None => context.account().await?,
    };
    let credit = context.now().await?.credit(&account).await?;
    if credit == 0 {
        return Err(Failure::refused("Compute.NoCredit"));
    }
    let call = bindings::tx().compute().claim_credit(id_of(&account));
    let included = context.submit("the credit's payment", call).await?;
    let event = included.find::<bindings::compute::events::CreditClaimed>();
    let amount = Qry(event.map_or(credit, |event| event.amount));
    Ok(context.out.show(&Claimed { account: signer::address_of(&account), amount })?)
}
