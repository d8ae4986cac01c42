//! The pallets' settings.

use crate::{
    fees, safety, AccountId, AdminOrigin, Aura, Balance, Balances, Block, BlockNumber, Hash,
    LiveBlocks, Lookup, Migrations, Nonce, OriginCaller, PalletInfo, ProxyType, Runtime,
    RuntimeCall, RuntimeEvent, RuntimeFreezeReason, RuntimeHoldReason, RuntimeOrigin, RuntimeTask,
    SafeMode, Session, SessionKeys, System, TxPause, Validators, VERSION,
};
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    traits::{
        ConstBool, ConstU128, ConstU16, ConstU32, ConstU64, ConstU8, InsideBoth, VariantCountOf,
    },
    weights::{
        constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_SECOND},
        Weight,
    },
};
use frame_system::limits::{BlockLength, BlockWeights};
use quarry_primitives::{HOURS, MILLISECS_PER_BLOCK, MILLI_QRY, SS58_PREFIX};
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::{traits::BlakeTwo256, Perbill};
use sp_version::RuntimeVersion;

/// The share of a block that is open to ordinary transactions.
const NORMAL_SHARE: Perbill = Perbill::from_percent(75);
/// A third of the time from block to block, so that a slower validator keeps up.
const BLOCK_WEIGHT: Weight = Weight::from_parts(2 * WEIGHT_REF_TIME_PER_SECOND, u64::MAX);
const BLOCK_BYTES: u32 = 5 * 1024 * 1024;
const MAX_VALIDATORS: u32 = 100;

parameter_types! {
    /// The runtime's version.
    pub const Version: RuntimeVersion = VERSION;
    /// How long a transaction can stay valid after the block that it names.
    pub const BlockHashCount: BlockNumber = 4_096;
    /// How much time a block may take.
    pub Weights: BlockWeights = BlockWeights::with_sensible_defaults(BLOCK_WEIGHT, NORMAL_SHARE);
    /// How many bytes a block may have.
    pub Length: BlockLength = BlockLength::builder()
        .max_length(BLOCK_BYTES)
        .modify_max_length_for_class(DispatchClass::Normal, |length| {
            *length = NORMAL_SHARE * BLOCK_BYTES
        })
        .build();
    /// What one block gives to a multi-block migration.
    pub MigrationWeight: Weight = Perbill::from_percent(80) * Weights::get().max_block;
    /// Nobody may do it for a deposit.
    pub const NotForDeposit: Option<Balance> = None;
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type AccountData = pallet_balances::AccountData<Balance>;
    type AccountId = AccountId;
    type BaseCallFilter = InsideBoth<SafeMode, TxPause>;
    type Block = Block;
    type BlockHashCount = BlockHashCount;
    type BlockLength = Length;
    type BlockWeights = Weights;
    type DbWeight = ParityDbWeight;
    type ExtensionsWeightInfo = frame_system::SubstrateExtensionsWeight<Runtime>;
    type Hash = Hash;
    type Hashing = BlakeTwo256;
    type Lookup = Lookup;
    type MultiBlockMigrator = Migrations;
    type Nonce = Nonce;
    type SS58Prefix = ConstU16<{ SS58_PREFIX as u16 }>;
    type SystemWeightInfo = frame_system::weights::SubstrateWeight<Runtime>;
    type Version = Version;
}

impl crate::live_blocks::Config for Runtime {
    type Closed = safety::SafeModeIsOn;
}

