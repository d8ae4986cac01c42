//! A market with so many VMs that run, made by the calls that would make it.

use crate::chain::Chain;
use frame_support::traits::UnfilteredDispatchable;
use frame_system::RawOrigin;
use pallet_compute::{ComputeRequests, NextRequestId};
use quarry_primitives::{
    ip::{IpAddress, IpNetwork, PoolId},
    node::{proof_payload, Access, Country, NodeId, Offer},
    request::{
        ComputeRequest, ImageFormat, ImageMetadata, ImageName, IpWish, Params, Placement, PlanId,
        RequestId, SshKeyList, VmAccess,
    },
    resources::{Rates, Resources},
    text::Text,
    AccountId, Balance, BlockNumber, MICRO_QRY, QRY,
};
use quarry_runtime::{
    market::DEFAULT_PARAMS, LiveBlocks, Runtime, RuntimeCall, RuntimeGenesisConfig, RuntimeOrigin,
    System,
};
use sp_core::{sr25519, Pair};
use sp_runtime::{
    traits::{BlockNumberProvider, IdentifyAccount},
    BuildStorage, MultiSigner,
};

const FUNDS: Balance = 1_000_000_000 * QRY;
/// As many VMs as a node has here at most.
const MOST_ON_NODE: u32 = 10_000;
/// Requests between two commits to the trie.
const BATCH: u32 = 1_000;
const IPS_AT_ONCE: u32 = 256;
const START: BlockNumber = 1_000;
const SMALL: Resources = Resources { vcpus: 1, memory_mib: 1_024, disk_gib: 5 };
const LARGE: Resources = Resources { vcpus: 2, memory_mib: 2_048, disk_gib: 10 };
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f tina@bench";

/// A node, all of whose VMs one tenant rents.
#[derive(Clone)]
pub struct Place {
    pub tenant: AccountId,
    pub miner: AccountId,
    pub worker: AccountId,
    pub node_id: NodeId,
    pub vms: u32,
}

pub fn text<const MAX: u32>(text: &str) -> Text<MAX> {
    Text::try_from(text).expect("it is short enough")
}

fn key(name: &str, number: usize) -> sr25519::Pair {
    sr25519::Pair::from_string(&format!("//{name}//{number}"), None).expect("a key derives")
}

fn account(key: &sr25519::Pair) -> AccountId {
    MultiSigner::from(key.public()).into_account()
}

pub fn plan_id(name: &str) -> PlanId {
    sp_io::hashing::blake2_256(name.as_bytes()).into()
}

pub fn image() -> ImageName {
    text("debian-12")
}

pub fn dispatch(who: &AccountId, call: impl Into<RuntimeCall>) {
    let origin = RuntimeOrigin::signed(who.clone());
    call.into().dispatch_bypass_filter(origin).expect("the call succeeds");
}

pub fn as_admin(call: impl Into<RuntimeCall>) {
    call.into().dispatch_bypass_filter(RawOrigin::Root.into()).expect("the call succeeds");
}

/// A chain with `total` VMs, and of its nodes those with as many VMs as `wanted` names.
pub fn build(total: u32, wanted: &[u32]) -> (Chain, Vec<Place>) {
    let mut chain = Chain::new();
    let mut nodes = wanted.to_vec();
    let mut left = total.saturating_sub(nodes.iter().sum());
    while left > 0 {
        let vms = left.min(MOST_ON_NODE);
        nodes.push(vms);
        left -= vms;
    }
    let places: Vec<Place> =
        nodes.into_iter().enumerate().map(|(number, vms)| Place::new(number, vms)).collect();
    chain.change(|| start(&places));
    for first in (0..total.saturating_add(1_000)).step_by(IPS_AT_ONCE as usize) {
        chain.change(|| add_ips(first));
    }
    for (number, place) in places.iter().enumerate() {
        chain.change(|| place.register(number));
        for first in (0..place.vms).step_by(BATCH as usize) {
            chain.change(|| {
                for _ in first..place.vms.min(first + BATCH) {
                    place.launched();
                }
            });
        }
    }
    (chain.settled(), places)
}

fn start(places: &[Place]) {
    let rich = places.iter().flat_map(|place| [&place.tenant, &place.miner]);
    let treasury = quarry_runtime::fees::treasury();
    let balances = rich.map(|who| (who.clone(), FUNDS)).chain([(treasury, QRY)]).collect();
    let genesis = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig { balances, ..Default::default() },
        ..Default::default()
    };
    for (key, value) in genesis.build_storage().expect("genesis is sound").top {
        sp_io::storage::set(&key, &value);
    }
    System::set_block_number(1);
    set_clock(START);
    as_admin(pallet_compute::Call::set_params {
        params: Params { max_claims: u32::MAX, ..DEFAULT_PARAMS },
    });
    for (name, resources) in [("small", SMALL), ("large", LARGE)] {
        let (name, technical_description) = (text(name), text("a bench's"));
        as_admin(pallet_compute::Call::add_plan { name, technical_description, resources });
    }
    as_admin(pallet_compute::Call::add_image { image: Box::new(debian("debian-12")) });
    let network = IpNetwork { prefix_len: 64, gateway: address(1), dns: address(2) };
    as_admin(pallet_compute::Call::set_ip_pool { pool: PoolId::Global, network });
}

