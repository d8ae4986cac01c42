//! A chain with one node, `alpha`, one VM that runs there, and one request that waits.

use crate::{
    rpc::settled::{StateReader, OURS},
    service::Block,
};
use quarry_primitives::{
    api::*,
    ip::{IpAddress, IpNetwork, PoolId},
    node::{
        Access, Country, Disk, NetworkInterface, NodeCounts, NodeMetricsData, NodeRecord, Offer,
    },
    request::{
        ComputeRequest, ComputeRequestStatus, ImageFormat, ImageMetadata, IpWish, Lease,
        MinerComputeRequest, Operation, OperationKind, PlanId, SshKeyList,
    },
    resources::{Rates, Resources},
    settled::{Item, Signs},
    text::{Amount, Text},
    AccountId, Hash, NodeId, RequestId,
};
use sp_api::{mock_impl_runtime_apis, ApiRef, ProvideRuntimeApi};
use sp_blockchain::{BlockStatus, HeaderBackend, Info};
use sp_core::crypto::Ss58Codec;
use sp_io::hashing::blake2_256;
use sp_runtime::traits::{Block as BlockT, NumberFor};
use std::sync::{Arc, Mutex};

pub const BEST: Hash = Hash::repeat_byte(0xbe);
/// At this block nothing was there yet.
pub const GENESIS: Hash = Hash::repeat_byte(0x9e);
pub const TENANT: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const MINER: &str = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";
const OTHER_MINER: &str = "5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy";
const WORKER: &str = "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y";
const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f tenant";
/// The VM that runs.
pub const RUNNING: RequestId = 7;
/// The request that waits.
pub const WAITING: RequestId = 8;

const SMALL: Resources = Resources { vcpus: 1, memory_mib: 2_048, disk_gib: 20 };
const RATES: Rates =
    Rates { vcpu: 2_000_000, memory_gib: 500_000, disk_gib: 10_000, ip: 1_000_000 };

pub fn plan_id() -> PlanId {
    blake2_256(b"small").into()
}

fn text<const MAX: u32>(text: &str) -> Text<MAX> {
    text.try_into().unwrap()
}

fn account(address: &str) -> AccountId {
    AccountId::from_ss58check(address).unwrap()
}

pub fn metrics() -> NodeMetricsData {
    NodeMetricsData {
        miner_id: text("alpha"),
        geolocation: text("Stockholm"),
        cpu_model: text("AMD EPYC 7443P"),
        cpu_cores: 24,
        cpu_load_permille: 130,
        memory_mb: 131_072,
        free_memory_mb: 98_304,
        disks: vec![Disk {
            name: text("nvme0n1"),
            disk_type: text("nvme"),
            total_space_mb: 1_920_000,
            free_space_mb: 1_500_000,
            read_mb_s: 3_100,
            write_mb_s: 1_900,
        }]
        .try_into()
        .unwrap(),
        primary_network_interface: NetworkInterface {
            name: text("eth0"),
            mac_address: text("52:54:00:12:34:56"),
            uplink_mb: 81_244,
            downlink_mb: 120_991,
        },
        bandwidth_mbps: 1_000,
        vm_count: 1,
        uptime_minutes: 20_160,
        is_sev_enabled: false,
        gpu_name: None,
        gpu_memory_mb: 0,
        hypervisor: text("QEMU 10.0.2"),
        worker_version: text("0.1.0"),
    }
}

fn access() -> Access {
    Access { endpoint: text("alpha.example:2222"), host_key: [0x0a; 32] }
}

pub fn node() -> NodeView {
    let node = NodeRecord {
        owner: account(MINER),
        worker: account(WORKER),
        offer: Offer {
            capacity: Resources { vcpus: 20, memory_mib: 122_880, disk_gib: 1_500 },
            rates: RATES,
            country: Country(*b"SE"),
            max_vms: 40,
            global_ips: true,
        },
        access: access(),
        bond: 140_000_000_000_000,
        reserved: SMALL,
        vms: 1,
        miner_accepting: true,
        worker_accepting: true,
        registered_at: 1_200,
        last_seen: Some(90_417),
        last_heartbeat: Some(90_417),
        last_metrics: Some(90_400),
        access_moved_at: None,
        heartbeat_count: 29_704,
        served: 89_190,
        downtime: 27,
        rates_raised_at: None,
        leaves_at: None,
        work_version: 12,
        counts: NodeCounts { launched: 4, failed: 1, ..Default::default() },
    };
    let (node_id, room) = (text("alpha"), node.room());
    NodeView { node_id, node, online: true, takes_vms: true, room, free_ips: 0 }
}

