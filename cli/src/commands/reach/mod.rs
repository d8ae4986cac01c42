//! Ways into a VM: the system's ssh, with all host keys from the chain.

use crate::{context::Context, failure::Failure};
use clap::Subcommand;

/// A way into a VM.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Takes it.
pub async fn run(_context: &Context, command: Command) -> Result<(), Failure> {
    match command {}
}

/// Waits until a VM's guest answers by ssh.
pub async fn until_ready(
    _context: &Context,
    _id: quarry_primitives::RequestId,
) -> Result<(), Failure> {
    Ok(())
}
