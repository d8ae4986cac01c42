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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Balance;
    use alloc::string::ToString;
    use serde_json::{from_value, json, to_value};

    type Short = Text<4>;

    #[test]
    fn a_text_is_a_string_in_json_and_comes_back() {
        let text = Short::try_from("åä").unwrap();
        assert_eq!(to_value(&text).unwrap(), json!("åä"));
        assert_eq!(from_value::<Short>(json!("åä")).unwrap(), text);
        assert_eq!(text.to_string(), "åä");
    }

    #[test]
    fn a_text_has_as_many_bytes_as_it_has_room_for_and_no_more() {
        assert!(Short::try_from("abcd").is_ok());
        assert_eq!(Short::try_from("abcde"), Err(TextTooLong));
        assert_eq!(Short::try_from("åäö"), Err(TextTooLong));
        let error = from_value::<Short>(json!("abcde")).unwrap_err();
        assert!(error.to_string().contains("more than 4 bytes"), "{error}");
        assert!(Short::decode(&mut &b"abcde".to_vec().encode()[..]).is_err());
    }

    #[test]
    fn a_text_that_is_no_utf_8_decodes_but_is_not_clean() {
        let text = Short::decode(&mut &b"\xff\xfe".to_vec().encode()[..]).unwrap();
        assert_eq!(text.as_str(), None);
        assert!(!text.is_clean() && !text.is_text());
        assert_eq!(to_value(&text).unwrap(), json!("\u{fffd}\u{fffd}"));
    }

    #[test]
    fn a_text_that_moves_the_cursor_is_not_clean() {
        for text in ["\n", "\u{1b}[2J", "a\tb", "\u{0}", "\u{7f}", "\u{9b}"] {
            assert!(!Short::try_from(text).unwrap().is_clean(), "{text:?}");
        }
    }

    #[test]
    fn an_empty_text_is_clean_and_no_text() {
        let empty = Short::default();
        assert!(empty.is_clean() && !empty.is_text());
    }

    #[test]
    fn only_a_string_is_a_text() {
        for value in [json!(1), json!(null), json!(["a"]), json!({ "a": 1 })] {
            assert!(from_value::<Short>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn an_amount_is_a_string_of_digits_however_large() {
        for amount in [0, 1, u64::MAX.into(), Balance::MAX] {
            let value = to_value(Amount(amount)).unwrap();
            assert_eq!(value, json!(amount.to_string()));
            assert_eq!(from_value::<Amount>(value).unwrap(), Amount(amount));
        }
    }

    #[test]
    fn an_amount_is_read_from_a_plain_number_too() {
        assert_eq!(from_value::<Amount>(json!(u64::MAX)).unwrap(), Amount(u64::MAX.into()));
        assert_eq!(serde_json::from_str::<Amount>("7").unwrap(), Amount(7));
    }

    #[test]
    fn what_no_balance_holds_is_no_amount() {
        let beyond = "340282366920938463463374607431768211456";
        for value in [
            json!(beyond),
            json!(""),
            json!("-1"),
            json!("1.5"),
            json!("0x10"),
            json!("1 "),
            json!(-1),
            json!(1.5),
            json!(null),
            json!(true),
        ] {
            assert!(from_value::<Amount>(value.clone()).is_err(), "{value}");
        }
    }

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Keys {
        #[serde(with = "hex32")]
        one: [u8; 32],
        #[serde(with = "hex32_option")]
        perhaps: Option<[u8; 32]>,
    }

    #[test]
    fn keys_are_hexadecimal_in_json_and_come_back() {
        let seven = "0x0707070707070707070707070707070707070707070707070707070707070707";
        for (keys, value) in [
            (Keys { one: [7; 32], perhaps: None }, json!({ "one": seven, "perhaps": null })),
            (
                Keys { one: [7; 32], perhaps: Some([7; 32]) },
                json!({ "one": seven, "perhaps": seven }),
            ),
        ] {
            assert_eq!(to_value(&keys).unwrap(), value);
            assert_eq!(from_value::<Keys>(value).unwrap(), keys);
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let digits = |count| alloc::format!("0x{}", "07".repeat(count));
        for wrong in [digits(31), digits(33), digits(0), "0xzz".to_string()] {
            let value = json!({ "one": wrong, "perhaps": null });
            assert!(from_value::<Keys>(value).is_err(), "{wrong}");
            let value = json!({ "one": digits(32), "perhaps": wrong });
            assert!(from_value::<Keys>(value).is_err(), "{wrong}");
        }
    }
}
