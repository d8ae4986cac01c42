use super::*;
use crate::{apis, fees, genesis, Balances, Runtime};
use quarry_primitives::{MILLI_QRY, QRY};

#[test]
fn every_preset_builds_the_chain_that_its_name_promises() {
    for (name, validators) in [("development", 1), ("local", 4)] {
        chain_from(name).execute_with(|| {
            assert_eq!(pallet_validators::Validators::<Runtime>::get().len(), validators);
            assert_eq!(pallet_aura::Authorities::<Runtime>::get().len(), validators);
            assert_eq!(crate::Grandpa::grandpa_authorities().len(), validators);
            assert_eq!(Balances::free_balance(bob()), 1_000_000 * QRY);
            assert_eq!(pallet_sudo::Key::<Runtime>::get(), Some(alice()));
        });
    }
    assert_eq!(genesis::preset_names().len(), 2, "a preset is not tested here");
}

#[test]
fn an_unknown_preset_is_none() {
    assert!(genesis::preset(&"nonsense".into()).is_none());
}

#[test]
fn the_treasury_lives_from_the_first_block_on() {
    dev_chain().execute_with(|| {
        assert_eq!(Balances::free_balance(fees::treasury()), MILLI_QRY);
    });
}

#[test]
fn a_genesis_with_an_unknown_field_is_refused() {
    sp_io::TestExternalities::default().execute_with(|| {
        let error = build_state::<RuntimeGenesisConfig>(br#"{"wrong":{}}"#.to_vec()).unwrap_err();
        assert!(error.contains("wrong"), "{error}");
    });
}

#[test]
fn metadata_comes_in_the_versions_that_wallets_read() {
    assert_eq!(Runtime::metadata_versions(), [14, 15, 16]);
    assert!(apis::RUNTIME_API_VERSIONS.len() >= 12);
}
