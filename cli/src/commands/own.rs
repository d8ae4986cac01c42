//! What this program says of itself: completions for shells, and manual pages.

use super::Cli;
use crate::failure::Failure;
use clap::{CommandFactory, ValueHint};
use clap_complete::Shell;
use std::{fs, io, path::PathBuf};

/// For which shell.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry completions bash >~/.local/share/bash-completion/completions/quarry\n  quarry completions zsh >\"${fpath[1]}/_quarry\""
)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Where the pages go.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// A page for each command into this folder; without it, the first page to standard output.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

/// Completions, to standard output.
pub fn completions(args: &CompletionsArgs) {
    clap_complete::generate(args.shell, &mut Cli::command(), "quarry", &mut io::stdout());
}

/// Manual pages.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    match &args.dir {
        Some(dir) => {
            fs::create_dir_all(dir)?;
            Ok(clap_mangen::generate_to(Cli::command(), dir)?)
        }
        None => Ok(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?),
    }
}
