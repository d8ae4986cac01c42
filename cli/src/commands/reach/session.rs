//! `quarry console` and `quarry stats`: what a VM's node itself shows by its port.

use super::{
    client::{Attended, Client},
    identity::Identities,
    route::{self, node_name, Names},
    Target,
};
use crate::{context::Context, failure::Failure, vm};
use quarry_primitives::api::VmView;
use std::{
    io::{self, IsTerminal},
    path::Path,
    process::Stdio,
};
use tokio::process::Command;

/// Whose console.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry console 12\n\nTo leave: Enter, then ~. One session at a time has the \
console: a newer one takes it."
)]
pub struct ConsoleArgs {
    #[command(flatten)]
    target: Target,
}

/// Whose figures.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry stats 12 --json | jq .memory_used_bytes")]
pub struct StatsArgs {
    #[command(flatten)]
    target: Target,
    /// Show them again and again, every two seconds; as JSON, a line each time.
    #[arg(long, short)]
    follow: bool,
}

/// A VM's node, with what is needed to ask it.
pub struct NodeClient {
    pub client: Client,
    name: String,
}

impl NodeClient {
    /// For a VM that a node has.
    pub async fn of(
        context: &Context,
        vm: &VmView,
        identity: Option<&Path>,
    ) -> Result<Self, Failure> {
        let id = vm.request.request_id;
        let node = route::to_node(vm, &Names::passing(id))?;
        let identities = Identities::of(context, vm, identity).await?;
        let client = Client::new(&[(vec![node], identities)], Attended::ByPerson)?;
        Ok(Self { client, name: node_name(id) })
    }

    /// A session of the node's, by its name and options.
    pub fn session(&self, options: &[&str], session: &str) -> Command {
        let mut command = self.client.command("ssh");
        command.args(options).arg(&self.name);
        if !session.is_empty() {
            command.arg(session);
        }
        command
    }
}

/// Attaches to the console.
pub async fn console(context: &Context, args: ConsoleArgs) -> Result<(), Failure> {
    let vm = vm::find(context, &args.target.vm).await?;
    route::check_runs(&vm)?;
    let node = NodeClient::of(context, &vm, args.target.key.identity.as_deref()).await?;
    // Without a terminal, as in a pipe, none can be had there.
    let terminal: &[&str] = if io::stdin().is_terminal() { &["-t"] } else { &["-T"] };
    let command = node.session(terminal, "console");
    node.client.run(command).await
}

/// Shows what it uses.
pub async fn stats(context: &Context, args: StatsArgs) -> Result<(), Failure> {
    let vm = vm::find(context, &args.target.vm).await?;
    let node = NodeClient::of(context, &vm, args.target.key.identity.as_deref()).await?;
    let mut session = "stats".to_owned();
    for (wanted, option) in [(context.out.is_json(), " --json"), (args.follow, " --follow")] {
        if wanted {
            session.push_str(option);
        }
    }
    let mut command = node.session(&["-T"], &session);
    command.stdin(Stdio::null());
    node.client.run(command).await
}
