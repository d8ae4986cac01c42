//! # Registry
//!
//! Who offers: the hypervisor hosts of the market, what they have and ask, the bond behind them, and
//! whether they are there. What runs on them is the compute pallet's, which reaches this one through
//! [`NodeRegistry`](quarry_primitives::market::NodeRegistry).
//!
//! ## Terms
//!
//! - *Node*: one hypervisor host, known by its name. [`Nodes`] has all of them.
//! - *Miner*: the account that owns nodes and earns. Its key is on no host.
//! - *Worker*: the daemon on a node, and its account: the only key on that host. One node has one.
//! - *Offer*: what a node has for VMs, what it asks for them, and where it stands.
//! - *Bond*: the miner's funds on hold for a node: a base, and a part for each unit of capacity.
//! - *Heartbeat*: the worker's [`submit_node_metrics`](Pallet::submit_node_metrics). It costs nothing
//!   when it is valid and due.
//! - *Online*: the worker's last valid report is at most [`OfflineAfter`](Config::OfflineAfter) live
//!   blocks old. This is computed whenever somebody asks; nothing looks through the nodes.
//! - *Served* and *downtime*: the live blocks in which a node was there, and in which it was not.
//!
//! ## A story
//!
//! Mia has a server. Its worker makes a key and signs with it that it works on `mia-1` for Mia. From
//! another machine, where her own key is, Mia calls [`register_node`](Pallet::register_node): her bond
//! is held, and the worker's account exists without a balance. The worker's first heartbeat makes
//! `mia-1` Online, and tenants can rent. A night without power later the worker reports again: the night
//! counts as downtime, the history has both changes, and nobody pays for it. Mia rotates the worker's
//! key with [`set_worker`](Pallet::set_worker), adds memory with
//! [`update_offer`](Pallet::update_offer), and one day drains the node with
//! [`set_miner_accepting`](Pallet::set_miner_accepting). When the last VM is gone she calls
//! [`deregister_node`](Pallet::deregister_node), and after the unbonding time
//! [`withdraw_bond`](Pallet::withdraw_bond): her bond and the name are free.
//!
//! ## Properties
//!
//! - *A node stays within its offer*: VMs take no more than its capacity and its `max_vms`
//!   (`a_node_takes_no_more_than_its_capacity`, `a_node_takes_no_more_vms_than_it_offers`), and an offer
//!   does not shrink below what is taken (`an_offer_does_not_shrink_below_what_is_reserved`).
//! - *Every node is bonded by its capacity*, and the funds on hold are the bonds
//!   (`the_bond_follows_the_capacity`, `a_slash_takes_no_more_than_the_nodes_own_bond`).
//! - *A worker key is nobody else's*: it joins with its own signature for this chain, this node and this
//!   miner (`a_squatted_worker_key_is_refused`, `a_proof_replayed_for_another_miner_is_refused`), and
//!   belongs to one node (`a_worker_key_works_on_one_node`).
//! - *What a worker signed counts once*, whatever became of its key meanwhile
//!   (`what_a_former_worker_signed_does_not_count_again`).
//! - *A worker key can do little*: it reports, and moves the endpoint
//!   (`a_worker_key_cannot_set_offers`, `a_worker_key_cannot_take_the_bond`).
//! - *Each live block counts once*, as served or as downtime (`every_live_block_counts_once`).
//! - *A report of the right worker is free once in a while*, and only then (`a_due_heartbeat_is_free`,
//!   `a_heartbeat_before_its_time_pays`, `a_strangers_heartbeat_pays`).
//! - *The bond outlasts the node* (`the_bond_is_held_until_the_unbonding_time_is_over`), and nobody can
//!   keep a miner from it then (`anyone_may_give_the_bond_back_to_its_owner`).
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod access;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod bond;
mod heartbeat;
mod market;
mod membership;
mod metrics;
#[cfg(test)]
mod mock;
mod nodes;
mod offer;
mod presence;
#[cfg(any(feature = "runtime-benchmarks", test))]
mod samples;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod try_state;
pub mod weights;
mod worker_key;

pub use pallet::*;
pub use weights::WeightInfo;

