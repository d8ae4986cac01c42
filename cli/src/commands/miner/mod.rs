//! What a miner does with its nodes.

mod access_check;
mod check_main;
mod earnings;
mod host;
mod leave;
mod manage;
mod node_file;
mod nodes;
mod offer;
mod programs;
mod register;

use crate::{context::Context, failure::Failure, signer};
use clap::Subcommand;
use quarry_client::At;
use quarry_primitives::{api::NodeView, AccountId, NodeId};
use subxt::utils::AccountId32;

/// Which of it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry miner register --from node.json")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register nodes from the files that `quarry-worker enroll` wrote.
    Register(register::Args),
    /// List your nodes, with what they offer and what of it is taken; or all there is to say of one.
    #[command(visible_alias = "nodes")]
    ViewCompute(nodes::Args),
    /// Change what a node offers, and for how much.
    SetOffer(manage::OfferArgs),
    /// Let a node take no new VMs. Those that it has run on.
    Drain(manage::DrainArgs),
    /// Let a drained node take new VMs again.
    Undrain(manage::NodeArgs),
    /// End VMs' leases: their tenants have the notice period to move, then they go.
    EndLease(leave::EndLeaseArgs),
    /// Give a node another worker key.
    RotateWorker(manage::FileArgs),
    /// Tell tenants another address or host key of a node's SSH port.
    SetAccess(manage::AccessArgs),
    /// Take a node without VMs from the market. Its bond comes back later.
    Deregister(leave::NodeArgs),
    /// Take back the bond of a node that was deregistered, once it is free.
    WithdrawBond(leave::NodeArgs),
    /// Take what could not be paid out to you when it was due.
    ClaimCredit(leave::CreditArgs),
    /// What your nodes earned, and what they are owed now.
    Earnings(earnings::Args),
    /// Have the rent paid that your nodes are owed by now.
    Settle(earnings::SettleArgs),
    /// On the host: start the worker.
    Start(host::StartArgs),
    /// On the host: stop the worker. VMs run on.
    Stop(host::StopArgs),
    /// On the host: how the worker does.
    Status(host::StatusArgs),
    /// On the host: the worker's log.
    Logs(host::LogsArgs),
    /// On the host: whether the worker's main process does its work.
    CheckMain(host::CheckArgs),
    /// On the host: bring the worker up to date.
    Update(host::UpdateArgs),
}

/// Does it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Register(args) => register::run(context, args).await,
        Command::ViewCompute(args) => nodes::run(context, args).await,
        Command::SetOffer(args) => manage::set_offer(context, args).await,
        Command::Drain(args) => manage::drain(context, args).await,
        Command::Undrain(args) => manage::undrain(context, args).await,
        Command::EndLease(args) => leave::end_lease(context, args).await,
        Command::RotateWorker(args) => manage::rotate_worker(context, args).await,
        Command::SetAccess(args) => manage::set_access(context, args).await,
        Command::Deregister(args) => leave::deregister(context, args).await,
        Command::WithdrawBond(args) => leave::withdraw_bond(context, args).await,
        Command::ClaimCredit(args) => leave::claim_credit(context, args).await,
        Command::Earnings(args) => earnings::run(context, args).await,
        Command::Settle(args) => earnings::settle(context, args).await,
        Command::Start(args) => host::start(context, args).await,
        Command::Stop(args) => host::stop(context, args).await,
        Command::Status(args) => host::status(context, args).await,
        Command::Logs(args) => host::logs(context, args).await,
        Command::CheckMain(args) => host::check_main(context, args).await,
        Command::Update(args) => host::update(context, args).await,
    }
}

/// A node's name, as the command line takes it.
fn node_id(text: &str) -> Result<NodeId, String> {
    let node_id = NodeId::try_from(text).ok().filter(NodeId::is_text);
    node_id.ok_or_else(|| "a node's name has 1 to 64 bytes, without control characters".into())
}

/// A node that there is.
async fn node(now: &At, node_id: &NodeId) -> Result<NodeView, Failure> {
    let missing = || {
        Failure::NotFound(format!("there is no node {node_id}: see `quarry miner view-compute`"))
    };
    now.node(node_id).await?.ok_or_else(missing)
}

/// A node of the account that signs.
async fn own_node(context: &Context, now: &At, node_id: &NodeId) -> Result<NodeView, Failure> {
    let view = node(now, node_id).await?;
    let account = context.account().await?;
    if view.node.owner == account {
        return Ok(view);
    }
    Err(Failure::refused_because(
        "Registry.NotNodeOwner",
        format!(
            "{node_id} is the miner {}'s, and {} would sign: name that one's key with --key",
            signer::address_of(&view.node.owner),
            signer::address_of(&account),
        ),
    ))
}

/// A node of the account that signs, which was not deregistered.
async fn kept_node(context: &Context, now: &At, node_id: &NodeId) -> Result<NodeView, Failure> {
    let view = own_node(context, now, node_id).await?;
    match view.node.leaves_at {
        None => Ok(view),
        Some(_) => Err(Failure::refused("Registry.NodeLeaving")),
    }
}

/// An account, as calls take it.
fn id_of(account: &AccountId) -> AccountId32 {
    AccountId32(*account.as_ref())
}
