//! Typed reads of the chain, and the actor that sends a worker's or a tenant's transactions.
//!
//! - [`Chain`] follows the chain through one of several endpoints, for ever, and tells of its blocks.
//! - [`At`] reads the state of one block.
//! - [`Reports`] sends what a worker has to say, each thing once, until it is finalized.
//! - [`Submitter`] sends any other call, for one who pays.
//! - [`WorkerKey`] is the key that signs, read from a file that nobody else can read.

mod back_off;
pub mod bindings;
mod call;
mod chain;
mod events;
mod hash;
mod key;
#[cfg(unix)]
mod key_file;
mod lists;
mod reads;
mod report;
mod reports;
mod sender;
mod submitter;

pub use call::{Call, CallError};
pub use chain::{
    Block, Chain, ChainOptions, ConnectError, Connection, EndpointError, Finalized, Network,
    Standing,
};
pub use events::Happened;
pub use key::{address_of, pair_of, KeyError, WorkerKey};
#[cfg(unix)]
pub use key_file::KeyFileError;
pub use reads::{AccountInfo, At, BondTerms, ReadError};
pub use report::Report;
pub use reports::{Outcome, Reports, ReportsHandle};
pub use sender::{Refusal, SenderStatus};
pub use sp_runtime::Perbill;
pub use submitter::{Included, SubmitError, Submitter};

/// How subxt sees the chain.
pub type Config = subxt::SubstrateConfig;
