//! The chain of the test: both pallets of the market with real balances, and a clock that the test sets.

use crate::world::*;
use frame_support::{
    derive_impl, parameter_types,
    traits::{fungible::HoldConsideration, Footprint, Get, Hooks},
    weights::Weight,
    PalletId,
};
use pallet_compute::WeightInfo;
use quarry_primitives::{
    request::{DeadlineKind, ImageFormat, ImageMetadata, Params, PlanId},
    AccountId, Balance, BlockNumber, Hash, RequestId,
};
use sp_core::{ConstU128, ConstU32};
use sp_runtime::{
    traits::{BlockNumberProvider, Convert, IdentityLookup},
    BuildStorage, Perbill,
};
use std::collections::BTreeSet;

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
    #[runtime::pallet_index(3)]
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

pub const GENESIS: Hash = Hash::repeat_byte(0x69);

parameter_types! {
    pub storage LiveBlock: BlockNumber = 1;
    pub InitialParams: Params = params(0);
    pub Treasury: AccountId = Who::Treasury.id();
    pub const Credits: PalletId = PalletId(*b"qry/comp");
    pub const TreasuryShare: Perbill = Perbill::from_percent(TREASURY_PERCENT);
    pub const StorageDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Compute(pallet_compute::HoldReason::StorageDeposit);
}

pub struct Clock;

impl BlockNumberProvider for Clock {
    type BlockNumber = BlockNumber;

    fn current_block_number() -> BlockNumber {
        LiveBlock::get()
    }
}

pub struct Unbonding;

impl Get<BlockNumber> for Unbonding {
    fn get() -> BlockNumber {
        pallet_compute::Params::<Test>::get().unbonding
    }
}

pub struct DepositPrice;

impl Convert<Footprint, Balance> for DepositPrice {
    fn convert(footprint: Footprint) -> Balance {
        DUST + Balance::from(footprint.size / BYTES_PER_UNIT as u64)
    }
}

impl pallet_registry::Config for Test {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type LiveBlocks = Clock;
    type Tenancy = Compute;
    type Treasury = Treasury;
    type Unbonding = Unbonding;
    type HeartbeatEvery = ConstU32<HEARTBEAT_EVERY>;
    type MetricsEvery = ConstU32<METRICS_EVERY>;
    type OfflineAfter = ConstU32<OFFLINE_AFTER>;
    type AccessEvery = ConstU32<ACCESS_EVERY>;
    type BondBase = ConstU128<{ BOND.0 }>;
    type BondPerVcpu = ConstU128<{ BOND.1 }>;
    type BondPerGibMemory = ConstU128<{ BOND.2 }>;
    type BondPerGibDisk = ConstU128<{ BOND.3 }>;
    type WeightInfo = ();
}

impl pallet_compute::Config for Test {
    type AdminOrigin = frame_system::EnsureRoot<AccountId>;
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = HoldConsideration<AccountId, Balances, StorageDeposit, DepositPrice>;
    type DepositPrice = DepositPrice;
    type Registry = Registry;
    type LiveBlocks = Clock;
    type Treasury = Treasury;
    type PalletId = Credits;
    type TreasuryShare = TreasuryShare;
    type MinBilled = ConstU32<MIN_BILLED>;
    type ClaimPenalty = ConstU32<CLAIM_PENALTY>;
    type LeastPenalty = ConstU128<LEAST_PENALTY>;
    type DefaultParams = InitialParams;
    type WeightInfo = ();
}

/// Runs a test on a new chain, with the funds, plans and images of [`world`](crate::world).
pub fn on_new_chain<R>(test: impl FnOnce() -> R) -> R {
    sp_io::TestExternalities::new_empty().execute_with(|| {
        // Not as a genesis in the database, so that each read finds all in the changes, which is faster.
        let funded = PEOPLE.iter().filter(|(_, funds)| *funds > 0);
        let balances = funded.map(|(who, funds)| (who.id(), *funds)).collect();
        let genesis = RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig { balances, ..Default::default() },
            ..Default::default()
        };
        let storage = genesis.build_storage().unwrap();
        for (key, value) in storage.top {
            sp_io::storage::set(&key, &value);
        }
        frame_system::BlockHash::<Test>::insert(0, GENESIS);
        for (name, size) in PLANS {
            let name = name.try_into().unwrap();
            Compute::add_plan(RuntimeOrigin::root(), name, Default::default(), size).unwrap();
        }
        for (name, virtual_size_gib) in IMAGES {
            let image = Box::new(image(name, virtual_size_gib));
            Compute::add_image(RuntimeOrigin::root(), image).unwrap();
        }
        test()
    })
}

fn image(name: &str, virtual_size_gib: u32) -> ImageMetadata {
    ImageMetadata {
        name: name.try_into().unwrap(),
        image_url: "https://images.example/disk".try_into().unwrap(),
        digest: [1; 32],
        format: ImageFormat::Raw,
        virtual_size_gib,
        supersedes: None,
        enabled: true,
    }
}

pub fn plan_id(plan: u8) -> PlanId {
    let name = PLANS.get(usize::from(plan)).map_or("none", |(name, _)| *name);
    sp_io::hashing::blake2_256(name.as_bytes()).into()
}

/// Where credits are on hold.
pub fn pot() -> AccountId {
    sp_runtime::traits::AccountIdConversion::into_account_truncating(&Credits::get())
}

/// Lets live blocks pass.
pub fn pass(blocks: u8) {
    LiveBlock::set(&(LiveBlock::get() + BlockNumber::from(blocks)));
}

/// Runs deadlines in what a block has left. `deadlines`: room for about so many; for all if `None`.
pub fn idle(deadlines: Option<u8>) -> Result<(), String> {
    let room = deadlines.map_or(Weight::MAX, |count| {
        <<Test as pallet_compute::Config>::WeightInfo as WeightInfo>::expire() * u64::from(count)
    });
    // Only then are there events, of which reading and clearing takes its time.
    System::set_block_number(1);
    let used = Compute::on_idle(1, room);
    System::set_block_number(0);
    let events = System::read_events_no_consensus().map(|record| record.event);
    let failed = events.into_iter().find(|event| {
        let failed = pallet_compute::Event::DeadlineFailed::<Test> {
            request_id: 0,
            kind: DeadlineKind::Lease,
            error: sp_runtime::DispatchError::Other(""),
        };
        let RuntimeEvent::Compute(event) = event else { return false };
        std::mem::discriminant(event) == std::mem::discriminant(&failed)
    });
    System::reset_events();
    if let Some(event) = failed {
        return Err(format!("a deadline failed: {event:?}"));
    }
    if used.any_gt(room) {
        return Err(format!("deadlines took {used:?} of {room:?}"));
    }
    Ok(())
}

/// The deadlines that are due and not yet done.
pub fn due() -> BTreeSet<(RequestId, DeadlineKind)> {
    let all = pallet_compute::Deadlines::<Test>::iter_keys();
    let due = all.filter(|(at, _, _)| *at <= LiveBlock::get());
    due.map(|(_, request_id, kind)| (request_id, kind)).collect()
}
