//! The SSH keys that let a tenant in to a new VM: those that are named or at hand, else one made for it.

use crate::{context::Context, failure::Failure, ssh_key};
use ::ssh_key::{rand_core::OsRng, rand_core::RngCore, Algorithm, LineEnding, PrivateKey};
use data_encoding::HEXLOWER;
use quarry_primitives::{
    request::{SshKey, SshKeyList},
    Hash, RequestId,
};
use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// An agent that does not answer for so long has no keys.
const AGENT_PATIENCE: Duration = Duration::from_secs(5);
/// What a private key's file is called before its VM has a number.
const NEW: &str = "new-";

/// Keys for a new VM.
pub struct Chosen {
    /// As the chain takes them.
    pub keys: Vec<SshKey>,
    /// Where they come from, in words, as `~/.ssh/id_ed25519.pub`.
    pub from: String,
    /// One that was made, whose VM has no number yet.
    pub made: Option<Made>,
}

/// A private key that was made for a VM. It stays also where the VM never comes to be: whether it does is
/// not always known.
pub struct Made {
    /// Its file.
    pub file: PathBuf,
}

impl Made {
    /// Names the file for its VM.
    pub fn belongs_to(
        self,
        context: &Context,
        genesis: Hash,
        id: RequestId,
    ) -> Result<PathBuf, Failure> {
        let file = context.places.ssh.join(name_for(genesis, id));
        fs::rename(&self.file, &file).map_err(|error| failed(&self.file, &error))?;
        Ok(file)
    }
}

/// What belongs to a VM is called so: by the chain, and its number there.
pub fn name_for(genesis: Hash, id: RequestId) -> String {
    format!("{}-{id}", short(genesis))
}

/// Enough of a chain's genesis to tell it from others here.
pub fn short(genesis: Hash) -> String {
    HEXLOWER.encode(genesis.as_ref()).chars().take(8).collect()
}

/// Those that are given, each a file or a line; else those at hand; else a new one.
pub async fn choose(context: &Context, given: &[String]) -> Result<Chosen, Failure> {
    if !given.is_empty() {
        return named(given, given.join(", "));
    }
    if let Some(file) = &context.settings.rent.ssh_key {
        let word = home_for(file).display().to_string();
        return named(
            std::slice::from_ref(&word),
            format!("{word}, by rent.ssh_key in the settings"),
        );
    }
    let found = best(at_hand(home_folder().as_deref()).await);
    if found.is_empty() {
        return make(&context.places.ssh);
    }
    let from = found.iter().map(AtHand::words).collect::<Vec<_>>().join(", ");
    Ok(Chosen { keys: found.into_iter().map(|found| found.key).collect(), from, made: None })
}

fn named(words: &[String], from: String) -> Result<Chosen, Failure> {
    let mut keys: Vec<SshKey> = Vec::new();
    for word in words {
        for key in ssh_key::given(word)? {
            if !keys.iter().any(|known| ssh_key::is_same(known, &key)) {
                keys.push(key);
            }
        }
    }
    let most = SshKeyList::bound();
    if keys.len() > most {
        return Err(Failure::Usage(format!(
            "a VM has {most} keys at most; these are {}",
            keys.len()
        )));
    }
    Ok(Chosen { keys, from, made: None })
}

/// The settings may name a file as a shell does.
fn home_for(file: &Path) -> PathBuf {
    match (file.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => file.to_owned(),
    }
}

/// A key whose private half is at hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AtHand {
    /// The public half, without a comment.
    pub key: SshKey,
    /// The file of the private half.
    pub file: Option<PathBuf>,
    /// Whether the agent has it.
    pub in_agent: bool,
}

impl AtHand {
    fn words(&self) -> String {
        match &self.file {
            Some(file) => format!("{}.pub", tilde(file)),
            None => "your agent".to_owned(),
        }
    }

