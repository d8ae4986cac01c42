//! SSH keys: those of hosts, as the chain has them, and those that let a tenant in.

use crate::failure::Failure;
use data_encoding::BASE64;
use quarry_primitives::{content::is_ssh_key, request::SshKey};
use std::{fs, path::Path};

const KIND: &str = "ssh-ed25519";

/// An Ed25519 key as a line of OpenSSH.
pub fn line(key: &[u8; 32]) -> String {
    let part = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        [length.to_be_bytes().as_slice(), bytes].concat()
    };
    format!("{KIND} {}", BASE64.encode(&[part(KIND.as_bytes()), part(key)].concat()))
}

/// A public key of a line of OpenSSH, if the chain takes it. The comment is left out: it often says who
/// and where somebody is, and the chain is public.
pub fn parse(line: &str) -> Option<SshKey> {
    let line = line.trim();
    let mut words = line.split(' ');
    let bare = format!("{} {}", words.next()?, words.next()?);
    if !is_ssh_key(line) {
        return None;
    }
    SshKey::try_from(bare.as_str()).ok()
}

/// Whether two lines are one key, whatever their comments.
pub fn is_same(one: &SshKey, other: &SshKey) -> bool {
    let bare = |key: &SshKey| key.as_str().and_then(parse);
    bare(one).is_some_and(|key| bare(other) == Some(key))
}

/// The keys that a word of the command line means: a line itself, or the lines of a file. A comment that
/// somebody typed is meant for all to read, one that stands in a file is not.
pub fn given(word: &str) -> Result<Vec<SshKey>, Failure> {
    if is_ssh_key(word) {
        let too_long = |_| Failure::refused("Compute.InvalidSshKey");
        return Ok(vec![SshKey::try_from(word).map_err(too_long)?]);
    }
    let text = match read(Path::new(word)) {
        Ok(text) => text,
        Err(error) => {
            return Err(Failure::Usage(format!(
                "{word:?} is no public SSH key, and no file that can be read: {error}"
            )))
        }
    };
    if text.contains("PRIVATE KEY-----") {
        return Err(Failure::Usage(format!(
            "{word} is a private key, which stays here: name {word}.pub"
        )));
    }
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Option<Vec<SshKey>> = lines.map(parse).collect();
    match keys {
        Some(keys) if !keys.is_empty() => Ok(keys),
        _ => Err(Failure::Usage(format!(
            "{word} has a line that is no public SSH key as the chain takes them: Ed25519, ECDSA or RSA, \
             as in a file id_….pub"
        ))),
    }
}

/// No more of a file than keys take.
fn read(path: &Path) -> std::io::Result<String> {
    const MOST: u64 = 64 * 1024;
    if fs::metadata(path)?.len() > MOST {
        return Err(std::io::Error::other("it is too large"));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn a_key_is_written_as_openssh_has_it() {
        let key = std::array::from_fn(|index| index as u8);
        assert_eq!(line(&key), LINE);
    }

    #[test]
    fn a_key_goes_to_the_chain_without_its_comment() {
        for text in [LINE.to_owned(), format!("{LINE} erin@laptop at home\n")] {
            assert_eq!(parse(&text).unwrap().as_str(), Some(LINE));
        }
        for text in ["", "ssh-ed25519", "id.pub", "ssh-ed25519 AAAA", "no-such-kind AAAA"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_comment_makes_no_other_key() {
        let with_comment = SshKey::try_from(format!("{LINE} erin").as_str()).unwrap();
        let other = SshKey::try_from(line(&[1; 32]).as_str()).unwrap();
        assert!(is_same(&with_comment, &parse(LINE).unwrap()));
        assert!(!is_same(&other, &with_comment));
        let nonsense = SshKey::try_from("nonsense").unwrap();
        assert!(!is_same(&nonsense, &nonsense), "what is no key is like no other");
    }

    #[test]
    fn a_word_is_a_line_or_a_file_of_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id.pub");
        let path = file.to_str().unwrap();
        let other = line(&[1; 32]);
        fs::write(&file, format!("# mine\n{LINE} erin\n\n{other}\n")).unwrap();
        let keys = given(path).unwrap();
        assert_eq!(
            keys.iter().map(|key| key.as_str()).collect::<Vec<_>>(),
            [Some(LINE), Some(&other)]
        );
        let typed = format!("{LINE} on purpose");
        assert_eq!(given(&typed).unwrap()[0].as_str(), Some(typed.as_str()));
    }

    #[test]
    fn what_has_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let path = file.to_str().unwrap();
        for (text, told) in [
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "id.pub"),
            ("", "is no public SSH key"),
            (&format!("{LINE}\ncommand=\"sh\" {LINE}\n"), "is no public SSH key"),
        ] {
            fs::write(&file, text).unwrap();
            let failure = given(path).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.to_string().contains(told), "{failure}");
        }
        assert!(given("/nowhere/id.pub").unwrap_err().to_string().contains("/nowhere/id.pub"));
    }
}
