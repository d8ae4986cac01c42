//! The key that a worker signs with.

use crate::Config;
#[cfg(unix)]
use crate::{key_file, key_file::KeyFileError};
use quarry_primitives::{
    node::{proof_payload, NodeId},
    AccountId, Hash, Signature, SS58_PREFIX,
};
use sp_core::{
    crypto::{SecretStringError, Ss58AddressFormat, Ss58Codec},
    sr25519, Pair,
};
use std::fmt;
#[cfg(unix)]
use std::path::Path;
use subxt::utils::{AccountId32, MultiSignature};
use zeroize::Zeroizing;

/// Why a text is no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// It is empty.
    #[error(
        "there is no key: write the words of a secret phrase, or 0x and 64 hexadecimal digits"
    )]
    Empty,
    /// A word of the phrase is not of the list, or they do not fit together.
    #[error("the secret phrase is wrong: a word is misspelt, missing or in another place")]
    Phrase,
    /// The seed is not 32 bytes of hexadecimal digits.
    #[error("the seed is wrong: it is 0x and 64 hexadecimal digits")]
    Seed,
    /// Anyone has this key.
    #[error("this is a well-known development key, which anyone can use: make one of your own")]
    Development,
    /// The part after the phrase is wrong.
    #[error("the path after the secret phrase is wrong: it is made of /soft and //hard parts")]
    Path,
}

/// An sr25519 key. Shows nothing of itself but its address, and is wiped from memory in the end.
#[derive(Clone)]
pub struct WorkerKey {
    pair: sr25519::Pair,
}

impl WorkerKey {
    #[cfg(unix)]
    /// Reads the key from a file that must be the caller's own and readable by nobody else. It holds
    /// the words of a secret phrase, or a seed as `0x` and 64 digits; lines that begin with `#` are left out.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = key_file::read(path)?;
        Self::from_secret(&text).map_err(|error| KeyFileError::Key { path: path.into(), error })
    }

    #[cfg(unix)]
    /// Makes a new key and a new file that only the caller can read. An existing file is never touched.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let (pair, phrase, _) = sr25519::Pair::generate_with_phrase(None);
        key_file::create(path, &Zeroizing::new(phrase))?;
        Ok(Self { pair })
    }

    /// The key of a secret phrase or a seed. Development keys are refused.
    pub fn from_secret(text: &str) -> Result<Self, KeyError> {
        let secret = secret_in(text);
        if secret.starts_with('/') {
            return Err(KeyError::Development);
        }
        Self::from_uri(&secret)
    }

    /// The key of any secret URI, as the development key `//Alice`. For tests and tools; a worker's own
    /// key comes from a file.
    pub fn from_uri(uri: &str) -> Result<Self, KeyError> {
        Ok(Self { pair: pair_of(uri)? })
    }

    /// The account.
    pub fn public(&self) -> AccountId {
        AccountId::new(self.pair.public().0)
    }

    /// The account as people write it.
    pub fn address(&self) -> String {
        address_of(&self.public())
    }

    /// Signs that this worker works on that node for that miner, on the chain with that genesis.
    pub fn sign_proof(&self, genesis: &Hash, node_id: &NodeId, miner: &AccountId) -> Signature {
        Signature::Sr25519(self.pair.sign(&proof_payload(genesis, node_id, miner)))
    }
}

/// The sr25519 pair of any secret URI: a phrase or a seed, with or without a path.
pub fn pair_of(uri: &str) -> Result<sr25519::Pair, KeyError> {
    if uri.is_empty() {
        return Err(KeyError::Empty);
    }
    sr25519::Pair::from_string(uri, None).map_err(|error| match error {
        SecretStringError::InvalidPath | SecretStringError::InvalidFormat(_) => KeyError::Path,
        _ if uri.starts_with("0x") => KeyError::Seed,
        _ => KeyError::Phrase,
    })
}

/// An account as people write it.
pub fn address_of(account: &AccountId) -> String {
    account.to_ss58check_with_version(Ss58AddressFormat::custom(SS58_PREFIX.into()))
}

/// The text without comments, its words one space apart.
fn secret_in(text: &str) -> Zeroizing<String> {
    let mut secret = Zeroizing::new(String::with_capacity(text.len()));
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    for word in lines.flat_map(str::split_whitespace) {
        if !secret.is_empty() {
            secret.push(' ');
        }
        secret.push_str(word);
    }
    secret
}

impl fmt::Debug for WorkerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WorkerKey({})", self.address())
    }
}

impl subxt::tx::Signer<Config> for WorkerKey {
    fn account_id(&self) -> AccountId32 {
        AccountId32(self.pair.public().0)
    }

    fn sign(&self, payload: &[u8]) -> MultiSignature {
        MultiSignature::Sr25519(self.pair.sign(payload).0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sp_runtime::traits::Verify;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    const PHRASE: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";
    const SEED: &str = "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e";

    #[test]
    fn a_development_key_has_its_known_address() {
        assert_eq!(WorkerKey::from_uri("//Alice").unwrap().address(), ALICE);
    }

    #[test]
    fn a_phrase_and_its_seed_are_the_same_key() {
        let phrase = WorkerKey::from_secret(PHRASE).unwrap();
        assert_eq!(phrase.public(), WorkerKey::from_secret(SEED).unwrap().public());
    }

    #[test]
    fn comments_and_line_ends_are_left_out() {
        let text = format!("# the worker's key\n\n  {}\n# end\n", PHRASE.replace(' ', "\n"));
        let plain = WorkerKey::from_secret(PHRASE).unwrap();
        assert_eq!(WorkerKey::from_secret(&text).unwrap().public(), plain.public());
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let refused = |text: &str| WorkerKey::from_secret(text).err();
        assert_eq!(refused(""), Some(KeyError::Empty));
        assert_eq!(refused("# only a comment\n"), Some(KeyError::Empty));
        assert_eq!(refused("bottom drive obey"), Some(KeyError::Phrase));
        assert_eq!(refused(&PHRASE.replace("lake", "lakes")), Some(KeyError::Phrase));
        assert_eq!(refused(&PHRASE.replace("fit walk", "walk fit")), Some(KeyError::Phrase));
        assert_eq!(refused("0x00"), Some(KeyError::Seed));
        assert_eq!(refused(&SEED.replace("fac7", "zzzz")), Some(KeyError::Seed));
        assert_eq!(refused("//Alice"), Some(KeyError::Development));
    }

    #[test]
    fn nothing_of_the_secret_is_shown() {
        let shown = format!("{:?}", WorkerKey::from_secret(PHRASE).unwrap());
        assert!(PHRASE.split(' ').all(|word| !shown.contains(word)), "{shown}");
    }

    #[test]
    fn a_proof_holds_for_its_chain_its_node_and_its_miner_only() {
        let key = WorkerKey::from_uri("//Alice").unwrap();
        let miner = WorkerKey::from_uri("//Bob").unwrap().public();
        let (genesis, other) = (Hash::repeat_byte(1), Hash::repeat_byte(2));
        let node: NodeId = "alpha".try_into().unwrap();
        let proof = key.sign_proof(&genesis, &node, &miner);
        let holds = |genesis, node: &str, miner: &AccountId| {
            let payload = proof_payload(genesis, &node.try_into().unwrap(), miner);
            proof.verify(&*payload, &key.public())
        };
        assert!(holds(&genesis, "alpha", &miner));
        assert!(!holds(&other, "alpha", &miner));
        assert!(!holds(&genesis, "beta", &miner));
        assert!(!holds(&genesis, "alpha", &key.public()));
    }
}
