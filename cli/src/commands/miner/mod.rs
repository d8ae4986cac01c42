//! What a miner does with its nodes.

use crate::{context::Context, failure::Failure};
use clap::Subcommand;

/// Which of it.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Does it.
pub async fn run(_context: &Context, args: Args) -> Result<(), Failure> {
    match args.command {}
}
