//! `quarry watch`: the account's VMs, kept current.

use super::vms::{summaries, Vms};
use crate::{context::Context, failure::Failure, output::Show};
use std::io::{self, Write};

/// How to watch.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example: quarry watch\nWith --json, or without a terminal, a line is written for each change."
)]
pub struct Args {
    /// Those as well that failed or were cancelled.
    #[arg(long, short)]
    all: bool,
}

/// Home, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[J";
const OTHER_SCREEN: &str = "\x1b[?1049h";
const OWN_SCREEN: &str = "\x1b[?1049l";

/// Watches until Ctrl-C.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    context.until_interrupted(watch(context, &args), || Ok(())).await
}

async fn watch(context: &Context, args: &Args) -> Result<(), Failure> {
    let account = context.account().await?;
    let chain = context.chain().await?;
    let (_, mut latest) = chain.ready().await;
    let mut before = String::new();
    let screen = Screen::open(context.out.is_live());
    loop {
        let vms = summaries(&chain.at(latest.block.hash), &account, args.all).await?;
        tell(context, &screen, &vms, latest.block.number, &mut before)?;
        latest = chain.next_finalized(latest.block.hash).await;
    }
}

fn tell(
    context: &Context,
    screen: &Screen,
    vms: &Vms,
    block: u32,
    before: &mut String,
) -> Result<(), Failure> {
    let paint = context.out.paint();
    if screen.0 {
        let note = paint.faint(&format!("finalized block {block}; Ctrl-C to leave"));
        let mut out = io::stdout().lock();
        write!(out, "{CLEAR}{}\n\n{note}", vms.text(paint).trim_end())?;
        return Ok(out.flush()?);
    }
    let text = match context.out.is_json() {
        true => serde_json::to_string(vms).map_err(io::Error::from)?,
        false => vms.text(paint),
    };
    // What is paid for changes with every block and is no change.
    let key = vms.vms.iter().map(|vm| {
        format!(
            "{} {} {:?} {:?} {} {:?}",
            vm.id, vm.status, vm.node, vm.address, vm.plan, vm.last_failure
        )
    });
    let key = format!("{:?}", key.collect::<Vec<_>>());
    if key != *before {
        *before = key;
        context.out.line(text.trim_end())?;
    }
    Ok(())
}

/// The terminal's other screen, given back in the end.
struct Screen(bool);

impl Screen {
    fn open(live: bool) -> Self {
        if live {
            let _ = write!(io::stdout(), "{OTHER_SCREEN}");
        }
        Self(live)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.0 {
            let mut out = io::stdout();
            let _ = write!(out, "{OWN_SCREEN}").and_then(|()| out.flush());
        }
    }
}
