//! Quarry's state transition function: which pallets the chain runs, and with what figures.
//!
//! Each module has one concern: [`configs`] the pallets' settings, [`market`] those of the market, [`apis`] what a chain node asks the
//! runtime, [`genesis`] the chains it can start, [`fees`] what a transaction costs and who gets it,
//! [`feeless`] which come first, [`proxy_type`] what an account can delegate, [`safety`] what stays open
//! when the chain is closed, [`live_blocks`] the clock that the market counts by.
#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]
// The runtime macro writes items without docs.
#![allow(missing_docs)]

extern crate alloc;

#[cfg(feature = "wasm")]
#[allow(dead_code)]
mod wasm {
    include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));
}
#[cfg(feature = "wasm")]
pub use wasm::WASM_BINARY;

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
pub mod benchmark_helper;
pub mod configs;
pub mod feeless;
pub mod fees;
pub mod genesis;
pub mod live_blocks;
pub mod market;
pub mod proxy_type;
pub mod safety;
#[cfg(test)]
mod tests;

pub use feeless::FeelessPriority;
pub use proxy_type::ProxyType;
pub use quarry_primitives::{AccountId, Balance, BlockNumber, Hash, Nonce, Signature};

use alloc::{borrow::Cow, vec::Vec};
use frame_system::EnsureRoot;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{AccountIdLookup, BlakeTwo256},
};
use sp_version::RuntimeVersion;

/// Who may change market, validators and safe mode. Today the sudo account, which calls as root; to hand them to a
/// council, this alias is what changes. What the SDK keeps for root stays with sudo, as a new runtime.
pub type AdminOrigin = EnsureRoot<AccountId>;

/// How a transaction names an account.
pub type Address = sp_runtime::MultiAddress<AccountId, ()>;
/// A block's header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// Blocks as the chain node sees them, which leaves transactions to the runtime.
pub mod opaque {
    use super::{generic, Header};

    /// A block of transactions that are bytes.
    pub type Block = generic::Block<Header, sp_runtime::OpaqueExtrinsic>;
}
/// A transaction as it comes from outside.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// What a signature signs.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

/// What a transaction carries and passes beside its call. Wallets know each but `AuthorizeCall`, which
/// is empty; `FeelessPriority` is invisible to them.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckMortality<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    FeelessPriority<Runtime, pallet_transaction_payment::ChargeTransactionPayment<Runtime>>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// Runs blocks and transactions.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

/// How calls name accounts: by id only, there are no indices.
pub type Lookup = AccountIdLookup<AccountId, ()>;

impl_opaque_keys! {
    /// The keys with which a validator authors and finalizes.
    pub struct SessionKeys {
        /// Authors blocks.
        pub aura: Aura,
        /// Finalizes blocks.
        pub grandpa: Grandpa,
    }
}

/// Which runtime this is. `spec_version` rises with every change of behaviour,
/// `transaction_version` with every change of how a transaction is encoded.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("quarry"),
    impl_name: Cow::Borrowed("quarry-node"),
    authoring_version: 1,
    spec_version: 1,
    impl_version: 0,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

/// The pallets. An index, once given, stays; those of the market have 30 and above.
#[frame_support::runtime]
mod runtime {
    /// The runtime that the pallets make up.
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;
    #[runtime::pallet_index(2)]
    pub type Migrations = pallet_migrations;
    #[runtime::pallet_index(3)]
    pub type LiveBlocks = crate::live_blocks;

    #[runtime::pallet_index(10)]
    pub type Aura = pallet_aura;
    #[runtime::pallet_index(11)]
    pub type Grandpa = pallet_grandpa;
    #[runtime::pallet_index(12)]
    pub type Validators = pallet_validators;
    #[runtime::pallet_index(13)]
    pub type Session = pallet_session;

    #[runtime::pallet_index(20)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(21)]
    pub type TransactionPayment = pallet_transaction_payment;
    #[runtime::pallet_index(22)]
    pub type SkipFeelessPayment = pallet_skip_feeless_payment;
    #[runtime::pallet_index(23)]
    pub type Utility = pallet_utility;
    #[runtime::pallet_index(24)]
    pub type Proxy = pallet_proxy;
    #[runtime::pallet_index(25)]
    pub type Multisig = pallet_multisig;
    #[runtime::pallet_index(26)]
    pub type Sudo = pallet_sudo;
    #[runtime::pallet_index(27)]
    pub type SafeMode = pallet_safe_mode;
    #[runtime::pallet_index(28)]
    pub type TxPause = pallet_tx_pause;

    #[runtime::pallet_index(30)]
    pub type Registry = pallet_registry;
    #[runtime::pallet_index(31)]
    pub type Compute = pallet_compute;
}

#[cfg(feature = "runtime-benchmarks")]
mod benches {
    frame_benchmarking::define_benchmarks!(
        [frame_benchmarking, BaselineBench::<Runtime>]
        [frame_system, SystemBench::<Runtime>]
        [frame_system_extensions, SystemExtensionsBench::<Runtime>]
        [pallet_balances, Balances]
        [pallet_compute, Compute]
        [pallet_migrations, Migrations]
        [pallet_multisig, Multisig]
        [pallet_proxy, Proxy]
        [pallet_registry, Registry]
        [pallet_safe_mode, SafeMode]
        [pallet_sudo, Sudo]
        [pallet_timestamp, Timestamp]
        [pallet_transaction_payment, TransactionPayment]
        [pallet_tx_pause, TxPause]
        [pallet_utility, Utility]
        [pallet_validators, Validators]
    );
}
