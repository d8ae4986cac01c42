//! Types and figures that Quarry's chain, worker and command line agree on.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

pub mod api;
pub mod content;
pub mod ip;
pub mod market;
pub mod node;
pub mod request;
pub mod resources;
pub mod settled;
pub mod text;

pub use node::NodeId;
pub use request::RequestId;

use sp_runtime::{
    traits::{IdentifyAccount, Verify},
    MultiSignature,
};

/// Who signed a transaction, and how.
pub type Signature = MultiSignature;
/// An account on the chain.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An amount of the chain's token in its smallest unit, see [`QRY`].
pub type Balance = u128;
/// The height of a block.
pub type BlockNumber = u32;
/// How many transactions an account has sent.
pub type Nonce = u32;
/// The hash of a block or a transaction.
pub type Hash = sp_core::H256;

/// What the token is called.
pub const TOKEN_SYMBOL: &str = "QRY";
/// How many decimal places the token is shown with.
pub const TOKEN_DECIMALS: u8 = 12;
/// One token.
pub const QRY: Balance = 1_000_000_000_000;
/// A thousandth of a token.
pub const MILLI_QRY: Balance = QRY / 1_000;
/// A millionth of a token.
pub const MICRO_QRY: Balance = QRY / 1_000_000;

/// The prefix of an address in its SS58 form.
pub const SS58_PREFIX: u8 = 42;

/// The time from one block to the next.
pub const MILLISECS_PER_BLOCK: u64 = 6_000;
/// Blocks in an hour.
pub const HOURS: BlockNumber = (3_600_000 / MILLISECS_PER_BLOCK) as BlockNumber;
