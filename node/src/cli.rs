//! The command line.

use crate::{chain_spec, problem::Problem};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use sc_cli::{RunCmd, SubstrateCli};
use std::{ffi::OsString, io::Write};

/// What the node was asked to do; without a subcommand it runs.
#[derive(Debug, Parser)]
pub struct Cli {
    #[command(subcommand)]
    pub subcommand: Option<Command>,

    #[command(flatten)]
    pub run: RunCmd,
}

/// What the node can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node (as without a subcommand)
    Run(Box<RunCmd>),
    /// Make, inspect and store keys
    #[command(subcommand)]
    Key(sc_cli::KeySubcommand),
    /// Write a chain specification to a file or to standard output
    ExportChainSpec(sc_cli::ExportChainSpecCmd),
    /// Execute a stored block again and check it
    CheckBlock(sc_cli::CheckBlockCmd),
    /// Write stored blocks to a file or to standard output
    ExportBlocks(sc_cli::ExportBlocksCmd),
    /// Import blocks that `export-blocks` wrote
    ImportBlocks(sc_cli::ImportBlocksCmd),
    /// Remove the chain's database; keys stay
    PurgeChain(sc_cli::PurgeChainCmd),
    /// Take back the newest blocks that are not finalized
    Revert(sc_cli::RevertCmd),
    /// Show the best, the first and the last finalized block of the database
    ChainInfo(sc_cli::ChainInfoCmd),
    /// Print a completion script for a shell
    Completions {
        /// The shell that shall complete
        shell: clap_complete::Shell,
    },
}

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Quarry chain node".into()
    }

    fn impl_version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn executable_name() -> String {
        env!("CARGO_PKG_NAME").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        "the Quarry developers".into()
    }

    fn support_url() -> String {
        "docs/runbook.md in Quarry's source, or its developers".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        chain_spec::load(id)
    }
}

/// What this process was asked to do.
pub fn parse() -> Result<Cli, Problem> {
    parse_from(std::env::args_os())
}

/// As [`parse`], from these arguments.
pub fn parse_from<I>(arguments: I) -> Result<Cli, Problem>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    Ok(Cli::from_arg_matches(&matches)?)
}

/// The whole command line. A node key's place below a base path depends on the chain.
fn command() -> clap::Command {
    Cli::setup_command(Cli::command()).mut_subcommand("key", |key| {
        key.mut_subcommand("generate-node-key", |generate| {
            ["base_path", "default_base_path"].into_iter().fold(generate, |generate, place| {
                generate.mut_arg(place, |argument| argument.requires("chain"))
            })
        })
    })
}

/// Writes the completion script.
pub fn complete(shell: clap_complete::Shell) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), Cli::executable_name(), &mut script);
    std::io::stdout().write_all(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
