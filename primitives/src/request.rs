//! VMs from birth to deletion, and what is asked of them.

use crate::{
    ip::IpAddress,
    node::{Country, NodeId},
    resources::{Rates, Resources},
    text::{decimal, hex32, hex32_option, Text},
    AccountId, Balance, BlockNumber, Hash,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::ConstU32;
use sp_runtime::BoundedVec;

/// The number of a VM, never given twice.
pub type RequestId = u128;
/// The hash of a plan's name.
pub type PlanId = Hash;
/// A plan's name.
pub type PlanName = Text<32>;
/// What a plan is, in a sentence.
pub type PlanDescription = Text<256>;
/// An image's name.
pub type ImageName = Text<64>;
/// What a tenant calls a VM.
pub type VmName = Text<64>;
/// A public key as one line of OpenSSH.
pub type SshKey = Text<1024>;
/// The keys that let into a VM.
pub type SshKeyList = BoundedVec<SshKey, ConstU32<8>>;
/// The content id of cloud-init user data.
pub type Cid = Text<64>;
/// A worker's name for a job.
pub type JobId = Text<64>;
/// Why something failed, in words.
pub type Reason = Text<128>;
/// The miners that a request stays away from.
pub type ExcludedMiners = BoundedVec<AccountId, ConstU32<8>>;

macro_rules! stored {
    ($($item:item)*) => {$(
        #[derive(
            Clone,
            Debug,
            Decode,
            DecodeWithMemTracking,
            Deserialize,
            Encode,
            Eq,
            MaxEncodedLen,
            PartialEq,
            Serialize,
            TypeInfo,
        )]
        #[serde(rename_all = "snake_case")]
        $item
    )*};
}
pub(crate) use stored;

