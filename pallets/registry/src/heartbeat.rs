//! The worker's heartbeat.

use crate::{Config, Error, Event, Nodes, Pallet};
use frame_support::{ensure, traits::Get};
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use quarry_primitives::{
    node::{NodeId, NodeMetricsData, NodeRecord},
    AccountId, BlockNumber,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails as [`ensure_heartbeat`](Self::ensure_heartbeat).
    pub(crate) fn do_submit_node_metrics(
        worker: &AccountId,
        node_id: NodeId,
        accepting: bool,
        metrics: Option<NodeMetricsData>,
    ) -> DispatchResult {
        let mut node = Self::ensure_heartbeat(worker, &node_id, metrics.as_ref())?;
        node.worker_accepting = accepting;
        node.heartbeat_count = node.heartbeat_count.saturating_add(1);
        node.last_heartbeat = Some(Self::now());
        Self::refresh(&node_id, &mut node);
        if let Some(metrics) = metrics {
            Self::keep_metrics(&node_id, &mut node, metrics);
        }
        Nodes::<T>::insert(&node_id, &node);
        let owner = node.owner;
        Self::deposit_event(Event::NodeMetricsSubmitted { node_id, owner, accepting });
        Ok(())
    }

    /// Whether this is a heartbeat that would succeed, and is due.
    pub(crate) fn heartbeat_is_free(
        origin: &OriginFor<T>,
        node_id: &NodeId,
        metrics: Option<&NodeMetricsData>,
    ) -> bool {
        let Ok(who) = ensure_signed(origin.clone()) else { return false };
        Self::ensure_heartbeat(&who, node_id, metrics).is_ok_and(|node| {
            Self::is_due(node.last_heartbeat, T::HeartbeatEvery::get())
                && (metrics.is_none() || Self::is_due(node.last_metrics, T::MetricsEvery::get()))
        })
    }

    /// Fails with `NodeNotFound`, `NodeLeaving` or `InvalidSignature`, or as the checks of the metrics.
    fn ensure_heartbeat(
        who: &AccountId,
        node_id: &NodeId,
        metrics: Option<&NodeMetricsData>,
    ) -> Result<NodeRecord, Error<T>> {
        let node = Self::existing(node_id)?;
        Self::ensure_stays(&node)?;
        ensure!(node.worker == *who, Error::InvalidSignature);
        if let Some(metrics) = metrics {
            Self::ensure_sound_metrics(node_id, metrics)?;
        }
        Ok(node)
    }

    pub(crate) fn is_due(last: Option<BlockNumber>, every: BlockNumber) -> bool {
        last.is_none_or(|last| Self::now() >= last.saturating_add(every))
    }
}
