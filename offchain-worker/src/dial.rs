//! How the world reaches this node: by a relay that it dials, where nobody can dial it, and by the endpoint that
//! stands on the chain, which is moved when it is another one.

use crate::{
    access_key,
    config::{RelaySettings, Settings},
    signer::Signer,
};
use quarry_access::Server;
use quarry_client::{Chain, Outcome, ReadError, Report};
use quarry_guest::HostKeyError;
use quarry_primitives::{
    node::{Access, NodeRecord},
    text::Text,
    AccountId, BlockNumber, Hash, NodeId,
};
use quarry_relay::{Dial, DialError, Link, PrivateKey};
use rand::Rng;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

const LEAST_WAIT: Duration = Duration::from_secs(1);
const MOST_WAIT: Duration = Duration::from_secs(30);
/// A link that lived so long was a sound one.
const SOUND: Duration = Duration::from_secs(60);
/// After a move that the chain refused.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// `host:port`, as the chain has it.
type Endpoint = Text<128>;

/// Starts what the settings ask for, within an async runtime.
pub fn start(
    chain: &Chain,
    signer: &Arc<Signer>,
    settings: &Arc<Settings>,
    server: &Arc<Server>,
    stop: &CancellationToken,
) {
    let (endpoint, known) = watch::channel(settings.access.endpoint.clone());
    let mover = Mover {
        chain: chain.clone(),
        signer: signer.clone(),
        node_id: settings.node_id.clone(),
        wanted: known,
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(mover.run()));
    if let Some(relay) = settings.access.relay.clone() {
        let dialler = Dialler {
            chain: chain.clone(),
            settings: settings.clone(),
            relay,
            server: server.clone(),
            endpoint,
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(dialler.run()));
    }
}

