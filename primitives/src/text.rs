//! Texts of a bounded length, as they stand in storage, calls and JSON.

use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
use sp_core::ConstU32;
use sp_runtime::BoundedVec;

/// Up to `MAX` bytes that people read. Whoever takes one from outside asks [`is_text`](Self::is_text)
/// first: a text decodes from any bytes, so that what is wrong with it can be named.
#[derive(
    Clone,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    TypeInfo,
)]
pub struct Text<const MAX: u32>(BoundedVec<u8, ConstU32<MAX>>);

/// The text has more bytes than there is room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TextTooLong;

impl<const MAX: u32> Text<MAX> {
    /// The text, where its bytes are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// Whether it is UTF-8, possibly empty, with nothing in it that moves a terminal's cursor.
    pub fn is_clean(&self) -> bool {
        self.as_str().is_some_and(|text| !text.chars().any(char::is_control))
    }

    /// Whether it is clean and not empty.
    pub fn is_text(&self) -> bool {
        !self.0.is_empty() && self.is_clean()
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: u32> TryFrom<&str> for Text<MAX> {
    type Error = TextTooLong;

    fn try_from(text: &str) -> Result<Self, TextTooLong> {
        Self::try_from(text.as_bytes().to_vec())
    }
}

impl<const MAX: u32> TryFrom<Vec<u8>> for Text<MAX> {
    type Error = TextTooLong;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TextTooLong> {
        BoundedVec::try_from(bytes).map(Self).map_err(|_| TextTooLong)
    }
}

impl<const MAX: u32> fmt::Display for Text<MAX> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl<const MAX: u32> fmt::Debug for Text<MAX> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl<const MAX: u32> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(&self.0))
    }
}

impl<'de, const MAX: u32> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text.as_str())
            .map_err(|_| D::Error::custom(alloc::format!("a text of more than {MAX} bytes")))
    }
}

/// Numbers that JSON's own do not hold, as decimal strings. A plain number is read as well.
pub mod decimal {
    use super::*;

    /// Writes the number as a string.
    pub fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    /// Reads a string of digits, or a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Small(u64),
            Text(String),
        }
        match Number::deserialize(deserializer)? {
            Number::Small(number) => Ok(number.into()),
            Number::Text(text) => text.parse().map_err(|_| {
                D::Error::custom("not a number of digits below 2 to the power of 128")
            }),
        }
    }
}

/// A balance that JSON has as a string wherever it stands.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    TypeInfo,
)]
#[serde(transparent)]
pub struct Amount(#[serde(with = "decimal")] pub crate::Balance);

/// 32 bytes as hexadecimal digits with `0x` before them.
pub mod hex32 {
    use super::*;

    /// Writes 64 digits.
    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        sp_core::bytes::serialize(bytes, serializer)
    }

    /// Reads 64 digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let mut bytes = [0; 32];
        sp_core::bytes::deserialize_check_len(
            deserializer,
            sp_core::bytes::ExpectedLen::Exact(&mut bytes),
        )?;
        Ok(bytes)
    }
}

/// As [`hex32`], where there may be none.
pub mod hex32_option {
    use super::*;

    /// Writes 64 digits, or nothing.
    pub fn serialize<S: Serializer>(
        bytes: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => hex32::serialize(bytes, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads 64 digits, or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "hex32")] [u8; 32]);
        Option::<Wrapped>::deserialize(deserializer).map(|bytes| bytes.map(|Wrapped(b)| b))
    }
}
