//! What is checked before anything is written: flags the chain has no use for, ports, keys.

use crate::problem::Problem;
use sc_cli::{OffchainWorkerEnabled, RunCmd};
use sc_keystore::LocalKeystore;
use sc_network::config::NetworkBackendType;
use sc_service::{config::KeystoreConfig, Configuration, Role};
use sp_core::crypto::{key_types, KeyTypeId};
use sp_keystore::Keystore;
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

/// Refuses flags of the SDK's that this chain has no use for.
pub fn check_flags(run: &RunCmd) -> Result<(), Problem> {
    let workers = &run.offchain_worker_params;
    if matches!(workers.enabled, OffchainWorkerEnabled::Always) || workers.indexing_enabled {
        return Err(Problem::Usage(
            "this chain has no offchain workers: leave out --offchain-worker and \
             --enable-offchain-indexing"
                .into(),
        ));
    }
    Ok(())
}

/// Checks what a node needs of its machine before it starts.
pub fn check_machine(config: &Configuration) -> Result<(), Problem> {
    if !matches!(config.network.network_backend, NetworkBackendType::Litep2p) {
        return Err(Problem::Usage("only litep2p is built in: leave out --network-backend".into()));
    }
    check_ports(config)?;
    check_session_keys(config)
}

fn check_ports(config: &Configuration) -> Result<(), Problem> {
    for endpoint in config.rpc.addr.iter().flatten().filter(|endpoint| !endpoint.is_optional) {
        check_port(endpoint.listen_addr, "--rpc-port")?;
    }
    if let Some(prometheus) = &config.prometheus_config {
        check_port(prometheus.port, "--prometheus-port")?;
    }
    for address in &config.network.listen_addresses {
        match socket(&address.to_string()) {
            Some(("tcp", address)) => check_port(address, "--port")?,
            Some(("udp", address)) => judge(UdpSocket::bind(address), address, "--port")?,
            _ => {}
        }
    }
    Ok(())
}

/// The protocol and the socket of a listen address such as `/ip4/0.0.0.0/tcp/30333`.
fn socket(multiaddr: &str) -> Option<(&str, SocketAddr)> {
    let mut parts = multiaddr.split('/').skip(1);
    let (_family, ip, protocol, port) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((protocol, SocketAddr::new(ip.parse().ok()?, port.parse().ok()?)))
}

/// Refuses a port that another program holds; the node would take a random one instead.
fn check_port(address: SocketAddr, flag: &str) -> Result<(), Problem> {
    judge(TcpListener::bind(address), address, flag)
}

fn judge<T>(bound: io::Result<T>, address: SocketAddr, flag: &str) -> Result<(), Problem> {
    match bound {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Problem::new(
            format!("port {} is in use by another program", address.port()),
            format!("stop that program, or choose another port with {flag} (0 takes a free one)"),
        )),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Problem::new(
            format!("port {} is reserved for the system ({error})", address.port()),
            format!("choose one above 1023 with {flag}"),
        )),
        // A machine without IPv6 still runs a node.
        _ => Ok(()),
    }
}

/// Refuses to start a validator that could neither author nor finalize.
fn check_session_keys(config: &Configuration) -> Result<(), Problem> {
    let KeystoreConfig::Path { path, password } = &config.keystore else {
        return Ok(());
    };
    if !matches!(config.role, Role::Authority) || config.dev_key_seed.is_some() {
        return Ok(());
    }
    for (kind, name, scheme) in
        [(key_types::AURA, "aura", "sr25519"), (key_types::GRANDPA, "gran", "ed25519")]
    {
        if !has_key(path, password.clone(), kind)? {
            return Err(Problem::new(
                format!(
                    "a validator needs a key of type `{name}`, and {} has none",
                    path.display()
                ),
                format!(
                    "store it with `quarry-node key insert --key-type {name} --scheme {scheme} \
                     --suri FILE --chain CHAIN --base-path PATH`, or start without --validator"
                ),
            ));
        }
    }
    Ok(())
}

fn has_key(
    path: &Path,
    password: Option<sp_core::crypto::SecretString>,
    kind: KeyTypeId,
) -> Result<bool, Problem> {
    if !path.is_dir() {
        return Ok(false);
    }
    let keystore = LocalKeystore::open(path, password).map_err(|error| {
        Problem::new(
            format!("the keystore {} cannot be read ({error})", path.display()),
            "check its permissions and --keystore-path",
        )
    })?;
    Ok(!keystore.keys(kind).unwrap_or_default().is_empty())
}

/// Refuses a file that cannot be read before a database is made for its blocks.
pub fn check_readable(path: &Path) -> Result<(), Problem> {
    std::fs::File::open(path).map(drop).map_err(|error| {
        Problem::new(format!("cannot read {} ({error})", path.display()), "check the path")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_gives_its_socket() {
        let at = |address: &str| address.parse::<SocketAddr>().unwrap();
        assert_eq!(socket("/ip4/127.0.0.1/tcp/30333"), Some(("tcp", at("127.0.0.1:30333"))));
        assert_eq!(socket("/ip6/::1/tcp/30333/ws"), Some(("tcp", at("[::1]:30333"))));
        assert_eq!(socket("/ip4/0.0.0.0/udp/1/webrtc-direct"), Some(("udp", at("0.0.0.0:1"))));
        assert_eq!(socket("/dns/example/tcp/1"), None);
    }

    #[test]
    fn a_busy_port_is_refused_with_the_flag_that_changes_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let Err(Problem::Failure(line)) = check_port(address, "--rpc-port") else {
            panic!("a busy port passed")
        };
        assert!(
            line.contains(&address.port().to_string()) && line.contains("--rpc-port"),
            "{line}"
        );
        drop(held);
        assert!(check_port(address, "--rpc-port").is_ok());
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_keys() {
        assert!(!has_key(Path::new("/nowhere/at/all"), None, key_types::AURA).unwrap());
    }
}
