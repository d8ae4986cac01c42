//! The worker's settings: a TOML file, drop-ins beside it, and the environment, validated as a whole.

mod settings;

pub use settings::{
    ChainSettings, ClaimSettings, HttpSettings, HypervisorSettings, ImageSettings, KeySettings,
    LogFormat, LogSettings, NetworkSettings, OperationSettings, PrivateNetwork, Settings,
    ThresholdSettings,
};