fn image() -> ImageMetadata {
    ImageMetadata {
        name: text("debian-12"),
        image_url: text("https://images.example/debian-12.qcow2"),
        digest: [0xd1; 32],
        format: ImageFormat::Qcow2,
        virtual_size_gib: 3,
        supersedes: None,
        enabled: true,
    }
}

fn keys() -> SshKeyList {
    vec![text(SSH_KEY)].try_into().unwrap()
}

const IP: IpAddress = IpAddress::V4([203, 0, 113, 20]);

fn address() -> VmAddress {
    let network = IpNetwork {
        prefix_len: 24,
        gateway: IpAddress::V4([203, 0, 113, 1]),
        dns: IpAddress::V4([203, 0, 113, 2]),
    };
    VmAddress { pool: PoolId::Global, address: IP, network }
}

pub fn vm() -> VmView {
    let request = ComputeRequest {
        request_id: RUNNING,
        birth: Hash::repeat_byte(0xb1),
        plan_technical_description: text("1 vCPU, 2 GiB of memory, 20 GiB of disk"),
        plan_id: plan_id(),
        resources: SMALL,
        status: ComputeRequestStatus::Running,
        created_at: 90_000,
        owner: account(TENANT),
        name: text("web"),
        selected_image: image(),
        is_assigned: true,
        cloud_init_cid: None,
        miner_id: Some(text("alpha")),
        named_node: false,
        country: Some(Country(*b"SE")),
        max_price: 6_000_000,
        ip: IpWish::Prefer,
        generation: 3,
        operation: Some(Operation { kind: OperationKind::Reboot, deadline: 90_467 }),
        attempts: 1,
        terminal_failures: 0,
        excluded: vec![account(OTHER_MINER)].try_into().unwrap(),
        last_failure: Some(text("the image could not be fetched")),
        kept_until: None,
    };
    let assignment = MinerComputeRequest {
        miner_node_id: text("alpha"),
        miner_account_id: account(MINER),
        job_id: Some(text("launch-7-2")),
        hypervisor_ip: Some(IpAddress::V4([198, 51, 100, 4])),
        fail_reason: None,
        vnc_port: Some(5_901),
        ip_assigned: Some(IP),
        request_id: RUNNING,
        plan_id: plan_id(),
        created_at: 90_012,
        fullfilled: true,
        ssh_host_key: Some([0x5e; 32]),
        generation: 2,
        claimed: true,
    };
    let lease = Lease {
        held: 25_811_400_000,
        node: Some(text("alpha")),
        rates: Some(RATES),
        price: 5_200_000,
        ip_fee: 2_000_000,
        mark: Some(88_800),
        billed: 0,
        exhausted: false,
        boot_on_top_up: false,
        ends_at: None,
        check_at: Some(94_700),
    };
    VmView {
        request,
        ssh_keys: keys(),
        lease: Some(lease),
        assignment: Some(assignment),
        address: Some(address()),
        access: Some(access()),
    }
}

fn work() -> WorkItem {
    let request = vm().request;
    WorkItem {
        request_id: request.request_id,
        owner: request.owner,
        birth: request.birth,
        assigned_generation: 2,
        generation: request.generation,
        desired: Desired::Running,
        operation: request.operation,
        name: request.name,
        plan_id: request.plan_id,
        resources: request.resources,
        image: image(),
        cloud_init_cid: None,
        ssh_keys: keys(),
        address: Some(address()),
        launched: true,
    }
}

fn open() -> OpenRequest {
    OpenRequest {
        request_id: WAITING,
        owner: account(TENANT),
        plan_id: plan_id(),
        resources: SMALL,
        image: image(),
        price: 3_200_000,
    }
}

