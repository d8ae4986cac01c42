//! The chains that the runtime can start by itself: `development` with one validator, `local` with four.
//! Both have plans and a pool of addresses, so that they are markets as soon as a miner registers a node
//! and the admin adds an image.

use crate::{fees, AccountId, Balance, RuntimeGenesisConfig, SessionKeys};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use pallet_compute::{GenesisPlan, GenesisPool};
use quarry_primitives::{
    ip::{IpAddress, IpNetwork},
    request::{PlanDescription, PlanName},
    resources::Resources,
    BlockNumber, MILLI_QRY, QRY,
};
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
        compute: pallet_compute::GenesisConfig { plans: plans(), global_pool: Some(global_pool()) },
        sudo: pallet_sudo::GenesisConfig { key: Some(Sr25519Keyring::Alice.to_account_id()) },
    })
}

fn plans() -> Vec<GenesisPlan> {
    [
        ("nano", "1 vCPU, 512 MiB of memory, 5 GiB of disk", 1, 512, 5),
        ("small", "1 vCPU, 2 GiB of memory, 20 GiB of disk", 1, 2_048, 20),
        ("medium", "2 vCPUs, 4 GiB of memory, 40 GiB of disk", 2, 4_096, 40),
        ("large", "4 vCPUs, 8 GiB of memory, 80 GiB of disk", 4, 8_192, 80),
    ]
    .into_iter()
    .map(|(name, description, vcpus, memory_mib, disk_gib)| GenesisPlan {
        name: PlanName::try_from(name).unwrap_or_default(),
        technical_description: PlanDescription::try_from(description).unwrap_or_default(),
        resources: Resources { vcpus, memory_mib, disk_gib },
    })
    .collect()
}

/// Private addresses, which a host of a test chain can route whatever network it stands in.
fn global_pool() -> GenesisPool {
    let ip = |last| IpAddress::V4([10, 99, 0, last]);
    let network = IpNetwork { prefix_len: 24, gateway: ip(1), dns: ip(1) };
    GenesisPool { network, first: ip(10), count: 200 }
}

/// The treasury starts with what keeps an account alive, so that no fee, however small, is lost.
fn balances() -> Vec<(AccountId, Balance)> {
    well_known().map(|(who, _)| (who, ENDOWMENT)).chain([(fees::treasury(), MILLI_QRY)]).collect()
}
