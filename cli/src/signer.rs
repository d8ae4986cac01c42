//! Which key signs.

use crate::{context::Context, failure::Failure, prompt};
pub use quarry_client::address_of;
use quarry_keys::{AccountKey, KeyName, KeyStore, Password, SealedKey, StoreError};
use quarry_primitives::{AccountId, SS58_PREFIX};
use sp_core::crypto::{Ss58AddressFormat, Ss58Codec};
use std::{env, fs, path::Path};
use zeroize::Zeroizing;

/// The key that signs.
pub type Signer = AccountKey;

/// Who signs on a development chain where nobody is named.
const DEV_SIGNER: &str = "//Alice";
const PASSWORD_VARIABLE: &str = "QUARRY_PASSWORD";

/// Which key is meant.
enum Choice {
    /// One that everybody has.
    Development(String),
    /// One of the store.
    Kept(KeyName),
}

/// The account that is meant: `--uri`, `--key`, the chain's own key, the settings' key, on a
/// development chain //Alice, or the only key there is. Asks for no password.
pub async fn account(context: &Context) -> Result<AccountId, Failure> {
    match choice(context).await? {
        Choice::Development(uri) => Ok(development_key(&uri)?.public()),
        Choice::Kept(name) => Ok(kept(context, &name)?.public().clone()),
    }
}

/// The key of that account.
pub async fn choose(context: &Context) -> Result<Signer, Failure> {
    match choice(context).await? {
        Choice::Development(uri) => development_key(&uri),
        Choice::Kept(name) => {
            let sealed = kept(context, &name)?;
            let password = password(context, &format!("the password of the key {name}"))?;
            open(&sealed, &password)
        }
    }
}

async fn choice(context: &Context) -> Result<Choice, Failure> {
    if let Some(uri) = &context.global.uri {
        if context.is_development().await? {
            return Ok(Choice::Development(uri.clone()));
        }
        return Err(Failure::Usage(
            "--uri is for keys of development chains, which everybody has, and this is none: make a \
             key of your own with `quarry key new`"
                .into(),
        ));
    }
    let of_chain = context.chain_settings()?.key;
    let named = context.global.key.clone().or(of_chain).or_else(|| context.settings.key.clone());
    if let Some(name) = named {
        return Ok(Choice::Kept(key_name(&name)?));
    }
    if context.is_development().await? {
        return Ok(Choice::Development(DEV_SIGNER.to_owned()));
    }
    let mut keys = store(context).list().map_err(of_store)?;
    match (keys.pop(), keys.len()) {
        (Some(only), 0) => Ok(Choice::Kept(only.name)),
        (Some(_), _) => Err(Failure::Usage(
            "there are several keys: name one with --key, or `quarry key use`".into(),
        )),
        (None, _) => Err(Failure::Usage(
            "there is no key to sign with: make one with `quarry key new`".into(),
        )),
    }
}

fn development_key(uri: &str) -> Result<Signer, Failure> {
    AccountKey::from_uri(uri).map_err(|error| Failure::Usage(format!("--uri: {error}")))
}

/// The keys that there are.
pub fn store(context: &Context) -> KeyStore {
    KeyStore::at(&context.places.keys)
}

/// A key's name, as it was typed.
pub fn key_name(text: &str) -> Result<KeyName, Failure> {
    text.parse().map_err(|error: quarry_keys::NameError| Failure::Usage(error.to_string()))
}

/// A key of the store, closed.
pub fn kept(context: &Context, name: &KeyName) -> Result<SealedKey, Failure> {
    store(context).read(name).map_err(of_store)
}

/// Why the store refuses.
pub fn of_store(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound(_) => Failure::NotFound(error.to_string()),
        StoreError::Exists(_) => Failure::Usage(error.to_string()),
        error => Failure::Other(error.to_string()),
    }
}

/// Opens a key.
pub fn open(sealed: &SealedKey, password: &Password) -> Result<AccountKey, Failure> {
    sealed.open(password).map_err(|error| Failure::Usage(error.to_string()))
}

/// A key's password: from the file, the variable, or whoever sits at the terminal. Never from the
/// command line, which others can read.
pub fn password(context: &Context, what: &str) -> Result<Password, Failure> {
    match given_password(context)? {
        Some(password) => Ok(password),
        None => as_password(asked(context, what)?),
    }
}

/// A new key's password, which is asked for twice.
pub fn new_password(context: &Context) -> Result<Password, Failure> {
    if let Some(password) = given_password(context)? {
        return Ok(password);
    }
    let first = asked(context, "a password for the key")?;
    match *first == *asked(context, "the same again")? {
        true => as_password(first),
        false => Err(Failure::Usage("the two passwords differ: try again".into())),
    }
}

fn given_password(context: &Context) -> Result<Option<Password>, Failure> {
    if let Some(file) = &context.global.password_file {
        return as_password(first_line(file)?).map(Some);
    }
    match env::var(PASSWORD_VARIABLE) {
        Ok(text) => as_password(Zeroizing::new(text)).map(Some),
        Err(_) => Ok(None),
    }
}

fn first_line(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = fs::read_to_string(file).map(Zeroizing::new);
    let text = read.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn as_password(text: Zeroizing<String>) -> Result<Password, Failure> {
    Password::new(text).map_err(|error| Failure::Usage(error.to_string()))
}

fn asked(context: &Context, what: &str) -> Result<Zeroizing<String>, Failure> {
    if !context.out.can_ask() {
        return Err(Failure::Usage(format!(
            "{what} is needed, and nobody can be asked for it here: use --password-file, or the \
             variable {PASSWORD_VARIABLE}"
        )));
    }
    prompt::password(what)
}

/// An account by its address, as people write it.
pub fn address(text: &str) -> Result<AccountId, String> {
    match AccountId::from_ss58check_with_version(text) {
        Ok((account, version)) if version == Ss58AddressFormat::from(u16::from(SS58_PREFIX)) => {
            Ok(account)
        }
        Ok((account, _)) => Err(format!(
            "is written for another network; for this one it is {}",
            address_of(&account)
        )),
        Err(_) => Err("is no address: copy it from a wallet or `quarry key list`".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn an_address_is_one_of_this_network() {
        assert_eq!(address_of(&address(ALICE).unwrap()), ALICE);
        let elsewhere = address(ALICE).unwrap().to_ss58check_with_version(0u16.into());
        assert!(address(&elsewhere).unwrap_err().contains(ALICE));
        for text in ["", "alice", "5Grw", "0x00"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "secret word\nanother line\n").unwrap();
        assert_eq!(*first_line(&file).unwrap(), "secret word");
        fs::write(&file, "").unwrap();
        assert!(as_password(first_line(&file).unwrap()).is_err());
        assert_eq!(first_line(&folder.path().join("none")).unwrap_err().exit_code(), 2);
    }
}
