//! What the runtime answers about the market. Each method is also a `compute_*` method of the node's
//! JSON-RPC.
//!
//! Lists come in pages: `limit` (1 to [`MAX_ROWS`], more is taken for that) bounds the rows that are
//! looked at, not those that are found, so a page may be short or empty and still have a `next`. To go on,
//! ask again with `next` as the cursor; where it is `None`, that was all.

use crate::{
    ip::{IpAddress, IpNetwork, PoolId},
    node::{Access, Country, NodeId, NodeMetricsData, NodeRecord},
    request::{
        stored, Cid, ComputeRequest, ImageMetadata, IpWish, Lease, MinerComputeRequest, Operation,
        PlanId, RequestId, SshKeyList, VmName,
    },
    resources::Resources,
    text::{decimal, Amount},
    AccountId, Balance, BlockNumber, Hash,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// The most rows that one call looks at.
pub const MAX_ROWS: u32 = 100;

/// Part of a list.
#[derive(Clone, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
pub struct Page<Row, Cursor> {
    /// What was found in the rows looked at.
    pub rows: Vec<Row>,
    /// Where to go on, if that was not all.
    pub next: Option<Cursor>,
}

/// A request's number as a page's cursor, which JSON has as a string.
#[derive(Clone, Copy, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
#[serde(transparent)]
pub struct RequestCursor(#[serde(with = "decimal")] pub RequestId);

stored! {
    /// Why a question has no answer.
    #[derive(Copy)]
    pub enum ApiError {
        /// There is no such node.
        NodeNotFound,
        /// There is no such request.
        ComputeRequestNotFound,
        /// There is no such plan.
        PlanNotFound,
        /// The request does not wait for a node.
        NotPending,
        /// The price is beyond what a balance holds.
        PriceOverflow,
    }

    /// Why a node cannot take a request.
    #[derive(Copy, Ord, PartialOrd)]
    pub enum Unfit {
        /// The tenant named another node.
        OtherNodeNamed,
        /// It was deregistered.
        Leaving,
        /// It does not report.
        Offline,
        /// Its miner drains it, or its worker sees too much load.
        NotAccepting,
        /// Its bond is less than its capacity asks for.
        BondTooSmall,
        /// It stands in another country.
        WrongCountry,
        /// It failed this request before.
        Excluded,
        /// It has less room than the request takes.
        TooLarge,
        /// It has as many VMs as it takes.
        TooManyVms,
        /// It asks for more than the request's highest price.
        TooDear,
        /// It has no address to give.
        NoAddress,
        /// It raised its rates a short while ago.
        RatesRaisedLately,
        /// It has claimed as many launches as it may.
        TooManyClaims,
    }

    /// What a tenant looks for.
    pub struct NodeFilter {
        /// Room for this.
        pub resources: Resources,
        /// In this country.
        pub country: Option<Country>,
        /// At this price per live block or less.
        pub max_price: Option<Amount>,
        /// With an address.
        pub ip: IpWish,
    }

    /// A node, as a tenant or a miner looks at it.
    pub struct NodeView {
        /// Its name.
        pub node_id: NodeId,
        /// All that the chain knows of it.
        pub node: NodeRecord,
        /// Whether it is there.
        pub online: bool,
        /// Whether it takes new VMs at all.
        pub takes_vms: bool,
        /// What is left for them.
        pub room: Resources,
        /// Free addresses of its own.
        pub free_ips: u32,
    }

    /// A node that takes what a tenant looks for.
    pub struct FoundNode {
        /// The node.
        pub node: NodeView,
        /// What the VM would cost there per live block, its address included.
        #[serde(with = "decimal")]
        pub price: Balance,
        /// Where its address would come from.
        pub ip_pool: Option<PoolId>,
    }

    /// What a plan costs on a node.
    pub struct Quote {
        /// Per live block, without an address.
        #[serde(with = "decimal")]
        pub price: Balance,
        /// Beside that, for an address; none where the node has no address to give.
        pub ip_price: Option<Amount>,
        /// The least number of live blocks to pay for in advance.
        pub min_prepaid_blocks: BlockNumber,
        /// Held for the request's room in the chain's state, and given back with it, with one key.
        #[serde(with = "decimal")]
        pub deposit: Balance,
        /// Why the node would not take it now.
        pub unfit: Option<Unfit>,
    }

    /// A VM's address, with what its guest must know of the network.
    pub struct VmAddress {
        /// Where it comes from.
        pub pool: PoolId,
        /// The address.
        pub address: IpAddress,
        /// Its network.
        pub network: IpNetwork,
    }

    /// A VM, as its tenant looks at it.
    pub struct VmView {
        /// What was asked for, and what became of it.
        pub request: ComputeRequest,
        /// Who may log in.
        pub ssh_keys: SshKeyList,
        /// What it costs; none once it was closed.
        pub lease: Option<Lease>,
        /// What its node made of it.
        pub assignment: Option<MinerComputeRequest>,
        /// Its address.
        pub address: Option<VmAddress>,
        /// How to reach its node.
        pub access: Option<Access>,
    }

    /// What a VM should be.
    #[derive(Copy)]
    pub enum Desired {
        /// Made, started, and reported.
        Launch,
        /// Running.
        Running,
        /// There, and not running.
        Stopped,
        /// Gone.
        Deleted,
    }

    /// All that a worker needs for one VM.
    pub struct WorkItem {
        /// Its number.
        #[serde(with = "decimal")]
        pub request_id: RequestId,
        /// Its tenant.
        pub owner: AccountId,
        /// Names it apart from any other on any chain.
        pub birth: Hash,
        /// The generation of the assignment, from which its identity derives.
        pub assigned_generation: u64,
        /// What a report names.
        pub generation: u64,
        /// What it should be.
        pub desired: Desired,
        /// What is asked of it now.
        pub operation: Option<Operation>,
        /// What the tenant calls it.
        pub name: VmName,
        /// Its plan.
        pub plan_id: PlanId,
        /// Its size; during a resize, the new one.
        pub resources: Resources,
        /// What it starts from.
        pub image: ImageMetadata,
        /// User data for cloud-init.
        pub cloud_init_cid: Option<Cid>,
        /// Who may log in.
        pub ssh_keys: SshKeyList,
        /// Its address.
        pub address: Option<VmAddress>,
        /// Whether it was launched once.
        pub launched: bool,
    }

    /// A request that a node could claim.
    pub struct OpenRequest {
        /// Its number.
        #[serde(with = "decimal")]
        pub request_id: RequestId,
        /// Its tenant, whom the claim names.
        pub owner: AccountId,
        /// Its plan, which the claim names.
        pub plan_id: PlanId,
        /// Its size.
        pub resources: Resources,
        /// What it starts from.
        pub image: ImageMetadata,
        /// What it would earn per live block, the treasury's share included.
        #[serde(with = "decimal")]
        pub price: Balance,
    }
}

/// Why a request waits, counted over the nodes that were looked at.
#[derive(Clone, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
pub struct PendingReasons {
    /// How many nodes were looked at.
    pub nodes: u32,
    /// How many of them could take it now.
    pub takers: u32,
    /// How many could not, by the first reason that stands in the way.
    pub reasons: Vec<(Unfit, u32)>,
    /// Where to go on, if those were not all.
    pub next: Option<NodeId>,
}

impl Unfit {
    /// The reason in words, for the tenant whose request waits.
    pub fn words(&self) -> &'static str {
        match self {
            Self::OtherNodeNamed => "you named another node",
            Self::Leaving => "the node is leaving the market",
            Self::Offline => "the node is offline",
            Self::NotAccepting => "the node takes no new VMs now",
            Self::BondTooSmall => "the node's bond is too small for its capacity",
            Self::WrongCountry => "the node stands in another country",
            Self::Excluded => "the node's miner failed this request before",
            Self::TooLarge => "the plan is larger than the node's free capacity",
            Self::TooManyVms => "the node has as many VMs as it takes",
            Self::TooDear => "the node asks for more than your highest price",
            Self::NoAddress => "the node has no free address, and the request requires one",
            Self::RatesRaisedLately => "the node raised its rates lately and may not claim yet",
            Self::TooManyClaims => "the node is launching as many claimed VMs as it may",
        }
    }
}

// Any change of what a method takes or answers, down to a field of a type in it, gets the trait another
// `#[api_version]`: chain nodes know by that alone that they are of another release than the runtime.
sp_api::decl_runtime_apis! {
    /// Reads the market.
    pub trait ComputeApi {
        /// What the node's worker said last of its host.
        fn get_node_metrics(node_id: NodeId) -> Option<NodeMetricsData>;

        /// The node.
        fn get_node(node_id: NodeId) -> Option<NodeView>;

        /// Nodes that would take such a VM now.
        fn find_nodes(
            filter: NodeFilter,
            cursor: Option<NodeId>,
            limit: u32,
        ) -> Page<FoundNode, NodeId>;

        /// The account's VMs, those that ended included while their record is kept.
        fn get_user_vms(
            account: AccountId,
            cursor: Option<RequestCursor>,
            limit: u32,
        ) -> Page<VmView, RequestCursor>;

        /// The VM.
        fn get_vm(request_id: RequestId) -> Option<VmView>;

        /// What a plan costs on a node.
        fn quote(plan_id: PlanId, node_id: NodeId) -> Result<Quote, ApiError>;

        /// Why no node takes a request.
        fn why_pending(
            request_id: RequestId,
            cursor: Option<NodeId>,
            limit: u32,
        ) -> Result<PendingReasons, ApiError>;

        /// What the node's worker has to do and to keep.
        fn work_for(
            node_id: NodeId,
            cursor: Option<RequestCursor>,
            limit: u32,
        ) -> Page<WorkItem, RequestCursor>;

        /// What the node could claim now.
        fn open_for(
            node_id: NodeId,
            cursor: Option<RequestCursor>,
            limit: u32,
        ) -> Page<OpenRequest, RequestCursor>;
    }
}
