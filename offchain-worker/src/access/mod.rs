//! How tenants reach their VMs: the node's SSH port, and their keys in the guests.

mod guest_keys;
mod tenants;

use crate::{access_key, config::AccessSettings, engine::Engine, metrics::Metrics};
use quarry_access::{Limits, Server};
use quarry_guest::HostKeyError;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections of one VM.
const PER_VM: usize = 32;
/// Channels of one VM, over all its connections.
const CHANNELS_PER_VM: usize = 64;

/// Why tenants cannot be let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Somebody else has the port.
    #[error(
        "access.listen: {address} cannot be listened at: {error}; choose another port, or \"none\""
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The host key.
    #[error("access.key: {0}; it is the node's SSH host key, which `quarry-worker run` makes where there is none")]
    Key(#[from] HostKeyError),
}

/// A port that nobody is served at yet.
pub struct Port {
    listener: Option<TcpListener>,
}

/// Opens the port and makes the host key where there is none, as early as a failure can be told. None where the
/// settings have neither a port nor a relay.
pub async fn open(settings: &AccessSettings) -> Result<Option<Port>, AccessError> {
    if settings.listen.is_none() && settings.relay.is_none() {
        return Ok(None);
    }
    access_key::read_or_make(&settings.key)?;
    let listener = match settings.listen {
        Some(address) => {
            let listening = TcpListener::bind(address).await;
            Some(listening.map_err(|error| AccessError::Listen { address, error })?)
        }
        None => None,
    };
    Ok(Some(Port { listener }))
}

/// Begins to serve; without a port, what is returned serves what a relay hands to it.
pub fn serve(
    port: Port,
    settings: &AccessSettings,
    engine: &Arc<Engine>,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Arc<Server> {
    let limits = Limits {
        unauthenticated: settings.unauthenticated,
        per_source: settings.per_source,
        per_vm: PER_VM,
        channels_per_vm: CHANNELS_PER_VM,
        idle_timeout: settings.idle_timeout,
    };
    let tenants = Arc::new(tenants::Tenants::new(engine.clone(), settings.key.clone()));
    let server = Server::new(tenants, limits, stop.clone());
    metrics.set_access(server.figures());
    if let Some(listener) = port.listener {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "tenants reach their VMs here");
        }
        tokio::spawn(server.clone().serve(listener));
    }
    server
}

/// Keeps the tenants' keys in their guests as the chain has them.
pub fn follow_keys(engine: &Arc<Engine>, stop: &CancellationToken) {
    tokio::spawn(guest_keys::follow(engine.clone(), stop.clone()));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::{path::Path, time::Duration};

    fn settings(listen: Option<SocketAddr>, folder: &Path) -> AccessSettings {
        AccessSettings {
            listen,
            key: folder.join("access.key"),
            endpoint: None,
            relay: None,
            unauthenticated: 64,
            per_source: 4,
            idle_timeout: Duration::from_secs(3600),
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = open(&settings(Some(address), folder.path())).await.err().unwrap();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        drop(taken);
        assert!(open(&settings(Some(address), folder.path())).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_damaged_key_is_told_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(Some("127.0.0.1:0".parse().unwrap()), folder.path());
        std::fs::write(&settings.key, "damaged").unwrap();
        assert!(matches!(open(&settings).await, Err(AccessError::Key(_))));
        assert_eq!(std::fs::read_to_string(&settings.key).unwrap(), "damaged");
    }

    #[tokio::test]
    async fn without_a_port_and_a_relay_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(None, folder.path());
        assert!(open(&settings).await.unwrap().is_none());
        assert!(!settings.key.exists());
    }
}