pub fn debian(name: &str) -> ImageMetadata {
    ImageMetadata {
        name: text(name),
        image_url: text("https://images.example/debian-12.qcow2"),
        digest: [7; 32],
        format: ImageFormat::Qcow2,
        virtual_size_gib: 3,
        supersedes: None,
        enabled: true,
    }
}

pub fn address(number: u32) -> IpAddress {
    let first = IpAddress::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    first.checked_add(number).expect("the network is large")
}

fn add_ips(first: u32) {
    let first = address(first + 16);
    as_admin(pallet_compute::Call::add_ips { pool: PoolId::Global, first, count: IPS_AT_ONCE });
}

pub fn set_clock(block: BlockNumber) {
    LiveBlocks::set_block_number(block);
}

pub fn access() -> VmAccess {
    VmAccess {
        job_id: text("launch-1"),
        hypervisor_ip: Some(IpAddress::V4([203, 0, 113, 7])),
        vnc_port: Some(5_901),
        ssh_host_key: Some([7; 32]),
    }
}

pub fn keys() -> SshKeyList {
    SshKeyList::truncate_from(vec![text(KEY)])
}

pub fn offer(disk_gib: u32) -> Offer {
    Offer {
        capacity: Resources { vcpus: u16::MAX, memory_mib: u32::MAX, disk_gib },
        rates: Rates { vcpu: MICRO_QRY, memory_gib: MICRO_QRY, disk_gib: MICRO_QRY, ip: 0 },
        country: Country(*b"DE"),
        max_vms: u32::MAX,
        global_ips: true,
    }
}

impl Place {
    fn new(number: usize, vms: u32) -> Self {
        Self {
            tenant: account(&key("tenant", number)),
            miner: account(&key("miner", number)),
            worker: account(&key("worker", number)),
            node_id: text(&format!("node-{number}")),
            vms,
        }
    }

    fn register(&self, number: usize) {
        let payload = proof_payload(&System::block_hash(0), &self.node_id, &self.miner);
        let call = pallet_registry::Call::register_node {
            node_id: self.node_id.clone(),
            offer: offer(1_000_000),
            access: Access { endpoint: text("node.example:2222"), host_key: [7; 32] },
            worker: self.worker.clone(),
            worker_proof: key("worker", number).sign(&payload).into(),
        };
        dispatch(&self.miner, call);
        self.beat();
    }

    pub fn heartbeat(&self) -> RuntimeCall {
        let node_id = self.node_id.clone();
        let (accepting, metrics) = (true, None);
        pallet_registry::Call::submit_node_metrics { node_id, accepting, metrics }.into()
    }

    fn beat(&self) {
        dispatch(&self.worker, self.heartbeat());
    }

    /// Live blocks pass, and at their end the node shows that it is there.
    pub fn pass(&self, blocks: BlockNumber) {
        let mut left = blocks;
        while left > 0 {
            let step = left.min(8);
            set_clock(LiveBlocks::current_block_number() + step);
            self.beat();
            left -= step;
        }
    }

    pub fn create(&self, named: bool) -> RuntimeCall {
        pallet_compute::Call::create_compute_request {
            name: text("web"),
            plan_id: plan_id("small"),
            image: image(),
            ssh_keys: keys(),
            cloud_init_cid: None,
            placement: Placement { miner_id: named.then(|| self.node_id.clone()), country: None },
            max_price: QRY / 1_000,
            prepaid_blocks: 14_400,
            ip: IpWish::Require,
        }
        .into()
    }

    fn created(&self, named: bool) -> RequestId {
        let id = NextRequestId::<Runtime>::get();
        dispatch(&self.tenant, self.create(named));
        id
    }

    pub fn pending(&self) -> RequestId {
        self.beat();
        self.created(false)
    }

    pub fn claim(&self, request_id: RequestId) -> RuntimeCall {
        pallet_compute::Call::submit_compute_request_assignment {
            miner_node_id: self.node_id.clone(),
            plan_id: plan_id("small"),
            request_id,
            owner: self.tenant.clone(),
        }
        .into()
    }

    pub fn claimed(&self) -> RequestId {
        let id = self.pending();
        dispatch(&self.worker, self.claim(id));
        id
    }

    pub fn launch(&self, request_id: RequestId) -> RuntimeCall {
        pallet_compute::Call::mark_compute_request_fulfilled {
            node_id: self.node_id.clone(),
            request_id,
            generation: self.generation(request_id),
            access: access(),
        }
        .into()
    }

    fn launched(&self) -> RequestId {
        let id = self.created(true);
        dispatch(&self.worker, self.launch(id));
        id
    }

    /// A VM that runs and owes rent.
    pub fn running(&self) -> RequestId {
        self.beat();
        let id = self.launched();
        self.pass(3);
        id
    }

    pub fn stopped(&self) -> RequestId {
        let id = self.running();
        dispatch(&self.tenant, pallet_compute::Call::request_compute_stop { request_id: id });
        let node_id = self.node_id.clone();
        let generation = self.generation(id);
        let done = pallet_compute::Call::mark_miner_compute_stop_request_fulfilled {
            node_id,
            request_id: id,
            generation,
        };
        dispatch(&self.worker, done);
        id
    }

    pub fn request(&self, id: RequestId) -> ComputeRequest {
        ComputeRequests::<Runtime>::get(&self.tenant, id).expect("it is this tenant's")
    }

    pub fn generation(&self, id: RequestId) -> u64 {
        self.request(id).generation
    }
}