// What the macro expands to expects; what is ours stands in the other modules.
#[allow(clippy::expect_used)]
#[frame_support::pallet]
pub mod pallet {
    use super::WeightInfo;
    use alloc::boxed::Box;
    use frame_support::{
        pallet_prelude::*,
        traits::fungible::{Inspect, Mutate, MutateHold},
    };
    use frame_system::pallet_prelude::*;
    use quarry_primitives::{
        market::Tenancy,
        node::{Access, MetricsSample, NodeMetricsData, NodeRecord, Offer, StatusChange},
        AccountId, Balance, BlockNumber, Hash, NodeId, Signature,
    };
    use sp_runtime::traits::BlockNumberProvider;

    /// How many entries a node's history has.
    pub const HISTORY_LENGTH: u32 = 32;

    /// The latest entries of a node's history, the oldest first.
    pub type History<Entry> = BoundedVec<Entry, ConstU32<HISTORY_LENGTH>>;

    /// The pallet itself.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// What the pallet needs of the runtime.
    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        /// The reasons for which funds are on hold.
        type RuntimeHoldReason: From<HoldReason>;

        /// The miners' funds.
        type Currency: Inspect<AccountId, Balance = Balance>
            + Mutate<AccountId>
            + MutateHold<AccountId, Reason = Self::RuntimeHoldReason>;

        /// The clock by which the market counts.
        type LiveBlocks: BlockNumberProvider<BlockNumber = BlockNumber>;

        /// What runs on the nodes.
        type Tenancy: Tenancy;

        /// Who gets what is taken of a bond.
        type Treasury: Get<AccountId>;

        /// Live blocks from a node's leave to the end of its bond.
        type Unbonding: Get<BlockNumber>;

        /// Live blocks from one feeless heartbeat to the next.
        #[pallet::constant]
        type HeartbeatEvery: Get<BlockNumber>;

        /// Live blocks from one feeless heartbeat with metrics to the next.
        #[pallet::constant]
        type MetricsEvery: Get<BlockNumber>;

        /// How many live blocks a node may be silent and still be Online.
        #[pallet::constant]
        type OfflineAfter: Get<BlockNumber>;

        /// Live blocks from one feeless move of the endpoint by the worker to the next.
        #[pallet::constant]
        type AccessEvery: Get<BlockNumber>;

        /// The part of a bond that every node has.
        #[pallet::constant]
        type BondBase: Get<Balance>;

        /// The part of a bond for one virtual processor.
        #[pallet::constant]
        type BondPerVcpu: Get<Balance>;

        /// The part of a bond for one GiB of memory; a part of a GiB counts as one.
        #[pallet::constant]
        type BondPerGibMemory: Get<Balance>;

        /// The part of a bond for one GiB of disk.
        #[pallet::constant]
        type BondPerGibDisk: Get<Balance>;

