//! Nodes for the benchmarks of the compute pallet, as the registry would have them after a long time.

use crate::{AccountId, Balances, BlockNumber, Registry, Runtime, System};
use alloc::vec;
use frame_support::traits::fungible::MutateHold;
use pallet_registry::{
    History, HoldReason, NodeOfWorker, Nodes, NodesByOwner, StatusHistory, HISTORY_LENGTH,
};
use quarry_primitives::{
    node::{Access, NodeCounts, NodeId, NodeRecord, NodeStatus, Offer, StatusChange, StatusReason},
    resources::Resources,
    text::Text,
};
use sp_runtime::DispatchResult;

/// Keeps them in the registry.
pub struct InTheRegistry;

impl pallet_compute::BenchmarkHelper for InTheRegistry {
    fn add_node(
        node_id: &NodeId,
        miner: &AccountId,
        worker: &AccountId,
        offer: Offer,
    ) -> DispatchResult {
        let bond = Registry::bond_for(&offer.capacity).unwrap_or_default();
        Balances::hold(&HoldReason::NodeBond.into(), miner, bond)?;
        System::inc_providers(worker);
        let node = NodeRecord {
            owner: miner.clone(),
            worker: worker.clone(),
            offer,
            access: longest_access(),
            bond,
            reserved: Resources::NONE,
            vms: 0,
            miner_accepting: true,
            worker_accepting: true,
            registered_at: 0,
            last_seen: Some(0),
            last_heartbeat: Some(0),
            last_metrics: Some(0),
            access_moved_at: Some(0),
            heartbeat_count: 0,
            served: 0,
            downtime: 0,
            rates_raised_at: Some(0),
            leaves_at: None,
            work_version: 0,
            counts: NodeCounts::default(),
        };
        Nodes::<Runtime>::insert(node_id, node);
        NodesByOwner::<Runtime>::insert(miner, node_id, ());
        NodeOfWorker::<Runtime>::insert(worker, node_id);
        StatusHistory::<Runtime>::insert(node_id, longest_history());
        Ok(())
    }

    fn set_presence(node_id: &NodeId, seen_at: BlockNumber, served: BlockNumber) {
        Nodes::<Runtime>::mutate_extant(node_id, |node| {
            node.last_seen = Some(seen_at);
            node.served = node.served.saturating_add(served);
        });
    }
}

fn longest_access() -> Access {
    let endpoint = Text::try_from(vec![b'x'; 128]).unwrap_or_default();
    Access { endpoint, host_key: [7; 32] }
}

fn longest_history() -> History<StatusChange> {
    let change = StatusChange {
        at: 0,
        from: NodeStatus::Offline,
        to: NodeStatus::Online,
        reason: StatusReason::Returned,
    };
    History::truncate_from(vec![change; HISTORY_LENGTH as usize])
}
