//! Names of kept keys.

use std::{fmt, str::FromStr};

const MOST_CHARACTERS: usize = 32;

/// The name of a kept key: letters `a` to `z`, digits, `_` and `-`, of which the first is a letter
/// or a digit.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyName(String);

/// A text is no key's name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} cannot name a key: take 1 to 32 of a-z, 0-9, - and _, beginning with a letter or a digit"
)]
pub struct NameError(pub String);

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = text.len() <= MOST_CHARACTERS
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
        if good {
            Ok(Self(text.into()))
        } else {
            Err(NameError(text.chars().take(2 * MOST_CHARACTERS).collect()))
        }
    }
}

impl AsRef<str> for KeyName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_taken() {
        for name in ["a", "7", "main", "my-key_2", &"x".repeat(32)] {
            assert_eq!(name.parse(), Ok(KeyName(name.into())));
        }
    }

    #[test]
    fn what_could_lead_elsewhere_or_be_confused_is_refused() {
        let long = "x".repeat(33);
        for name in
            ["", "-a", "_a", ".a", "a.json", "a/b", "..", "A", "é", "a b", "a\n", "a\0", &long]
        {
            assert_eq!(name.parse::<KeyName>(), Err(NameError(name.into())));
        }
    }
}