        /// The weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why the pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A miner stands for a node.
        NodeBond,
    }

    /// The nodes. One that was deregistered stays until its bond is withdrawn.
    #[pallet::storage]
    pub type Nodes<T: Config> = StorageMap<_, Blake2_128Concat, NodeId, NodeRecord>;

    /// The nodes of each miner.
    #[pallet::storage]
    pub type NodesByOwner<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId, Blake2_128Concat, NodeId, ()>;

    /// The node on which a worker works.
    #[pallet::storage]
    pub type NodeOfWorker<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, NodeId>;

    /// What a node's worker said last of its host.
    #[pallet::storage]
    pub type NodeMetrics<T: Config> = StorageMap<_, Blake2_128Concat, NodeId, NodeMetricsData>;

    /// When a node came and went.
    #[pallet::storage]
    pub type StatusHistory<T: Config> =
        StorageMap<_, Blake2_128Concat, NodeId, History<StatusChange>, ValueQuery>;

    /// What is kept of a node's older metrics.
    #[pallet::storage]
    pub type MetricsHistory<T: Config> =
        StorageMap<_, Blake2_128Concat, NodeId, History<MetricsSample>, ValueQuery>;

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A node is registered. It is Online from its first heartbeat on.
        NodeRegistered {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// Its worker.
            worker: AccountId,
            /// What is on hold for it.
            bond: Balance,
        },
        /// A node offers something else.
        OfferUpdated {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// What is on hold for it now.
            bond: Balance,
        },
        /// The miner lets a node take new VMs, or drains it.
        MinerAcceptingSet {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// Whether it may take new VMs.
            accepting: bool,
        },
        /// A node has another worker.
        WorkerSet {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// Its worker from now on.
            worker: AccountId,
        },
        /// A node is reached in another way.
        AccessSet {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// Who said so, the miner or the worker.
            by: AccountId,
        },
        /// A node leaves the market.
        NodeDeregistered {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// The live block from which on its bond can be withdrawn.
            leaves_at: BlockNumber,
        },
        /// A bond went back to its owner, and the node's name is free.
        BondWithdrawn {
            /// The node.
            node_id: NodeId,
            /// Its former miner.
            owner: AccountId,
            /// What went back.
            bond: Balance,
        },
        /// A heartbeat came.
        NodeMetricsSubmitted {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// Whether the worker lets the node take new VMs.
            accepting: bool,
        },
        /// A node is Online for the first time.
        NodeJoined {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
        },
        /// A node is Online again.
        NodeReturned {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// The live blocks that count as downtime.
            downtime: BlockNumber,
        },
        /// The treasury took a part of a bond.
        BondSlashed {
            /// The node.
            node_id: NodeId,
            /// Its miner.
            owner: AccountId,
            /// What was taken.
            amount: Balance,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// There is no such node.
        NodeNotFound,
        /// A node has this name already, or had it until a short while ago.
        NodeAlreadyRegistered,
        /// The node belongs to another miner.
        NotNodeOwner,
        /// The signer does not speak for this node.
        InvalidSignature,
        /// The node was deregistered.
        NodeLeaving,
        /// The node was not deregistered: its bond stays.
        NodeNotLeaving,
        /// The unbonding time is not over.
        UnbondingNotOver,
        /// The node has VMs.
        NodeInUse,
        /// The node's own pool has addresses.
        PoolNotEmpty,
        /// `node_id` is empty, is not UTF-8, or has control characters.
        InvalidNodeId,
        /// `offer.capacity` lacks processors, memory or disk.
        InvalidCapacity,
        /// `offer.country` is not two capital letters.
        InvalidCountry,
        /// `offer.max_vms` is zero.
        InvalidMaxVms,
        /// `offer.rates` times the capacity is more than a balance holds.
        RatesOverflow,
        /// `offer.capacity` is less than what the node's VMs take.
        CapacityBelowReserved,
        /// `offer.max_vms` is less than the node's VMs.
        MaxVmsBelowCount,
        /// The bond for `offer.capacity` is more than a balance holds.
        BondOverflow,
        /// `access.endpoint` is not `host:port`.
        InvalidEndpoint,
        /// `access.host_key` is all zeroes.
        InvalidHostKey,
        /// The worker did not sign for this chain, this node and this miner.
        InvalidWorkerProof,
        /// The worker works on a node already.
        WorkerTaken,
        /// The miner's own key must not be the worker's.
        WorkerIsMiner,
        /// `metrics.miner_id` names another node.
        MetricsOfAnotherNode,
        /// `metrics.geolocation` is not UTF-8, or has control characters.
        InvalidGeolocation,
        /// `metrics.cpu_model` is not UTF-8, or has control characters.
        InvalidCpuModel,
        /// `metrics.cpu_load_permille` is more than 1000.
        InvalidCpuLoad,
        /// A text of `metrics.disks` is not UTF-8, or has control characters.
        InvalidDisk,
        /// A text of `metrics.primary_network_interface` is not UTF-8, or has control characters.
        InvalidNetworkInterface,
        /// `metrics.gpu_name` is not UTF-8, or has control characters.
        InvalidGpuName,
        /// `metrics.hypervisor` is not UTF-8, or has control characters.
        InvalidHypervisor,
        /// `metrics.worker_version` is not UTF-8, or has control characters.
        InvalidWorkerVersion,
        /// The node has no room for this.
        NodeFull,
        /// The node has as many VMs as it takes.
        TooManyVms,
        /// More would be given back than was reserved.
        ReservedUnderflow,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn integrity_test() {
            let heartbeat = T::HeartbeatEvery::get();
            assert!(heartbeat > 0, "a heartbeat in each block would leave no room for others");
            assert!(T::OfflineAfter::get() > heartbeat, "a node must not be Offline between beats");
            assert!(T::MetricsEvery::get() >= heartbeat, "metrics come with heartbeats");
            assert!(
                T::AccessEvery::get() > 0,
                "the endpoint must not move for nothing all the time"
            );
            assert!(T::BondBase::get() > 0, "a name must cost something");
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight = <T as Config>::WeightInfo)]
    impl<T: Config> Pallet<T> {
        /// Registers a node and holds its bond. `worker_proof` is the worker's signature over
        /// [`proof_payload`](quarry_primitives::node::proof_payload) for the caller.
        #[pallet::call_index(0)]
        pub fn register_node(
            origin: OriginFor<T>,
            node_id: NodeId,
            offer: Offer,
            access: Access,
            worker: AccountId,
            worker_proof: Signature,
        ) -> DispatchResult {
            let miner = ensure_signed(origin)?;
            Self::do_register_node(miner, node_id, offer, access, worker, worker_proof)
        }

        /// Changes what a node offers. The bond follows the capacity; open leases keep their rates.
        #[pallet::call_index(1)]
        pub fn update_offer(origin: OriginFor<T>, node_id: NodeId, offer: Offer) -> DispatchResult {
            let miner = ensure_signed(origin)?;
            Self::do_update_offer(&miner, node_id, offer)
        }

        /// Lets a node take new VMs, or drains it: those that it has stay.
        #[pallet::call_index(2)]
        pub fn set_miner_accepting(
            origin: OriginFor<T>,
            node_id: NodeId,
            accepting: bool,
        ) -> DispatchResult {
            let miner = ensure_signed(origin)?;
            Self::do_set_miner_accepting(&miner, node_id, accepting)
        }

        /// Gives a node another worker. `proof` is the new worker's signature, as for
        /// [`register_node`](Pallet::register_node).
        #[pallet::call_index(3)]
        pub fn set_worker(
            origin: OriginFor<T>,
            node_id: NodeId,
            worker: AccountId,
            proof: Signature,
        ) -> DispatchResult {
            let miner = ensure_signed(origin)?;
            Self::do_set_worker(&miner, node_id, worker, proof)
        }

        /// Says how a node is reached. The miner may, and the worker, for which it is free once in a
        /// while.
        #[pallet::call_index(4)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, access: &Access| -> bool {
            Pallet::<T>::access_move_is_free(origin, node_id, access)
        })]
        pub fn set_access(origin: OriginFor<T>, node_id: NodeId, access: Access) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_set_access(who, node_id, access)
        }

        /// Takes a node without VMs and addresses from the market. Its bond and its name are free after
        /// the unbonding time, its worker's key at once.
        #[pallet::call_index(5)]
        pub fn deregister_node(origin: OriginFor<T>, node_id: NodeId) -> DispatchResult {
            let miner = ensure_signed(origin)?;
            Self::do_deregister_node(&miner, node_id)
        }

        /// The worker's heartbeat: the node is there, and takes new VMs or not. It is free when it is
        /// due; metrics are due less often.
        #[pallet::call_index(6)]
        #[pallet::feeless_if(|
            origin: &OriginFor<T>,
            node_id: &NodeId,
            _accepting: &bool,
            metrics: &Option<Box<NodeMetricsData>>,
        | -> bool {
            Pallet::<T>::heartbeat_is_free(origin, node_id, metrics.as_deref())
        })]
        #[pallet::weight(match metrics {
            Some(_) => T::WeightInfo::heartbeat_with_metrics(),
            None => T::WeightInfo::heartbeat(),
        })]
        pub fn submit_node_metrics(
            origin: OriginFor<T>,
            node_id: NodeId,
            accepting: bool,
            metrics: Option<Box<NodeMetricsData>>,
        ) -> DispatchResult {
            let worker = ensure_signed(origin)?;
            Self::do_submit_node_metrics(&worker, node_id, accepting, metrics.map(|boxed| *boxed))
        }

        /// Gives the bond of a deregistered node back to its owner, once the unbonding time is over, and
        /// frees the name. Anyone may call.
        #[pallet::call_index(7)]
        pub fn withdraw_bond(origin: OriginFor<T>, node_id: NodeId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_withdraw_bond(node_id)
        }
    }
}