    /// Whether ssh can use it while nobody is there to type a passphrase or to touch anything.
    pub fn works_alone(&self) -> bool {
        if self.key.as_str().is_some_and(|line| line.starts_with("sk-")) {
            return false;
        }
        let is_open = |file: &PathBuf| {
            PrivateKey::read_openssh_file(file).map_or(true, |key| !key.is_encrypted())
        };
        self.in_agent || self.file.as_ref().is_some_and(is_open)
    }
}

/// A path as people write it.
pub fn tilde(file: &Path) -> String {
    match home().and_then(|home| file.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => Path::new("~").join(rest).display().to_string(),
        None => file.display().to_string(),
    }
}

/// As many as a VM may have, and those first that are the shortest to check.
fn best(mut found: Vec<AtHand>) -> Vec<AtHand> {
    found.sort_by_key(|found| match found.key.as_str().unwrap_or_default() {
        line if line.starts_with("ssh-ed25519 ") => 0,
        line if line.starts_with("ssh-rsa ") => 2,
        _ => 1,
    });
    found.truncate(SshKeyList::bound());
    found
}

fn home() -> Option<PathBuf> {
    let home = env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"));
    home.map(PathBuf::from).filter(|home| home.is_absolute())
}

/// Where ssh keeps its keys.
pub fn home_folder() -> Option<PathBuf> {
    Some(home()?.join(".ssh"))
}

/// The keys of the agent, and the `id_…` of a folder whose private half is there too; each once.
pub async fn at_hand(folder: Option<&Path>) -> Vec<AtHand> {
    let mut found: Vec<AtHand> = Vec::new();
    for key in in_agent().await {
        if found.iter().all(|known| known.key != key) {
            found.push(AtHand { key, file: None, in_agent: true });
        }
    }
    let files = folder.map(|folder| in_folder(folder, |name| name.starts_with("id_")));
    for (key, file) in files.unwrap_or_default() {
        match found.iter_mut().find(|known| known.key == key) {
            Some(known) => known.file = known.file.take().or(Some(file)),
            None => found.push(AtHand { key, file: Some(file), in_agent: false }),
        }
    }
    found
}

/// The keys that were made here for VMs.
pub fn made(folder: &Path) -> Vec<AtHand> {
    let is_key = |name: &str| name.starts_with(NEW) || is_name_for_a_vm(name);
    let at_hand = |(key, file)| AtHand { key, file: Some(file), in_agent: false };
    in_folder(folder, is_key).into_iter().map(at_hand).collect()
}

fn is_name_for_a_vm(name: &str) -> bool {
    name.split_once('-').is_some_and(|(chain, id)| {
        chain.len() == 8
            && chain.bytes().all(|digit| digit.is_ascii_hexdigit())
            && !id.is_empty()
            && id.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// The private keys in a folder, by their public halves: of a `.pub` beside, else of the file itself.
fn in_folder(folder: &Path, is_key: impl Fn(&str) -> bool) -> Vec<(SshKey, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        (is_key(&name) && !name.ends_with(".pub")).then(|| entry.path())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files.into_iter().filter_map(|file| Some((public_half(&file)?, file))).collect()
}

fn public_half(file: &Path) -> Option<SshKey> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    let line = fs::read_to_string(beside).ok().and_then(|line| ssh_key::parse(&line));
    line.or_else(|| {
        let key = PrivateKey::read_openssh_file(file).ok()?;
        ssh_key::parse(&key.public_key().to_openssh().ok()?)
    })
}

/// What the agent has, as far as the chain takes it.
async fn in_agent() -> Vec<SshKey> {
    let has_socket = env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty());
    if cfg!(unix) && !has_socket {
        return Vec::new();
    }
    let mut list = Command::new("ssh-add");
    list.arg("-L").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(AGENT_PATIENCE, list.output()).await {
        Ok(Ok(list)) => {
            String::from_utf8_lossy(&list.stdout).lines().filter_map(ssh_key::parse).collect()
        }
        _ => Vec::new(),
    }
}

/// A new key, which nobody else has.
fn make(folder: &Path) -> Result<Chosen, Failure> {
    let unable =
        |error: ::ssh_key::Error| Failure::Other(format!("no SSH key could be made: {error}"));
    let private = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(unable)?;
    let text = private.to_openssh(LineEnding::LF).map_err(unable)?;
    let public = private.public_key().to_openssh().map_err(unable)?;
    let key = ssh_key::parse(&public);
    let key = key.ok_or_else(|| Failure::Other("the key that was made is none".into()))?;
    make_folder(folder)?;
    let mut random = [0; 8];
    OsRng.fill_bytes(&mut random);
    let file = folder.join(format!("{NEW}{}", HEXLOWER.encode(&random)));
    let written = private_file().open(&file).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.sync_all()
    });
    written.map_err(|error| failed(&file, &error))?;
    let from = "one that was made for this VM".to_owned();
    Ok(Chosen { keys: vec![key], from, made: Some(Made { file }) })
}

