//! What is the admin's.

use super::*;
use crate::{Balances, Runtime};
use sp_runtime::traits::BadOrigin;

type SystemCall = frame_system::Call<Runtime>;
type BalancesCall = pallet_balances::Call<Runtime>;
type MigrationsCall = pallet_migrations::Call<Runtime>;
type ValidatorsCall = pallet_validators::Call<Runtime>;

/// Those of safe mode, of pauses and of the market are tried with what is theirs.
fn the_admins() -> Vec<RuntimeCall> {
    let (code, code_hash) = (vec![0], Default::default());
    vec![
        SystemCall::set_code { code: code.clone() }.into(),
        SystemCall::set_code_without_checks { code }.into(),
        SystemCall::authorize_upgrade { code_hash }.into(),
        SystemCall::authorize_upgrade_without_checks { code_hash }.into(),
        SystemCall::set_heap_pages { pages: 1 }.into(),
        SystemCall::set_storage { items: Vec::new() }.into(),
        SystemCall::kill_storage { keys: Vec::new() }.into(),
        SystemCall::kill_prefix { prefix: Vec::new(), subkeys: 1 }.into(),
        BalancesCall::force_set_balance { who: eve().into(), new_free: 1 }.into(),
        BalancesCall::force_transfer { source: alice().into(), dest: bob().into(), value: 1 }
            .into(),
        BalancesCall::force_unreserve { who: alice().into(), amount: 1 }.into(),
        pallet_grandpa::Call::note_stalled { delay: 1, best_finalized_block_number: 0 }.into(),
        MigrationsCall::force_onboard_mbms {}.into(),
        MigrationsCall::force_set_active_cursor { index: 0, inner_cursor: None, started_at: None }
            .into(),
        ValidatorsCall::add_validator { who: eve() }.into(),
        ValidatorsCall::remove_validator { who: alice() }.into(),
    ]
}

#[test]
fn the_admins_calls_are_refused_from_anyone_else() {
    dev_chain().execute_with(|| {
        let before = Balances::free_balance(alice());
        for call in the_admins() {
            assert_eq!(by_bob(call.clone()), Err(BadOrigin.into()), "{call:?}");
            let refusal = pallet_sudo::Error::<Runtime>::RequireSudo.into();
            assert_eq!(by_bob(sudo(call)), Err(refusal));
        }
        assert_eq!(Balances::free_balance(alice()), before);
    });
}
