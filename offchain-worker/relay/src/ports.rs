//! Which port each node has, remembered over restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// What is remembered is not to be read, or not to be written.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// The file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// What is in it.
    #[error("{path} does not tell which node has which port: {error}; restore it, or remove it and each node gets another port")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: serde_json::Error,
    },
    /// Too many nodes.
    #[error("no port is left: each of {}-{} is some node's, or another program's", .0.start(), .0.end())]
    NoneLeft(RangeInclusive<u16>),
}

type ByNode = BTreeMap<String, u16>;

/// The ports of one chain's nodes; other chains' are left as they are.
#[derive(Debug)]
pub struct Ports {
    file: PathBuf,
    genesis: String,
    range: RangeInclusive<u16>,
    by_genesis: BTreeMap<String, ByNode>,
}

impl Ports {
    /// Reads what is remembered; where there is no file, nothing is.
    pub fn open(
        file: &Path,
        genesis: &str,
        range: RangeInclusive<u16>,
    ) -> Result<Self, PortsError> {
        let by_genesis = match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| PortsError::Damaged { path: file.to_owned(), error })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(PortsError::File { path: file.to_owned(), error }),
        };
        Ok(Self { file: file.to_owned(), genesis: genesis.to_owned(), range, by_genesis })
    }

    /// The port of a node, if it has one within the range.
    pub(crate) fn of(&self, node: &str) -> Option<u16> {
        let port = self.by_genesis.get(&self.genesis)?.get(node).copied();
        port.filter(|port| self.range.contains(port))
    }

    /// Ports that no node has, the lowest first.
    pub(crate) fn free(&self) -> impl Iterator<Item = u16> + Send {
        let taken: BTreeSet<u16> =
            self.by_genesis.values().flat_map(|nodes| nodes.values().copied()).collect();
        self.range.clone().filter(move |port| !taken.contains(port))
    }

    pub(crate) fn none_left(&self) -> PortsError {
        PortsError::NoneLeft(self.range.clone())
    }

    /// Remembers a node's port, safe from a loss of power when this returns.
    pub(crate) fn remember(&mut self, node: &str, port: u16) -> Result<(), PortsError> {
        let nodes = self.by_genesis.entry(self.genesis.clone()).or_default();
        let before = nodes.insert(node.to_owned(), port);
        self.write().map_err(|error| {
            let nodes = self.by_genesis.entry(self.genesis.clone()).or_default();
            match before {
                Some(before) => nodes.insert(node.to_owned(), before),
                None => nodes.remove(node),
            };
            PortsError::File { path: self.file.clone(), error }
        })
    }

    fn write(&self) -> io::Result<()> {
        let mut beside = self.file.clone().into_os_string();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(&self.by_genesis)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)?;
        File::open(self.file.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_same_port_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        let mut ports = Ports::open(&file, "0x01", 20_000..=20_001).unwrap();
        assert_eq!((ports.of("alpha"), ports.free().next()), (None, Some(20_000)));
        ports.remember("alpha", 20_000).unwrap();
        let again = Ports::open(&file, "0x01", 20_000..=20_001).unwrap();
        assert_eq!((again.of("alpha"), again.of("beta")), (Some(20_000), None));
        assert_eq!(again.free().collect::<Vec<_>>(), [20_001]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_chains_node_of_the_same_name_has_another_port() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        Ports::open(&file, "0x01", 1..=9).unwrap().remember("alpha", 1).unwrap();
        let mut other = Ports::open(&file, "0x02", 1..=9).unwrap();
        assert_eq!((other.of("alpha"), other.free().next()), (None, Some(2)));
        other.remember("alpha", 2).unwrap();
        assert_eq!(Ports::open(&file, "0x01", 1..=9).unwrap().of("alpha"), Some(1));
    }

    #[test]
    fn a_port_outside_the_range_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        Ports::open(&file, "0x01", 1..=9).unwrap().remember("alpha", 1).unwrap();
        assert_eq!(Ports::open(&file, "0x01", 5..=9).unwrap().of("alpha"), None);
    }

    #[test]
    fn a_damaged_file_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        fs::write(&file, "{").unwrap();
        let error = Ports::open(&file, "0x01", 1..=9).unwrap_err();
        assert!(matches!(error, PortsError::Damaged { .. }), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "{");
    }

    #[test]
    fn what_cannot_be_written_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone/ports.json");
        let mut ports = Ports::open(&file, "0x01", 1..=9).unwrap();
        assert!(matches!(ports.remember("alpha", 1), Err(PortsError::File { .. })));
        assert_eq!(ports.of("alpha"), None);
    }
}
