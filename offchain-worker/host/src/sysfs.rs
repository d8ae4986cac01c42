//! Short files of the kernel's.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The file's text without the line's end; none if it cannot be read.
pub(crate) fn text(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

pub(crate) fn number<N: FromStr>(path: impl AsRef<Path>) -> Option<N> {
    text(path)?.parse().ok()
}

/// What lies in a folder, in the order of names; nothing if it is not there.
pub(crate) fn members(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

pub(crate) fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
