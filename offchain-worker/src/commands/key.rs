//! `quarry-worker key`: the worker's key, of which nothing but its public part is ever shown.

use crate::config::{ConfigErrors, Settings};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use quarry_client::{KeyFileError, WorkerKey};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What to do with the worker's key.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The key file; by default the one that the config names.
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
    /// As JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Verb {
    /// Make a new key. An existing file is never overwritten.
    Generate,
    /// Show the key's address and its public part.
    Show,
}

/// Why there is no key to show.
#[derive(Debug, thiserror::Error)]
pub enum KeyCommandError {
    /// The config, which would name the file.
    #[error("{0}\nor name the key file with --file")]
    Config(#[from] ConfigErrors),
    /// The file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// Its folder.
    #[error("cannot make the folder {0:?} for the key file: {1}")]
    Folder(PathBuf, io::Error),
}

impl KeyCommandError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => ConfigErrors::EXIT_CODE,
            _ => 1,
        }
    }
}

/// Makes or reads the key, and tells of it. The settings are only asked for where no file is named, so
/// that a host can have its key before it has its config.
pub fn key(
    args: &KeyArgs,
    settings: impl FnOnce() -> Result<Settings, ConfigErrors>,
) -> Result<String, KeyCommandError> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => settings()?.key.file,
    };
    let key = match args.verb {
        Verb::Show => WorkerKey::read(&file)?,
        Verb::Generate => {
            let folder = file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)
                .map_err(|error| KeyCommandError::Folder(folder.to_owned(), error))?;
            WorkerKey::create(&file)?
        }
    };
    Ok(render(&key, &file, args))
}

fn render(key: &WorkerKey, file: &Path, args: &KeyArgs) -> String {
    let (address, account) = (key.address(), key.public());
    let public = format!("0x{}", HEXLOWER.encode(account.as_ref()));
    if args.json {
        let told = serde_json::json!({ "file": file, "address": address, "public": public });
        return format!("{told:#}\n");
    }
    let told = format!("file     {}\naddress  {address}\npublic   {public}\n", file.display());
    match args.verb {
        Verb::Show => told,
        Verb::Generate => format!(
            "{told}\nThe miner registers the node with this address. The file is the only copy of the key; \
             if it is lost,\nmake another one, and the miner names that by set_worker.\n"
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::os::unix::fs::PermissionsExt;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: KeyArgs,
    }

    fn run(line: &[&str], file: &Path) -> Result<String, KeyCommandError> {
        let file = file.to_str().unwrap();
        let words = ["key"].iter().chain(line).copied().chain(["--file", file]);
        key(&Line::parse_from(words).args, || panic!("the settings are not needed"))
    }

    #[test]
    fn a_new_key_is_shown_by_its_public_part_and_by_that_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/worker.key");
        let told = run(&["generate"], &file).unwrap();
        let key = WorkerKey::read(&file).unwrap();
        assert!(told.contains(&format!("address  {}\n", key.address())), "{told}");
        let secret = fs::read_to_string(&file).unwrap();
        let lines = told.lines().take(3).collect::<String>();
        assert!(secret.split_whitespace().all(|word| !lines.contains(word)), "{told}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_shown_later_is_the_same_key_and_programs_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.key");
        let made: serde_json::Value =
            serde_json::from_str(&run(&["generate", "--json"], &file).unwrap()).unwrap();
        let shown: serde_json::Value =
            serde_json::from_str(&run(&["show", "--json"], &file).unwrap()).unwrap();
        assert_eq!(made, shown);
        let fields: Vec<_> = made.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["address", "file", "public"]);
        assert_eq!(made["public"].as_str().unwrap().len(), 66);
    }

    #[test]
    fn a_key_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.key");
        run(&["generate"], &file).unwrap();
        let before = fs::read(&file).unwrap();
        let error = run(&["generate"], &file).unwrap_err();
        assert!(matches!(error, KeyCommandError::File(KeyFileError::Exists(_))), "{error}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[test]
    fn a_key_that_is_not_there_is_not_shown() {
        let error = run(&["show"], Path::new("/nowhere/worker.key")).unwrap_err();
        assert!(matches!(error, KeyCommandError::File(KeyFileError::NotFound(_))), "{error}");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = run(&["generate"], &file.path().join("worker.key")).unwrap_err();
        assert!(error.to_string().contains("cannot make the folder"), "{error}");
    }

    #[test]
    fn without_a_file_the_config_names_it_and_a_bad_config_says_so() {
        let line = Line::parse_from(["key", "show"]);
        let error = key(&line.args, || Err(ConfigErrors(Vec::new()))).unwrap_err();
        assert!(error.to_string().contains("--file"), "{error}");
        assert_eq!(error.exit_code(), 78);
        let folder = tempfile::tempdir().unwrap();
        let toml = folder.path().join("worker.toml");
        let text = format!(
            "node_id = \"a\"\nkey.file = \"{}/x.key\"\nchain.endpoints = [\"ws://a\"]",
            folder.path().display()
        );
        fs::write(&toml, text).unwrap();
        let error = key(&line.args, || Settings::load(&toml, [])).unwrap_err().to_string();
        assert!(error.contains("/x.key"), "{error}");
    }
}
