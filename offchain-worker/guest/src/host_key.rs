use ssh_key::{
    private::{Ed25519Keypair, KeypairData},
    LineEnding, PrivateKey,
};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// A key file of Ed25519 has some 400 bytes.
const MAX_FILE: u64 = 4096;

/// A guest's Ed25519 SSH host key.
#[derive(Clone)]
pub struct HostKey(Ed25519Keypair);

/// Why a host key is not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// It is no private key as OpenSSH writes it, or damaged.
    #[error("not an OpenSSH private key: {0}")]
    Malformed(#[from] ssh_key::Error),
    /// It is a key of another kind, or one with a passphrase.
    #[error("the key is no Ed25519 key, or has a passphrase")]
    WrongKind,
    /// The file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
}

impl HostKey {
    /// A new key.
    pub fn generate() -> Self {
        Self(Ed25519Keypair::random(&mut rand::rngs::OsRng))
    }

    /// Reads a private key as OpenSSH writes it.
    pub fn from_openssh(text: &str) -> Result<Self, HostKeyError> {
        match PrivateKey::from_openssh(text)?.key_data() {
            KeypairData::Ed25519(pair) => Ok(Self(pair.clone())),
            _ => Err(HostKeyError::WrongKind),
        }
    }

    /// The private key as OpenSSH writes it.
    pub fn to_openssh(&self) -> Result<Zeroizing<String>, HostKeyError> {
        Ok(self.private_key()?.to_openssh(LineEnding::LF)?)
    }

    /// The public key's bytes, as the chain has them.
    pub fn public(&self) -> [u8; 32] {
        self.0.public.0
    }

    /// The public key as OpenSSH writes it.
    pub fn public_line(&self) -> Result<String, HostKeyError> {
        Ok(self.private_key()?.public_key().to_openssh()?)
    }

    /// Writes it to a new file that nobody else may read. A file that is there already is left as it is,
    /// which is an error. What is in it is safe from a loss of power when this returns, its name only once
    /// its folder was synced.
    pub fn write_new(&self, path: &Path) -> Result<(), HostKeyError> {
        let text = self.to_openssh()?;
        write_new(path, text.as_bytes())
            .map_err(|error| HostKeyError::File { path: path.into(), error })
    }

    /// Reads it from a file.
    pub fn read(path: &Path) -> Result<Self, HostKeyError> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
        File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(|error| HostKeyError::File { path: path.into(), error })?;
        Self::from_openssh(&text)
    }

    fn private_key(&self) -> Result<PrivateKey, HostKeyError> {
        Ok(PrivateKey::new(KeypairData::Ed25519(self.0.clone()), "")?)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("HostKey").field(&self.0.public).finish()
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text).and_then(|()| file.sync_all()).inspect_err(|_| {
        // Half a key would keep a whole one from its place.
        fs::remove_file(path).ok();
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_the_same_after_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host-key");
        let key = HostKey::generate();
        key.write_new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let read = HostKey::read(&path).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(*read.to_openssh().unwrap(), *key.to_openssh().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_keys_differ() {
        assert_ne!(HostKey::generate().public(), HostKey::generate().public());
    }

    #[test]
    fn a_key_file_that_is_there_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host-key");
        let first = HostKey::generate();
        first.write_new(&path).unwrap();
        assert!(matches!(HostKey::generate().write_new(&path), Err(HostKeyError::File { .. })));
        assert_eq!(HostKey::read(&path).unwrap().public(), first.public());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host-key");
        assert!(matches!(HostKey::read(&path), Err(HostKeyError::File { .. })));
        let whole = HostKey::generate().to_openssh().unwrap();
        for text in ["", "no key", &whole[..whole.len() / 2]] {
            fs::write(&path, text).unwrap();
            assert!(matches!(HostKey::read(&path), Err(HostKeyError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn the_private_key_does_not_show_in_logs() {
        let key = HostKey::generate();
        let secret = key.0.private.to_bytes();
        let shown = format!("{key:?}");
        assert!(!shown.contains(&format!("{:?}", &secret[..4]).replace(['[', ']'], "")));
        assert!(shown.len() < 200, "{shown}");
    }

    #[test]
    fn ssh_keygen_reads_the_key_and_sees_the_same_public_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host-key");
        let key = HostKey::generate();
        key.write_new(&path).unwrap();
        let seen = std::process::Command::new("ssh-keygen").arg("-yf").arg(&path).output().unwrap();
        assert!(seen.status.success(), "{seen:?}");
        let seen = String::from_utf8(seen.stdout).unwrap();
        assert_eq!(seen.trim(), key.public_line().unwrap().trim());
        let kinds: Vec<_> = seen.split(' ').collect();
        assert_eq!(kinds[0], "ssh-ed25519");
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ecdsa");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ecdsa", "-N", "", "-f"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        assert!(HostKey::read(&path).is_err());
    }
}
