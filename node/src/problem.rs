//! Every way to fail ends in one line that says what is wrong and what to do about it.

use clap::error::ErrorKind;
use std::{
    fmt::{Display, Formatter},
    process::ExitCode,
};

/// What the command line was given is wrong.
const EXIT_USAGE: u8 = 64;
const EXIT_FAILURE: u8 = 1;

/// Why the node stopped.
#[derive(Debug)]
pub enum Problem {
    /// `--help` and `--version`, which clap counts as errors.
    Asked(clap::Error),
    /// The command line is wrong.
    Usage(String),
    /// It could not do what it was asked.
    Failure(String),
}

impl Problem {
    /// What is wrong, and what to do.
    pub fn new(what: impl Display, remedy: impl Display) -> Self {
        Self::Failure(format!("{what}: {remedy}"))
    }

    /// Prints it and gives the process's exit code.
    pub fn report(self) -> ExitCode {
        let code = match &self {
            Self::Asked(text) => {
                let _ = text.print();
                return ExitCode::SUCCESS;
            }
            Self::Usage(_) => EXIT_USAGE,
            Self::Failure(_) => EXIT_FAILURE,
        };
        eprintln!("error: {self}");
        ExitCode::from(code)
    }
}

/// Joins the lines of a longer message.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<clap::Error> for Problem {
    fn from(error: clap::Error) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::Asked(error);
        }
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::Usage("a subcommand is missing (see the same with --help)".into());
        }
        let text = error.to_string();
        let told = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .collect::<Vec<_>>()
            .join(" ");
        let told = told.trim_start_matches("error: ").trim_end();
        Self::Usage(format!("{told} (see `quarry-node --help`)"))
    }
}

impl From<sc_cli::Error> for Problem {
    fn from(error: sc_cli::Error) -> Self {
        match error {
            sc_cli::Error::NetworkKeyNotFound(path) => Self::new(
                format!("a validator needs a node key, and there is none at {}", path.display()),
                "make it with `quarry-node key generate-node-key --chain CHAIN --base-path PATH`, \
                 with the chain and base path you start the node with",
            ),
            sc_cli::Error::Cli(error) => error.into(),
            sc_cli::Error::Input(told) if told.starts_with("Invalid node key") => {
                Self::Usage(format!(
                    "{told}: it takes 64 hex digits, as `quarry-node key generate-node-key` prints"
                ))
            }
            // The SDK's word for a flag, or a file that it names, that is wrong.
            sc_cli::Error::Input(told) => Self::Usage(told),
            sc_cli::Error::Service(error) => error.into(),
            other => Self::Failure(other.to_string()),
        }
    }
}

impl From<sc_service::Error> for Problem {
    fn from(error: sc_service::Error) -> Self {
        match error {
            sc_service::Error::Application(inner) => match inner.downcast::<sc_cli::Error>() {
                Ok(error) => (*error).into(),
                Err(inner) => Self::Failure(inner.to_string()),
            },
            sc_service::Error::Other(told) => Self::Failure(told),
            other => Self::Failure(other.to_string()),
        }
    }
}

impl From<sp_blockchain::Error> for Problem {
    fn from(error: sp_blockchain::Error) -> Self {
        Self::Failure(error.to_string())
    }
}

impl Display for Problem {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked(text) => text.fmt(out),
            Self::Usage(line) | Self::Failure(line) => out.write_str(&in_one_line(line)),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_line_without_the_usage() {
        let error = crate::cli::parse_from(["quarry-node", "--nonsense"]).unwrap_err();
        let Problem::Usage(line) = error else { panic!("{error:?}") };
        assert!(line.starts_with("unexpected argument '--nonsense' found"), "{line}");
        assert!(!line.contains('\n') && !line.contains("Usage:"), "{line}");
    }

    #[test]
    fn help_is_no_problem() {
        let asked = crate::cli::parse_from(["quarry-node", "--help"]).unwrap_err();
        assert!(matches!(asked, Problem::Asked(_)));
    }

    #[test]
    fn a_missing_node_key_says_how_to_make_one() {
        let error = sc_cli::Error::NetworkKeyNotFound("/some/where".into());
        let Problem::Failure(line) = error.into() else { panic!("not a failure") };
        assert!(line.contains("/some/where") && line.contains("generate-node-key"), "{line}");
    }
}
