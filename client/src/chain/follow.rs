//! Keeps one connection to the chain alive, and tells what comes through it.

use super::{
    connect::{ConnectError, Session},
    endpoint::Endpoint,
    standing::History,
    Block, Shared,
};
use crate::{back_off::BackOff, hash::hash_of, Config};
use codec::Encode;
use quarry_primitives::BlockNumber;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use subxt::rpcs::client::RpcSubscription;
use subxt::rpcs::methods::legacy::RuntimeVersion;

type Header = <Config as subxt::Config>::Header;

const LEAST_WAIT: Duration = Duration::from_millis(500);
const MOST_WAIT: Duration = Duration::from_secs(30);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the chain node closed the connection")]
    Closed,
    #[error("the chain node told of no block for {} seconds", .0.as_secs())]
    Silent(Duration),
    #[error(transparent)]
    Failed(#[from] ConnectError),
}

impl From<subxt::rpcs::Error> for Lost {
    fn from(error: subxt::rpcs::Error) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) struct Follower {
    shared: Arc<Shared>,
    endpoints: Vec<Endpoint>,
    silence: Duration,
    history: History,
    back_off: BackOff,
}

struct Subscriptions {
    finalized: RpcSubscription<Header>,
    best: RpcSubscription<Header>,
    runtime: RpcSubscription<RuntimeVersion>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, endpoints: Vec<Endpoint>, silence: Duration) -> Self {
        let back_off = BackOff::new(LEAST_WAIT, MOST_WAIT);
        Self { shared, endpoints, silence, history: History::default(), back_off }
    }

    /// Goes through the endpoints for ever. Waits after each round of them, so that a chain node that
    /// fails is left for the next one at once.
    pub(super) async fn run(mut self) {
        loop {
            for endpoint in self.endpoints.clone() {
                self.use_endpoint(&endpoint).await;
            }
            tokio::time::sleep(self.back_off.wait()).await;
        }
    }

    async fn use_endpoint(&mut self, endpoint: &Endpoint) {
        let expected = *self.shared.genesis.borrow();
        let lost = match Session::connect(endpoint, expected).await {
            Ok(session) => {
                let session = Arc::new(session);
                self.publish(endpoint, &session);
                let Err(lost) = self.follow(&session).await;
                lost
            }
            Err(error) => error.into(),
        };
        self.withdraw(endpoint, &lost);
    }

    fn publish(&self, endpoint: &Endpoint, session: &Arc<Session>) {
        tracing::info!(%endpoint, "connected to the chain");
        self.shared.genesis.send_if_modified(|genesis| {
            genesis.replace(session.genesis()) != Some(session.genesis())
        });
        self.shared.connection.send_modify(|connection| {
            connection.endpoint = Some(endpoint.to_string());
            connection.since = SystemTime::now();
            connection.connects += 1;
            connection.spec_version = Some(session.runtime().spec_version);
        });
        self.shared.session.send_replace(Some(session.clone()));
    }

    fn withdraw(&self, endpoint: &Endpoint, lost: &Lost) {
        tracing::warn!(%endpoint, error = %lost, "no connection to the chain");
        self.shared.session.send_replace(None);
        // The next chain node may have another.
        self.shared.best.send_replace(None);
        self.shared.connection.send_modify(|connection| {
            if connection.endpoint.take().is_some() {
                connection.since = SystemTime::now();
            }
            connection.last_error = Some(format!("{endpoint}: {lost}"));
        });
    }

    /// Tells of blocks until the connection is lost.
    async fn follow(&mut self, session: &Session) -> Result<std::convert::Infallible, Lost> {
        let rpc = session.rpc();
        self.history.reconnected();
        let mut subscriptions = Subscriptions {
            finalized: rpc.chain_subscribe_finalized_heads().await?,
            best: rpc.chain_subscribe_new_heads().await?,
            runtime: rpc.state_subscribe_runtime_version().await?,
        };
        loop {
            let silence = self.silence;
            let next = tokio::time::timeout(silence, self.next(session, &mut subscriptions));
            next.await.map_err(|_| Lost::Silent(silence))??;
        }
    }

    /// Waits for one block, taking up any upgrade on the way.
    async fn next(
        &mut self,
        session: &Session,
        subscriptions: &mut Subscriptions,
    ) -> Result<(), Lost> {
        loop {
            tokio::select! {
                header = subscriptions.finalized.next() => {
                    let block = block_of(&header.ok_or(Lost::Closed)??);
                    return self.tell_finalized(session, block).await;
                }
                header = subscriptions.best.next() => {
                    let block = block_of(&header.ok_or(Lost::Closed)??);
                    self.shared.best.send_replace(Some(block));
                    self.back_off.reset();
                    return Ok(());
                }
                version = subscriptions.runtime.next() => {
                    let version = version.ok_or(Lost::Closed)??.spec_version;
                    if version != session.runtime().spec_version {
                        session.upgrade().await?;
                        tracing::info!(version, "the chain's runtime was upgraded");
                        self.shared.connection.send_modify(|connection| {
                            connection.spec_version = Some(version);
                        });
                    }
                }
            }
        }
    }

    async fn tell_finalized(&mut self, session: &Session, block: Block) -> Result<(), Lost> {
        if block.number > 0 && self.history.wants_first() {
            let first = session.rpc().chain_get_block_hash(Some(1u32.into())).await?;
            self.history.meet(first);
        }
        let finalized = self.history.judge(block);
        if !finalized.may_act() {
            tracing::warn!(number = block.number, standing = ?finalized.standing, "finalized");
        }
        self.shared.finalized.send_replace(Some(finalized));
        Ok(())
    }
}

fn block_of(header: &Header) -> Block {
    Block {
        number: BlockNumber::try_from(header.number).unwrap_or(BlockNumber::MAX),
        hash: hash_of(&header.encode()),
        parent: header.parent_hash,
    }
}
