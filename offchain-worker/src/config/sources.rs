//! What is set where, before anybody asks what it means.

use super::{ConfigError, Origin, VARIABLE_PREFIX};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};
use toml_edit::{ImDocument, Item, Value};

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub value: Value,
    pub origin: Origin,
}

impl Entry {
    /// Whether it comes as a bare text that may also stand for a number, a truth or a list.
    pub fn is_variable(&self) -> bool {
        matches!(self.origin, Origin::Variable(_))
    }
}

/// All that is set, by name; what comes later wins.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub entries: BTreeMap<String, Entry>,
    pub errors: Vec<ConfigError>,
}

impl Sources {
    pub fn read(path: &Path, env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut sources = Self::default();
        sources.add_file(path);
        match drop_ins(path) {
            Ok(paths) => paths.iter().for_each(|path| sources.add_file(path)),
            Err((folder, error)) => sources.fail(Origin::File(folder), unreadable(&error)),
        }
        for (name, value) in env {
            sources.add_variable(name, value);
        }
        sources
    }

    fn fail(&mut self, origin: Origin, problem: String) {
        self.errors.push(ConfigError { origin, field: None, problem });
    }

    fn add_file(&mut self, path: &Path) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.fail(Origin::File(path.to_owned()), unreadable(&error)),
        };
        let line = |at: Option<usize>| match at {
            Some(at) => Origin::Line(path.to_owned(), line_of(&text, at)),
            None => Origin::File(path.to_owned()),
        };
        let document = match ImDocument::parse(text.as_str()) {
            Ok(document) => document,
            Err(error) => {
                let origin = line(error.span().map(|span| span.start));
                return self.fail(origin, format!("not TOML: {}", one_line(error.message())));
            }
        };
        for (section, item) in document.iter() {
            let key = document.key(section);
            let at = key.and_then(|key| key.span()).or(item.span()).map(|span| span.start);
            match item.as_table_like() {
                Some(table) if table.is_empty() => self.add(section.into(), item, line(at)),
                Some(table) => {
                    for (name, item) in table.iter() {
                        let key = table.key(name);
                        let at = key.and_then(|key| key.span()).or(item.span());
                        let origin = line(at.map(|span| span.start));
                        self.add(format!("{section}.{name}"), item, origin);
                    }
                }
                None => self.add(section.into(), item, line(at)),
            }
        }
    }

    fn add(&mut self, name: String, item: &Item, origin: Origin) {
        if let Ok(value) = item.clone().into_value() {
            self.entries.insert(name, Entry { value, origin });
        }
    }

    fn add_variable(&mut self, name: OsString, value: OsString) {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else {
            return;
        };
        let origin = Origin::Variable(name.to_owned());
        let Some(value) = value.to_str() else {
            return self.fail(origin, "is not UTF-8".into());
        };
        let field = name.trim_start_matches(VARIABLE_PREFIX).replace("__", ".").to_lowercase();
        match read_variable(value.trim()) {
            Ok(value) => drop(self.entries.insert(field, Entry { value, origin })),
            Err(problem) => {
                let field = Some(field);
                self.errors.push(ConfigError { origin, field, problem });
            }
        }
    }
}

/// Lists and tables as TOML has them; anything else is a text as it stands.
fn read_variable(value: &str) -> Result<Value, String> {
    if value.starts_with(['[', '{']) {
        value.parse().map_err(|error: toml_edit::TomlError| {
            format!("not TOML: {}", one_line(error.message()))
        })
    } else {
        Ok(value.into())
    }
}

fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err((folder, error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| (folder, error))?;
    let is_hidden = |path: &Path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml") && !is_hidden(path));
    paths.sort();
    Ok(paths)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file: copy worker.example.toml there, or name another with --config"
                .into()
        }
        io::ErrorKind::InvalidData => "is not UTF-8".into(),
        _ => format!("cannot be read: {error}"),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
