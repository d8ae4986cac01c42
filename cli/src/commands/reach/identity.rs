//! Which private keys open a VM. The node lets nobody try more than six, so only those are offered whose
//! public half is among the VM's keys on the chain.

use crate::{
    context::Context,
    failure::Failure,
    ssh_key,
    tenant_keys::{self, AtHand},
};
use data_encoding::HEXLOWER;
use quarry_primitives::{api::VmView, request::SshKey};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Keys to offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identities {
    /// One that was named, whatever it is.
    Named(PathBuf),
    /// Those at hand that are the VM's.
    Found(Vec<AtHand>),
}

impl Identities {
    /// The one that was named, else those at hand.
    pub async fn of(context: &Context, vm: &VmView, named: Option<&Path>) -> Result<Self, Failure> {
        if let Some(file) = named {
            let file = std::path::absolute(file)?;
            return match file.is_file() {
                true => Ok(Self::Named(file)),
                false => {
                    Err(Failure::Usage(format!("--identity: there is no file {}", file.display())))
                }
            };
        }
        let mut at_hand = tenant_keys::made(&context.places.ssh);
        at_hand.extend(tenant_keys::at_hand(tenant_keys::home_folder().as_deref()).await);
        let found = among(at_hand, &vm.ssh_keys);
        if found.is_empty() {
            let id = vm.request.request_id;
            return Err(Failure::NotFound(format!(
                "none of your SSH keys lets in to VM {id}: name the private key of one that does with \
                 --identity, or add one with `quarry set-keys {id} --add FILE.pub`"
            )));
        }
        Ok(Self::Found(found))
    }

    /// Their files. What only the agent has gets a file with its public half, which stays in `folder`.
    pub fn files(&self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let found = match self {
            Self::Named(file) => return Ok(vec![file.clone()]),
            Self::Found(found) => found,
        };
        let file_of = |found: &AtHand| match &found.file {
            Some(file) => Ok(file.clone()),
            None => public_file(&found.key, folder),
        };
        found.iter().map(file_of).collect()
    }

    /// Whether one of them works while nobody is there to type a passphrase.
    pub fn work_alone(&self) -> bool {
        match self {
            Self::Named(_) => true,
            Self::Found(found) => found.iter().any(AtHand::works_alone),
        }
    }
}

/// Those whose public half is one of these, each once.
fn among(at_hand: Vec<AtHand>, keys: &[SshKey]) -> Vec<AtHand> {
    let mut found: Vec<AtHand> = Vec::new();
    for each in at_hand {
        let lets_in = keys.iter().any(|key| ssh_key::is_same(key, &each.key));
        if lets_in && found.iter().all(|known| known.key != each.key) {
            found.push(each);
        }
    }
    found
}

/// The file is named for the key, so that it can stay.
fn public_file(key: &SshKey, folder: &Path) -> Result<PathBuf, Failure> {
    let digest = Sha256::digest(key.as_bytes());
    let name: String = HEXLOWER.encode(&digest).chars().take(16).collect();
    let file = folder.join(format!("agent-{name}.pub"));
    fs::write(&file, format!("{key}\n"))
        .map_err(|error| Failure::Other(format!("{}: {error}", file.display())))?;
    Ok(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(number: u8, comment: &str) -> SshKey {
        SshKey::try_from(format!("{} {comment}", ssh_key::line(&[number; 32])).trim()).unwrap()
    }

    fn at_hand(number: u8, file: Option<&str>) -> AtHand {
        AtHand { key: key(number, ""), file: file.map(PathBuf::from), in_agent: file.is_none() }
    }

    #[test]
    fn only_keys_of_the_vm_are_offered_and_each_once() {
        let made = at_hand(1, Some("/data/0-12"));
        let all = vec![made.clone(), at_hand(2, None), at_hand(1, None), at_hand(3, Some("/id"))];
        let found = among(all, &[key(1, "me"), key(3, ""), key(4, "")]);
        assert_eq!(found, [made, at_hand(3, Some("/id"))]);
    }

    #[test]
    fn a_key_of_the_agent_is_named_by_its_public_half() {
        let folder = tempfile::tempdir().unwrap();
        let found = Identities::Found(vec![at_hand(1, Some("/id")), at_hand(2, None)]);
        let files = found.files(folder.path()).unwrap();
        assert_eq!(files[0], Path::new("/id"));
        let line = fs::read_to_string(&files[1]).unwrap();
        assert_eq!(line.trim(), ssh_key::line(&[2; 32]));
        assert_eq!(found.files(folder.path()).unwrap(), files, "it has the same name again");
    }
}
