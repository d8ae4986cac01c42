//! Passwords of sealed keys.

use data_encoding::HEXLOWER_PERMISSIVE;
use std::fmt;
use zeroize::Zeroizing;

/// A password that there is. Never shown, and wiped from memory in the end.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// There is no password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the password is empty, and a key is never kept without one: choose a password")]
pub struct EmptyPassword;

impl Password {
    /// Takes any text that is not empty.
    pub fn new(text: Zeroizing<String>) -> Result<Self, EmptyPassword> {
        let password = Self(text);
        if password.bytes().is_empty() {
            return Err(EmptyPassword);
        }
        Ok(password)
    }

    /// What the key is made of. As polkadot.js does it, a password of `0x` and digits in pairs
    /// stands for their bytes.
    pub(crate) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let decoded = self
            .0
            .strip_prefix("0x")
            .and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok());
        Zeroizing::new(decoded.unwrap_or_else(|| self.0.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password, EmptyPassword> {
        Password::new(Zeroizing::new(text.into()))
    }

    #[test]
    fn an_empty_one_is_refused() {
        assert_eq!(password("").err(), Some(EmptyPassword));
        // No bytes, to polkadot.js.
        assert_eq!(password("0x").err(), Some(EmptyPassword));
    }

    #[test]
    fn pairs_of_hexadecimal_digits_stand_for_bytes_and_other_text_for_itself() {
        for (text, bytes) in [
            ("0x00fFa1", &[0, 0xff, 0xa1][..]),
            ("0x00f", b"0x00f"),
            ("0x00fg", b"0x00fg"),
            ("0X00", b"0X00"),
            ("00ff", b"00ff"),
            (" pass word ", b" pass word "),
            ("påss", "påss".as_bytes()),
        ] {
            assert_eq!(*password(text).unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", password("hunter2").unwrap()), "Password");
    }
}
