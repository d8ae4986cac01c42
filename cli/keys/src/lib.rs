//! Keys of accounts, for `quarry key` and for signing.
//!
//! - [`AccountKey`] signs; it comes from a secret phrase, or out of a sealed key.
//! - [`SealedKey`] is a key under a [`Password`], byte for byte as polkadot.js and the wallets
//!   built on it write it.
//! - [`KeyStore`] is the folder with one sealed key per [`KeyName`].

mod account;
mod envelope;
mod name;
mod password;
#[cfg(unix)]
#[path = "private_unix.rs"]
mod private;
#[cfg(not(unix))]
#[path = "private_other.rs"]
mod private;
mod sealed;
mod store;
mod wallet_json;

pub use account::{AccountKey, KeyKind};
pub use name::{KeyName, NameError};
pub use password::{EmptyPassword, Password};
pub use quarry_client::KeyError;
pub use sealed::{Meta, OpenError, SealError, SealedKey};
pub use store::{Entry, KeyStore, StoreError};
pub use wallet_json::FormatError;
