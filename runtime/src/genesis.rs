//! The chains that the runtime can start by itself: `development` with one validator, `local` with four.

use crate::{fees, AccountId, Balance, RuntimeGenesisConfig, SessionKeys};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use quarry_primitives::{BlockNumber, MILLI_QRY, QRY};
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

/// The name of the preset with four validators.
pub const LOCAL_PRESET: &str = "local";

/// What each well-known account holds at the start.
const ENDOWMENT: Balance = 1_000_000 * QRY;
/// So short that a new validator takes part within two minutes.
const SESSION_LENGTH: BlockNumber = 10;

/// The names of the presets.
pub fn preset_names() -> Vec<PresetId> {
    vec![PresetId::from(DEV_RUNTIME_PRESET), PresetId::from(LOCAL_PRESET)]
}

/// The genesis of that name, as a JSON patch over the default one.
pub fn preset(id: &PresetId) -> Option<Vec<u8>> {
    let validators = match id.as_ref() {
        DEV_RUNTIME_PRESET => 1,
        LOCAL_PRESET => 4,
        _ => return None,
    };
    let patch = patch(well_known().take(validators).collect());
    serde_json::to_vec(&patch).ok()
}

/// Alice, Bob, Charlie and so on, with the keys by which each authors and finalizes.
fn well_known() -> impl Iterator<Item = (AccountId, SessionKeys)> {
    Sr25519Keyring::well_known().zip(Ed25519Keyring::well_known()).map(|(account, grandpa)| {
        let keys = SessionKeys { aura: account.public().into(), grandpa: grandpa.public().into() };
        (account.to_account_id(), keys)
    })
}

/// A chain of these validators, with Alice as the admin and every well-known account funded.
fn patch(validators: Vec<(AccountId, SessionKeys)>) -> serde_json::Value {
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig { balances: balances() },
        validators: pallet_validators::GenesisConfig {
            validators: validators.iter().map(|(who, _)| who.clone()).collect(),
            session_length: Some(SESSION_LENGTH),
        },
        session: pallet_session::GenesisConfig {
            keys: validators.into_iter().map(|(who, keys)| (who.clone(), who, keys)).collect(),
        },
        sudo: pallet_sudo::GenesisConfig { key: Some(Sr25519Keyring::Alice.to_account_id()) },
    })
}

/// The treasury starts with what keeps an account alive, so that no fee, however small, is lost.
fn balances() -> Vec<(AccountId, Balance)> {
    well_known().map(|(who, _)| (who, ENDOWMENT)).chain([(fees::treasury(), MILLI_QRY)]).collect()
}
