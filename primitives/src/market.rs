//! What the two market pallets need of each other.

use crate::{
    node::{NodeId, NodeRecord},
    resources::Resources,
    AccountId, Balance, BlockNumber,
};
use sp_runtime::DispatchResult;

/// Who speaks for a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaker {
    /// Its worker.
    Worker,
    /// Its miner.
    Miner,
}

/// What became of a VM on a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was launched.
    Launched,
    /// The node said that it could not launch it.
    Failed,
    /// The node did not launch it in time.
    TimedOut,
    /// Its tenant took it elsewhere.
    Evacuated,
    /// The node lost it.
    Lost,
}

/// Who offers, as the compute pallet sees them.
pub trait NodeRegistry {
    /// How long a node may be silent and still be there.
    fn offline_after() -> BlockNumber;

    /// The node's record.
    fn node(node_id: &NodeId) -> Option<NodeRecord>;

    /// Whether the node is there.
    fn is_online(node: &NodeRecord) -> bool;

    /// Whether the node's bond is what its capacity asks for.
    fn bond_suffices(node: &NodeRecord) -> bool;

    /// The part that the account has in the node, if any.
    fn speaker(node: &NodeRecord, who: &AccountId) -> Option<Speaker>;

    /// Takes room for one more VM. Fails where there is none.
    fn reserve(node_id: &NodeId, size: &Resources) -> DispatchResult;

    /// Exchanges what a VM takes. Fails where there is no room.
    fn change_reserved(node_id: &NodeId, old: &Resources, new: &Resources) -> DispatchResult;

    /// Gives back the room of a VM, and notes what became of it.
    fn release(node_id: &NodeId, size: &Resources, outcome: Option<Outcome>) -> DispatchResult;

    /// Notes a launch.
    fn launched(node_id: &NodeId) -> DispatchResult;

    /// A valid report of the worker came: the node is there.
    fn seen(node_id: &NodeId) -> DispatchResult;

    /// Something changed that the worker must know of.
    fn touch(node_id: &NodeId) -> DispatchResult;

    /// Takes up to `amount` of the bond for the treasury, and says how much.
    fn slash(node_id: &NodeId, amount: Balance) -> Balance;
}

/// What runs, as the registry sees it.
pub trait Tenancy {
    /// Whether the node's own pool has no address.
    fn pool_is_empty(node_id: &NodeId) -> bool;

    /// The node's name is free: forgets its pool, which is empty.
    fn forget_pool(node_id: &NodeId);
}
