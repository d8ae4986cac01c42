//! Keeps one connection to the chain alive, and tells what comes through it.

use super::{
    connect::{ConnectError, Session},
    endpoint::Endpoint,
    standing::History,
    Block, Network, Shared,
};
use crate::{back_off::BackOff, hash::hash_of, Config};
use codec::Encode;
use quarry_primitives::BlockNumber;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use subxt::rpcs::client::RpcSubscription;
use subxt::rpcs::methods::legacy::RuntimeVersion;

type Header = <Config as subxt::Config>::Header;

const LEAST_WAIT: Duration = Duration::from_millis(500);
const MOST_WAIT: Duration = Duration::from_secs(30);
/// How long one that lags is kept at most before the others are looked at again.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the chain node closed the connection")]
    Closed,
    #[error("the chain node told of no block for {} seconds", .0.as_secs())]
    Silent(Duration),
    #[error("the chain node lags behind the chain or has no peers, and another does not")]
    Behind,
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
        let has_others = self.endpoints.len() > 1;
        let mut lag = Lag::new(self.silence);
        loop {
            let silence = self.silence;
            let next = async {
                self.next(session, &mut subscriptions).await?;
                Ok::<_, Lost>(
                    has_others && lag.is_too_long(session.network().await?, Instant::now()),
                )
            };
            let next = tokio::time::timeout(silence, next);
            let lags = next.await.map_err(|_| Lost::Silent(silence))??;
            if lags && self.another_is_in_step(session).await {
                return Err(Lost::Behind);
            }
        }
    }

    /// Whether there is a better one: what lags is better than none.
    async fn another_is_in_step(&self, session: &Session) -> bool {
        let in_use = self.shared.connection.borrow().endpoint.clone();
        for endpoint in &self.endpoints {
            if in_use.as_ref() == Some(&endpoint.to_string()) {
                continue;
            }
            let other = Session::connect(endpoint, Some(session.genesis())).await;
            let Ok(other) = other else { continue };
            if other.network().await.is_ok_and(Network::is_in_step) {
                return true;
            }
        }
        false
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

/// For how long a chain node has not been in step with its network.
struct Lag {
    since: Option<Instant>,
    patience: Duration,
}

impl Lag {
    fn new(patience: Duration) -> Self {
        Self { since: None, patience }
    }

    /// Once for each time that it was so for as long as it may be, which is longer each time.
    fn is_too_long(&mut self, network: Network, now: Instant) -> bool {
        if network.is_in_step() {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_too_long = now.saturating_duration_since(since) >= self.patience;
        if is_too_long {
            self.since = Some(now);
            self.patience = self.patience.saturating_mul(2).min(MOST_PATIENCE);
        }
        is_too_long
    }
}

fn block_of(header: &Header) -> Block {
    Block {
        number: BlockNumber::try_from(header.number).unwrap_or(BlockNumber::MAX),
        hash: hash_of(&header.encode()),
        parent: header.parent_hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_STEP: Network = Network { is_syncing: false, is_alone: false };
    const SYNCING: Network = Network { is_syncing: true, is_alone: false };

    #[test]
    fn what_lags_is_left_alone_for_longer_each_time() {
        let begun = Instant::now();
        let mut lag = Lag::new(Duration::from_secs(30));
        let mut too_long =
            |network, second| lag.is_too_long(network, begun + Duration::from_secs(second));
        let told: Vec<u64> = (0..3_000).filter(|second| too_long(SYNCING, *second)).collect();
        assert_eq!(told, [30, 90, 210, 450, 930, 1_530, 2_130, 2_730]);
    }

    #[test]
    fn what_was_in_step_meanwhile_lags_anew() {
        let begun = Instant::now();
        let mut lag = Lag::new(Duration::from_secs(30));
        for (second, network) in
            [(0, SYNCING), (29, SYNCING), (30, IN_STEP), (31, SYNCING), (60, SYNCING)]
        {
            assert!(!lag.is_too_long(network, begun + Duration::from_secs(second)), "{second}");
        }
        assert!(lag.is_too_long(SYNCING, begun + Duration::from_secs(61)));
    }
}
