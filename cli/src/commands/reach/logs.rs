//! `quarry logs`: a VM's history on the chain, and what it wrote to its serial console.

use super::{
    history::{self, History},
    session::NodeClient,
    Target,
};
use crate::{
    context::Context,
    failure::Failure,
    output::{table, Paint, Show},
    units::{rough, time_of, Span},
    vm,
};
use quarry_primitives::{api::VmView, BlockNumber};
use serde::Serialize;
use std::process::Stdio;

/// Whose, and how much.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry logs 12\n  quarry logs 12 --serial-only --follow\n  quarry logs 12 --chain-only --since 1h --json\n\n\
Most chain nodes keep the history of some 25 minutes, an archive node all of it."
)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Of the serial console, the last lines.
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<u32>,
    /// Go on with what comes on the serial console, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// Only what happened on the chain.
    #[arg(long, conflicts_with_all = ["serial_only", "follow", "lines", "identity"])]
    chain_only: bool,
    /// Only the serial console.
    #[arg(long)]
    serial_only: bool,
    /// What happened on the chain since so long ago, as 1h; without it, since the VM was asked for.
    #[arg(long, value_name = "TIME", conflicts_with = "serial_only")]
    since: Option<Span>,
}

#[derive(Serialize)]
struct Record {
    id: String,
    name: String,
    status: &'static str,
    /// In live blocks.
    created_at: BlockNumber,
    last_failure: Option<String>,
    #[serde(skip)]
    age: std::time::Duration,
}

#[derive(Serialize)]
struct Logs {
    #[serde(flatten)]
    record: Record,
    history: Option<History>,
    /// Line by line; none where it was not wanted or cannot be had.
    serial: Option<Vec<String>>,
    /// Why it cannot be had.
    serial_error: Option<String>,
}

impl Show for Logs {
    fn text(&self, paint: Paint) -> String {
        let Record { id, name, status, age, last_failure, .. } = &self.record;
        let mut text = format!(
            "VM {} ({name}): {}, asked for about {} ago",
            paint.strong(id),
            vm::painted(status, paint),
            rough(*age)
        );
        if let Some(why) = last_failure {
            text.push_str(&format!("\nwhat failed last: {}", paint.bad(why)));
        }
        let Some(history) = &self.history else { return text };
        let rows = history
            .events
            .iter()
            .map(|entry| [entry.block.to_string(), entry.about.clone(), entry.text.clone()]);
        text.push_str(&format!("\n{}", table(["BLOCK", "ABOUT", "WHAT"], rows)));
        if !history.complete {
            let why = match history.pruned {
                true => "the chain node keeps no older state; an archive node does (--url)",
                false => "as was asked for by --since",
            };
            let note = format!("\nthat is from block {} on: {why}", history.from_block);
            text.push_str(&paint.faint(&note));
        }
        text
    }
}

/// Shows them.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.follow && context.out.is_json() {
        return Err(Failure::Usage("--follow has no end, and so no JSON".into()));
    }
    let vm = vm::find(context, &args.target.vm).await?;
    let history = match args.serial_only {
        true => None,
        false => {
            let most = args.since.map(|since| since.blocks().unwrap_or(BlockNumber::MAX));
            Some(history::read(context, &vm, most).await?)
        }
    };
    let record = record(context, &vm).await?;
    let mut logs = Logs { record, history, serial: None, serial_error: None };
    if args.chain_only {
        return Ok(context.out.show(&logs)?);
    }
    let node = NodeClient::of(context, &vm, args.target.key.identity.as_deref()).await;
    if context.out.is_json() {
        match serial(node, &args).await {
            Ok(lines) => logs.serial = Some(lines),
            Err(failure) if args.serial_only => return Err(failure),
            Err(failure) => logs.serial_error = Some(failure.to_string()),
        }
        return Ok(context.out.show(&logs)?);
    }
    if !args.serial_only {
        context.out.show(&logs)?;
    }
    match node {
        Ok(node) => {
            if !args.serial_only {
                let heading = "\nOn its serial console:";
                context.out.line(&context.out.paint().strong(heading))?;
            }
            let mut command = node.session(&["-T"], &session(&args));
            command.stdin(Stdio::null());
            node.client.run(command).await
        }
        Err(failure) if args.serial_only => Err(failure),
        // What the chain has was wanted as well, and was shown.
        Err(failure) => {
            context.out.aside(&format!("its serial console cannot be read: {failure}"));
            Ok(())
        }
    }
}

async fn record(context: &Context, vm: &VmView) -> Result<Record, Failure> {
    let request = &vm.request;
    let live = context.now().await?.live_blocks().await?;
    Ok(Record {
        id: request.request_id.to_string(),
        name: request.name.to_string(),
        status: vm::status(vm),
        created_at: request.created_at,
        last_failure: request.last_failure.as_ref().map(ToString::to_string),
        age: time_of(live.saturating_sub(request.created_at)),
    })
}

fn session(args: &Args) -> String {
    let mut session = "log".to_owned();
    if let Some(lines) = args.lines {
        session.push_str(&format!(" --lines {lines}"));
    }
    if !args.follow {
        session.push_str(" --no-follow");
    }
    session
}

async fn serial(node: Result<NodeClient, Failure>, args: &Args) -> Result<Vec<String>, Failure> {
    let node = node?;
    let mut command = node.session(&["-T"], &session(args));
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| super::client::not_started("ssh".as_ref(), &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::Unreachable(format!("its node does not show it: {said}")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(ToOwned::to_owned).collect())
}
