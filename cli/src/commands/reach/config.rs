//! Configs and known hosts, as ssh reads them.

use super::route::Hop;
use crate::{failure::Failure, ssh_key};
use std::path::{Path, PathBuf};

/// The entry of a hop. It says all that matters, so that nothing of the user's own settings, which may
/// stand after it, undoes it.
pub fn entry(hop: &Hop, identities: &[PathBuf], known_hosts: &Path) -> Result<String, Failure> {
    let Hop { names, host, port, user, known_as, through, .. } = hop;
    let mut lines = vec![
        format!("Host {}", names.join(" ")),
        format!("HostName {host}"),
        format!("Port {port}"),
        format!("User {user}"),
        format!("HostKeyAlias {known_as}"),
        "HostKeyAlgorithms ssh-ed25519".into(),
        format!("UserKnownHostsFile {}", quoted(known_hosts)?),
        "GlobalKnownHostsFile /dev/null".into(),
        "StrictHostKeyChecking yes".into(),
        "CheckHostIP no".into(),
        "UpdateHostKeys no".into(),
    ];
    for identity in identities {
        lines.push(format!("IdentityFile {}", quoted(identity)?));
    }
    if !identities.is_empty() {
        lines.push("IdentitiesOnly yes".into());
    }
    match through {
        Some(through) => lines.push(format!("ProxyJump {through}")),
        None => lines.push("ProxyJump none".into()),
    }
    Ok(lines.join("\n  ") + "\n")
}

/// The key of a hop, as a line of known hosts.
pub fn known(hop: &Hop) -> String {
    format!("{} {}\n", hop.known_as, ssh_key::line(&hop.key))
}

/// A path as a word of a config. ssh puts other things in the place of some signs.
fn quoted(path: &Path) -> Result<String, Failure> {
    let wrong = || {
        Failure::Usage(format!(
            "ssh takes no path like {}: use one of letters, digits, spaces and the like",
            path.display()
        ))
    };
    let text = path.to_str().ok_or_else(wrong)?;
    let text = if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
    let is_strange = |sign: char| sign.is_control() || matches!(sign, '"' | '\\' | '$');
    match text.contains(is_strange) {
        true => Err(wrong()),
        false => Ok(format!("\"{}\"", text.replace('%', "%%"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::commands::reach::route::{tests::running, to_guest, Names, USER};

    #[test]
    fn the_way_through_a_node_is_two_entries() {
        let hops = to_guest(&running(), &Names::passing(12), USER, false).unwrap();
        let identities = [PathBuf::from("/home/erin/my keys/100%")];
        let text = hops.iter().map(|hop| entry(hop, &identities, Path::new("/run/known")).unwrap());
        assert_eq!(
            text.collect::<String>(),
            "\
Host node-of-12
  HostName node.example
  Port 2222
  User 12
  HostKeyAlias node-of-12
  HostKeyAlgorithms ssh-ed25519
  UserKnownHostsFile \"/run/known\"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  CheckHostIP no
  UpdateHostKeys no
  IdentityFile \"/home/erin/my keys/100%%\"
  IdentitiesOnly yes
  ProxyJump none
Host vm-12
  HostName vm
  Port 22
  User quarry
  HostKeyAlias vm-12
  HostKeyAlgorithms ssh-ed25519
  UserKnownHostsFile \"/run/known\"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  CheckHostIP no
  UpdateHostKeys no
  IdentityFile \"/home/erin/my keys/100%%\"
  IdentitiesOnly yes
  ProxyJump node-of-12
"
        );
    }

    #[test]
    fn a_key_is_filed_under_the_name_of_its_machine() {
        let hops = to_guest(&running(), &Names::passing(12), USER, false).unwrap();
        let lines: String = hops.iter().map(known).collect();
        let (node, guest) = (ssh_key::line(&[8; 32]), ssh_key::line(&[7; 32]));
        assert_eq!(lines, format!("node-of-12 {node}\nvm-12 {guest}\n"));
    }

    #[test]
    fn a_path_that_ssh_would_read_otherwise_is_refused() {
        for path in ["/a\"b", "/a\nb", "/${HOME}/a", "/a\\b"] {
            assert!(quoted(Path::new(path)).is_err(), "{path}");
        }
    }
}
