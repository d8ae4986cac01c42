#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod damaged;
mod example;
mod fields;
mod sources;

use super::*;
use std::{ffi::OsString, fs, path::PathBuf};

const LEAST: &str = "node_id = \"alpha\"\nchain.endpoints = [\"ws://127.0.0.1:9944\"]\n";

/// A settings file of its own, with drop-ins and variables.
struct Case {
    folder: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Case {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("worker.toml"), text).unwrap();
        Self { folder, variables: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("worker.toml")
    }

    fn drop_in(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let folder = self.folder.path().join("worker.toml.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn load(&self) -> Result<Settings, ConfigErrors> {
        Settings::load(&self.path(), self.variables.clone())
    }

    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.load().unwrap_err();
        let folder = format!("{}/", self.folder.path().display());
        errors.0.iter().map(|error| error.to_string().replace(&folder, "")).collect()
    }

    fn error(&self) -> String {
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    }
}
