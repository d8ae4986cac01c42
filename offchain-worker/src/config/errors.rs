use std::{fmt, path::PathBuf};

/// Where a setting stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// In a line of a file.
    Line(PathBuf, usize),
    /// In a file, or nowhere in it.
    File(PathBuf),
    /// In the environment.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(path, line) => write!(out, "{}:{line}", path.display()),
            Self::File(path) => write!(out, "{}", path.display()),
            Self::Variable(name) => write!(out, "the variable {name}"),
        }
    }
}

/// A mistake in the settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", one_line(&format!(
    "{origin}: {}{problem}",
    field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default()
)))]
pub struct ConfigError {
    /// Where it stands.
    pub origin: Origin,
    /// The setting, as `chain.endpoints`; none if the whole file is wrong.
    pub field: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// All mistakes in the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// What a process exits with because of them: `EX_CONFIG` of sysexits.h.
    pub const EXIT_CODE: u8 = 78;
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(out, "the settings have a mistake:")?,
            count => write!(out, "the settings have {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|error| write!(out, "\n  {error}"))
    }
}

/// Names and values may have characters in them that a terminal acts on.
fn one_line(text: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}
