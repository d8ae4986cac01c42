//! `quarry key`: accounts' keys, as polkadot.js and the wallets built on it keep them.

use crate::{
    context::Context,
    failure::Failure,
    output::{fields, table, Paint, Show},
    prompt, settings,
    signer::{self, key_name, of_store, store},
};
use clap::Subcommand;
use quarry_keys::{AccountKey, KeyName, Meta, Password, SealedKey};
use serde::Serialize;
use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};
use toml_edit::value;
use zeroize::Zeroizing;

/// A wallet's file is far smaller.
const MOST_BYTES: u64 = 64 * 1024;

/// What to do with keys.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key, and show the words to write down.
    #[command(after_help = "Example: quarry key new me")]
    New {
        /// What to call it here.
        name: String,
    },
    /// Take a key from a wallet's JSON file, or from a secret phrase.
    #[command(
        after_help = "Examples:\n  quarry key import wallet.json --name me\n  quarry key import --phrase --name me"
    )]
    Import {
        /// The file that the wallet exported; - is standard input.
        #[arg(value_name = "FILE", required_unless_present_any = ["phrase", "phrase_file"])]
        file: Option<PathBuf>,
        /// What to call it here.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Ask for a secret phrase, which is not shown.
        #[arg(long, conflicts_with = "file")]
        phrase: bool,
        /// Read the secret phrase from a file.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "phrase"])]
        phrase_file: Option<PathBuf>,
    },
    /// Write a key as the JSON file that wallets take, to standard output. It stays under its password.
    #[command(after_help = "Example: quarry key export me >me.json")]
    Export {
        /// Which.
        name: String,
    },
    /// List the keys.
    List,
    /// Sign with this key where none is named.
    Use {
        /// Which.
        name: String,
    },
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    address: Option<String>,
    kind: Option<&'static str>,
    default: bool,
    error: Option<String>,
}

impl Show for Keys {
    fn text(&self, paint: Paint) -> String {
        if self.keys.is_empty() {
            return "no keys: `quarry key new NAME` makes one".into();
        }
        let rows = self.keys.iter().map(|key| {
            let mark = if key.default { paint.good("*") } else { " ".to_owned() };
            let address = match (&key.address, &key.error) {
                (Some(address), _) => address.clone(),
                (None, error) => paint.bad(error.as_deref().unwrap_or_default()),
            };
            [mark, key.name.clone(), address, key.kind.unwrap_or("-").to_owned()]
        });
        table(["", "KEY", "ADDRESS", "KIND"], rows)
    }
}

#[derive(Serialize)]
struct Made {
    name: String,
    address: String,
    file: PathBuf,
    /// The words, of a new key only.
    phrase: Option<Zeroizing<String>>,
}

impl Show for Made {
    fn text(&self, paint: Paint) -> String {
        let mut text = fields([
            ("key", paint.strong(&self.name)),
            ("address", self.address.clone()),
            ("file", self.file.display().to_string()),
        ]);
        if let Some(phrase) = &self.phrase {
            let warning = "Write these words down: nothing else brings the key back when its file or password is lost.";
            text.push_str(&format!("\n\n{}\n\n  {}\n", warning, **phrase));
        }
        text
    }
}

/// Does it.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.command {
        Command::New { name } => {
            let name = free_name(context, &name)?;
            let password = signer::new_password(context)?;
            let (key, phrase) = AccountKey::generate();
            keep(context, &name, &key, &password, Some(phrase))
        }
        Command::Import { file: Some(file), name, .. } => {
            let name = free_name(context, &name)?;
            let sealed = SealedKey::from_json(&read(&file)?);
            let wrong = |error| Failure::Usage(format!("{}: {error}", file.display()));
            let sealed = sealed.map_err(|error| wrong(error.to_string()))?;
            let password = signer::password(context, "the password of that key")?;
            let key = signer::open(&sealed, &password)?;
            keep(context, &name, &key, &password, None)
        }
        Command::Import { file: None, name, phrase_file, .. } => {
            let name = free_name(context, &name)?;
            let phrase = match phrase_file {
                Some(file) => read(&file)?,
                None => prompt::password("the secret phrase")?,
            };
            let key = AccountKey::from_secret(&phrase);
            let key = key.map_err(|error| Failure::Usage(error.to_string()))?;
            let password = signer::new_password(context)?;
            keep(context, &name, &key, &password, None)
        }
        Command::Export { name } => {
            let sealed = signer::kept(context, &key_name(&name)?)?;
            // Whoever exports it should know how to open it.
            signer::open(&sealed, &signer::password(context, "the password of that key")?)?;
            Ok(context.out.line(&serde_json::to_string(&sealed).map_err(io::Error::from)?)?)
        }
        Command::List => list(context),
        Command::Use { name } => {
            let name = key_name(&name)?;
            signer::kept(context, &name)?;
            settings::edit(&context.places.config, |document| {
                document.insert("key", value(name.to_string()));
            })?;
            context.out.aside(&format!("{name} signs from now on, where none is named"));
            Ok(())
        }
    }
}

fn free_name(context: &Context, name: &str) -> Result<KeyName, Failure> {
    let name = key_name(name)?;
    match store(context).has(&name) {
        true => Err(of_store(quarry_keys::StoreError::Exists(name))),
        false => Ok(name),
    }
}

fn keep(
    context: &Context,
    name: &KeyName,
    key: &AccountKey,
    password: &Password,
    phrase: Option<Zeroizing<String>>,
) -> Result<(), Failure> {
    let sealed = SealedKey::seal(key, password, Meta::now(name.as_ref()));
    let sealed = sealed.map_err(|error| Failure::Other(error.to_string()))?;
    let file = store(context).add(name, &sealed).map_err(of_store)?;
    let made = Made { name: name.to_string(), address: key.address(), file, phrase };
    Ok(context.out.show(&made)?)
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let wrong = |error: io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let mut text = Zeroizing::new(String::new());
    if file == Path::new("-") {
        io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text).map_err(wrong)?;
    } else {
        let opened = fs::File::open(file).map_err(wrong)?;
        opened.take(MOST_BYTES).read_to_string(&mut text).map_err(wrong)?;
    }
    Ok(text)
}

fn list(context: &Context) -> Result<(), Failure> {
    let default = context.settings.key.as_deref();
    let keys = store(context).list().map_err(of_store)?.into_iter().map(|entry| {
        let name = entry.name.to_string();
        let default = default == Some(&name);
        match entry.key {
            Ok(key) => {
                let (address, kind) = (Some(key.address()), Some(key.kind().name()));
                Row { name, address, kind, default, error: None }
            }
            Err(error) => {
                Row { name, address: None, kind: None, default, error: Some(error.to_string()) }
            }
        }
    });
    Ok(context.out.show(&Keys { keys: keys.collect() })?)
}
