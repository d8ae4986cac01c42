//! What a transaction costs, and who gets it: all of it, tips too, goes to the treasury.

use crate::{AccountId, Balance, Balances, Runtime};
use frame_support::{
    parameter_types,
    traits::tokens::imbalance::ResolveTo,
    weights::{ConstantMultiplier, IdentityFee},
    PalletId,
};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use quarry_primitives::{MICRO_QRY, MILLI_QRY};
use sp_runtime::{traits::AccountIdConversion, FixedPointNumber, Perquintill};

/// Derives the treasury's account.
pub const TREASURY_ID: PalletId = PalletId(*b"qry/trsy");

/// The account that gathers fees and dust, and later the market's share.
pub fn treasury() -> AccountId {
    TREASURY_ID.into_account_truncating()
}

parameter_types! {
    /// [`treasury`] for the pallets' settings.
    pub TreasuryAccount: AccountId = treasury();
    /// A byte costs so much that a block full of bytes costs about what a block full of work does.
    pub const ByteFee: Balance = MICRO_QRY * 2 / 5;
    /// Below this share of the block's room fees sink, above it they rise.
    pub const TargetFullness: Perquintill = Perquintill::from_percent(25);
    /// Full blocks double the fees in some four hours.
    pub AdjustmentSpeed: Multiplier = Multiplier::saturating_from_rational(4, 10_000);
    /// A quiet chain charges the plain price.
    pub LowestMultiplier: Multiplier = Multiplier::from_u32(1);
    /// Free reports fill blocks too, and no fee deters them: they must not price out all others.
    pub HighestMultiplier: Multiplier = Multiplier::from_u32(100);
}

/// A second of a validator's time costs one QRY.
pub type WeightToFee = IdentityFee<Balance>;
/// See [`ByteFee`].
pub type LengthToFee = ConstantMultiplier<Balance, ByteFee>;
/// The longer blocks are full, the dearer the next.
pub type FeeAdjustment = TargetedFeeAdjustment<
    Runtime,
    TargetFullness,
    AdjustmentSpeed,
    LowestMultiplier,
    HighestMultiplier,
>;
/// Charges the fee and gives it to the treasury.
pub type ChargeToTreasury = FungibleAdapter<Balances, ToTreasury>;
/// Gives what is left over to the treasury.
pub type ToTreasury = ResolveTo<TreasuryAccount, Balances>;

/// The deposit for `items` entries of `bytes` bytes together in the chain's state.
pub const fn deposit(items: u32, bytes: u32) -> Balance {
    items as Balance * 100 * MILLI_QRY + bytes as Balance * 100 * MICRO_QRY
}
