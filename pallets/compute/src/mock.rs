//! A market of the tests: [`TINA`] and [`TOM`] rent, three miners offer a node each (see [`market`]). Prices
//! are small and waits short. The live block is set by the tests.

pub mod market;

use crate as pallet_compute;
use crate::{GenesisPlan, GenesisPool, HoldReason};
use frame_support::{
    derive_impl, parameter_types,
    traits::{fungible::HoldConsideration, Footprint},
    PalletId,
};
use frame_system::EnsureRoot;
pub use market::{Host, Market, HOSTS, MAX_1, MIA_1, MILO_1};
use quarry_primitives::{
    ip::{IpAddress, IpNetwork},
    request::{ImageFormat, ImageMetadata, Params as ParamsData},
    resources::Resources,
    text::Text,
    AccountId, Balance,
};
use sp_core::{ConstU128, ConstU32};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{
    traits::{BlockNumberProvider, Convert, IdentityLookup},
    BuildStorage, Perbill,
};

pub const TINA: Sr25519Keyring = Sr25519Keyring::Alice;
pub const TOM: Sr25519Keyring = Sr25519Keyring::Bob;
pub const MIA: Sr25519Keyring = Sr25519Keyring::Charlie;
pub const MILO: Sr25519Keyring = Sr25519Keyring::Dave;
/// Has no funds.
pub const MAX: Sr25519Keyring = Sr25519Keyring::Eve;
pub const STRANGER: Sr25519Keyring = Sr25519Keyring::One;

pub const FUNDS: Balance = 1_000_000;
/// The existential deposit.
pub const DUST: Balance = 100;
/// What a small VM costs per live block on each node, without an address: the treasury gets 1 of it.
pub const PRICE: Balance = 20;
/// What a VM of each larger plan costs.
pub const LARGE_PRICE: Balance = 40;
pub const GLOBAL_IP_PRICE: Balance = 4;

pub const SMALL: Resources = Resources { vcpus: 1, memory_mib: 1_024, disk_gib: 5 };
pub const LARGE: Resources = Resources { vcpus: 2, memory_mib: 2_048, disk_gib: 10 };
/// The small one's disk with more of the rest.
pub const STRONG: Resources = Resources { vcpus: 2, memory_mib: 3_072, disk_gib: 5 };

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
    pub type Compute = pallet_compute;
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
    pub storage DefaultParams: ParamsData = params();
    pub storage FreeDeposits: bool = false;
    pub storage MinBilled: u32 = 10;
    pub const DepositReason: RuntimeHoldReason =
        RuntimeHoldReason::Compute(HoldReason::StorageDeposit);
    pub const Pot: PalletId = PalletId(*b"qry/pot!");
    pub const TreasuryShare: Perbill = Perbill::from_percent(5);
    pub Treasury: AccountId = Sr25519Keyring::Two.to_account_id();
}

pub fn params() -> ParamsData {
    ParamsData {
        launch_timeout: 15,
        operation_timeout: 10,
        delete_timeout: 12,
        evict_after: 30,
        grace_period: 20,
        min_lease: 10,
        max_prepaid: 1_000,
        notice_period: 60,
        unbonding: 50,
        retention: 40,
        rate_notice: 25,
        ip_quarantine: 16,
        ip_quarantine_evacuated: 64,
        max_attempts: 3,
        max_claims: 2,
        global_ip_price: GLOBAL_IP_PRICE,
    }
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

/// 50 for each item and 1 for each byte.
pub struct DepositPrice;

impl Convert<Footprint, Balance> for DepositPrice {
    fn convert(footprint: Footprint) -> Balance {
        if FreeDeposits::get() {
            return 0;
        }
        50 * Balance::from(footprint.count) + Balance::from(footprint.size)
    }
}

impl pallet_compute::Config for Test {
    type AdminOrigin = EnsureRoot<AccountId>;
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = HoldConsideration<AccountId, Balances, DepositReason, DepositPrice>;
    type DepositPrice = DepositPrice;
    type Registry = Market;
    type LiveBlocks = Clock;
    type Treasury = Treasury;
    type PalletId = Pot;
    type TreasuryShare = TreasuryShare;
    type MinBilled = MinBilled;
    type ClaimPenalty = ConstU32<60>;
    type LeastPenalty = ConstU128<7>;
    type DefaultParams = DefaultParams;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Market;
}

fn plan(name: &str, resources: Resources) -> GenesisPlan {
    GenesisPlan { name: text(name), technical_description: text("a test's"), resources }
}

/// Three addresses.
pub fn global_pool() -> GenesisPool {
    GenesisPool { network: network(), first: IpAddress::V4([203, 0, 113, 10]), count: 3 }
}

pub fn network() -> IpNetwork {
    IpNetwork {
        prefix_len: 24,
        gateway: IpAddress::V4([203, 0, 113, 1]),
        dns: IpAddress::V4([9, 9, 9, 9]),
    }
}

pub fn genesis() -> RuntimeGenesisConfig {
    let funded = [TINA, TOM, MIA, MILO].map(|key| (id(key), FUNDS));
    RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: funded.into_iter().chain([(Treasury::get(), DUST)]).collect(),
            ..Default::default()
        },
        compute: pallet_compute::GenesisConfig {
            plans: vec![plan("small", SMALL), plan("large", LARGE), plan("strong", STRONG)],
            global_pool: Some(global_pool()),
            ..Default::default()
        },
        ..Default::default()
    }
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let storage = genesis().build_storage().expect("genesis is sound");
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        System::set_block_number(1);
        market::open();
        Compute::do_add_image(image("debian")).expect("the image is sound");
    });
    ext
}

/// What fits the disk of each plan.
pub fn image(name: &str) -> ImageMetadata {
    ImageMetadata {
        name: text(name),
        image_url: text("https://images.example/debian.qcow2"),
        digest: [7; 32],
        format: ImageFormat::Qcow2,
        virtual_size_gib: SMALL.disk_gib,
        supersedes: None,
        enabled: true,
    }
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
