//! What stays open when the admin closes the chain or a part of it, and what closes it by itself.

use crate::{AdminOrigin, Runtime, RuntimeCall, SafeMode};
use core::str::from_utf8;
use frame_support::{
    migrations::{
        EnterSafeModeOnFailedMigration, FailedMigrationHandler, FailedMigrationHandling,
        FreezeChainOnFailedMigration,
    },
    traits::{CallMetadata, Contains, Get, GetCallMetadata, MapSuccess},
};
use pallet_tx_pause::RuntimeCallNameOf;
use quarry_primitives::{BlockNumber, HOURS};
use sp_runtime::morph_types;

/// How long safe mode lasts, and by how much the admin extends it each time: should the admin be lost,
/// the chain opens again by itself.
pub const SAFE_MODE_DURATION: BlockNumber = 24 * HOURS;

/// Whether safe mode is on.
pub struct SafeModeIsOn;

impl Get<bool> for SafeModeIsOn {
    fn get() -> bool {
        SafeMode::is_entered()
    }
}

morph_types! {
    /// Grants [`SAFE_MODE_DURATION`].
    pub type ForSafeModeDuration = |_| -> BlockNumber { SAFE_MODE_DURATION };
}

/// The admin, who may enter and extend safe mode.
pub type SafeModeOrigin = MapSuccess<AdminOrigin, ForSafeModeDuration>;

/// Whether the call can neither be paused nor be closed by safe mode. Whatever the admin's origin, its
/// way in must be here.
fn never_closes(pallet: &str, call: &str) -> bool {
    match pallet {
        // Without it no block is valid.
        "Timestamp" => true,
        "Sudo" | "SafeMode" | "TxPause" => true,
        // The admin's account may be a multisig, a derived or a proxied one. A call inside these is
        // filtered by itself.
        "Multisig" | "Utility" => true,
        "Proxy" => matches!(call, "announce" | "proxy" | "proxy_announced"),
        // Does only what the admin authorized.
        "System" => call == "apply_authorized_upgrade",
        _ => false,
    }
}

/// The calls that safe mode lets through.
pub struct OpenInSafeMode;

impl Contains<RuntimeCall> for OpenInSafeMode {
    fn contains(call: &RuntimeCall) -> bool {
        let CallMetadata { pallet_name, function_name } = call.get_call_metadata();
        never_closes(pallet_name, function_name)
            // What the chain needs to go on. The market stands still, its clock too (`live_blocks`).
            || matches!(call, RuntimeCall::Session(_))
    }
}

/// The calls that cannot be paused.
pub struct Unpausable;

impl Contains<RuntimeCallNameOf<Runtime>> for Unpausable {
    fn contains((pallet, call): &RuntimeCallNameOf<Runtime>) -> bool {
        match (from_utf8(pallet), from_utf8(call)) {
            (Ok(pallet), Ok(call)) => never_closes(pallet, call),
            _ => false,
        }
    }
}

/// Enters safe mode for good, so that nothing builds on a state that is migrated by half until the admin
/// has mended it.
pub struct SafeModeOnFailedMigration;

impl FailedMigrationHandler for SafeModeOnFailedMigration {
    fn failed(migration: Option<u32>) -> FailedMigrationHandling {
        EnterSafeModeOnFailedMigration::<SafeMode, FreezeChainOnFailedMigration>::failed(migration);
        // The SDK's handler leaves the migration stuck, which would keep out the admin as well.
        if SafeMode::is_entered() {
            FailedMigrationHandling::ForceUnstuck
        } else {
            FailedMigrationHandling::KeepStuck
        }
    }
}