stored! {
    /// A size that can be rented.
    pub struct Plan {
        /// Its name, of which its id is the hash.
        pub name: PlanName,
        /// What it is.
        pub technical_description: PlanDescription,
        /// The VM's size.
        pub resources: Resources,
        /// Whether it can be rented now.
        pub enabled: bool,
    }

    /// How an image's bytes are arranged.
    #[derive(Copy)]
    pub enum ImageFormat {
        /// QEMU's own.
        Qcow2,
        /// The disk's bytes as they are.
        Raw,
    }

    /// A disk image that VMs start from.
    pub struct ImageMetadata {
        /// Its name.
        pub name: ImageName,
        /// Where it is: `https`, `ipfs` or a file of the worker's store.
        pub image_url: Text<256>,
        /// SHA-256 of the file.
        #[serde(with = "hex32")]
        pub digest: [u8; 32],
        /// How it is arranged.
        pub format: ImageFormat,
        /// The disk that it needs at least.
        pub virtual_size_gib: u32,
        /// The image that it takes the place of.
        pub supersedes: Option<ImageName>,
        /// Whether a new VM can have it.
        pub enabled: bool,
    }

    /// What a request is in.
    #[derive(Copy)]
    pub enum ComputeRequestStatus {
        /// No node has it.
        Pending,
        /// Its node has it, and it does not run.
        Stopped,
        /// A node launches it.
        InProgress,
        /// It runs.
        Running,
        /// It ended without its tenant's will.
        Failed,
        /// Its tenant took it back before any node had it.
        Cancelled,
    }

    /// One change asked of a VM.
    #[derive(Copy)]
    pub enum OperationKind {
        /// Make it and start it.
        Launch,
        /// Start it.
        Boot,
        /// Stop it.
        Stop,
        /// Stop and start it.
        Reboot,
        /// Give it another size.
        Resize,
        /// Remove it.
        Delete,
    }

    /// The change that is under way.
    #[derive(Copy)]
    pub struct Operation {
        /// Which.
        pub kind: OperationKind,
        /// When the chain stops waiting for it.
        pub deadline: BlockNumber,
    }

    /// Whether a VM wants an address of its own.
    #[derive(Copy)]
    pub enum IpWish {
        /// No.
        None,
        /// Where there is one within the price.
        Prefer,
        /// It does not run without.
        Require,
    }

    /// Where a VM may run.
    pub struct Placement {
        /// On this node only.
        pub miner_id: Option<NodeId>,
        /// In this country only.
        pub country: Option<Country>,
    }

    /// Whether another try elsewhere makes sense.
    #[derive(Copy)]
    pub enum FailureKind {
        /// It may work on another node.
        Retryable,
        /// It will fail everywhere; believed when two miners say so.
        Terminal,
    }

    /// One VM from birth to deletion.
    pub struct ComputeRequest {
        /// Its number.
        #[serde(with = "decimal")]
        pub request_id: RequestId,
        /// Names it apart from any other on any chain.
        pub birth: Hash,
        /// What its plan is.
        pub plan_technical_description: PlanDescription,
        /// Its plan.
        pub plan_id: PlanId,
        /// Its size.
        pub resources: Resources,
        /// What it is in.
        pub status: ComputeRequestStatus,
        /// When it was asked for.
        pub created_at: BlockNumber,
        /// Its tenant.
        pub owner: AccountId,
        /// What the tenant calls it.
        pub name: VmName,
        /// What it starts from.
        pub selected_image: ImageMetadata,
        /// Whether a node has it.
        pub is_assigned: bool,
        /// User data for cloud-init.
        pub cloud_init_cid: Option<Cid>,
        /// The node that has it, or, while none has, the one that must.
        pub miner_id: Option<NodeId>,
        /// Whether the tenant named that node.
        pub named_node: bool,
        /// The country that it must run in.
        pub country: Option<Country>,
        /// The most that it may cost per live block.
        #[serde(with = "decimal")]
        pub max_price: Balance,
        /// Whether it wants an address.
        pub ip: IpWish,
        /// Rises with every assignment and operation; a report names it.
        pub generation: u64,
        /// What is asked of it now.
        pub operation: Option<Operation>,
        /// How many launches failed.
        pub attempts: u8,
        /// How many miners said that none will succeed.
        pub terminal_failures: u8,
        /// Those that failed it.
        pub excluded: ExcludedMiners,
        /// Why the last thing that failed did.
        pub last_failure: Option<Reason>,
        /// When its record goes, once it ended.
        pub kept_until: Option<BlockNumber>,
    }

    /// What a node makes of a request that it has.
    pub struct MinerComputeRequest {
        /// The node.
        pub miner_node_id: NodeId,
        /// Its miner.
        pub miner_account_id: AccountId,
        /// The worker's name for the launch; there is one once the worker is at it.
        pub job_id: Option<JobId>,
        /// The host's address.
        pub hypervisor_ip: Option<IpAddress>,
        /// What the node said last that it could not do.
        pub fail_reason: Option<Reason>,
        /// The port of the VM's screen on the host.
        pub vnc_port: Option<u16>,
        /// The VM's address.
        pub ip_assigned: Option<IpAddress>,
        /// The VM.
        #[serde(with = "decimal")]
        pub request_id: RequestId,
        /// Its plan.
        pub plan_id: PlanId,
        /// When the node got it.
        pub created_at: BlockNumber,
        /// Whether it was launched.
        pub fullfilled: bool,
        /// The guest's Ed25519 host key.
        #[serde(with = "hex32_option")]
        pub ssh_host_key: Option<[u8; 32]>,
        /// The generation of the assignment, from which the VM's identity derives.
        pub generation: u64,
        /// Whether the node took it by itself.
        pub claimed: bool,
    }

    /// An entry of one of the five queues.
    pub struct QueuedOperation {
        /// The node that has to do it.
        pub miner_node_id: NodeId,
        /// The worker's name for the VM's launch.
        pub job_id: Option<JobId>,
        /// The VM.
        #[serde(with = "decimal")]
        pub request_id: RequestId,
        /// Its tenant.
        pub user_id: AccountId,
        /// Its plan; for a resize, the new one.
        pub plan_id: PlanId,
        /// When it was asked for.
        pub created_at: BlockNumber,
        /// Always false: what is done leaves the queue.
        pub fullfilled: bool,
        /// What a report on it names.
        pub generation: u64,
    }

    /// What a worker tells with a launch.
    pub struct VmAccess {
        /// Its name for the job.
        pub job_id: JobId,
        /// The host's address.
        pub hypervisor_ip: Option<IpAddress>,
        /// The port of the VM's screen on the host.
        pub vnc_port: Option<u16>,
        /// The guest's Ed25519 host key.
        #[serde(with = "hex32_option")]
        pub ssh_host_key: Option<[u8; 32]>,
    }

    /// What a VM costs, from what, and until when.
    pub struct Lease {
        /// The tenant's funds on hold for it.
        #[serde(with = "decimal")]
        pub held: Balance,
        /// The node that has it.
        pub node: Option<NodeId>,
        /// The node's rates when it got the VM.
        pub rates: Option<Rates>,
        /// What a live block costs, all in all.
        #[serde(with = "decimal")]
        pub price: Balance,
        /// What of that is for an address of the global pool.
        #[serde(with = "decimal")]
        pub ip_fee: Balance,
        /// The node's `served` up to which it is paid; none before it runs.
        pub mark: Option<BlockNumber>,
        /// The live blocks paid since it first ran there.
        pub billed: BlockNumber,
        /// Whether only the reserve is left.
        pub exhausted: bool,
        /// Whether a top-up starts it again: it ran when only the reserve was left.
        pub boot_on_top_up: bool,
        /// When the miner ends it.
        pub ends_at: Option<BlockNumber>,
        /// When the chain looks at it next.
        pub check_at: Option<BlockNumber>,
    }

    /// What the chain waits for.
    #[derive(Copy, Ord, PartialOrd)]
    pub enum DeadlineKind {
        /// A launch.
        Launch,
        /// A boot, stop, reboot or resize.
        Operation,
        /// A deletion.
        Deletion,
        /// The lease's next look.
        Lease,
        /// The record of an ended request.
        Retention,
    }

    /// What an admin or a genesis may set. Waits are in live blocks.
    pub struct Params {
        /// For a launch.
        pub launch_timeout: BlockNumber,
        /// For a boot, stop, reboot or resize.
        pub operation_timeout: BlockNumber,
        /// For a deletion.
        pub delete_timeout: BlockNumber,
        /// Of a node's absence, before a tenant may take a VM elsewhere.
        pub evict_after: BlockNumber,
        /// That the reserve pays for.
        pub grace_period: BlockNumber,
        /// That a tenant pays for beside the reserve at least.
        pub min_lease: BlockNumber,
        /// That a tenant may pay for at most.
        pub max_prepaid: BlockNumber,
        /// From a miner's notice to the end of a lease.
        pub notice_period: BlockNumber,
        /// From a node's leave to the end of its bond.
        pub unbonding: BlockNumber,
        /// That the record of an ended request is kept.
        pub retention: BlockNumber,
        /// From a raise of rates to the next claim.
        pub rate_notice: BlockNumber,
        /// That an address rests.
        pub ip_quarantine: BlockNumber,
        /// That the address of an evacuated VM rests.
        pub ip_quarantine_evacuated: BlockNumber,
        /// How many miners may fail a launch.
        pub max_attempts: u8,
        /// How many launches a node may have that it claimed itself.
        pub max_claims: u32,
        /// What an address of the global pool costs per live block.
        #[serde(with = "decimal")]
        pub global_ip_price: Balance,
    }
}

impl ComputeRequestStatus {
    /// Whether it ended.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

impl OperationKind {
    /// The wait that it has.
    pub fn deadline_kind(&self) -> DeadlineKind {
        match self {
            Self::Launch => DeadlineKind::Launch,
            Self::Delete => DeadlineKind::Deletion,
            Self::Boot | Self::Stop | Self::Reboot | Self::Resize => DeadlineKind::Operation,
        }
    }
}

impl ComputeRequest {
    /// The kind of the operation under way.
    pub fn pending_operation(&self) -> Option<OperationKind> {
        self.operation.map(|operation| operation.kind)
    }
}
