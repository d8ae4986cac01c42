//! Heartbeats: sent as soon as they are due by the best block.

use super::{Engine, Time};
use crate::metrics;
use quarry_client::{Outcome, ReadError, Report};
use quarry_primitives::{BlockNumber, Hash};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};
use tokio::time::{interval, sleep, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// A heartbeat that is not in a block by then is sent anew.
const SEND_AGAIN: Duration = Duration::from_secs(60);
/// One that was refused is sent anew in the next block: the chain soon takes a silent node for offline.
const AFTER_REFUSAL: Duration = Duration::from_secs(6);
/// How long a worker that is no new one leaves each heartbeat to others that sign with its key. One that just
/// started so comes first, and the older one learns of it.
const AFTER_NEWER: Duration = Duration::from_millis(500);
/// Where no block tells that one is due.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How often heartbeats and metrics are due, in live blocks.
#[derive(Clone, Copy)]
struct Rhythm {
    heartbeats: BlockNumber,
    metrics: BlockNumber,
}

/// The heartbeat that was sent last: after which one, when, and whether the chain did not take it.
struct Sent {
    after: Option<BlockNumber>,
    at: Time,
    refused: Arc<AtomicBool>,
}

impl Sent {
    /// Whether it may still come into a block, when the chain's last one is `last`.
    fn is_under_way(&self, last: Option<BlockNumber>, now: Time) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        let patience = if refused { AFTER_REFUSAL } else { SEND_AGAIN };
        self.after == last && now.saturating_sub(self.at) < patience
    }
}

impl Engine {
    /// Beats until it is told to stop.
    pub(super) async fn beat(self: Arc<Self>, stop: CancellationToken) {
        let mut best = self.chain.best();
        let mut clock = interval(LOOK_AGAIN);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = best.changed() => if changed.is_err() { return },
                _ = clock.tick() => (),
            }
            let Some(block) = *best.borrow_and_update() else { continue };
            if let Err(error) = self.beat_if_due(block.hash, &mut sent).await {
                tracing::debug!(%error, "whether a heartbeat is due cannot be read");
            }
        }
    }

    async fn beat_if_due(
        self: &Arc<Self>,
        hash: Hash,
        sent: &mut Option<Sent>,
    ) -> Result<(), ReadError> {
        let at = self.chain.at(hash);
        let Some(node) = at.node(&self.settings.node_id).await?.map(|view| view.node) else {
            return Ok(());
        };
        let rhythm =
            Rhythm { heartbeats: at.heartbeat_every().await?, metrics: at.metrics_every().await? };
        let live_block = at.live_blocks().await?;
        let now = self.now();
        let waiting = sent.as_ref().is_some_and(|sent| sent.is_under_way(node.last_heartbeat, now));
        let ours = node.worker == self.signer.now().account;
        if !ours || waiting || !is_due(node.last_heartbeat, rhythm.heartbeats, live_block) {
            return Ok(());
        }
        if now > super::HANDOVER {
            sleep(AFTER_NEWER).await;
        }
        let refused = Arc::new(AtomicBool::new(false));
        *sent = Some(Sent { after: node.last_heartbeat, at: now, refused: refused.clone() });
        self.send_heartbeat(is_due(node.last_metrics, rhythm.metrics, live_block), refused);
        Ok(())
    }

    fn send_heartbeat(self: &Arc<Self>, with_metrics: bool, refused: Arc<AtomicBool>) {
        let metrics = with_metrics.then(|| self.host_metrics()).flatten().map(Box::new);
        let accepting = self.accepting.load(Ordering::Relaxed);
        let answer = self.signer.now().reports.send(Report::Heartbeat { accepting, metrics });
        let engine = self.clone();
        tokio::spawn(async move {
            match answer.await {
                Outcome::Finalized { .. } => {
                    engine.metrics.heartbeat();
                    engine.metrics.report("heartbeat", metrics::Outcome::Done);
                }
                Outcome::Superseded => {
                    engine.metrics.report("heartbeat", metrics::Outcome::Dropped);
                }
                Outcome::Stale => {
                    refused.store(true, Ordering::Relaxed);
                    engine.metrics.report("heartbeat", metrics::Outcome::Dropped);
                }
                Outcome::Refused { error } => {
                    refused.store(true, Ordering::Relaxed);
                    tracing::warn!(%error, "a heartbeat was refused");
                    engine.metrics.report("heartbeat", metrics::Outcome::Failed);
                }
            }
        });
    }
}

fn is_due(last: Option<BlockNumber>, every: BlockNumber, now: BlockNumber) -> bool {
    last.is_none_or(|last| now >= last.saturating_add(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(refused: bool) -> Sent {
        let at = Duration::from_secs(100);
        Sent { after: Some(7), at, refused: Arc::new(AtomicBool::new(refused)) }
    }

    #[test]
    fn a_heartbeat_is_waited_for_until_another_is_on_the_chain() {
        let later = Duration::from_secs(120);
        assert!(sent(false).is_under_way(Some(7), later));
        assert!(!sent(false).is_under_way(Some(10), later));
        assert!(!sent(false).is_under_way(Some(7), Duration::from_secs(160)));
    }

    #[test]
    fn one_that_was_refused_is_sent_again_before_the_node_is_offline() {
        assert!(sent(true).is_under_way(Some(7), Duration::from_secs(105)));
        assert!(!sent(true).is_under_way(Some(7), Duration::from_secs(106)));
    }
}
