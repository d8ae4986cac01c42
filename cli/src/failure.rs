//! Why a command did not do what it was asked, and the exit code that says so.

use crate::remedy;
use quarry_client::{ReadError, Refusal, SubmitError};
use serde_json::{json, Value};
use std::{fmt, io};

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// It was asked for wrongly: exit code 2.
    Usage(String),
    /// What it is about does not exist: exit code 3.
    NotFound(String),
    /// The chain, or a market rule that is looked at before, refused it: exit code 4.
    Refused {
        /// The error's name, as `Compute.LeaseTooShort`.
        error: String,
        /// What to do about it.
        remedy: String,
    },
    /// Something that it needs does not answer: exit code 5.
    Unreachable(String),
    /// Ctrl-C, with what is left to know: exit code 130.
    Interrupted(String),
    /// A program that ran in its place ended with this code, and said why itself.
    Exit(u8),
    /// Anything else: exit code 1.
    Other(String),
}

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused { .. } => 4,
            Self::Unreachable(_) => 5,
            Self::Interrupted(_) => 130,
            Self::Exit(code) => *code,
        }
    }

    /// A refusal by a market rule, which the chain would name so.
    pub fn refused(error: impl Into<String>) -> Self {
        let error = error.into();
        let remedy = remedy::of(&error).to_owned();
        Self::Refused { error, remedy }
    }

    /// One with its own remedy.
    pub fn refused_because(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { error: error.into(), remedy: remedy.into() }
    }

    /// As programs read it; its shape does not change.
    pub fn json(&self) -> Value {
        let (kind, error) = match self {
            Self::Usage(_) => ("usage", None),
            Self::NotFound(_) => ("not_found", None),
            Self::Refused { error, .. } => ("refused", Some(error)),
            Self::Unreachable(_) => ("unreachable", None),
            Self::Interrupted(_) => ("interrupted", None),
            Self::Exit(_) | Self::Other(_) => ("failed", None),
        };
        json!({ "error": { "kind": kind, "name": error, "message": self.to_string() } })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { error, remedy } if remedy.is_empty() => {
                write!(out, "the chain refused: {error}")
            }
            Self::Refused { error, remedy } => write!(out, "the chain refused: {error}; {remedy}"),
            Self::Exit(code) => write!(out, "the program ended with code {code}"),
            Self::Usage(text)
            | Self::NotFound(text)
            | Self::Unreachable(text)
            | Self::Interrupted(text)
            | Self::Other(text) => out.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Disconnected | ReadError::Rpc(_) => Self::Unreachable(format!(
                "{error}; is the endpoint right? See `quarry chain list`"
            )),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(Refusal::Dispatch { pallet, error }) => {
                Self::refused(format!("{pallet}.{error}"))
            }
            SubmitError::Refused(Refusal::Payment) => Self::refused("Payment"),
            SubmitError::Refused(refusal) => Self::refused_because(refusal.to_string(), ""),
            error @ SubmitError::Events { .. } => Self::Other(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_exit_code_and_its_name() {
        let kinds = [
            (Failure::Other("x".into()), 1, "failed"),
            (Failure::Usage("x".into()), 2, "usage"),
            (Failure::NotFound("x".into()), 3, "not_found"),
            (Failure::refused("Compute.LeaseTooShort"), 4, "refused"),
            (Failure::Unreachable("x".into()), 5, "unreachable"),
            (Failure::Interrupted("x".into()), 130, "interrupted"),
        ];
        for (failure, code, kind) in kinds {
            assert_eq!(failure.exit_code(), code);
            assert_eq!(failure.json()["error"]["kind"], kind);
        }
    }

    #[test]
    fn a_refusal_names_the_error_and_what_to_do() {
        let failure = Failure::from(SubmitError::Refused(Refusal::Dispatch {
            pallet: "Compute".into(),
            error: "LeaseExhausted".into(),
        }));
        assert_eq!(failure.json()["error"]["name"], "Compute.LeaseExhausted");
        assert!(failure.to_string().contains("quarry top-up"), "{failure}");
    }
}
