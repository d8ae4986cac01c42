//! The chain, followed for ever through whichever of its nodes answers.

mod compatibility;
mod connect;
mod endpoint;
mod follow;
mod prompt;
pub(crate) mod runtime;
mod settled;
mod standing;

pub use connect::ConnectError;
pub use endpoint::EndpointError;
pub use standing::{Finalized, Standing};

pub(crate) use connect::Session;
pub(crate) use runtime::Runtime;

use crate::reads::{At, ReadError};
use quarry_primitives::{BlockNumber, Hash};
use std::{sync::Arc, time::Duration, time::SystemTime};
use subxt::rpcs::methods::legacy::SystemHealth;
use tokio::{sync::watch, task::AbortHandle};

/// A block of the chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    /// Its height.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the one before it.
    pub parent: Hash,
}

/// Where the chain is, and how patient to be with it.
#[derive(Clone, Debug)]
pub struct ChainOptions {
    /// WebSockets of chain nodes; the first that answers is used until it fails.
    pub endpoints: Vec<String>,
    /// The chain's genesis; where it is not known, that of the first node that answers holds for the
    /// rest of the run.
    pub genesis: Option<Hash>,
    /// How long a chain node may tell of no block, or lag behind the chain, before the next one is asked.
    pub silence: Duration,
}

impl ChainOptions {
    /// These endpoints, of whatever chain answers first.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            genesis: None,
            silence: Duration::from_secs(30),
        }
    }
}

/// What a status page tells of the connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The endpoint in use, without what may be secret in it; none while there is no connection.
    pub endpoint: Option<String>,
    /// Since when there is a connection, or none.
    pub since: SystemTime,
    /// Why the last connection ended, or the last try failed.
    pub last_error: Option<String>,
    /// How many connections were made.
    pub connects: u64,
    /// The version of the chain's runtime, as far as it is known.
    pub spec_version: Option<u32>,
}

/// A handle to the chain; copies share the connection. The last one dropped ends it.
#[derive(Clone)]
pub struct Chain {
    shared: Arc<Shared>,
    _task: Arc<EndOnDrop>,
}

/// What the task that follows the chain tells.
pub(crate) struct Shared {
    genesis: watch::Sender<Option<Hash>>,
    session: watch::Sender<Option<Arc<Session>>>,
    finalized: watch::Sender<Option<Finalized>>,
    best: watch::Sender<Option<Block>>,
    connection: watch::Sender<Connection>,
}

struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Chain {
    /// Starts to follow the chain, within a tokio runtime. Fails on an endpoint that can never answer;
    /// what does not answer now is tried again and again.
    pub fn start(options: ChainOptions) -> Result<Self, EndpointError> {
        let endpoints = endpoint::parse_all(&options.endpoints)?;
        let connection = Connection {
            endpoint: None,
            since: SystemTime::now(),
            last_error: None,
            connects: 0,
            spec_version: None,
        };
        let shared = Arc::new(Shared {
            genesis: watch::Sender::new(options.genesis),
            session: watch::Sender::new(None),
            finalized: watch::Sender::new(None),
            best: watch::Sender::new(None),
            connection: watch::Sender::new(connection),
        });
        let follower = follow::Follower::new(shared.clone(), endpoints, options.silence);
        let task = tokio::spawn(follower.run()).abort_handle();
        Ok(Self { shared, _task: Arc::new(EndOnDrop(task)) })
    }

    /// The latest finalized block, which survives disconnects. Within one run it goes back only when it
    /// says so, see [`Standing`].
    pub fn finalized(&self) -> watch::Receiver<Option<Finalized>> {
        self.shared.finalized.subscribe()
    }

    /// The best block of the chain node in use, if one is: what is due by the block is due by this one.
    pub fn best(&self) -> watch::Receiver<Option<Block>> {
        self.shared.best.subscribe()
    }

    /// The connection, for status pages.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.shared.connection.subscribe()
    }

    /// The chain's genesis, once a chain node answered.
    pub fn genesis(&self) -> Option<Hash> {
        *self.shared.genesis.borrow()
    }

    /// Waits until there is a connection and a finalized block, and gives both.
    pub async fn ready(&self) -> (Hash, Finalized) {
        let mut finalized = self.finalized();
        let mut genesis = self.shared.genesis.subscribe();
        // A watch fails when its sender is gone, and `self` holds the senders.
        loop {
            let (known, latest) = (*genesis.borrow_and_update(), *finalized.borrow_and_update());
            if let (Some(known), Some(latest)) = (known, latest) {
                return (known, latest);
            }
            let _ = tokio::select! {
                changed = finalized.changed() => changed,
                changed = genesis.changed() => changed,
            };
        }
    }

    /// Waits until the latest finalized block is another than this one.
    pub async fn next_finalized(&self, than: Hash) -> Finalized {
        let mut finalized = self.finalized();
        loop {
            let latest = *finalized.borrow_and_update();
            if let Some(latest) = latest.filter(|latest| latest.block.hash != than) {
                return latest;
            }
            // It fails when its sender is gone, and `self` holds the sender.
            let _ = finalized.changed().await;
        }
    }

    /// The state of a block.
    pub fn at(&self, hash: Hash) -> At {
        At::new(self.clone(), hash)
    }

    /// The version of the runtime that judges the next block.
    pub fn spec_version(&self) -> Result<u32, ReadError> {
        Ok(self.session()?.runtime().spec_version)
    }

    /// How the chain node in use stands to its network.
    pub async fn network(&self) -> Result<Network, ReadError> {
        Ok(self.session()?.network().await?)
    }

    pub(crate) fn session(&self) -> Result<Arc<Session>, ReadError> {
        self.shared.session.borrow().clone().ok_or(ReadError::Disconnected)
    }

    pub(crate) fn sessions(&self) -> watch::Receiver<Option<Arc<Session>>> {
        self.shared.session.subscribe()
    }
}

/// How a chain node stands to its network, as far as it can know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    /// It is catching up with its peers.
    pub is_syncing: bool,
    /// It has none of the peers that it should have, and so knows of no later block.
    pub is_alone: bool,
}

impl Network {
    /// Whether it is neither behind nor alone.
    pub fn is_in_step(self) -> bool {
        !self.is_syncing && !self.is_alone
    }
}

impl From<SystemHealth> for Network {
    fn from(health: SystemHealth) -> Self {
        let is_alone = health.peers == 0 && health.should_have_peers;
        Self { is_syncing: health.is_syncing, is_alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(peers: usize, is_syncing: bool, should_have_peers: bool) -> Network {
        SystemHealth { peers, is_syncing, should_have_peers }.into()
    }

    #[test]
    fn a_chain_node_that_syncs_or_has_none_of_the_peers_that_it_should_have_is_not_in_step() {
        assert!(!network(3, true, true).is_in_step());
        assert!(network(0, false, true).is_alone && !network(0, false, true).is_in_step());
        assert!(network(1, false, true).is_in_step());
    }

    #[test]
    fn a_chain_node_that_makes_blocks_alone_is_in_step() {
        assert!(network(0, false, false).is_in_step());
    }
}
