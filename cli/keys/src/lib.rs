//! Keys of accounts, for `quarry key` and for signing.
//!
//! - [`AccountKey`] signs; it comes from a secret phrase, or out of a sealed key.
//! - [`SealedKey`] is a key under a [`Password`], byte for byte as polkadot.js and the wallets
//!   built on it write it.

mod account;
mod envelope;
mod password;
mod sealed;
mod wallet_json;

pub use account::{AccountKey, KeyKind};
pub use password::{EmptyPassword, Password};
pub use quarry_client::KeyError;
pub use sealed::{Meta, OpenError, SealError, SealedKey};
pub use wallet_json::FormatError;
