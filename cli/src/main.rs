//! `quarry`: rents virtual machines, and keeps a miner's nodes.

use clap::{error::ErrorKind, Parser};
use quarry_cli::{
    commands::{self, Cli},
    context::Context,
    failure::Failure,
};
use std::{env, io::Write, process::ExitCode, time::Duration};
use tokio::runtime::Builder;

const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let json = cli.global.json;
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into(), json),
    };
    let done = Context::new(cli.global).and_then(|context| {
        let run = commands::run(&context, cli.command);
        runtime.block_on(run)
    });
    // A prompt that nobody answered may still hold a thread.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure, json),
    }
}

/// Help and the version are no errors; of those, programs get JSON where they ask for it.
fn misused(error: &clap::Error) -> ExitCode {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !is_answer && env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        return failed(&Failure::Usage(text.trim_start_matches("error: ").trim().to_owned()), true);
    }
    let _ = error.print();
    if is_answer {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_USAGE)
    }
}

fn failed(failure: &Failure, json: bool) -> ExitCode {
    let mut aside = std::io::stderr().lock();
    let _ = match (json, failure) {
        (_, Failure::Exit(_)) => Ok(()),
        (true, _) => writeln!(aside, "{:#}", failure.json()),
        (false, _) => writeln!(aside, "quarry: {failure}"),
    };
    ExitCode::from(failure.exit_code())
}
