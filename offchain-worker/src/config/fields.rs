//! Fields are taken by name; every mistake is kept, and what nobody took is one too.

use super::{
    sources::{Entry, Sources},
    ConfigError, ConfigErrors, Origin,
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// How like a known name an unknown one must be for it to be suggested.
const LIKENESS: f64 = 0.8;
/// How much less a name counts that is alike but for its section.
const ELSEWHERE: f64 = 0.02;

pub(super) struct Fields {
    sources: Sources,
    known: BTreeSet<&'static str>,
    main_file: PathBuf,
}

impl Fields {
    pub fn new(sources: Sources, main_file: &Path) -> Self {
        Self { sources, known: BTreeSet::new(), main_file: main_file.to_owned() }
    }

    /// The field's value, if it is set and sound.
    pub fn get<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Entry) -> Result<T, String>,
    ) -> Option<T> {
        self.known.insert(name);
        let value = read(self.sources.entries.get(name)?);
        value.map_err(|problem| self.refuse(name, problem)).ok()
    }

    /// The same of a field that must be set.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Entry) -> Result<T, String>,
        meaning: &str,
    ) -> Option<T> {
        if !self.is_set(name) {
            self.refuse(name, format!("must be set: {meaning}"));
        }
        self.get(name, read)
    }

    /// Whether the field has a value, sound or not.
    pub fn is_set(&self, name: &str) -> bool {
        self.sources.entries.contains_key(name)
    }

    /// Says what is wrong with a field.
    pub fn refuse(&mut self, name: &'static str, problem: impl Into<String>) {
        let origin = self.sources.entries.get(name).map(|entry| entry.origin.clone());
        self.sources.errors.push(ConfigError {
            origin: origin.unwrap_or_else(|| Origin::File(self.main_file.clone())),
            field: Some(name.into()),
            problem: problem.into(),
        });
    }

    /// All that was found wrong, in the order of files and lines.
    pub fn finish(mut self) -> Result<BTreeSet<&'static str>, ConfigErrors> {
        for (name, entry) in &self.sources.entries {
            let is_empty = entry.value.as_inline_table().is_some_and(|table| table.is_empty());
            let is_section = is_empty && !members(name, &self.known).is_empty();
            if !self.known.contains(name.as_str()) && !is_section {
                self.sources.errors.push(ConfigError {
                    origin: entry.origin.clone(),
                    field: Some(name.clone()),
                    problem: unknown(name, &self.known),
                });
            }
        }
        let mut errors = self.sources.errors;
        errors.sort_by_key(|error| match &error.origin {
            Origin::File(path) => (0, path.clone(), 0),
            Origin::Line(path, line) => (0, path.clone(), *line),
            Origin::Variable(name) => (1, name.into(), 0),
        });
        if errors.is_empty() {
            Ok(self.known)
        } else {
            Err(ConfigErrors(errors))
        }
    }
}

fn members(section: &str, known: &BTreeSet<&'static str>) -> Vec<&'static str> {
    let split = known.iter().filter_map(|known| known.split_once('.'));
    split.filter(|(known, _)| *known == section).map(|(_, member)| member).collect()
}

fn unknown(name: &str, known: &BTreeSet<&'static str>) -> String {
    let members = members(name, known);
    if !members.is_empty() {
        return format!("is a section: write [{name}] and then {}", members.join(", "));
    }
    let likeness = |known: &str| strsim::jaro_winkler(last_part(name), last_part(known));
    let alike = |known: &str| strsim::jaro_winkler(name, known).max(likeness(known) - ELSEWHERE);
    let nearest = known
        .iter()
        .map(|known| (alike(known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= LIKENESS);
    match nearest {
        Some((_, known)) => format!("there is no such setting; did you mean {known}?"),
        None => "there is no such setting; worker.example.toml has them all".into(),
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