impl pallet_timestamp::Config for Runtime {
    type MinimumPeriod = ConstU64<{ MILLISECS_PER_BLOCK / 2 }>;
    type Moment = u64;
    type OnTimestampSet = Aura;
    type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

impl pallet_migrations::Config for Runtime {
    type CursorMaxLen = ConstU32<65_536>;
    type FailedMigrationHandler = safety::SafeModeOnFailedMigration;
    type IdentifierMaxLen = ConstU32<256>;
    type MaxServiceWeight = MigrationWeight;
    type MigrationStatusHandler = ();
    #[cfg(feature = "runtime-benchmarks")]
    type Migrations = pallet_migrations::mock_helpers::MockedMigrations;
    #[cfg(not(feature = "runtime-benchmarks"))]
    type Migrations = ();
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_migrations::weights::SubstrateWeight<Runtime>;
}

impl pallet_aura::Config for Runtime {
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type AuthorityId = AuraId;
    type DisabledValidators = Session;
    type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
    type SlotDuration = ConstU64<MILLISECS_PER_BLOCK>;
}

impl pallet_grandpa::Config for Runtime {
    // The admin removes a validator that equivocates: nobody has stake to slash.
    type EquivocationReportSystem = ();
    type KeyOwnerProof = sp_core::Void;
    type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
}

impl pallet_validators::Config for Runtime {
    type AdminOrigin = AdminOrigin;
    type DefaultSessionLength = ConstU32<HOURS>;
    type MaxValidators = ConstU32<MAX_VALIDATORS>;
    type WeightInfo = pallet_validators::weights::SubstrateWeight<Runtime>;
}

impl pallet_session::Config for Runtime {
    type Currency = Balances;
    type DisablingStrategy = ();
    type KeyDeposit = ConstU128<{ fees::deposit(1, 96) }>;
    type Keys = SessionKeys;
    type NextSessionRotation = Self::ShouldEndSession;
    type RuntimeEvent = RuntimeEvent;
    type SessionHandler = <SessionKeys as sp_runtime::traits::OpaqueKeys>::KeyTypeIdProviders;
    type SessionManager = Validators;
    type ShouldEndSession =
        pallet_session::PeriodicSessions<pallet_validators::SessionPeriod<Runtime>, ConstU32<0>>;
    type ValidatorId = AccountId;
    type ValidatorIdOf = sp_runtime::traits::ConvertInto;
    type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
}

impl pallet_balances::Config for Runtime {
    type AccountStore = System;
    type Balance = Balance;
    type DoneSlashHandler = ();
    type DustRemoval = fees::ToTreasury;
    type ExistentialDeposit = ConstU128<MILLI_QRY>;
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type ReserveIdentifier = [u8; 8];
    type RuntimeEvent = RuntimeEvent;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type RuntimeHoldReason = RuntimeHoldReason;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
}

impl pallet_transaction_payment::Config for Runtime {
    type FeeMultiplierUpdate = fees::FeeAdjustment;
    type LengthToFee = fees::LengthToFee;
    type OnChargeTransaction = fees::ChargeToTreasury;
    type OperationalFeeMultiplier = ConstU8<5>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
    type WeightToFee = fees::WeightToFee;
}

impl pallet_skip_feeless_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
}

impl pallet_utility::Config for Runtime {
    type PalletsOrigin = OriginCaller;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

impl pallet_proxy::Config for Runtime {
    type AnnouncementDepositBase = ConstU128<{ fees::deposit(1, 8) }>;
    type AnnouncementDepositFactor = ConstU128<{ fees::deposit(0, 68) }>;
    type BlockNumberProvider = LiveBlocks;
    type CallHasher = BlakeTwo256;
    type Currency = Balances;
    type MaxPending = ConstU32<32>;
    type MaxProxies = ConstU32<32>;
    type ProxyDepositBase = ConstU128<{ fees::deposit(1, 8) }>;
    type ProxyDepositFactor = ConstU128<{ fees::deposit(0, 37) }>;
    type ProxyType = ProxyType;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_proxy::weights::SubstrateWeight<Runtime>;
}

impl pallet_multisig::Config for Runtime {
    // Signatories name a multisig operation by the block that began it, which wallets read from the chain.
    type BlockNumberProvider = System;
    type Currency = Balances;
    type DepositBase = ConstU128<{ fees::deposit(1, 88) }>;
    type DepositFactor = ConstU128<{ fees::deposit(0, 32) }>;
    type MaxSignatories = ConstU32<100>;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_multisig::weights::SubstrateWeight<Runtime>;
}

impl pallet_sudo::Config for Runtime {
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}

impl pallet_safe_mode::Config for Runtime {
    type Currency = Balances;
    type EnterDepositAmount = NotForDeposit;
    type EnterDuration = ConstU32<{ safety::SAFE_MODE_DURATION }>;
    type ExtendDepositAmount = NotForDeposit;
    type ExtendDuration = ConstU32<{ safety::SAFE_MODE_DURATION }>;
    type ForceDepositOrigin = AdminOrigin;
    type ForceEnterOrigin = safety::SafeModeOrigin;
    type ForceExitOrigin = AdminOrigin;
    type ForceExtendOrigin = safety::SafeModeOrigin;
    type Notify = ();
    type ReleaseDelay = ();
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type WeightInfo = pallet_safe_mode::weights::SubstrateWeight<Runtime>;
    type WhitelistedCalls = safety::OpenInSafeMode;
}

impl pallet_tx_pause::Config for Runtime {
    type MaxNameLen = ConstU32<256>;
    type PauseOrigin = AdminOrigin;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type UnpauseOrigin = AdminOrigin;
    type WeightInfo = pallet_tx_pause::weights::SubstrateWeight<Runtime>;
    type WhitelistedCalls = safety::Unpausable;
}
