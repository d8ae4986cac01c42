//! # Compute
//!
//! What runs: who rents which VM on which node, what is asked of it, what it costs and when the chain
//! stops waiting.
//!
//! ## Terms
//!
//! - *Request*: one VM from birth to deletion. It is *pending* while no node has it, *assigned* while one
//!   has, *ended* when it failed or was cancelled.
//! - *Operation*: one change under way: a launch, boot, stop, reboot, resize or deletion. There is at most
//!   one. All but the launch stand in a queue of the node.
//! - *Generation*: a count on each request that rises with every assignment, unassignment and operation.
//!   A report names it, so that a late one cannot be taken for another.
//! - *Lease*: the tenant's funds on hold for a request, and what a live block costs. The *reserve* in it
//!   pays for the grace period, in which an unpaid VM stands still before it goes.
//! - *Claim*: a pending request that a node took by itself. The node answers for it with its bond.
//!
//! ## A story
//!
//! Tina asks for a VM with [`create_compute_request`](Pallet::create_compute_request), and names her
//! highest price. Mike's node claims it with
//! [`submit_compute_request_assignment`](Pallet::submit_compute_request_assignment): its room, an address
//! and its rates are fixed. The node's worker starts the VM and says so with
//! [`mark_compute_request_fulfilled`](Pallet::mark_compute_request_fulfilled); rent runs from then on, in
//! the blocks in which the node is there. Tina stops the VM
//! ([`request_compute_stop`](Pallet::request_compute_stop)), the worker does it and
//! [says so](Pallet::mark_miner_compute_stop_request_fulfilled). When Tina deletes it, Mike is paid, and
//! the rest of her funds is free in the same call.
//!
//! ## Properties
//!
//! - *A request is never lost*: it is pending, assigned to one node, or ended
//!   (`invariants`, after every test and every step of the model; `a_launch_that_fails_goes_to_another_node`,
//!   `an_evacuated_vm_is_pending_again`).
//! - *No two VMs share an address* of one pool (`a_free_address_goes_to_one_vm_only`,
//!   `an_address_rests_before_it_is_given_again`).
//! - *Nobody pays for downtime* (`time_offline_is_not_billed`).
//! - *Money is conserved*, and a payout that cannot be made becomes a credit
//!   (`a_payout_below_the_existential_deposit_becomes_a_credit`; the model after every step).
//! - *A node cannot be given more than it offers* (`a_full_node_takes_nothing`; the model).
//! - *A queue never wedges*: an operation that is not done in time is dropped, a deletion is finished by the
//!   chain (`an_operation_out_of_time_is_dropped`, `a_deletion_out_of_time_is_finished_by_the_chain`), and a
//!   deadline that fails does not stop the next (`a_failing_deadline_does_not_stop_the_others`).
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod api;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod catalogue;
mod checks;
mod deadlines;
mod deletion;
mod evacuation;
mod genesis;
#[cfg(any(feature = "std", feature = "try-runtime"))]
mod invariants;
mod ips;
mod launch;
mod lease;
#[cfg(test)]
mod mock;
mod money;
mod operations;
mod placement;
mod reports;
mod requests;
#[cfg(test)]
mod tests;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
pub use benchmarking::BenchmarkHelper;
pub use genesis::{GenesisPlan, GenesisPool};
pub use pallet::*;
pub use requests::NewRequest;
pub use weights::WeightInfo;

