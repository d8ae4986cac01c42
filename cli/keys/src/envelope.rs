//! What keeps a secret under a password: scrypt makes a key of the password, and NaCl's secretbox
//! seals with it.

use crate::password::Password;
use crypto_secretbox::{aead::Aead, Key, KeyInit, Nonce, XSalsa20Poly1305};
use zeroize::Zeroizing;

const MOST_MEMORY: u64 = 512 * 1024 * 1024;
const LEAST_LOG_N: u32 = 10;
/// Of `r` and of `p`.
const MOST_FACTOR: u32 = 32;

/// Sealed bytes with all that it takes to open them but the password.
#[derive(Clone)]
pub(crate) struct Envelope {
    pub salt: [u8; 32],
    pub work: Work,
    pub nonce: [u8; 24],
    pub content: Vec<u8>,
}

/// How hard scrypt works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Work {
    pub n: u32,
    pub p: u32,
    pub r: u32,
}

impl Work {
    /// That of polkadot.js: 128 MiB.
    pub const NEW: Self = Self { n: 1 << 17, p: 1, r: 8 };

    /// None where it is no work that a wallet asks for, or more than this machine should do for a
    /// file from anywhere.
    pub fn params(self) -> Option<scrypt::Params> {
        let Self { n, p, r } = self;
        let factor = 1..=MOST_FACTOR;
        let log_n = n.checked_ilog2().filter(|_| n.is_power_of_two())?;
        if log_n < LEAST_LOG_N || !factor.contains(&r) || !factor.contains(&p) {
            return None;
        }
        // The memory is that without p, the time is in proportion to this.
        let cost = 128 * u64::from(n) * u64::from(r) * u64::from(p);
        if cost > MOST_MEMORY {
            return None;
        }
        scrypt::Params::new(u8::try_from(log_n).ok()?, r, p).ok()
    }
}

impl Envelope {
    pub fn seal(
        plain: &[u8],
        password: &Password,
        salt: [u8; 32],
        work: Work,
        nonce: [u8; 24],
    ) -> Option<Self> {
        let cipher = cipher(password, &salt, work)?;
        let content = cipher.encrypt(&Nonce::from(nonce), plain).ok()?;
        Some(Self { salt, work, nonce, content })
    }

    /// None where the password is another.
    pub fn open(&self, password: &Password) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = cipher(password, &self.salt, self.work)?;
        cipher.decrypt(&Nonce::from(self.nonce), &*self.content).ok().map(Zeroizing::new)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let Work { n, p, r } = self.work;
        let mut bytes = self.salt.to_vec();
        for number in [n, p, r] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.nonce);
        bytes.extend(&self.content);
        bytes
    }

    /// None where there are too few bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk()?;
        let (n, rest) = rest.split_first_chunk()?;
        let (p, rest) = rest.split_first_chunk()?;
        let (r, rest) = rest.split_first_chunk()?;
        let (nonce, content) = rest.split_first_chunk()?;
        let [n, p, r] = [n, p, r].map(|number| u32::from_le_bytes(*number));
        let work = Work { n, p, r };
        Some(Self { salt: *salt, work, nonce: *nonce, content: content.to_vec() })
    }
}

fn cipher(password: &Password, salt: &[u8; 32], work: Work) -> Option<XSalsa20Poly1305> {
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(&password.bytes(), salt, &work.params()?, &mut *key).ok()?;
    Some(XSalsa20Poly1305::new(Key::from_slice(&*key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(n: u32, p: u32, r: u32) -> Option<scrypt::Params> {
        Work { n, p, r }.params()
    }

    #[test]
    fn every_work_that_polkadot_js_knows_is_done() {
        for (log_n, p) in [(13, 10), (14, 5), (15, 3), (15, 1), (16, 2), (17, 1)] {
            let params = work(1 << log_n, p, 8);
            assert!(params.is_some_and(|params| u32::from(params.log_n()) == log_n), "{log_n} {p}");
        }
    }

    #[test]
    fn work_that_takes_too_much_or_is_no_work_is_refused() {
        assert!(work(1 << 19, 1, 8).is_some(), "512 MiB");
        for (n, p, r) in [
            (1 << 20, 1, 8),
            (1 << 19, 2, 8),
            (1 << 19, 1, 9),
            (1 << 31, 1, 1),
            (u32::MAX, u32::MAX, u32::MAX),
            (1 << 17, 1, 0),
            (1 << 17, 0, 8),
            (1 << 10, 33, 1),
            (1 << 10, 1, 33),
            (1 << 9, 1, 8),
            (0, 1, 8),
            (1, 1, 8),
            ((1 << 17) + 1, 1, 8),
        ] {
            assert!(work(n, p, r).is_none(), "N {n}, p {p}, r {r}");
        }
    }
}