fn quote() -> Quote {
    Quote {
        price: 3_200_000,
        ip_price: Some(Amount(2_000_000)),
        min_prepaid_blocks: 700,
        deposit: 200_000_000_000,
        unfit: None,
    }
}

/// What the runtime was asked last, with the block and all arguments.
pub type Asked = Arc<Mutex<String>>;

#[derive(Clone)]
pub struct Chain {
    pub asked: Asked,
    /// What the best block's state says of migrations.
    pub signs: Signs,
    /// The form in which its runtime answers.
    pub api_version: Option<u32>,
}

impl Default for Chain {
    fn default() -> Self {
        Self { asked: Asked::default(), signs: settled(), api_version: Some(OURS) }
    }
}

impl Chain {
    /// Whether there is a market at that block, after noting what was asked.
    fn ask(&self, at: Hash, what: &str, with: impl std::fmt::Debug) -> Found<bool> {
        *self.asked.lock().unwrap() = format!("{what} {with:?} at {at:?}");
        is_best(at)
    }
}

/// Whether the block is the best one; it is the first otherwise.
fn is_best(at: Hash) -> Found<bool> {
    match at {
        at if at == BEST => Ok(true),
        at if at == GENESIS => Ok(false),
        at => Err(CallError::UnknownBlock(format!("{at:?}"))),
    }
}

type CallError = sp_api::ApiError;
type Found<T> = Result<T, CallError>;

const VERSION: u32 = 3;

/// What a state says whose migrations were run.
pub fn settled() -> Signs {
    Signs { last_upgrade: Some(b"\x0c\x18quarry".to_vec()), ..Signs::default() }
}

impl StateReader for Chain {
    fn spec_version(&self, at: Hash) -> Found<u32> {
        is_best(at).map(|_| VERSION)
    }

    fn api_version(&self, at: Hash) -> Found<Option<u32>> {
        is_best(at).map(|is_best| if is_best { self.api_version } else { Some(OURS) })
    }

    fn stored(&self, at: Hash, item: Item) -> Found<Option<Vec<u8>>> {
        let signs = if is_best(at)? { self.signs.clone() } else { settled() };
        Ok(match item {
            Signs::LAST_UPGRADE => signs.last_upgrade,
            Signs::CURSOR => signs.cursor,
            Signs::CLOSED_UNTIL => signs.closed_until,
            (pallet, name) => panic!("nobody needs {pallet}.{name}"),
        })
    }
}

fn page<Row, Cursor>(
    there: bool,
    row: Row,
    cursor: Option<Cursor>,
    next: Cursor,
) -> Page<Row, Cursor> {
    match (there, cursor) {
        (false, _) => Page { rows: Vec::new(), next: None },
        (true, None) => Page { rows: vec![row], next: Some(next) },
        (true, Some(_)) => Page { rows: Vec::new(), next: None },
    }
}

pub fn is_alpha(node_id: &NodeId) -> bool {
    *node_id == text("alpha")
}

