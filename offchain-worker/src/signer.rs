//! Who signs for the worker: of the keys at hand, the one that the chain names.
//!
//! During a rotation there are two: the key file, and the one beside it whose name ends in `.next`.

use quarry_client::{Chain, KeyFileError, Reports, ReportsHandle, WorkerKey};
use quarry_primitives::{AccountId, BlockNumber, NodeId};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Where the key lies that takes the place of the one in `file`.
pub fn next_to(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".next");
    path.into()
}

/// The keys at hand, the settings' own first. A file that is not there is none; one that cannot be used
/// is an error, and so is that there are none at all.
pub fn keys(file: &Path) -> Result<Vec<WorkerKey>, KeyFileError> {
    let mut keys = Vec::new();
    let mut missing = None;
    for path in [file.to_owned(), next_to(file)] {
        match WorkerKey::read(&path) {
            Ok(key) => keys.push(key),
            Err(error @ KeyFileError::NotFound(_)) => missing = missing.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if keys.is_empty() => Err(error),
        _ => Ok(keys),
    }
}

/// A key's account, and where its reports go.
#[derive(Clone)]
pub struct Signing {
    /// The account.
    pub account: AccountId,
    /// The account as people write it.
    pub address: String,
    /// Takes what is to be signed by it.
    pub reports: ReportsHandle,
}

/// Signs with the key that the chain names, as far as it is at hand.
pub struct Signer {
    chain: Chain,
    node_id: NodeId,
    file: PathBuf,
    seen: BlockNumber,
    now: watch::Sender<Signing>,
}

impl Signer {
    /// Begins with the first key at hand, within an async runtime. `seen` is the last block that the worker's former
    /// run saw.
    pub fn start(
        chain: Chain,
        node_id: NodeId,
        file: &Path,
        seen: BlockNumber,
    ) -> Result<Self, KeyFileError> {
        let key = match keys(file)?.into_iter().next() {
            Some(key) => key,
            None => return Err(KeyFileError::NotFound(file.to_owned())),
        };
        let now = watch::Sender::new(signing(&chain, key, &node_id, seen));
        Ok(Self { chain, node_id, file: file.to_owned(), seen, now })
    }

    /// Who signs now.
    pub fn now(&self) -> Signing {
        self.now.borrow().clone()
    }

    /// Tells of each change of that.
    pub fn changes(&self) -> watch::Receiver<Signing> {
        self.now.subscribe()
    }

    /// Takes the key that the chain names, if it is at hand: whether it is the one that signs now. The
    /// files are read anew, so that a key may be made while the worker runs.
    pub fn follow(&self, named: &AccountId) -> bool {
        if self.now.borrow().account == *named {
            return true;
        }
        let keys = keys(&self.file).unwrap_or_else(|error| {
            tracing::warn!(%error, "the chain names another key, and those at hand cannot be read");
            Vec::new()
        });
        let Some(key) = keys.into_iter().find(|key| key.public() == *named) else { return false };
        tracing::info!(
            worker = key.address(),
            "the chain names another key, which signs from now on"
        );
        self.now.send_replace(signing(&self.chain, key, &self.node_id, self.seen));
        true
    }
}

fn signing(chain: &Chain, key: WorkerKey, node_id: &NodeId, seen: BlockNumber) -> Signing {
    Signing {
        account: key.public(),
        address: key.address(),
        reports: Reports::spawn(chain.clone(), key, node_id.clone(), seen),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use quarry_client::ChainOptions;

    #[test]
    fn the_next_key_lies_beside_the_one_in_use() {
        assert_eq!(next_to(Path::new("/k/worker.key")), Path::new("/k/worker.key.next"));
    }

    #[test]
    fn one_key_is_enough_and_none_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.key");
        assert!(matches!(keys(&file), Err(KeyFileError::NotFound(path)) if path == file));
        let next = WorkerKey::create(&next_to(&file)).unwrap();
        assert_eq!(addresses(&file), [next.address()]);
        let own = WorkerKey::create(&file).unwrap();
        assert_eq!(addresses(&file), [own.address(), next.address()]);
        std::fs::write(next_to(&file), "damaged").unwrap();
        assert!(matches!(keys(&file), Err(KeyFileError::Key { .. })));
    }

    #[tokio::test]
    async fn the_key_that_the_chain_names_signs_even_if_it_was_made_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.key");
        let own = WorkerKey::create(&file).unwrap();
        let chain = Chain::start(ChainOptions::new(["ws://127.0.0.1:1"])).unwrap();
        let signer = Signer::start(chain, "alpha".try_into().unwrap(), &file, 0).unwrap();
        let mut changes = signer.changes();
        assert!(signer.follow(&own.public()) && !changes.has_changed().unwrap());
        let foreign = AccountId::new([9; 32]);
        assert!(!signer.follow(&foreign) && signer.now().account == own.public());
        let next = WorkerKey::create(&next_to(&file)).unwrap();
        assert!(!signer.follow(&foreign));
        assert!(signer.follow(&next.public()));
        assert_eq!(signer.now().account, next.public());
        assert_eq!(changes.borrow_and_update().address, next.address());
    }

    fn addresses(file: &Path) -> Vec<String> {
        keys(file).unwrap().iter().map(WorkerKey::address).collect()
    }
}
