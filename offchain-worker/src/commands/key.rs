//! `quarry-worker key`: the host's keys, of which nothing but their public parts is ever shown.

use crate::{
    access_key,
    config::{ConfigErrors, Settings},
    signer::next_to,
};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use quarry_client::{KeyFileError, WorkerKey};
use quarry_guest::{HostKey, HostKeyError};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What to do with a key.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The key file; by default the one that the config names.
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The host key of the SSH port, instead of the key that the worker signs with.
    #[arg(long, global = true)]
    access: bool,
    /// The key that is to take the place of the one in use: it lies beside it, under a name that ends in .next.
    #[arg(long, global = true)]
    next: bool,
    /// As JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Verb {
    /// Make a new key. An existing file is never overwritten.
    Generate,
    /// Show the key's public part.
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
    /// The file of a host key.
    #[error("{0}")]
    HostKey(#[from] HostKeyError),
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
    let named = match &args.file {
        Some(file) => file.clone(),
        None if args.access => settings()?.access.key,
        None => settings()?.key.file,
    };
    let file = if args.next { next_to(&named) } else { named };
    if matches!(args.verb, Verb::Generate) {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .map_err(|error| KeyCommandError::Folder(folder.to_owned(), error))?;
    }
    let public = match (args.access, args.verb) {
        (true, Verb::Show) => of_port(&HostKey::read(&file)?)?,
        (true, Verb::Generate) => of_port(&access_key::make(&file)?)?,
        (false, Verb::Show) => of_worker(&WorkerKey::read(&file)?),
        (false, Verb::Generate) => of_worker(&WorkerKey::create(&file)?),
    };
    Ok(public.render(&file, args))
}

/// What others may know of a key.
struct Public {
    /// Its name in a line, and in JSON.
    kind: &'static str,
    /// As people write it.
    text: String,
    /// As the chain has it.
    bytes: String,
    /// What becomes of a new one.
    use_of: &'static str,
}

fn of_worker(key: &WorkerKey) -> Public {
    Public {
        kind: "address",
        text: key.address(),
        bytes: HEXLOWER.encode(key.public().as_ref()),
        use_of: "`quarry-worker enroll` proves it to the miner, who names it by registerNode or setWorker. The \
                 file is the\nonly copy of the key; if it is lost, make another one.",
    }
}

fn of_port(key: &HostKey) -> Result<Public, HostKeyError> {
    Ok(Public {
        kind: "host_key",
        text: key.public_line()?.trim_end().to_owned(),
        bytes: HEXLOWER.encode(&key.public()),
        use_of: "Tenants know the node by this key once the chain names it: by registerNode or setAccess.",
    })
}

impl Public {
    fn render(&self, file: &Path, args: &KeyArgs) -> String {
        let Self { kind, text, bytes, use_of } = self;
        let public = format!("0x{bytes}");
        if args.json {
            let told = serde_json::json!({ "file": file, *kind: text, "public": public });
            return format!("{told:#}\n");
        }
        let told =
            format!("{:9}{}\n{kind:9}{text}\n{:9}{public}\n", "file", file.display(), "public");
        match args.verb {
            Verb::Show => told,
            Verb::Generate => format!("{told}\n{use_of}\n"),
        }
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
        // All of it is said here, because single words of a phrase (`key`, `file`) are in any text.
        let public = of_worker(&key);
        let expected = format!(
            "file     {}\naddress  {}\npublic   0x{}\n\n{}\n",
            file.display(),
            key.address(),
            public.bytes,
            public.use_of,
        );
        assert_eq!(told, expected);
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
    fn the_next_key_lies_beside_the_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.key");
        run(&["generate"], &file).unwrap();
        let next = run(&["generate", "--next"], &file).unwrap();
        let key = WorkerKey::read(&folder.path().join("worker.key.next")).unwrap();
        assert!(next.contains(&key.address()), "{next}");
        assert!(run(&["show", "--next"], &file).unwrap().contains(&key.address()));
        assert!(!run(&["show"], &file).unwrap().contains(&key.address()));
    }

    #[test]
    fn the_ports_host_key_is_made_and_shown_as_openssh_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/access.key");
        let made = run(&["generate", "--access"], &file).unwrap();
        let key = HostKey::read(&file).unwrap();
        assert!(made.contains(&format!("host_key {}\n", key.public_line().unwrap())), "{made}");
        assert!(made.contains(&HEXLOWER.encode(&key.public())), "{made}");
        assert!(run(&["show", "--access"], &file).unwrap().lines().all(|line| made.contains(line)));
        let error = run(&["generate", "--access"], &file).unwrap_err();
        assert!(matches!(error, KeyCommandError::HostKey(_)), "{error}");
        let error = run(&["show"], &file).unwrap_err();
        assert!(matches!(error, KeyCommandError::File(KeyFileError::Key { .. })), "{error}");
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
