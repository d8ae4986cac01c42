//! The file that polkadot.js and the wallets built on it export an account to: JSON of the third
//! version.

use crate::{
    account::KeyKind,
    envelope::{Envelope, Work},
    sealed::{Meta, SealedKey, PLAIN_BYTES},
};
use data_encoding::BASE64;
use quarry_client::address_of;
use quarry_primitives::{AccountId, Hash};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use sp_core::crypto::Ss58Codec;

const VERSION: &str = "3";
const CONTENT: &str = "pkcs8";
/// As polkadot.js's extension marks a file with all of its accounts.
const SEVERAL: &str = "batch-pkcs8";
const SEALED_WITH: [&str; 2] = ["scrypt", "xsalsa20-poly1305"];
const SEALED_BYTES: usize = 32 + 3 * 4 + 24 + 16 + PLAIN_BYTES;
/// Of a word of the file, in an error.
const SHOWN: usize = 64;

/// Why a text is no sealed key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// It is no such JSON.
    #[error("this is not the JSON of an account: export the account from the wallet to a file, and give that file")]
    NotAnAccount,
    /// It is too long.
    #[error("this is far longer than the JSON of an account: export one account to a file, and give that file")]
    TooLong,
    /// It is of another version.
    #[error("the account's JSON is of version {0:?}, and only {VERSION:?} is known: open it in a wallet of today and export it again")]
    Version(String),
    /// It has all accounts of a wallet.
    #[error("the file holds several accounts under one password: export the one that is wanted")]
    Several,
    /// Its content is something else.
    #[error("the account's JSON holds {0:?} and no key: export the account from the wallet again")]
    Content(String),
    /// No account of this chain has such a key.
    #[error("the key is of the kind {0:?}, which is for other chains: take an account of the kind sr25519 or ed25519")]
    Kind(String),
    /// Anyone can read it.
    #[error("the key is not encrypted: export the account again, with a password")]
    NotEncrypted,
    /// It is encrypted in a way that is unknown here.
    #[error("the key is encrypted with {0:?}, which is unknown: open it in a wallet of today and export it again")]
    Encryption(String),
    /// What is encrypted is no base64.
    #[error("the encrypted part is not in base64: the file is damaged; export the account again")]
    Base64,
    /// What is encrypted has not the length of a key.
    #[error("the encrypted part has {0} bytes instead of {SEALED_BYTES}: the file is damaged; export the account again")]
    Length(usize),
    /// It wants too much memory or time, or nearly none.
    #[error("scrypt is to run with N {n}, p {p} and r {r}, which no wallet asks for: export the account again")]
    Work {
        /// Steps.
        n: u32,
        /// Repetitions.
        p: u32,
        /// Blocks.
        r: u32,
    },
    /// The address is none.
    #[error("the address {0:?} is none: the file is damaged; export the account again")]
    Address(String),
}

#[derive(Deserialize)]
struct Read {
    encoded: String,
    encoding: ReadEncoding,
    #[serde(default)]
    address: String,
    #[serde(default)]
    meta: Map<String, Value>,
}

#[derive(Deserialize)]
struct ReadEncoding {
    content: Words,
    r#type: Words,
    version: String,
}

/// Older versions have one word where there are several now.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

// In the order in which polkadot.js writes it.
#[derive(Serialize)]
struct Written<'a> {
    encoded: String,
    encoding: WrittenEncoding,
    address: String,
    meta: WrittenMeta<'a>,
}

#[derive(Serialize)]
struct WrittenEncoding {
    content: [&'static str; 2],
    r#type: [&'static str; 2],
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMeta<'a> {
    genesis_hash: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_created: Option<u64>,
}

impl Serialize for SealedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            encoded: BASE64.encode(&self.envelope.to_bytes()),
            encoding: WrittenEncoding {
                content: [CONTENT, self.kind.name()],
                r#type: SEALED_WITH,
                version: VERSION,
            },
            address: address_of(&self.account),
            meta: WrittenMeta {
                genesis_hash: self.meta.genesis,
                name: self.meta.name.as_deref(),
                when_created: self.meta.created,
            },
        };
        written.serialize(serializer)
    }
}

pub(crate) fn read(text: &str) -> Result<SealedKey, FormatError> {
    if text.len() > SealedKey::MOST_BYTES {
        return Err(FormatError::TooLong);
    }
    // What serde says of it could quote a secret, if this is quite another file.
    let read: Read = serde_json::from_str(text).map_err(|_| FormatError::NotAnAccount)?;
    if read.encoding.version != VERSION {
        return Err(FormatError::Version(shown(&read.encoding.version)));
    }
    let kind = kind_of(read.encoding.content.as_slice())?;
    check_encryption(read.encoding.r#type.as_slice())?;
    let sealed = BASE64.decode(read.encoded.as_bytes()).map_err(|_| FormatError::Base64)?;
    let envelope = Envelope::from_bytes(&sealed)
        .filter(|_| sealed.len() == SEALED_BYTES)
        .ok_or(FormatError::Length(sealed.len()))?;
    let Work { n, p, r } = envelope.work;
    envelope.work.params().ok_or(FormatError::Work { n, p, r })?;
    // Whatever chain the wallet wrote the address for.
    let (account, _) = AccountId::from_ss58check_with_version(&read.address)
        .map_err(|_| FormatError::Address(shown(&read.address)))?;
    Ok(SealedKey { kind, account, envelope, meta: meta_of(&read.meta) })
}

fn kind_of(content: &[String]) -> Result<KeyKind, FormatError> {
    let words: Vec<&str> = content.iter().map(String::as_str).collect();
    match *words {
        [CONTENT, "sr25519"] => Ok(KeyKind::Sr25519),
        [CONTENT, "ed25519"] => Ok(KeyKind::Ed25519),
        [CONTENT, other] => Err(FormatError::Kind(shown(other))),
        [SEVERAL, ..] => Err(FormatError::Several),
        _ => Err(FormatError::Content(shown(&words.join(" ")))),
    }
}

fn check_encryption(words: &[String]) -> Result<(), FormatError> {
    if words == SEALED_WITH {
        Ok(())
    } else if words == ["none"] {
        Err(FormatError::NotEncrypted)
    } else {
        Err(FormatError::Encryption(shown(&words.join(" "))))
    }
}

/// It is there for people, so that nothing of it stands in a key's way.
fn meta_of(meta: &Map<String, Value>) -> Meta {
    let text = |field| meta.get(field).and_then(Value::as_str);
    Meta {
        name: text("name").map(Into::into),
        created: meta.get("whenCreated").and_then(Value::as_u64),
        genesis: text("genesisHash").and_then(|digits| digits.parse().ok()),
    }
}

fn shown(word: &str) -> String {
    word.chars().take(SHOWN).collect()
}

impl Words {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}
