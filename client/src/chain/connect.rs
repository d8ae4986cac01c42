//! One connection to one chain node.

use super::{
    compatibility::Incompatible,
    endpoint::Endpoint,
    prompt::Prompt,
    runtime::{Rpc, Runtime, RuntimeError},
    settled::{self, Settled},
    Network,
};
use crate::reads::ReadError;
use quarry_primitives::Hash;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use subxt::{
    ext::jsonrpsee::ws_client::{PingConfig, WsClient, WsClientBuilder},
    rpcs::RpcClient,
};

const CONNECT_WITHIN: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const PING_EVERY: Duration = Duration::from_secs(10);
const MOST_BYTES: u32 = 64 * 1024 * 1024;
/// Subscriptions of a slow reader end when they are so far behind.
const MOST_BEHIND: usize = 4096;

/// Why an endpoint is not used now.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("cannot reach the chain node: {0}")]
    Unreachable(String),
    /// It accepts connections and says nothing.
    #[error("the chain node did not answer within {} seconds", CONNECT_WITHIN.as_secs())]
    Silent,
    /// It serves another chain.
    #[error(
        "the chain node serves another chain: its genesis is {found:?} and not {expected:?}; \
         correct the endpoint, or the genesis in the settings"
    )]
    OtherGenesis {
        /// The chain's genesis.
        found: Hash,
        /// The genesis that it should have.
        expected: Hash,
    },
    /// Its runtime and this program do not understand each other.
    #[error("{0}")]
    Incompatible(String),
    /// It answers with something else than what was asked for.
    #[error("the chain node's answer cannot be used: {0}")]
    Answer(String),
}

impl From<subxt::rpcs::Error> for ConnectError {
    fn from(error: subxt::rpcs::Error) -> Self {
        match error {
            subxt::rpcs::Error::Client(error) => Self::Unreachable(error.to_string()),
            other => Self::Answer(other.to_string()),
        }
    }
}

impl From<Incompatible> for ConnectError {
    fn from(error: Incompatible) -> Self {
        Self::Incompatible(error.to_string())
    }
}

impl From<RuntimeError> for ConnectError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Rpc(error) => error.into(),
            RuntimeError::Incompatible(error) => error.into(),
            RuntimeError::Metadata(error) => Self::Answer(error),
        }
    }
}

/// A connection that was made, with the runtimes seen through it.
pub(crate) struct Session {
    rpc: Rpc,
    genesis: Hash,
    runtimes: Mutex<Runtimes>,
    settled: Settled,
}

struct Runtimes {
    latest: Arc<Runtime>,
    by_version: BTreeMap<u32, Arc<Runtime>>,
}

impl Session {
    pub(super) async fn connect(
        endpoint: &Endpoint,
        expected: Option<Hash>,
    ) -> Result<Self, ConnectError> {
        let connecting = Self::connect_patiently(endpoint, expected);
        tokio::time::timeout(CONNECT_WITHIN, connecting).await.map_err(|_| ConnectError::Silent)?
    }

    async fn connect_patiently(
        endpoint: &Endpoint,
        expected: Option<Hash>,
    ) -> Result<Self, ConnectError> {
        let rpc = Rpc::new(RpcClient::new(open(endpoint).await?));
        let genesis = rpc.genesis_hash().await?;
        if let Some(expected) = expected.filter(|expected| *expected != genesis) {
            return Err(ConnectError::OtherGenesis { found: genesis, expected });
        }
        let best = rpc.chain_get_block_hash(None).await?.unwrap_or(genesis);
        let latest = Runtime::fetch(&rpc, genesis, best).await?;
        let by_version = BTreeMap::from([(latest.spec_version, latest.clone())]);
        let runtimes = Mutex::new(Runtimes { latest, by_version });
        Ok(Self { rpc, genesis, runtimes, settled: Settled::default() })
    }

    pub(super) async fn network(&self) -> Result<Network, subxt::rpcs::Error> {
        Ok(self.rpc.system_health().await?.into())
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    pub(crate) fn genesis(&self) -> Hash {
        self.genesis
    }

    /// The runtime that judges the next block.
    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        self.runtimes().latest.clone()
    }

    /// The runtime that is called by the state of a block, and executes the block after it.
    pub(crate) async fn runtime_at(&self, hash: Hash) -> Result<Arc<Runtime>, RuntimeError> {
        let version = self.rpc.state_get_runtime_version(Some(hash)).await?.spec_version;
        let known = self.runtimes().by_version.get(&version).cloned();
        match known {
            Some(runtime) => Ok(runtime),
            None => {
                let runtime = Runtime::fetch(&self.rpc, self.genesis, hash).await?;
                self.runtimes().by_version.insert(runtime.spec_version, runtime.clone());
                Ok(runtime)
            }
        }
    }

    /// Fails where the state of a block is not one that this program can read. The runtime at that block counts, which
    /// may be another than that of the best block.
    pub(crate) async fn must_be_readable(&self, hash: Hash) -> Result<(), ReadError> {
        if self.settled.has(&hash) {
            return Ok(());
        }
        let runtime = self.runtime_at(hash).await?;
        settled::check(&self.rpc, &runtime, hash).await?;
        self.settled.note(hash);
        Ok(())
    }

    /// Takes up the runtime of the best block, after an upgrade.
    pub(super) async fn upgrade(&self) -> Result<(), ConnectError> {
        let best = self.rpc.chain_get_block_hash(None).await?.unwrap_or(self.genesis);
        let latest = self.runtime_at(best).await?;
        self.runtimes().latest = latest;
        Ok(())
    }

    fn runtimes(&self) -> std::sync::MutexGuard<'_, Runtimes> {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(endpoint: &Endpoint) -> Result<WsClient, ConnectError> {
    let pings =
        PingConfig::new().ping_interval(PING_EVERY).inactive_limit(PING_EVERY * 2).max_failures(1);
    let client = WsClientBuilder::new()
        .connection_timeout(CONNECT_WITHIN)
        .request_timeout(ANSWER_WITHIN)
        .max_request_size(MOST_BYTES)
        .max_response_size(MOST_BYTES)
        .max_buffer_capacity_per_subscription(MOST_BEHIND)
        .enable_ws_ping(pings);
    let unreachable = |error: String| ConnectError::Unreachable(error);
    let connected = match endpoint.plain() {
        Some(address) => {
            let stream = Prompt::connect(address).await.map_err(|e| unreachable(e.to_string()))?;
            client.build_with_stream(endpoint.url(), stream).await
        }
        None => client.build(endpoint.url()).await,
    };
    connected.map_err(|error| unreachable(error.to_string()))
}
