//! Whether a node is there, and for how long it was.

use crate::{Config, Event, History, Pallet, StatusHistory};
use frame_support::traits::Get;
use quarry_primitives::{
    node::{NodeId, NodeRecord, NodeStatus, StatusChange, StatusReason},
    BlockNumber,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn is_present(node: &NodeRecord) -> bool {
        let in_time =
            |seen: BlockNumber| seen.saturating_add(T::OfflineAfter::get()) >= Self::now();
        node.leaves_at.is_none() && node.last_seen.is_some_and(in_time)
    }

    /// A valid report came. The live blocks since the last one were served, or the node was away.
    pub(crate) fn refresh(node_id: &NodeId, node: &mut NodeRecord) {
        let now = Self::now();
        match node.last_seen.replace(now) {
            None => Self::note_joined(node_id, node, now),
            Some(seen) => {
                let gap = now.saturating_sub(seen);
                if gap <= T::OfflineAfter::get() {
                    node.served = node.served.saturating_add(gap);
                } else {
                    node.downtime = node.downtime.saturating_add(gap);
                    Self::note_returned(node_id, node, seen, now);
                }
            }
        }
    }

    fn note_joined(node_id: &NodeId, node: &NodeRecord, now: BlockNumber) {
        StatusHistory::<T>::mutate(node_id, |history| {
            push_out_oldest(history, came_online(now, StatusReason::Joined));
        });
        let (node_id, owner) = (node_id.clone(), node.owner.clone());
        Self::deposit_event(Event::NodeJoined { node_id, owner });
    }

    fn note_returned(node_id: &NodeId, node: &NodeRecord, seen: BlockNumber, now: BlockNumber) {
        let went = StatusChange {
            at: seen.saturating_add(T::OfflineAfter::get()).saturating_add(1),
            from: NodeStatus::Online,
            to: NodeStatus::Offline,
            reason: StatusReason::Silent,
        };
        StatusHistory::<T>::mutate(node_id, |history| {
            push_out_oldest(history, went);
            push_out_oldest(history, came_online(now, StatusReason::Returned));
        });
        let (node_id, owner) = (node_id.clone(), node.owner.clone());
        let downtime = now.saturating_sub(seen);
        Self::deposit_event(Event::NodeReturned { node_id, owner, downtime });
    }
}

fn came_online(at: BlockNumber, reason: StatusReason) -> StatusChange {
    StatusChange { at, from: NodeStatus::Offline, to: NodeStatus::Online, reason }
}

/// Adds an entry to a history; a full one loses its oldest.
pub(crate) fn push_out_oldest<Entry>(history: &mut History<Entry>, entry: Entry) {
    if history.is_full() {
        history.remove(0);
    }
    // There is room now.
    let _ = history.try_push(entry);
}
