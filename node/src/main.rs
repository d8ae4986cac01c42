//! Quarry's chain node: authors blocks with Aura, finalizes them with GRANDPA, and answers JSON-RPC.
#![deny(missing_docs)]
// The SDK's closures return its large errors.
#![allow(clippy::result_large_err)]

mod chain_spec;
mod cli;
mod command;
mod database;
mod preflight;
mod problem;
mod rpc;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse().and_then(command::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => problem.report(),
    }
}
