//! The SSH port by which tenants reach their VMs: its key, and its place.

use super::{keys::Keys, registration::serves_tenants, running, Finding};
use crate::config::Settings;
use quarry_guest::HostKey;
use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
};

pub(super) fn checks(settings: &Settings, keys: &Keys) -> Vec<Finding> {
    if !serves_tenants(settings) {
        return vec![Finding::warn(
            "access.listen",
            "there is no SSH port, so that VMs without an address of their own cannot be reached",
            "set access.listen, or access.relay where nobody can dial this host",
        )];
    }
    let mut findings = vec![key(settings, keys)];
    if let Some(listen) = settings.access.listen {
        findings.push(port(listen, running::on(&settings.data_dir)));
    }
    findings
}

fn key(settings: &Settings, keys: &Keys) -> Finding {
    let name = "access.key";
    let file = &settings.access.key;
    let shown = file.display();
    let keys = match &keys.access {
        Err(error) => {
            return Finding::fail(
                name,
                error.to_string(),
                "put it back from where it was kept, or remove it: quarry-worker enroll makes another, \
                 and the miner names that by registry.setAccess",
            )
        }
        Ok(keys) => keys,
    };
    let Some(line) = keys.first().and_then(|key| HostKey::public_line(key).ok()) else {
        return Finding::fail(
            name,
            format!("there is no host key {shown}"),
            "quarry-worker enroll",
        );
    };
    match fs::metadata(file) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => Finding::fail(
            name,
            format!("others can get at the host key {shown}"),
            format!("chmod 600 {shown}; if somebody may have read it, make another"),
        ),
        _ => Finding::ok(name, format!("{} in {shown}", line.trim())),
    }
}

fn port(listen: SocketAddr, worker_runs: bool) -> Finding {
    let name = "access.listen";
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok(name, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && worker_runs => {
            Finding::ok(name, format!("{listen} is in use, as by the worker that runs"))
        }
        Err(error) => Finding::fail(
            name,
            format!("nobody can listen on {listen}: {error}"),
            "ss --listening --tcp --processes shows who has the port: end that, or set another \
             access.listen",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{super::tests::settings_in, *};
    use crate::access_key;
    use std::fs::Permissions;

    #[test]
    fn a_port_that_another_has_is_not_free_unless_that_is_the_worker() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert!(port(address, false).fails());
        assert!(port(address, true).is_ok());
        drop(taken);
        assert!(port(address, false).is_ok());
        assert!(port("203.0.113.7:2222".parse().unwrap(), true).fails(), "no address of this host");
    }

    #[test]
    fn a_host_key_is_there_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "");
        let look = || key(&settings, &Keys::read(&settings));
        assert_eq!(look().remedy.as_deref(), Some("quarry-worker enroll"));
        access_key::read_or_make(&settings.access.key).unwrap();
        assert!(look().is_ok() && look().found.starts_with("ssh-ed25519 "), "{:?}", look());
        fs::set_permissions(&settings.access.key, Permissions::from_mode(0o644)).unwrap();
        assert!(look().fails(), "{:?}", look());
        fs::write(&settings.access.key, "damaged").unwrap();
        assert!(look().fails(), "{:?}", look());
    }

    #[test]
    fn a_node_without_a_port_is_warned() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "access.listen = \"none\"");
        let found = checks(&settings, &Keys::read(&settings));
        assert!(found.len() == 1 && !found[0].is_ok() && !found[0].fails(), "{found:?}");
    }
}
