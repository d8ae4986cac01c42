//! What the worker remembers of the chain over restarts: which one it is, and how far it got.

use quarry_primitives::BlockNumber;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The worker's own state, in `<data_dir>/state.json`.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    kept: Kept,
    /// Whether there was none: this is the data folder's first worker.
    pub is_new: bool,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    genesis: String,
    node_id: String,
    seen: BlockNumber,
}

/// Why the state is no use.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refuses, or the file is damaged.
    #[error("{path}: {source}; if it is damaged, remove it and start with --accept-loss", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is of something else.
    #[error("the data folder belongs to {what} {theirs}, and this worker is of {ours}: set another data_dir")]
    Other {
        /// What differs.
        what: &'static str,
        /// What stands in it.
        theirs: String,
        /// What should.
        ours: String,
    },
}

impl State {
    /// Reads it, or begins it.
    pub fn open(data_dir: &Path, genesis: &[u8; 32], node_id: &str) -> Result<Self, StateError> {
        let path = data_dir.join("state.json");
        let genesis = data_encoding::HEXLOWER.encode(genesis);
        let fresh = Kept { genesis, node_id: node_id.to_owned(), seen: 0 };
        let kept: Kept = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| StateError::Io { path: path.clone(), source: error.into() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, kept: fresh, is_new: true });
            }
            Err(source) => return Err(StateError::Io { path, source }),
        };
        let same = |what, theirs: &str, ours: &str| match theirs == ours {
            true => Ok(()),
            false => Err(StateError::Other { what, theirs: theirs.into(), ours: ours.into() }),
        };
        same("the chain", &kept.genesis, &fresh.genesis)?;
        same("the node", &kept.node_id, &fresh.node_id)?;
        Ok(Self { path, kept, is_new: false })
    }

    /// The genesis of the chain that this data folder belongs to, if it belongs to one, and the highest finalized
    /// block ever seen of it.
    pub fn known_chain(data_dir: &Path) -> Option<([u8; 32], BlockNumber)> {
        let text = fs::read(data_dir.join("state.json")).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        let genesis = data_encoding::HEXLOWER.decode(kept.genesis.as_bytes()).ok()?;
        Some((genesis.try_into().ok()?, kept.seen))
    }

    /// The highest finalized block ever seen.
    pub fn seen(&self) -> BlockNumber {
        self.kept.seen
    }

    /// Remembers a finalized block, if it is higher, or if none was remembered yet.
    pub fn saw(&mut self, number: BlockNumber) -> Result<(), StateError> {
        if number > self.kept.seen || self.is_new {
            self.kept.seen = self.kept.seen.max(number);
            self.write().map_err(|source| StateError::Io { path: self.path.clone(), source })?;
            self.is_new = false;
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(&self.kept)?)?;
        file.sync_data()?;
        fs::rename(&draft, &self.path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CHAIN: [u8; 32] = [1; 32];

    #[test]
    fn the_highest_block_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path(), &CHAIN, "node").unwrap();
        assert!(state.is_new);
        state.saw(7).unwrap();
        state.saw(5).unwrap();
        let state = State::open(dir.path(), &CHAIN, "node").unwrap();
        assert_eq!((state.seen(), state.is_new), (7, false));
        assert_eq!(State::known_chain(dir.path()), Some((CHAIN, 7)));
    }

    #[test]
    fn another_chain_or_node_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        State::open(dir.path(), &CHAIN, "node").unwrap().saw(1).unwrap();
        for (chain, node) in [([2; 32], "node"), (CHAIN, "other")] {
            let refusal = State::open(dir.path(), &chain, node).unwrap_err();
            assert!(matches!(refusal, StateError::Other { .. }), "{refusal}");
        }
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_a_new_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.json"), "{").unwrap();
        assert!(matches!(State::open(dir.path(), &CHAIN, "node"), Err(StateError::Io { .. })));
    }
}
