//! The market's settings: what a bond, a deposit and an address cost, and how long each wait is.

use crate::{
    fees, AccountId, AdminOrigin, Balance, Balances, BlockNumber, Compute, LiveBlocks, Registry,
    Runtime, RuntimeHoldReason,
};
use frame_support::{
    parameter_types,
    traits::{fungible::HoldConsideration, ConstU128, ConstU32, Footprint, Get},
    PalletId,
};
use quarry_primitives::{request::Params, HOURS, MICRO_QRY, MILLI_QRY, QRY};
use sp_runtime::{traits::Convert, Perbill};

const DAYS: BlockNumber = 24 * HOURS;

/// The parameters until an admin or a genesis sets others.
pub const DEFAULT_PARAMS: Params = Params {
    launch_timeout: 150,
    operation_timeout: 50,
    delete_timeout: 100,
    evict_after: 600,
    grace_period: 600,
    min_lease: 100,
    max_prepaid: 365 * DAYS,
    notice_period: 7 * DAYS,
    unbonding: 7 * DAYS,
    retention: 7 * DAYS,
    rate_notice: HOURS,
    ip_quarantine: HOURS,
    ip_quarantine_evacuated: DAYS,
    max_attempts: 3,
    max_claims: 4,
    // About one QRY a month.
    global_ip_price: MICRO_QRY * 5 / 2,
};

parameter_types! {
    /// Derives the account that holds credits.
    pub const ComputeId: PalletId = PalletId(*b"qry/comp");
    /// The market's share of a rent.
    pub const TreasuryShare: Perbill = Perbill::from_percent(5);
    /// [`DEFAULT_PARAMS`] for the pallet's settings.
    pub const DefaultParams: Params = DEFAULT_PARAMS;
    /// Why deposits of the market are on hold.
    pub const StorageDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Compute(pallet_compute::HoldReason::StorageDeposit);
}

/// Reads how long a bond is held from the parameters, which have all waits together.
pub struct Unbonding;

impl Get<BlockNumber> for Unbonding {
    fn get() -> BlockNumber {
        pallet_compute::Params::<Runtime>::get().unbonding
    }
}

/// What room in the chain's state costs: `count` entries of `size` bytes together.
pub struct DepositPrice;

impl Convert<Footprint, Balance> for DepositPrice {
    fn convert(footprint: Footprint) -> Balance {
        let at_most = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        fees::deposit(at_most(footprint.count), at_most(footprint.size))
    }
}

impl pallet_registry::Config for Runtime {
    type AccessEvery = ConstU32<100>;
    type BondBase = ConstU128<{ 10 * QRY }>;
    type BondPerGibDisk = ConstU128<{ QRY / 10 }>;
    type BondPerGibMemory = ConstU128<{ 2 * QRY }>;
    type BondPerVcpu = ConstU128<{ 5 * QRY }>;
    type Currency = Balances;
    type HeartbeatEvery = ConstU32<3>;
    type LiveBlocks = LiveBlocks;
    type MetricsEvery = ConstU32<50>;
    type OfflineAfter = ConstU32<8>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Tenancy = Compute;
    type Treasury = fees::TreasuryAccount;
    type Unbonding = Unbonding;
    type WeightInfo = pallet_registry::weights::SubstrateWeight<Runtime>;
}

impl pallet_compute::Config for Runtime {
    type AdminOrigin = AdminOrigin;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = crate::benchmark_helper::InTheRegistry;
    type ClaimPenalty = ConstU32<HOURS>;
    type Consideration = HoldConsideration<AccountId, Balances, StorageDeposit, DepositPrice>;
    type Currency = Balances;
    type DefaultParams = DefaultParams;
    type DepositPrice = DepositPrice;
    type LeastPenalty = ConstU128<{ 10 * MILLI_QRY }>;
    type LiveBlocks = LiveBlocks;
    type MinBilled = ConstU32<50>;
    type PalletId = ComputeId;
    type Registry = Registry;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Treasury = fees::TreasuryAccount;
    type TreasuryShare = TreasuryShare;
    type WeightInfo = pallet_compute::weights::SubstrateWeight<Runtime>;
}
