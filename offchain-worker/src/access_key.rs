//! The host keys of the node's SSH port: the one in use, and during a rotation the one beside it.

use crate::signer::next_to;
use quarry_access::PrivateKey;
use quarry_guest::{HostKey, HostKeyError};
use std::{fs, io, path::Path};

/// The key in the file; a new one where there is none.
pub fn read_or_make(file: &Path) -> Result<HostKey, HostKeyError> {
    if file.try_exists().unwrap_or(true) {
        return HostKey::read(file);
    }
    make(file)
}

/// A new key in a new file.
pub fn make(file: &Path) -> Result<HostKey, HostKeyError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .map_err(|error| HostKeyError::File { path: folder.to_owned(), error })?;
    let key = HostKey::generate();
    key.write_new(file)?;
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| HostKeyError::File { path: folder.to_owned(), error })?;
    Ok(key)
}

/// The keys at hand, the settings' own first. There is none beside it but during a rotation.
pub fn keys(file: &Path) -> Result<Vec<HostKey>, HostKeyError> {
    let mut keys = Vec::new();
    for path in [file.to_owned(), next_to(file)] {
        match HostKey::read(&path) {
            Ok(key) => keys.push(key),
            Err(HostKeyError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
    }
    Ok(keys)
}

/// As SSH's own code takes it, if it does.
pub fn for_ssh(key: &HostKey) -> Result<Option<PrivateKey>, HostKeyError> {
    Ok(PrivateKey::from_openssh(key.to_openssh()?.as_bytes()).ok())
}

/// Of the keys at hand the one that the chain names; else the settings' own.
pub fn named(keys: Vec<HostKey>, by_chain: Option<[u8; 32]>) -> Option<HostKey> {
    let at = keys.iter().position(|key| Some(key.public()) == by_chain);
    keys.into_iter().nth(at.unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/access.key");
        let made = read_or_make(&file).unwrap();
        assert_eq!(read_or_make(&file).unwrap().public(), made.public());
        fs::write(&file, "damaged").unwrap();
        assert!(read_or_make(&file).is_err(), "a damaged key is not replaced");
    }

    #[test]
    fn the_chain_names_the_key_that_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.key");
        assert!(named(keys(&file).unwrap(), None).is_none());
        let own = read_or_make(&file).unwrap().public();
        let next = read_or_make(&next_to(&file)).unwrap().public();
        let served = |named_by_chain| named(keys(&file).unwrap(), named_by_chain).unwrap().public();
        assert_eq!(served(Some(next)), next);
        assert_eq!(served(Some(own)), own);
        assert_eq!((served(None), served(Some([9; 32]))), (own, own));
    }
}
