//! The commands, one file each.

mod chain;
mod image;
mod images;
mod key;
mod miner;
mod nodes;
mod operate;
mod own;
mod plans;
mod quote;
mod reach;
mod rent;
mod vms;
mod watch;

use crate::{
    context::{Context, Global},
    failure::Failure,
};
use clap::{Parser, Subcommand};

/// Rents virtual machines on Quarry, and keeps a miner's nodes.
#[derive(Debug, Parser)]
#[command(name = "quarry", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Try `quarry rent`: it finds a node, asks once, and ends with the line that connects."
)]
pub struct Cli {
    /// What stands before every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Rent a VM: find the best node, ask once, wait until it is ready.
    Rent(rent::Args),
    /// List the nodes that would take a VM now, and what it would cost there.
    Nodes(nodes::Args),
    /// List the plans: the sizes that can be rented.
    Plans(plans::Args),
    /// List the images that a VM can start from.
    Images(images::Args),
    /// What a plan costs on a node.
    Quote(quote::Args),
    /// List your VMs.
    #[command(visible_alias = "ls")]
    Vms(vms::ListArgs),
    /// Show all there is to say of a VM.
    Show(vms::ShowArgs),
    /// Show your VMs, kept current.
    Watch(watch::Args),
    /// Start a stopped VM.
    Boot(operate::Args),
    /// Stop a VM. It keeps its room, and its price.
    Stop(operate::Args),
    /// Stop a VM and start it again.
    Reboot(operate::Args),
    /// Give a VM another plan.
    Resize(operate::ResizeArgs),
    /// Delete a VM with its disk; what is left of its rent comes back.
    #[command(visible_alias = "rm")]
    Delete(operate::DeleteArgs),
    /// Take back a request that no node has yet; all of its rent comes back.
    Cancel(operate::Args),
    /// Pay for more time.
    TopUp(operate::TopUpArgs),
    /// Take a VM away from a node that is gone, and launch it anew elsewhere. Its disk is lost.
    Evacuate(operate::Args),
    /// Reach a VM by ssh, or its console, screen and logs.
    #[command(flatten)]
    Reach(reach::Command),
    /// Keep a miner's nodes.
    Miner(miner::Args),
    /// Make, take and give accounts' keys.
    Key(key::Args),
    /// Put images on the market.
    Image(image::Args),
    /// The chains that the settings name.
    Chain(chain::Args),
    /// Completions for a shell, to standard output.
    Completions(own::CompletionsArgs),
    /// Manual pages.
    Man(own::ManArgs),
}

/// Does it.
pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Rent(args) => rent::run(context, args).await,
        Command::Nodes(args) => nodes::run(context, args).await,
        Command::Plans(args) => plans::run(context, args).await,
        Command::Images(args) => images::run(context, args).await,
        Command::Quote(args) => quote::run(context, args).await,
        Command::Vms(args) => vms::list(context, args).await,
        Command::Show(args) => vms::show(context, args).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Boot(args) => operate::boot(context, args).await,
        Command::Stop(args) => operate::stop(context, args).await,
        Command::Reboot(args) => operate::reboot(context, args).await,
        Command::Resize(args) => operate::resize(context, args).await,
        Command::Delete(args) => operate::delete(context, args).await,
        Command::Cancel(args) => operate::cancel(context, args).await,
        Command::TopUp(args) => operate::top_up(context, args).await,
        Command::Evacuate(args) => operate::evacuate(context, args).await,
        Command::Reach(command) => reach::run(context, command).await,
        Command::Miner(args) => miner::run(context, args).await,
        Command::Key(args) => key::run(context, args),
        Command::Image(args) => image::run(context, args).await,
        Command::Chain(args) => chain::run(context, args),
        Command::Completions(args) => {
            own::completions(&args);
            Ok(())
        }
        Command::Man(args) => own::man(&args),
    }
}
