//! The command `quarry`: rents virtual machines, and keeps a miner's nodes.
//!
//! A command looks at the chain through `quarry-client`, decides, asks where it matters, and sends at
//! most a few calls. What it found is a view: shown as text, or as JSON whose shape does not change.

pub mod commands;
pub mod context;
pub mod failure;
pub mod interrupt;
pub mod output;
pub mod prompt;
pub mod remedy;
pub mod settings;
pub mod signer;
pub mod ssh_key;
pub mod tenant_keys;
pub mod units;
pub mod user_data;
pub mod vm;
