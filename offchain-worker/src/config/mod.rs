//! The worker's settings: a TOML file, drop-ins beside it, and the environment, validated as a whole.

mod errors;
mod fields;
mod load;
mod networks;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod values;

pub use errors::{ConfigError, ConfigErrors, Origin};
pub use settings::{
    AccessSettings, ChainSettings, ClaimSettings, HttpSettings, HypervisorSettings, ImageSettings,
    KeySettings, LogFormat, LogSettings, NetworkSettings, OperationSettings, PrivateNetwork,
    RelaySettings, Settings, ThresholdSettings,
};

/// Where the settings are when nobody says so.
pub const DEFAULT_PATH: &str = "/etc/quarry/worker.toml";

/// What the variables begin with: `QUARRY_WORKER__CHAIN__GENESIS` sets `chain.genesis`.
pub const VARIABLE_PREFIX: &str = "QUARRY_WORKER__";