// What the macro expands to expects; what is ours stands in the other modules.
#[allow(clippy::expect_used, clippy::too_many_arguments)]
#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use alloc::{boxed::Box, vec::Vec};
    use frame_support::{
        pallet_prelude::*,
        storage::Key,
        traits::{
            fungible::{Inspect, Mutate, MutateHold},
            Consideration, Footprint,
        },
        PalletId,
    };
    use frame_system::pallet_prelude::*;
    use quarry_primitives::{
        ip::{IpAddress, IpNetwork, IpPool, IpState, PoolId},
        market::NodeRegistry,
        node::NodeId,
        request::{
            Cid, ComputeRequest, DeadlineKind, FailureKind, ImageMetadata, ImageName, IpWish,
            JobId, Lease, MinerComputeRequest, OperationKind, Params as ParamsData, Placement,
            Plan, PlanDescription, PlanId, PlanName, QueuedOperation, Reason, RequestId,
            SshKeyList, VmAccess, VmName,
        },
        resources::Resources,
        AccountId, Balance, BlockNumber, Hash,
    };
    use sp_runtime::{
        traits::{BlockNumberProvider, Convert},
        Perbill,
    };

    /// The pallet itself.
    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// What the pallet needs of the runtime.
    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        /// Who keeps plans, images, the global pool and the parameters.
        type AdminOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The chain's token.
        type Currency: Inspect<AccountId, Balance = Balance>
            + Mutate<AccountId>
            + MutateHold<AccountId, Reason = Self::RuntimeHoldReason>;

        /// Why funds are on hold.
        type RuntimeHoldReason: From<HoldReason>;

        /// The deposit for room in the chain's state. What it holds for any footprint is at least the
        /// existential deposit, so that giving it back never fails.
        type Consideration: Consideration<AccountId, Footprint>;

        /// What [`Consideration`](Config::Consideration) holds for a footprint.
        type DepositPrice: Convert<Footprint, Balance>;

        /// Who offers.
        type Registry: NodeRegistry;

        /// The clock of every wait.
        type LiveBlocks: BlockNumberProvider<BlockNumber = BlockNumber>;

        /// Gets the market's share, the price of global addresses, and penalties.
        type Treasury: Get<AccountId>;

        /// Derives the account that holds credits.
        #[pallet::constant]
        type PalletId: Get<PalletId>;

        /// The market's share of a rent.
        #[pallet::constant]
        type TreasuryShare: Get<Perbill>;

        /// The live blocks that a tenant pays for at least, once a VM ran.
        #[pallet::constant]
        type MinBilled: Get<BlockNumber>;

        /// The live blocks' price that a claim costs the node's bond when it fails.
        #[pallet::constant]
        type ClaimPenalty: Get<BlockNumber>;

        /// What such a claim costs at least. Who asks for nothing answers for what it claims all the same.
        #[pallet::constant]
        type LeastPenalty: Get<Balance>;

        /// The parameters until an admin or a genesis sets others.
        type DefaultParams: Get<ParamsData>;

        /// The weights of the calls.
        type WeightInfo: WeightInfo;

        /// Makes nodes for the benchmarks.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: crate::BenchmarkHelper;
    }

    /// Why this pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A tenant's rent in advance; on the pallet's own account, credits.
        Lease,
        /// Room in the chain's state.
        StorageDeposit,
    }

    /// The number that the next request gets.
    #[pallet::storage]
    pub type NextRequestId<T: Config> = StorageValue<_, RequestId, ValueQuery>;

    /// The sizes that can be rented.
    #[pallet::storage]
    pub type Plans<T: Config> = StorageMap<_, Twox64Concat, PlanId, Plan>;

    /// The images that VMs start from.
    #[pallet::storage]
    pub type Images<T: Config> = StorageMap<_, Blake2_128Concat, ImageName, ImageMetadata>;

    /// All requests.
    #[pallet::storage]
    pub type ComputeRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, AccountId, Twox64Concat, RequestId, ComputeRequest>;

    /// Who may log in to a VM.
    #[pallet::storage]
    pub type SshKeys<T: Config> = StorageMap<_, Twox64Concat, RequestId, SshKeyList>;

    /// Whose a request is.
    #[pallet::storage]
    pub type RequestOwner<T: Config> = StorageMap<_, Twox64Concat, RequestId, AccountId>;

    /// The deposit for a request's room.
    #[pallet::storage]
    pub type RequestTickets<T: Config> = StorageMap<_, Twox64Concat, RequestId, T::Consideration>;

    /// The requests that no node has.
    #[pallet::storage]
    pub type PendingRequests<T: Config> = StorageMap<_, Twox64Concat, RequestId, ()>;

    /// The requests that a node has.
    #[pallet::storage]
    pub type MinerComputeRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, NodeId, Twox64Concat, RequestId, MinerComputeRequest>;

    /// VMs to remove.
    #[pallet::storage]
    pub type MinerComputeDeletionRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, NodeId, Twox64Concat, RequestId, QueuedOperation>;

    /// VMs to stop.
    #[pallet::storage]
    pub type MinerComputeStopRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, NodeId, Twox64Concat, RequestId, QueuedOperation>;

    /// VMs to start.
    #[pallet::storage]
    pub type MinerComputeBootRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, NodeId, Twox64Concat, RequestId, QueuedOperation>;

    /// VMs to stop and start.
    #[pallet::storage]
    pub type MinerComputeRebootRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, NodeId, Twox64Concat, RequestId, QueuedOperation>;

    /// VMs to give another size.
    #[pallet::storage]
    pub type MinerComputeResizeRequests<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, NodeId, Twox64Concat, RequestId, QueuedOperation>;

    /// How many claimed launches a node has.
    #[pallet::storage]
    pub type Claims<T: Config> = StorageMap<_, Blake2_128Concat, NodeId, u32, ValueQuery>;

    /// The pools of addresses.
    #[pallet::storage]
    pub type IpPools<T: Config> = StorageMap<_, Blake2_128Concat, PoolId, IpPool>;

    /// Who has an address.
    #[pallet::storage]
    pub type Ips<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, PoolId, Blake2_128Concat, IpAddress, IpState>;

    /// A pool's free addresses, numbered without a gap.
    #[pallet::storage]
    pub type FreeIps<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, PoolId, Twox64Concat, u32, IpAddress>;

    /// A pool's addresses in quarantine, in the order in which they came.
    #[pallet::storage]
    pub type QuarantinedIps<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, PoolId, Twox64Concat, u64, IpAddress>;

    /// The deposit for a node's own pool.
    #[pallet::storage]
    pub type IpTickets<T: Config> =
        StorageMap<_, Blake2_128Concat, NodeId, (AccountId, T::Consideration)>;

    /// A VM's address.
    #[pallet::storage]
    pub type IpOf<T: Config> = StorageMap<_, Twox64Concat, RequestId, (PoolId, IpAddress)>;

    /// What each request costs, until it is closed.
    #[pallet::storage]
    pub type Leases<T: Config> = StorageMap<_, Twox64Concat, RequestId, Lease>;

    /// Payouts that could not be made.
    #[pallet::storage]
    pub type Credits<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, Balance, ValueQuery>;

    /// What the chain waits for, by the live block in which it stops waiting.
    #[pallet::storage]
    pub type Deadlines<T: Config> = StorageNMap<
        _,
        (
            Key<Twox64Concat, BlockNumber>,
            Key<Twox64Concat, RequestId>,
            Key<Twox64Concat, DeadlineKind>,
        ),
        (),
    >;

    /// The live block whose deadlines come next.
    #[pallet::storage]
    pub type DeadlineCursor<T: Config> = StorageValue<_, BlockNumber, ValueQuery>;

    /// What an admin or a genesis may set.
    #[pallet::storage]
    pub type Params<T: Config> = StorageValue<_, ParamsData, ValueQuery, T::DefaultParams>;

    /// The market at the start.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The parameters; the default ones where this is `null`.
        pub params: Option<ParamsData>,
        /// The plans.
        pub plans: Vec<GenesisPlan>,
        /// The global pool.
        pub global_pool: Option<GenesisPool>,
        #[doc(hidden)]
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            Pallet::<T>::found(self);
        }
    }

    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A size can be rented.
        PlanAdded {
            /// Its id.
            plan_id: PlanId,
            /// Its name.
            name: PlanName,
        },
        /// A size can be rented again, or no more.
        PlanEnabled {
            /// Its id.
            plan_id: PlanId,
            /// Whether it can.
            enabled: bool,
        },
        /// VMs can start from an image.
        ImageAdded {
            /// Its name.
            name: ImageName,
        },
        /// New VMs can start from an image again, or no more.
        ImageEnabled {
            /// Its name.
            name: ImageName,
            /// Whether they can.
            enabled: bool,
        },
        /// The parameters changed.
        ParamsSet,
        /// A tenant asks for a VM.
        ComputeRequestCreated {
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// The node that was asked for.
            node_id: Option<NodeId>,
        },
        /// A node has it.
        ComputeRequestSubmitted {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// The new generation.
            generation: u64,
            /// Whether the node took it by itself.
            claimed: bool,
        },
        /// The worker is launching it.
        ComputeRequestStarted {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// The worker's name for the launch.
            job_id: JobId,
        },
        /// It runs.
        ComputeRequestFulfilled {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// A launch failed, or a VM was lost.
        ComputeRequestFailed {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// Why.
            reason: Reason,
            /// Whether the request waits for another node.
            pending: bool,
        },
        /// Its tenant took it back.
        ComputeRequestCancelled {
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// Nothing of it is left on the chain.
        ComputeRequestDeleted {
            /// The node that had it.
            node_id: Option<NodeId>,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// Its tenant took it from a node that is gone.
        ComputeRequestEvacuated {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// Other keys let into it.
        SshKeysSet {
            /// The node, if one has it.
            node_id: Option<NodeId>,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// It shall start.
        ComputeBootRequested {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What a report names.
            generation: u64,
        },
        /// It shall stop.
        ComputeStopRequested {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What a report names.
            generation: u64,
        },
        /// It shall stop and start.
        ComputeRebootRequested {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What a report names.
            generation: u64,
        },
        /// It shall get another size.
        ComputeResizeRequested {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What a report names.
            generation: u64,
            /// The new plan.
            plan_id: PlanId,
        },
        /// It shall go.
        ComputeDeleteRequested {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What a report names.
            generation: u64,
        },
        /// It started.
        ComputeBootRequestRemoved {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// It stopped.
        ComputeStopRequestRemoved {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// It stopped and started.
        ComputeRebootRequestFulfilled {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// It has another size.
        ComputeResizeRequestFulfilled {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// The new plan.
            plan_id: PlanId,
        },
        /// It is gone from its node.
        ComputeDeletionRequestRemoved {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// The worker could not do what was asked of it.
        OperationFailed {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What was asked.
            operation: OperationKind,
            /// Whether another try makes sense.
            kind: FailureKind,
            /// Why.
            reason: Reason,
        },
        /// The chain stopped waiting.
        DeadlineExpired {
            /// The node, if one has the VM.
            node_id: Option<NodeId>,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// For what.
            kind: DeadlineKind,
        },
        /// What was to be done at a deadline failed; the chain tries again.
        DeadlineFailed {
            /// The VM.
            request_id: RequestId,
            /// Which.
            kind: DeadlineKind,
            /// Why.
            error: DispatchError,
        },
        /// Rent was paid.
        LeaseSettled {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// The tenant, who paid.
            owner: AccountId,
            /// For so many live blocks.
            blocks: BlockNumber,
            /// What the miner got.
            miner_share: Balance,
            /// What the treasury got.
            treasury_share: Balance,
        },
        /// Only the reserve is left: the VM is stopped.
        LeaseExhausted {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
        },
        /// The tenant paid more in advance.
        LeaseToppedUp {
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// So much more.
            amount: Balance,
            /// All that is held for it now.
            held: Balance,
        },
        /// The miner ends the lease.
        LeaseEnding {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// When.
            at: BlockNumber,
        },
        /// The lease is closed, and what was left of the hold is free.
        LeaseClosed {
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// What the tenant got back.
            refunded: Balance,
        },
        /// A payout could not be made: it waits to be claimed.
        CreditAdded {
            /// Whose it is.
            account: AccountId,
            /// How much.
            amount: Balance,
        },
        /// A credit was paid.
        CreditClaimed {
            /// Whose it was.
            account: AccountId,
            /// How much.
            amount: Balance,
        },
        /// A failed claim cost a node's bond.
        ClaimPenalized {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// How much.
            amount: Balance,
        },
        /// A pool has a network.
        IpPoolSet {
            /// The pool.
            pool: PoolId,
            /// The network.
            network: IpNetwork,
        },
        /// A pool has more addresses.
        IpAdded {
            /// The pool.
            pool: PoolId,
            /// The first of them.
            first: IpAddress,
            /// How many.
            count: u32,
        },
        /// A pool has fewer addresses.
        IpRemoved {
            /// The pool.
            pool: PoolId,
            /// The first of them.
            first: IpAddress,
            /// How many.
            count: u32,
        },
        /// A VM has an address.
        IpAssigned {
            /// The node.
            node_id: NodeId,
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// Where the address comes from.
            pool: PoolId,
            /// The address.
            ip: IpAddress,
        },
        /// A VM has its address no more; it rests.
        IpReturned {
            /// The VM.
            request_id: RequestId,
            /// Its tenant.
            owner: AccountId,
            /// Where the address came from.
            pool: PoolId,
            /// The address.
            ip: IpAddress,
            /// Until then.
            until: BlockNumber,
        },
    }

    /// Why a call was refused.
    #[pallet::error]
    pub enum Error<T> {
        /// There is no free address in a pool that the node can use.
        NoAvailableIp,
        /// The VM has an address already.
        VmAlreadyHasIp,
        /// The VM has no address.
        VmHasNoIp,
        /// The pool has one of these addresses already.
        IpAlreadyExists,
        /// The pool has not all of these addresses.
        IpNotFound,
        /// A VM has one of these addresses.
        IpInUse,
        /// One of these addresses rests after a VM had it.
        IpQuarantined,
        /// The address is not one that a host of the pool's network can have.
        InvalidIp,
        /// `count`: 1 to 256.
        InvalidIpCount,
        /// `network.prefix_len`: at most 32 for IPv4 and 128 for IPv6, and not 0.
        InvalidPrefixLength,
        /// `network.gateway`: not an address that a host can have.
        InvalidGateway,
        /// `network.dns`: not an address that a host can have.
        InvalidDns,
        /// The pool has no network yet: `set_ip_pool` first.
        IpPoolNotFound,
        /// The pool's network cannot change while it has addresses.
        IpPoolInUse,
        /// The signer is neither this node's worker nor its miner.
        InvalidSignature,
        /// The report names another generation: something changed since. Read again.
        StaleGeneration,
        /// There is no such request of this tenant, or not on this node.
        ComputeRequestNotFound,
        /// No deletion of this VM is queued.
        ComputeDeletionRequestNotFound,
        /// A stop of this VM is queued already.
        ComputeStopRequestAlreadyExists,
        /// No stop of this VM is queued.
        ComputeStopRequestNotFound,
        /// No boot of this VM is queued.
        ComputeBootRequestNotFound,
        /// No reboot of this VM is queued.
        ComputeRebootRequestNotFound,
        /// No resize of this VM is queued.
        ComputeResizeRequestNotFound,
        /// No launch of this VM is under way.
        ComputeLaunchRequestNotFound,
        /// Nothing that is queued for this VM could have failed.
        OperationNotFound,
        /// Another operation is under way.
        OperationPending,
        /// The worker said already that it is at this launch.
        AlreadyStarted,
        /// The VM does not wait for a node.
        NotPending,
        /// The VM does not run.
        NotRunning,
        /// The VM is not stopped.
        NotStopped,
        /// The VM neither runs nor is stopped.
        NotLaunched,
        /// No node has the VM.
        NotAssigned,
        /// The request ended.
        RequestEnded,
        /// There is no such node.
        NodeNotFound,
        /// The tenant named another node.
        OtherNodeNamed,
        /// The node is leaving the market.
        NodeLeaving,
        /// The node is offline.
        NodeOffline,
        /// The node is not gone for so long that its VMs may be taken elsewhere.
        NodeNotGone,
        /// The node takes no new VMs now.
        NodeNotAccepting,
        /// The node's bond is too small for its capacity.
        BondTooSmall,
        /// The node stands in another country than the request asks for.
        WrongCountry,
        /// This miner failed this request before.
        MinerExcluded,
        /// The node has less room than that.
        NodeFull,
        /// The node has as many VMs as it takes.
        TooManyVms,
        /// It would cost more than the request's highest price.
        PriceAboveMax,
        /// The node raised its rates lately and may not claim yet.
        RatesRaisedLately,
        /// The node is launching as many claimed VMs as it may.
        TooManyClaims,
        /// There is no such plan.
        PlanNotFound,
        /// The plan cannot be rented now.
        PlanDisabled,
        /// There is a plan of this name already.
        PlanAlreadyExists,
        /// The request has another plan.
        PlanMismatch,
        /// The VM has this plan already.
        SamePlan,
        /// The new plan's disk is smaller.
        DiskCannotShrink,
        /// There is no such image.
        ImageNotFound,
        /// New VMs cannot have the image now.
        ImageDisabled,
        /// There is an image of this name already.
        ImageAlreadyExists,
        /// The image needs a larger disk than the plan has.
        ImageTooLarge,
        /// `name` of a plan: 1 to 32 bytes of UTF-8 without control characters.
        InvalidPlanName,
        /// `technical_description`: UTF-8 without control characters.
        InvalidPlanDescription,
        /// `resources`: at least one of each.
        InvalidResources,
        /// `name` of an image: 1 to 64 bytes of UTF-8 without control characters.
        InvalidImageName,
        /// `image_url`: begins with `https://`, `ipfs://` or `file://`, without spaces.
        InvalidImageUrl,
        /// `digest`: not all zeroes.
        InvalidDigest,
        /// `virtual_size_gib`: at least one.
        InvalidVirtualSize,
        /// `name` of a VM: 1 to 64 bytes of UTF-8 without control characters.
        InvalidVmName,
        /// `ssh_keys`: each one public key of a known type, as one line of OpenSSH.
        InvalidSshKey,
        /// `cloud_init_cid`: a CID of version 1, raw, SHA-256, in lower-case base32.
        InvalidCloudInitCid,
        /// `placement.country`: two capital letters.
        InvalidCountry,
        /// `max_price`: at least one.
        InvalidMaxPrice,
        /// `blocks`: at least one.
        InvalidBlocks,
        /// `job_id`: 1 to 64 bytes of UTF-8 without control characters.
        InvalidJobId,
        /// `access.hypervisor_ip`: not multicast, loopback or unspecified.
        InvalidHypervisorIp,
        /// `access.vnc_port`: not 0.
        InvalidVncPort,
        /// `reason`: 1 to 128 bytes of UTF-8 without control characters.
        InvalidReason,
        /// `params.launch_timeout`: at least one.
        InvalidLaunchTimeout,
        /// `params.operation_timeout`: at least one.
        InvalidOperationTimeout,
        /// `params.delete_timeout`: at least one.
        InvalidDeleteTimeout,
        /// `params.retention`: at least one.
        InvalidRetention,
        /// `params.grace_period`: at least one.
        InvalidGracePeriod,
        /// `params.max_prepaid`: at least `grace_period` and `min_lease` together.
        InvalidMaxPrepaid,
        /// `params.max_attempts`: 1 to 8.
        InvalidMaxAttempts,
        /// `params.max_claims`: at least one.
        InvalidMaxClaims,
        /// The price, or what is to be held, is beyond what a balance holds.
        PriceOverflow,
        /// `prepaid_blocks`: at least the grace period and the least lease together.
        PrepaidTooShort,
        /// More blocks than may be paid for in advance.
        PrepaidTooLong,
        /// The lease does not cover the grace period and the least lease.
        LeaseTooShort,
        /// Only the reserve is left: top up first.
        LeaseExhausted,
        /// The lease is closed.
        LeaseClosed,
        /// The miner ends the lease before that would be used up.
        LeaseIsEnding,
        /// Nothing of this request is out of time.
        NothingToExpire,
        /// The account has no credit.
        NoCredit,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_idle(_: BlockNumberFor<T>, left: Weight) -> Weight {
            Self::run_deadlines(left)
        }

        fn integrity_test() {
            Self::check_config();
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call(weight = <T as Config>::WeightInfo)]
    impl<T: Config> Pallet<T> {
        /// Adds a size that can be rented. Its id is the BLAKE2-256 hash of its name.
        #[pallet::call_index(0)]
        pub fn add_plan(
            origin: OriginFor<T>,
            name: PlanName,
            technical_description: PlanDescription,
            resources: Resources,
        ) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_add_plan(name, technical_description, resources)
        }

        /// Says whether a plan can be rented. VMs that have it stay.
        #[pallet::call_index(1)]
        pub fn set_plan_enabled(
            origin: OriginFor<T>,
            plan_id: PlanId,
            enabled: bool,
        ) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_set_plan_enabled(plan_id, enabled)
        }

        /// Adds an image that VMs can start from.
        #[pallet::call_index(2)]
        pub fn add_image(origin: OriginFor<T>, image: Box<ImageMetadata>) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_add_image(*image)
        }

        /// Says whether new VMs can have an image. VMs that have it stay.
        #[pallet::call_index(3)]
        pub fn set_image_enabled(
            origin: OriginFor<T>,
            name: ImageName,
            enabled: bool,
        ) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_set_image_enabled(name, enabled)
        }

        /// Sets all parameters. What is waited for already keeps its deadline.
        #[pallet::call_index(4)]
        pub fn set_params(origin: OriginFor<T>, params: ParamsData) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_set_params(params)
        }

        /// Ends a request whatever it is in: settles, refunds, and removes all of it.
        #[pallet::call_index(5)]
        pub fn force_close(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            T::AdminOrigin::ensure_origin(origin)?;
            Self::do_force_close(request_id)
        }

        /// Asks for a VM. Holds `max_price` for each of `prepaid_blocks`.
        ///
        /// Where `placement` names a node that has room now, that node gets it at once. Otherwise it is
        /// pending until a node claims it or the tenant assigns it.
        #[pallet::call_index(6)]
        pub fn create_compute_request(
            origin: OriginFor<T>,
            name: VmName,
            plan_id: PlanId,
            image: ImageName,
            ssh_keys: SshKeyList,
            cloud_init_cid: Option<Cid>,
            placement: Placement,
            max_price: Balance,
            prepaid_blocks: BlockNumber,
            ip: IpWish,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_create(NewRequest {
                owner,
                name,
                plan_id,
                image,
                ssh_keys,
                cloud_init_cid,
                placement,
                max_price,
                prepaid_blocks,
                ip,
            })
        }

        /// Takes back a request that no node has. All that was held for rent is free at once.
        #[pallet::call_index(7)]
        pub fn cancel_compute_request(
            origin: OriginFor<T>,
            request_id: RequestId,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_cancel(&owner, request_id)
        }

        /// Gives a pending request to a node: signed by the tenant, or as a claim by the node's worker or
        /// miner. Feeless for the worker when it succeeds.
        #[pallet::call_index(8)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, plan_id: &PlanId, request_id: &RequestId, owner: &AccountId| -> bool {
            Pallet::<T>::is_feeless_claim(origin, node_id, *plan_id, *request_id, owner)
        })]
        pub fn submit_compute_request_assignment(
            origin: OriginFor<T>,
            miner_node_id: NodeId,
            plan_id: PlanId,
            request_id: RequestId,
            owner: AccountId,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_submit_assignment(&who, miner_node_id, plan_id, request_id, &owner)
        }

        /// The worker is at a launch. Once per launch; the launch gets its time anew.
        #[pallet::call_index(9)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64, job_id: &JobId| -> bool {
            Pallet::<T>::is_feeless_start(origin, node_id, *request_id, *generation, job_id)
        })]
        pub fn update_miner_compute_request(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
            job_id: JobId,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_start(&who, node_id, request_id, generation, job_id)
        }

        /// The VM runs: its rent starts.
        #[pallet::call_index(10)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64, access: &VmAccess| -> bool {
            Pallet::<T>::is_feeless_launch(origin, node_id, *request_id, *generation, access)
        })]
        pub fn mark_compute_request_fulfilled(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
            access: VmAccess,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_fulfil_launch(&who, node_id, request_id, generation, access)
        }

        /// The launch failed; or, of a VM that ran, it is lost.
        #[pallet::call_index(11)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64, _kind: &FailureKind, reason: &Reason| -> bool {
            Pallet::<T>::is_feeless_failure(origin, node_id, *request_id, *generation, reason)
        })]
        pub fn handle_miner_compute_request_failure(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
            kind: FailureKind,
            reason: Reason,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_report_failure(&who, node_id, request_id, generation, kind, reason)
        }

        /// Starts a stopped VM.
        #[pallet::call_index(12)]
        pub fn request_compute_boot(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_request_boot(&owner, request_id)
        }

        /// Stops a running VM. It keeps its room, and pays for it.
        #[pallet::call_index(13)]
        pub fn request_compute_stop(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_request_stop(&owner, request_id)
        }

        /// Stops and starts a running VM.
        #[pallet::call_index(14)]
        pub fn request_compute_reboot(
            origin: OriginFor<T>,
            request_id: RequestId,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_request_reboot(&owner, request_id)
        }

        /// Gives a VM another plan. The disk never shrinks; processors and memory change at the next
        /// start. The price changes when the node has done it.
        #[pallet::call_index(15)]
        pub fn request_compute_resize(
            origin: OriginFor<T>,
            request_id: RequestId,
            plan_id: PlanId,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_request_resize(&owner, request_id, plan_id)
        }

        /// Deletes a VM, whatever else is asked of it: settles, and frees the rest of the hold at once.
        #[pallet::call_index(16)]
        pub fn request_compute_delete(
            origin: OriginFor<T>,
            request_id: RequestId,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_request_delete(&owner, request_id)
        }

        /// Sets who may log in to a VM.
        #[pallet::call_index(17)]
        pub fn set_ssh_keys(
            origin: OriginFor<T>,
            request_id: RequestId,
            keys: SshKeyList,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_set_ssh_keys(&owner, request_id, keys)
        }

        /// The VM was started.
        #[pallet::call_index(18)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64| -> bool {
            Pallet::<T>::is_feeless_report(origin, node_id, *request_id, *generation, OperationKind::Boot)
        })]
        pub fn submit_compute_boot_request_fulfillment(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_fulfil_boot(&who, node_id, request_id, generation)
        }

        /// The VM was stopped.
        #[pallet::call_index(19)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64| -> bool {
            Pallet::<T>::is_feeless_report(origin, node_id, *request_id, *generation, OperationKind::Stop)
        })]
        pub fn mark_miner_compute_stop_request_fulfilled(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_fulfil_stop(&who, node_id, request_id, generation)
        }

        /// The VM was stopped and started.
        #[pallet::call_index(20)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64| -> bool {
            Pallet::<T>::is_feeless_report(origin, node_id, *request_id, *generation, OperationKind::Reboot)
        })]
        pub fn submit_compute_reboot_request_fulfillment(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_fulfil_reboot(&who, node_id, request_id, generation)
        }

        /// The VM has its new size.
        #[pallet::call_index(21)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64| -> bool {
            Pallet::<T>::is_feeless_report(origin, node_id, *request_id, *generation, OperationKind::Resize)
        })]
        pub fn submit_compute_resize_request_fulfillment(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_fulfil_resize(&who, node_id, request_id, generation)
        }

        /// The VM is gone: neither domain nor disk is left.
        #[pallet::call_index(22)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64| -> bool {
            Pallet::<T>::is_feeless_report(origin, node_id, *request_id, *generation, OperationKind::Delete)
        })]
        pub fn submit_compute_deletion_request(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_fulfil_deletion(&who, node_id, request_id, generation)
        }

        /// What is queued could not be done: it leaves the queue, the reason stays. A deletion stays queued.
        #[pallet::call_index(23)]
        #[pallet::feeless_if(|origin: &OriginFor<T>, node_id: &NodeId, request_id: &RequestId, generation: &u64, _kind: &FailureKind, reason: &Reason| -> bool {
            Pallet::<T>::is_feeless_operation_failure(origin, node_id, *request_id, *generation, reason)
        })]
        pub fn report_operation_failure(
            origin: OriginFor<T>,
            node_id: NodeId,
            request_id: RequestId,
            generation: u64,
            kind: FailureKind,
            reason: Reason,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_report_operation_failure(&who, node_id, request_id, generation, kind, reason)
        }

        /// Pays for more live blocks in advance. Ends an exhaustion when it lifts the hold above the reserve.
        #[pallet::call_index(24)]
        pub fn top_up(
            origin: OriginFor<T>,
            request_id: RequestId,
            blocks: BlockNumber,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_top_up(&owner, request_id, blocks)
        }

        /// Takes a VM from a node that is gone for so long that it may not come back, and lets it wait for
        /// another. **Its disk is lost**: the VM starts anew from its image, and the old node destroys
        /// its copy should it return.
        #[pallet::call_index(25)]
        pub fn evacuate(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            Self::do_evacuate(&owner, request_id)
        }

        /// The miner ends a lease. The VM goes after the notice period, and the tenant gets back the rest.
        #[pallet::call_index(26)]
        pub fn end_lease(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            let miner = ensure_signed(origin)?;
            Self::do_end_lease(&miner, request_id)
        }

        /// Pays what a lease owes by now.
        #[pallet::call_index(27)]
        pub fn settle(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_settle(request_id)
        }

        /// Does what a request's first deadline that is past asks for, where the chain had no room for it.
        #[pallet::call_index(28)]
        #[pallet::weight(<T as Config>::WeightInfo::expire().max(crate::deadlines::heaviest::<T>()))]
        pub fn expire(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_expire(request_id)
        }

        /// Pays an account what could not be paid before.
        #[pallet::call_index(29)]
        pub fn claim_credit(origin: OriginFor<T>, account: AccountId) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_claim_credit(&account)
        }

        /// Adds `count` addresses from `first` on to a pool: the admin to the global one, a miner to its
        /// node's, against a deposit.
        #[pallet::call_index(30)]
        #[pallet::weight(<T as Config>::WeightInfo::add_ips((*count).min(ips::MOST_IPS)))]
        pub fn add_ips(
            origin: OriginFor<T>,
            pool: PoolId,
            first: IpAddress,
            count: u32,
        ) -> DispatchResult {
            Self::ensure_pool_keeper(origin, &pool)?;
            Self::do_add_ips(pool, first, count)
        }

        /// Removes `count` addresses from `first` on from a pool; none of them may be in use or at rest.
        #[pallet::call_index(31)]
        #[pallet::weight(<T as Config>::WeightInfo::remove_ips((*count).min(ips::MOST_IPS)))]
        pub fn remove_ips(
            origin: OriginFor<T>,
            pool: PoolId,
            first: IpAddress,
            count: u32,
        ) -> DispatchResult {
            Self::ensure_pool_keeper(origin, &pool)?;
            Self::do_remove_ips(pool, first, count)
        }

        /// Sets a pool's network. While the pool has addresses, only its name server can change.
        #[pallet::call_index(32)]
        pub fn set_ip_pool(
            origin: OriginFor<T>,
            pool: PoolId,
            network: IpNetwork,
        ) -> DispatchResult {
            Self::ensure_pool_keeper(origin, &pool)?;
            Self::do_set_ip_pool(pool, network)
        }

        /// Gives a stopped VM this address of its node's pool, or, as the admin, of the global one.
        #[pallet::call_index(33)]
        pub fn assign_ip_to_vm(
            origin: OriginFor<T>,
            request_id: RequestId,
            ip: IpAddress,
        ) -> DispatchResult {
            Self::do_assign_ip(origin, request_id, ip)
        }

        /// Takes a stopped VM's address.
        #[pallet::call_index(34)]
        pub fn release_ip_from_vm(origin: OriginFor<T>, request_id: RequestId) -> DispatchResult {
            Self::do_release_ip(origin, request_id)
        }
    }
}