/// Why there is no way by the relay now.
#[derive(Debug, thiserror::Error)]
enum NoWay {
    #[error("{0}")]
    Dial(#[from] DialError),
    #[error("the node is not registered yet, so that no relay takes it")]
    NotRegistered,
    #[error("the chain does not tell the node's access key: {0}")]
    Chain(#[from] ReadError),
    #[error("the access key: {0}")]
    Key(#[from] HostKeyError),
    #[error("there is no access key that SSH could use")]
    NoKey,
    #[error("the connection ended")]
    Ended,
}

/// Dials a relay for ever.
struct Dialler {
    chain: Chain,
    settings: Arc<Settings>,
    relay: RelaySettings,
    server: Arc<Server>,
    endpoint: watch::Sender<Option<Endpoint>>,
}

impl Dialler {
    async fn run(self) {
        let mut wait = LEAST_WAIT;
        let mut told = String::new();
        loop {
            let begun = Instant::now();
            let why = self.serve(&mut told).await.to_string();
            if begun.elapsed() > SOUND {
                wait = LEAST_WAIT;
            }
            let relay = text(&self.relay.endpoint);
            if why == told {
                tracing::debug!(relay, why, "no way by the relay");
            } else {
                tracing::warn!(relay, why, "no way by the relay; it is dialled again and again");
                told = why;
            }
            let part = rand::thread_rng().gen_range(0.5..=1.0);
            sleep(wait.mul_f64(part)).await;
            wait = wait.saturating_mul(2).min(MOST_WAIT);
        }
    }

    /// Serves what the relay carries, until it carries no more: why.
    async fn serve(&self, told: &mut String) -> NoWay {
        let mut link = match self.dial().await {
            Ok(link) => link,
            Err(why) => return why,
        };
        let endpoint = endpoint_at(&self.relay.endpoint, link.port);
        let shown = endpoint.as_ref().map(text).unwrap_or_default().to_owned();
        tracing::info!(endpoint = shown, "tenants reach this node by the relay");
        told.clear();
        if self.settings.access.endpoint.is_none() {
            self.endpoint.send_replace(endpoint);
        }
        while let Some(forwarded) = link.next().await {
            let server = self.server.clone();
            tokio::spawn(server.serve_stream(forwarded.stream, forwarded.source));
        }
        NoWay::Ended
    }

    async fn dial(&self) -> Result<Link, NoWay> {
        let dial = Dial {
            relay: text(&self.relay.endpoint).to_owned(),
            relay_key: self.relay.host_key,
            node: text(&self.settings.node_id).to_owned(),
            key: self.key().await?,
            // The port's own limit comes first.
            idle: self.settings.access.idle_timeout.saturating_mul(2),
        };
        Ok(dial.connect().await?)
    }

    /// The access key that the chain names, as the relay sees it.
    async fn key(&self) -> Result<PrivateKey, NoWay> {
        let (_, latest) = self.chain.ready().await;
        let view = self.chain.at(latest.block.hash).node(&self.settings.node_id).await?;
        let by_chain = view.ok_or(NoWay::NotRegistered)?.node.access.host_key;
        private_key(&self.settings.access.key, by_chain)
    }
}

fn private_key(file: &Path, by_chain: [u8; 32]) -> Result<PrivateKey, NoWay> {
    let key = access_key::named(access_key::keys(file)?, Some(by_chain)).ok_or(NoWay::NoKey)?;
    access_key::for_ssh(&key)?.ok_or(NoWay::NoKey)
}

/// The relay's host, with the port that it gave the node.
fn endpoint_at(relay: &Endpoint, port: u16) -> Option<Endpoint> {
    let (host, _) = relay.as_str()?.rsplit_once(':')?;
    Text::try_from(format!("{host}:{port}").as_str()).ok()
}

fn text<const MAX: u32>(text: &Text<MAX>) -> &str {
    text.as_str().unwrap_or_default()
}

/// Moves the endpoint on the chain to where the node is, no more often than that is free.
struct Mover {
    chain: Chain,
    signer: Arc<Signer>,
    node_id: NodeId,
    wanted: watch::Receiver<Option<Endpoint>>,
}

/// What is to be done about the endpoint on the chain.
#[derive(Debug, Eq, PartialEq)]
enum Move {
    Nothing,
    /// After so many live blocks more.
    Later(BlockNumber),
    To(Access),
}

impl Mover {
    async fn run(mut self) {
        let mut finalized = self.chain.finalized();
        let mut told = None;
        loop {
            let changed = tokio::select! {
                changed = finalized.changed() => changed,
                changed = self.wanted.changed() => if changed.is_ok() {
                    changed
                } else {
                    // There is no dialler: what the settings say holds.
                    finalized.changed().await
                },
            };
            if changed.is_err() {
                return;
            }
            let latest = *finalized.borrow_and_update();
            let wanted = self.wanted.borrow_and_update().clone();
            let (Some(latest), Some(wanted)) = (latest.filter(|at| at.may_act()), wanted) else {
                continue;
            };
            match self.next(latest.block.hash, &wanted).await {
                Ok(Move::Nothing) => told = None,
                Ok(Move::Later(blocks)) => {
                    if told.as_ref() != Some(&wanted) {
                        let endpoint = text(&wanted);
                        tracing::info!(
                            endpoint,
                            blocks,
                            "the chain has another endpoint, and takes this one later"
                        );
                        told = Some(wanted);
                    }
                }
                Ok(Move::To(access)) => self.send(access).await,
                Err(error) => tracing::debug!(%error, "the endpoint on chain cannot be read"),
            }
        }
    }

    async fn next(&self, hash: Hash, wanted: &Endpoint) -> Result<Move, ReadError> {
        let at = self.chain.at(hash);
        let Some(view) = at.node(&self.node_id).await? else { return Ok(Move::Nothing) };
        if view.node.access.endpoint == *wanted {
            return Ok(Move::Nothing);
        }
        let (now, every) = (at.live_blocks().await?, at.access_every().await?);
        Ok(next(&view.node, wanted, &self.signer.now().account, now, every))
    }

    async fn send(&self, access: Access) {
        let endpoint = text(&access.endpoint).to_owned();
        match self.signer.now().reports.send(Report::SetAccess(access)).await {
            Outcome::Finalized { number, .. } => {
                tracing::info!(endpoint, number, "the endpoint on chain was moved");
            }
            Outcome::Refused { error } => {
                tracing::warn!(endpoint, %error, "the chain does not take the node's endpoint");
                sleep(AFTER_REFUSAL).await;
            }
            Outcome::Superseded | Outcome::Stale => (),
        }
    }
}

fn next(
    node: &NodeRecord,
    wanted: &Endpoint,
    worker: &AccountId,
    now: BlockNumber,
    every: BlockNumber,
) -> Move {
    if node.access.endpoint == *wanted || node.worker != *worker || node.leaves_at.is_some() {
        return Move::Nothing;
    }
    let due = node.access_moved_at.map_or(now, |moved_at| moved_at.saturating_add(every));
    if due > now {
        return Move::Later(due - now);
    }
    Move::To(Access { endpoint: wanted.clone(), host_key: node.access.host_key })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use crate::signer::next_to;
    use quarry_primitives::{
        node::{Country, NodeCounts, Offer},
        resources::{Rates, Resources},
    };

    fn endpoint(text: &str) -> Endpoint {
        text.try_into().unwrap()
    }

    fn worker() -> AccountId {
        AccountId::new([2; 32])
    }

    fn node(moved_at: Option<BlockNumber>) -> NodeRecord {
        NodeRecord {
            owner: AccountId::new([1; 32]),
            worker: worker(),
            offer: Offer {
                capacity: Resources::NONE,
                rates: Rates { vcpu: 1, memory_gib: 1, disk_gib: 1, ip: 1 },
                country: Country(*b"SE"),
                max_vms: 1,
                global_ips: false,
            },
            access: Access { endpoint: endpoint("old.example:1"), host_key: [7; 32] },
            bond: 0,
            reserved: Resources::NONE,
            vms: 0,
            miner_accepting: true,
            worker_accepting: true,
            registered_at: 1,
            last_seen: None,
            last_heartbeat: None,
            last_metrics: None,
            access_moved_at: moved_at,
            heartbeat_count: 0,
            served: 0,
            downtime: 0,
            rates_raised_at: None,
            leaves_at: None,
            work_version: 0,
            counts: NodeCounts::default(),
        }
    }

    #[test]
    fn the_endpoint_is_moved_when_it_is_another_and_keeps_its_host_key() {
        let wanted = endpoint("relay.example:20007");
        let access = Access { endpoint: wanted.clone(), host_key: [7; 32] };
        assert_eq!(next(&node(None), &wanted, &worker(), 5, 100), Move::To(access));
        assert_eq!(next(&node(None), &endpoint("old.example:1"), &worker(), 5, 100), Move::Nothing);
    }

    #[test]
    fn it_is_moved_no_more_often_than_that_is_free() {
        let wanted = endpoint("relay.example:20007");
        assert_eq!(next(&node(Some(10)), &wanted, &worker(), 109, 100), Move::Later(1));
        assert!(matches!(next(&node(Some(10)), &wanted, &worker(), 110, 100), Move::To(_)));
    }

    #[test]
    fn a_worker_of_another_key_or_of_a_node_that_leaves_moves_nothing() {
        let wanted = endpoint("relay.example:20007");
        let stranger = AccountId::new([9; 32]);
        assert_eq!(next(&node(None), &wanted, &stranger, 5, 100), Move::Nothing);
        let leaving = NodeRecord { leaves_at: Some(9), ..node(None) };
        assert_eq!(next(&leaving, &wanted, &worker(), 5, 100), Move::Nothing);
    }

    #[test]
    fn the_nodes_port_stands_behind_the_relays_host() {
        for (relay, at) in [
            ("relay.example:2200", "relay.example:20007"),
            ("[2001:db8::7]:2200", "[2001:db8::7]:20007"),
        ] {
            assert_eq!(endpoint_at(&endpoint(relay), 20_007), Some(endpoint(at)));
        }
    }

    #[test]
    fn the_relay_is_dialled_with_the_key_that_the_chain_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.key");
        assert!(matches!(private_key(&file, [9; 32]), Err(NoWay::NoKey)));
        access_key::read_or_make(&file).unwrap();
        let named = access_key::read_or_make(&next_to(&file)).unwrap().public();
        let key = private_key(&file, named).unwrap();
        assert_eq!(key.public_key().key_data().ed25519().unwrap().0, named);
    }
}
