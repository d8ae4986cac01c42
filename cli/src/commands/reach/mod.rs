//! Ways into a VM: the system's ssh, with all host keys from the chain.

mod client;
mod config;
mod history;
mod identity;
mod login;
mod logs;
mod ready;
mod route;
mod session;
mod set_keys;
mod ssh_config;
mod vnc;

pub use ready::until_ready;

use crate::{context::Context, failure::Failure, vm::VmRef};
use clap::Subcommand;
use std::path::PathBuf;

/// A way into a VM.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to a VM, or run a command in it.
    Ssh(login::SshArgs),
    /// Copy files to and from VMs.
    Scp(login::ScpArgs),
    /// Sit at a VM's serial console.
    Console(session::ConsoleArgs),
    /// Show what a VM uses.
    Stats(session::StatsArgs),
    /// Show a VM's history on the chain, and what it wrote to its serial console.
    Logs(logs::Args),
    /// Give a VM's screen a local port for any VNC viewer.
    Vnc(vnc::Args),
    /// Print your VMs as entries for ssh, scp, rsync and Ansible.
    SshConfig(ssh_config::Args),
    /// Set the SSH keys that let into a VM.
    SetKeys(set_keys::Args),
}

/// Takes it.
pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ssh(args) => login::ssh(context, args).await,
        Command::Scp(args) => login::scp(context, args).await,
        Command::Console(args) => session::console(context, args).await,
        Command::Stats(args) => session::stats(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Vnc(args) => vnc::run(context, args).await,
        Command::SshConfig(args) => ssh_config::run(context, args).await,
        Command::SetKeys(args) => set_keys::run(context, args).await,
    }
}

/// Which VM, and with which key.
#[derive(clap::Args, Debug)]
struct Target {
    /// The VM's number or name.
    #[arg(value_name = "VM")]
    vm: VmRef,
    #[command(flatten)]
    key: KeyArgs,
}

/// With which key.
#[derive(clap::Args, Debug)]
struct KeyArgs {
    /// The private key that lets in. Without it: the one that was made for the VM, else those of your
    /// agent and ~/.ssh that are among the VM's.
    #[arg(long, short, value_name = "FILE")]
    identity: Option<PathBuf>,
}