mock_impl_runtime_apis! {
    impl ComputeApi<Block> for Chain {
        #[advanced]
        fn get_node_metrics(&self, at: Hash, node_id: NodeId) -> Found<Option<NodeMetricsData>> {
            let there = self.ask(at, "get_node_metrics", &node_id)?;
            Ok((there && is_alpha(&node_id)).then(metrics))
        }

        #[advanced]
        fn get_node(&self, at: Hash, node_id: NodeId) -> Found<Option<NodeView>> {
            if node_id == text("broken") {
                return Err(CallError::StateBackendIsNotTrie);
            }
            let there = self.ask(at, "get_node", &node_id)?;
            Ok((there && is_alpha(&node_id)).then(node))
        }

        #[advanced]
        fn find_nodes(
            &self,
            at: Hash,
            filter: NodeFilter,
            cursor: Option<NodeId>,
            limit: u32,
        ) -> Found<Page<FoundNode, NodeId>> {
            let there = self.ask(at, "find_nodes", (&filter, &cursor, limit))?;
            let price = 5_200_000;
            let found = FoundNode { node: node(), price, ip_pool: Some(PoolId::Global) };
            Ok(page(there, found, cursor, text("alpha")))
        }

        #[advanced]
        fn get_user_vms(
            &self,
            at: Hash,
            account: AccountId,
            cursor: Option<RequestCursor>,
            limit: u32,
        ) -> Found<Page<VmView, RequestCursor>> {
            let there = self.ask(at, "get_user_vms", (&account, &cursor, limit))?;
            Ok(page(there, vm(), cursor, RequestCursor(RUNNING)))
        }

        #[advanced]
        fn get_vm(&self, at: Hash, request_id: RequestId) -> Found<Option<VmView>> {
            let there = self.ask(at, "get_vm", request_id)?;
            Ok((there && request_id == RUNNING).then(vm))
        }

        #[advanced]
        fn quote(
            &self,
            at: Hash,
            asked_plan: PlanId,
            node_id: NodeId,
        ) -> Found<Result<Quote, ApiError>> {
            let there = self.ask(at, "quote", (&asked_plan, &node_id))?;
            Ok(match () {
                () if node_id == text("dear") => Err(ApiError::PriceOverflow),
                () if !there || !is_alpha(&node_id) => Err(ApiError::NodeNotFound),
                () if asked_plan != plan_id() => Err(ApiError::PlanNotFound),
                () => Ok(quote()),
            })
        }

        #[advanced]
        fn why_pending(
            &self,
            at: Hash,
            request_id: RequestId,
            cursor: Option<NodeId>,
            limit: u32,
        ) -> Found<Result<PendingReasons, ApiError>> {
            self.ask(at, "why_pending", (request_id, &cursor, limit))?;
            Ok(match request_id {
                RUNNING => Err(ApiError::NotPending),
                WAITING => Ok(PendingReasons {
                    nodes: 5,
                    takers: 0,
                    reasons: vec![(Unfit::WrongCountry, 2), (Unfit::TooDear, 3)],
                    next: None,
                }),
                _ => Err(ApiError::ComputeRequestNotFound),
            })
        }

        #[advanced]
        fn work_for(
            &self,
            at: Hash,
            node_id: NodeId,
            cursor: Option<RequestCursor>,
            limit: u32,
        ) -> Found<Page<WorkItem, RequestCursor>> {
            let there = self.ask(at, "work_for", (&node_id, &cursor, limit))?;
            Ok(page(there && is_alpha(&node_id), work(), cursor, RequestCursor(RUNNING)))
        }

        #[advanced]
        fn open_for(
            &self,
            at: Hash,
            node_id: NodeId,
            cursor: Option<RequestCursor>,
            limit: u32,
        ) -> Found<Page<OpenRequest, RequestCursor>> {
            let there = self.ask(at, "open_for", (&node_id, &cursor, limit))?;
            Ok(page(there && is_alpha(&node_id), open(), cursor, RequestCursor(WAITING)))
        }
    }
}

impl ProvideRuntimeApi<Block> for Chain {
    type Api = Self;

    fn runtime_api(&self) -> ApiRef<'_, Self> {
        self.clone().into()
    }
}

impl HeaderBackend<Block> for Chain {
    fn header(&self, _: Hash) -> sp_blockchain::Result<Option<<Block as BlockT>::Header>> {
        Ok(None)
    }

    fn info(&self) -> Info<Block> {
        Info {
            best_hash: BEST,
            best_number: 90_418,
            genesis_hash: GENESIS,
            finalized_hash: BEST,
            finalized_number: 90_418,
            finalized_state: None,
            number_leaves: 1,
            block_gap: None,
        }
    }

    fn status(&self, _: Hash) -> sp_blockchain::Result<BlockStatus> {
        Ok(BlockStatus::InChain)
    }

    fn number(&self, _: Hash) -> sp_blockchain::Result<Option<NumberFor<Block>>> {
        Ok(None)
    }

    fn hash(&self, _: NumberFor<Block>) -> sp_blockchain::Result<Option<Hash>> {
        Ok(None)
    }
}