/// A folder that nobody else may look into.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| failed(folder, &error))
}

fn private_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(kind: &str, number: u8) -> SshKey {
        SshKey::try_from(format!("{kind} {number}").as_str()).unwrap()
    }

    #[test]
    fn ed25519_comes_first_and_a_vm_has_eight() {
        let kinds = ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"];
        let all = (0..9).map(|number| {
            let kind = kinds[usize::from(number) % 3];
            AtHand { key: key(kind, number), file: None, in_agent: true }
        });
        let chosen = best(all.collect());
        let kinds: Vec<_> = chosen.iter().map(|found| found.key.to_string()).collect();
        assert_eq!(kinds.len(), 8);
        assert!(kinds[..3].iter().all(|line| line.starts_with("ssh-ed25519")), "{kinds:?}");
        assert!(kinds[6..].iter().all(|line| line.starts_with("ssh-rsa")), "{kinds:?}");
    }

    #[test]
    fn a_made_key_is_private_and_found_again_by_its_public_half() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("quarry/ssh");
        let chosen = make(&place).unwrap();
        let file = chosen.made.unwrap().file;
        #[cfg(unix)]
        for (path, mode) in [(&file, 0o600), (&place, 0o700)] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        let found = made(&place);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key, chosen.keys[0]);
        assert!(found[0].works_alone());
        fs::rename(&file, place.join("01234567-12")).unwrap();
        fs::write(place.join("known_hosts-01234567"), "").unwrap();
        assert_eq!(made(&place)[0].file, Some(place.join("01234567-12")));
    }

    #[test]
    fn a_public_half_without_its_private_one_is_none_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let line = crate::ssh_key::line(&[1; 32]);
        fs::write(path("id_alone.pub"), &line).unwrap();
        fs::write(path("id_both.pub"), format!("{} me@here", crate::ssh_key::line(&[2; 32])))
            .unwrap();
        fs::write(path("id_both"), "encrypted, or in a form of old").unwrap();
        fs::write(path("config"), "Host *").unwrap();
        let found = in_folder(folder.path(), |name| name.starts_with("id_"));
        let expected = ssh_key::parse(&crate::ssh_key::line(&[2; 32])).unwrap();
        assert_eq!(found, [(expected, path("id_both"))]);
    }

    #[test]
    fn given_keys_count_once_and_are_eight_at_most() {
        let lines: Vec<_> = (0..9).map(|number| crate::ssh_key::line(&[number; 32])).collect();
        let twice = [lines[0].clone(), format!("{} me", lines[0])];
        assert_eq!(named(&twice, String::new()).unwrap().keys.len(), 1);
        assert_eq!(named(&lines[..8], String::new()).unwrap().keys.len(), 8);
        assert!(named(&lines, String::new()).is_err_and(|failure| failure.exit_code() == 2));
    }
}
