//! The runtime as a whole; the pallets of our own are tested beside their code.

mod admin;
mod blocks;
mod feeless;
mod fees;
mod fuzz;
mod genesis;
mod market;
mod metadata;
mod proxies;
mod replays;
mod safety;
mod validators;

use crate::{
    genesis::preset, AccountId, RuntimeCall, RuntimeEvent, RuntimeGenesisConfig, RuntimeOrigin,
    Sudo, System,
};
use frame_support::{assert_ok, genesis_builder_helper::build_state};
use sp_genesis_builder::DEV_RUNTIME_PRESET;
use sp_keyring::Sr25519Keyring;
use sp_runtime::{traits::Dispatchable, DispatchResult};

/// The state of a chain just started from a preset, at block 1.
fn chain_from(name: &str) -> sp_io::TestExternalities {
    let mut ext = sp_io::TestExternalities::default();
    ext.execute_with(|| {
        let default = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
        let patch = serde_json::from_slice(&preset(&name.into()).unwrap()).unwrap();
        let config = merge(default, patch);
        build_state::<RuntimeGenesisConfig>(serde_json::to_vec(&config).unwrap()).unwrap();
        System::set_block_number(1);
    });
    ext
}

fn dev_chain() -> sp_io::TestExternalities {
    chain_from(DEV_RUNTIME_PRESET)
}

/// Lays a preset's patch over the default genesis, as a chain node does.
fn merge(mut base: serde_json::Value, patch: serde_json::Value) -> serde_json::Value {
    match (&mut base, patch) {
        (serde_json::Value::Object(base), serde_json::Value::Object(patch)) => {
            for (key, value) in patch {
                let old = base.remove(&key).unwrap_or_default();
                base.insert(key, merge(old, value));
            }
        }
        (base, patch) => *base = patch,
    }
    base
}

fn alice() -> AccountId {
    Sr25519Keyring::Alice.to_account_id()
}

fn bob() -> AccountId {
    Sr25519Keyring::Bob.to_account_id()
}

fn eve() -> AccountId {
    Sr25519Keyring::Eve.to_account_id()
}

/// Calls as the admin through the sudo pallet and tells what came of it.
fn as_admin(call: impl Into<RuntimeCall>) -> DispatchResult {
    assert_ok!(Sudo::sudo(RuntimeOrigin::signed(alice()), Box::new(call.into())));
    System::events()
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            RuntimeEvent::Sudo(pallet_sudo::Event::Sudid { sudo_result }) => Some(sudo_result),
            _ => None,
        })
        .expect("the admin's call ran")
}

fn sudo(call: impl Into<RuntimeCall>) -> RuntimeCall {
    pallet_sudo::Call::sudo { call: Box::new(call.into()) }.into()
}

/// What comes of a call that Bob signs.
fn by_bob(call: impl Into<RuntimeCall>) -> DispatchResult {
    let outcome = call.into().dispatch(RuntimeOrigin::signed(bob()));
    outcome.map(|_| ()).map_err(|refusal| refusal.error)
}
