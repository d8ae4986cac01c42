//! The key of an account.

use quarry_client::{address_of, pair_of, Config, KeyError};
use quarry_primitives::{AccountId, Signature};
use sp_core::{crypto::DEV_PHRASE, ed25519, sr25519, Pair};
use std::fmt;
use subxt::utils::{AccountId32, MultiSignature};
use zeroize::Zeroizing;

/// How wallets write a secret: 32 bytes of the key itself, then 32 that depend on its kind.
pub(crate) type WalletSecret = Zeroizing<[u8; 64]>;

/// How a key signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// What new keys are.
    Sr25519,
    /// Taken from wallets that have them.
    Ed25519,
}

impl KeyKind {
    /// Its name in wallets' files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sr25519 => "sr25519",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A key that signs for its account. Shows nothing of itself but the address, and is wiped from
/// memory in the end.
#[derive(Clone)]
pub struct AccountKey {
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Sr25519(sr25519::Pair),
    // sp-core's pair of this kind is not wiped, so there is one only while it signs.
    Ed25519 { seed: Zeroizing<[u8; 32]>, public: ed25519::Public },
}

impl AccountKey {
    /// A new sr25519 key, and the twelve words to write down: nothing else brings it back.
    pub fn generate() -> (Self, Zeroizing<String>) {
        let (pair, phrase, seed) = sr25519::Pair::generate_with_phrase(None);
        drop(Zeroizing::new(seed));
        (Self { secret: Secret::Sr25519(pair) }, Zeroizing::new(phrase))
    }

    /// The sr25519 key of a secret phrase or a seed, with or without a path. Development keys are
    /// refused.
    pub fn from_secret(text: &str) -> Result<Self, KeyError> {
        let secret = words_of(text);
        if secret.starts_with('/') || secret.starts_with(DEV_PHRASE) {
            return Err(KeyError::Development);
        }
        Self::from_uri(&secret)
    }

    /// The sr25519 key of any secret URI, as the development key `//Alice`.
    pub fn from_uri(uri: &str) -> Result<Self, KeyError> {
        Ok(Self { secret: Secret::Sr25519(pair_of(uri)?) })
    }

    /// How it signs.
    pub fn kind(&self) -> KeyKind {
        match self.secret {
            Secret::Sr25519(_) => KeyKind::Sr25519,
            Secret::Ed25519 { .. } => KeyKind::Ed25519,
        }
    }

    /// The public key, which is the account.
    pub fn public(&self) -> AccountId {
        AccountId::new(match &self.secret {
            Secret::Sr25519(pair) => pair.public().0,
            Secret::Ed25519 { public, .. } => public.0,
        })
    }

    /// The account as people write it.
    pub fn address(&self) -> String {
        address_of(&self.public())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        match &self.secret {
            Secret::Sr25519(pair) => Signature::Sr25519(pair.sign(message)),
            Secret::Ed25519 { seed, .. } => {
                Signature::Ed25519(ed25519::Pair::from_seed(seed).sign(message))
            }
        }
    }

    pub(crate) fn to_wallet_secret(&self) -> WalletSecret {
        Zeroizing::new(match &self.secret {
            // Wallets write the scalar times the cofactor, as ed25519 has it.
            Secret::Sr25519(pair) => {
                schnorrkel::Keypair::from(pair.clone()).secret.to_ed25519_bytes()
            }
            Secret::Ed25519 { seed, public } => {
                let mut bytes = [0; 64];
                let (first, second) = bytes.split_at_mut(32);
                first.copy_from_slice(&**seed);
                second.copy_from_slice(&public.0);
                bytes
            }
        })
    }

    /// None where the bytes are no key of that kind.
    pub(crate) fn from_wallet_secret(kind: KeyKind, bytes: &[u8; 64]) -> Option<Self> {
        let secret = match kind {
            KeyKind::Sr25519 => {
                Secret::Sr25519(schnorrkel::SecretKey::from_ed25519_bytes(bytes).ok()?.into())
            }
            KeyKind::Ed25519 => {
                let seed = Zeroizing::new(*bytes.first_chunk()?);
                let public = ed25519::Pair::from_seed(&seed).public();
                Secret::Ed25519 { seed, public }
            }
        };
        let key = Self { secret };
        // Of ed25519 the second half is the public key; of sr25519 anything will do.
        let fits = kind == KeyKind::Sr25519 || *key.to_wallet_secret() == *bytes;
        fits.then_some(key)
    }
}

/// The words one space apart, however they were pasted.
fn words_of(text: &str) -> Zeroizing<String> {
    let mut words = Zeroizing::new(String::with_capacity(text.len()));
    for word in text.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "AccountKey({})", self.address())
    }
}

impl subxt::tx::Signer<Config> for AccountKey {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.public().into())
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        match &self.secret {
            Secret::Sr25519(pair) => MultiSignature::Sr25519(pair.sign(payload).0),
            Secret::Ed25519 { seed, .. } => {
                MultiSignature::Ed25519(ed25519::Pair::from_seed(seed).sign(payload).0)
            }
        }
    }
}

#[cfg(test)]
mod tests;
