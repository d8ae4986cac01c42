//! A market without VMs: [`MIA`] and [`MILO`] have funds, [`WORKER`] and the others have none. The live
//! block is set by the tests, a bond is 1000 and 100, 10 and 1 for a processor and a GiB of memory and disk.

use crate as pallet_registry;
pub use crate::samples::largest_metrics;
use frame_support::{assert_ok, derive_impl, parameter_types, traits::fungible::InspectHold};
use quarry_primitives::{
    market::Tenancy,
    node::{proof_payload, Access, Country, NodeId, NodeRecord, Offer},
    resources::{Rates, Resources},
    text::Text,
    AccountId, Balance, Hash, Signature,
};
use sp_core::{ConstU128, ConstU32};
use sp_keyring::Sr25519Keyring;
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::{
    traits::{BlockNumberProvider, IdentityLookup},
    BuildStorage, DispatchResult,
};

pub const MIA: Sr25519Keyring = Sr25519Keyring::Alice;
pub const MILO: Sr25519Keyring = Sr25519Keyring::Bob;
pub const WORKER: Sr25519Keyring = Sr25519Keyring::Charlie;
pub const OTHER_WORKER: Sr25519Keyring = Sr25519Keyring::Dave;
pub const STRANGER: Sr25519Keyring = Sr25519Keyring::Eve;

pub const FUNDS: Balance = 10_000;
pub const DUST: Balance = 10;
pub const GENESIS: Hash = Hash::repeat_byte(0x69);

type Block = frame_system::mocking::MockBlock<Test>;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeTask,
        RuntimeHoldReason,
        RuntimeFreezeReason
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Registry = pallet_registry;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountData = pallet_balances::AccountData<Balance>;
    type AccountId = AccountId;
    type Block = Block;
    type Lookup = IdentityLookup<AccountId>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<DUST>;
}

parameter_types! {
    pub storage LiveBlock: u32 = 1;
    pub storage NodesWithAddresses: Vec<NodeId> = vec![];
    pub storage ForgottenPools: Vec<NodeId> = vec![];
    pub static BondPerVcpu: Balance = 100;
    pub static HeartbeatEvery: u32 = 3;
    pub const Unbonding: u32 = 1_000;
    pub Treasury: AccountId = Sr25519Keyring::Ferdie.to_account_id();
}

pub struct Clock;

impl BlockNumberProvider for Clock {
    type BlockNumber = u32;

    fn current_block_number() -> u32 {
        LiveBlock::get()
    }

    fn set_block_number(block: u32) {
        LiveBlock::set(&block);
    }
}

pub struct Pools;

impl Tenancy for Pools {
    fn pool_is_empty(node_id: &NodeId) -> bool {
        !NodesWithAddresses::get().contains(node_id)
    }

    fn forget_pool(node_id: &NodeId) {
        ForgottenPools::set(&[ForgottenPools::get(), vec![node_id.clone()]].concat());
    }
}

impl pallet_registry::Config for Test {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type LiveBlocks = Clock;
    type Tenancy = Pools;
    type Treasury = Treasury;
    type Unbonding = Unbonding;
    type HeartbeatEvery = HeartbeatEvery;
    type MetricsEvery = ConstU32<50>;
    type OfflineAfter = ConstU32<8>;
    type AccessEvery = ConstU32<100>;
    type BondBase = ConstU128<1_000>;
    type BondPerVcpu = BondPerVcpu;
    type BondPerGibMemory = ConstU128<10>;
    type BondPerGibDisk = ConstU128<1>;
    type WeightInfo = ();
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let genesis = RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: [(id(MIA), FUNDS), (id(MILO), FUNDS), (Treasury::get(), DUST)].into(),
            ..Default::default()
        },
        ..Default::default()
    };
    let storage = genesis.build_storage().expect("genesis is sound");
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    ext.execute_with(|| {
        System::set_block_number(1);
        frame_system::BlockHash::<Test>::insert(0, GENESIS);
    });
    ext
}

/// Runs a test and checks the invariants after it.
pub fn run_test(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        Registry::do_try_state().expect("the invariants hold");
        for miner in [MIA, MILO] {
            let nodes = crate::Nodes::<Test>::iter_values();
            let bonds = nodes.filter(|node| node.owner == id(miner)).map(|node| node.bond);
            assert_eq!(held(miner), bonds.sum(), "a bond outlives its node");
        }
    });
}

/// Runs a test on a market with a node of [`MIA`] on which [`WORKER`] works.
pub fn run_with_node(test: impl FnOnce(NodeId)) {
    run_test(|| {
        assert_ok!(register(MIA, "mia-1", WORKER));
        test(node_id("mia-1"));
    });
}

pub fn id(key: Sr25519Keyring) -> AccountId {
    key.to_account_id()
}

pub fn by(key: Sr25519Keyring) -> RuntimeOrigin {
    RuntimeOrigin::signed(id(key))
}

pub fn text<const MAX: u32>(text: &str) -> Text<MAX> {
    text.try_into().expect("it is short enough")
}

/// What is not UTF-8.
pub fn rubbish<const MAX: u32>() -> Text<MAX> {
    vec![0xff].try_into().expect("it is short enough")
}

pub fn node_id(name: &str) -> NodeId {
    text(name)
}

/// A bond of 1480: the base, 200 for processors, 80 for memory, 200 for disk.
pub const CAPACITY: Resources = Resources { vcpus: 2, memory_mib: 8_192, disk_gib: 200 };
pub const BOND: Balance = 1_480;

pub fn offer() -> Offer {
    Offer {
        capacity: CAPACITY,
        rates: Rates { vcpu: 100, memory_gib: 50, disk_gib: 2, ip: 5 },
        country: Country(*b"DE"),
        max_vms: 4,
        global_ips: true,
    }
}

pub fn access() -> Access {
    Access { endpoint: text("mia.example:2222"), host_key: [7; 32] }
}

pub fn proof(worker: Sr25519Keyring, node_id: &NodeId, miner: Sr25519Keyring) -> Signature {
    worker.sign(&proof_payload(&GENESIS, node_id, &id(miner))).into()
}

pub fn register(miner: Sr25519Keyring, name: &str, worker: Sr25519Keyring) -> DispatchResult {
    register_offer(miner, name, worker, offer())
}

pub fn register_offer(
    miner: Sr25519Keyring,
    name: &str,
    worker: Sr25519Keyring,
    offer: Offer,
) -> DispatchResult {
    let node_id = node_id(name);
    let proof = proof(worker, &node_id, miner);
    Registry::register_node(by(miner), node_id, offer, access(), id(worker), proof)
}

/// The worker's heartbeat, without metrics.
pub fn beat(node_id: &NodeId) -> DispatchResult {
    Registry::submit_node_metrics(by(WORKER), node_id.clone(), true, None)
}

/// Takes a node from the market and lets the unbonding time pass.
pub fn deregister_for_good(node_id: &NodeId) {
    assert_ok!(Registry::deregister_node(by(MIA), node_id.clone()));
    pass(Unbonding::get());
}

/// Lets live blocks pass.
pub fn pass(blocks: u32) {
    Clock::set_block_number(LiveBlock::get() + blocks);
}

pub fn node(node_id: &NodeId) -> NodeRecord {
    crate::Nodes::<Test>::get(node_id).expect("the node is registered")
}

pub fn held(key: Sr25519Keyring) -> Balance {
    Balances::balance_on_hold(&crate::HoldReason::NodeBond.into(), &id(key))
}

pub fn assert_event(event: crate::Event<Test>) {
    System::assert_last_event(event.into());
}
