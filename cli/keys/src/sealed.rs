//! A key under a password.

use crate::{
    account::{AccountKey, KeyKind},
    envelope::{Envelope, Work},
    password::Password,
    wallet_json,
    wallet_json::FormatError,
};
use quarry_client::address_of;
use quarry_primitives::{AccountId, Hash};
use rand::{rngs::OsRng, RngCore};
use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

// What stands around the secret and before the public key. It looks like DER, and polkadot.js calls
// it pkcs8.
const HEADER: [u8; 16] = [48, 83, 2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
const DIVIDER: [u8; 5] = [161, 35, 3, 33, 0];
pub(crate) const PLAIN_BYTES: usize = HEADER.len() + 64 + DIVIDER.len() + 32;

/// An account with its key under a password.
#[derive(Clone)]
pub struct SealedKey {
    pub(crate) kind: KeyKind,
    pub(crate) account: AccountId,
    pub(crate) envelope: Envelope,
    pub(crate) meta: Meta,
}

/// What wallets keep beside a key. Whoever can write the file can change it: it is for people, and
/// decides nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Meta {
    /// What the owner calls it, in any characters.
    pub name: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created: Option<u64>,
    /// The genesis of the only chain that the wallet uses it for.
    pub genesis: Option<Hash>,
}

/// Why a sealed key does not open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The password is another.
    #[error(
        "the password is wrong, or the file is damaged: try again, or export the account again"
    )]
    Password,
    /// The password is right, and opens something else.
    #[error("the password is right, but what it opens is no key: export the account again")]
    NotAKey,
    /// Somebody has put another account's key in.
    #[error("the file says {named} and holds the key of {held}: do not use it, and export the account again")]
    OtherAccount {
        /// The address that the file names.
        named: String,
        /// That of the key in it.
        held: String,
    },
}

/// Why a key cannot be put under a password.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers, without which nothing is encrypted: {0}")]
    Random(rand::Error),
    /// The cipher refuses.
    #[error("the key cannot be encrypted on this machine")]
    Cipher,
}

impl Meta {
    /// For a key that is made or taken over now.
    pub fn now(name: &str) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            name: Some(name.into()),
            created: u64::try_from(since.as_millis()).ok(),
            genesis: None,
        }
    }
}

impl SealedKey {
    /// The longest text that is read. A wallet's is of 600 bytes.
    pub const MOST_BYTES: usize = 64 * 1024;

    /// Puts a key under a password. Takes 128 MiB and a good part of a second, and so does opening
    /// it.
    pub fn seal(key: &AccountKey, password: &Password, meta: Meta) -> Result<Self, SealError> {
        let (mut salt, mut nonce) = ([0; 32], [0; 24]);
        OsRng.try_fill_bytes(&mut salt).map_err(SealError::Random)?;
        OsRng.try_fill_bytes(&mut nonce).map_err(SealError::Random)?;
        Self::seal_with(key, password, meta, salt, Work::NEW, nonce)
    }

    pub(crate) fn seal_with(
        key: &AccountKey,
        password: &Password,
        meta: Meta,
        salt: [u8; 32],
        work: Work,
        nonce: [u8; 24],
    ) -> Result<Self, SealError> {
        let envelope =
            Envelope::seal(&plain_of(key), password, salt, work, nonce).ok_or(SealError::Cipher)?;
        Ok(Self { kind: key.kind(), account: key.public(), envelope, meta })
    }

    /// Reads what a wallet exported. What a wallet imports is what serde makes of this.
    pub fn from_json(text: &str) -> Result<Self, FormatError> {
        wallet_json::read(text)
    }

    /// The key, for whoever knows the password.
    pub fn open(&self, password: &Password) -> Result<AccountKey, OpenError> {
        let plain = self.envelope.open(password).ok_or(OpenError::Password)?;
        let (secret, public) = parts_of(&plain).ok_or(OpenError::NotAKey)?;
        let key = AccountKey::from_wallet_secret(self.kind, &secret).ok_or(OpenError::NotAKey)?;
        if key.public() != AccountId::new(public) {
            return Err(OpenError::NotAKey);
        }
        if key.public() != self.account {
            return Err(OpenError::OtherAccount { named: self.address(), held: key.address() });
        }
        Ok(key)
    }

    /// How the key signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The account, as the file says; [`SealedKey::open`] sees whether it is so.
    pub fn public(&self) -> &AccountId {
        &self.account
    }

    /// The account as people write it.
    pub fn address(&self) -> String {
        address_of(&self.account)
    }

    /// What the wallet keeps beside the key.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SealedKey({})", self.address())
    }
}

fn plain_of(key: &AccountKey) -> Zeroizing<Vec<u8>> {
    // Of its full size at once: a vector that grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(PLAIN_BYTES));
    plain.extend(HEADER);
    plain.extend_from_slice(&*key.to_wallet_secret());
    plain.extend(DIVIDER);
    plain.extend_from_slice(key.public().as_ref());
    plain
}

/// The secret and the public key.
fn parts_of(plain: &[u8]) -> Option<(Zeroizing<[u8; 64]>, [u8; 32])> {
    let rest = plain.strip_prefix(&HEADER)?;
    let (secret, rest) = rest.split_first_chunk()?;
    let public = rest.strip_prefix(&DIVIDER)?.try_into().ok()?;
    Some((Zeroizing::new(*secret), public))
}

#[cfg(test)]
mod tests;
