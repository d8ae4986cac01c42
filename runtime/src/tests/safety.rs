use super::*;
use crate::{
    safety::{Unpausable, SAFE_MODE_DURATION},
    Balances, Migrations, Multisig, Proxy, ProxyType, Runtime, SafeMode,
};
use frame_support::{
    migrations::MultiStepMigrator,
    traits::{Contains, GetCallMetadata, Hooks},
};
use pallet_migrations::{ActiveCursor, Cursor, MigrationCursor};
use pallet_safe_mode::EnteredUntil;
use pallet_tx_pause::RuntimeCallNameOf;
use quarry_primitives::{BlockNumber, QRY};
use sp_runtime::traits::BadOrigin;

type SafeModeCall = pallet_safe_mode::Call<Runtime>;
type SafeModeError = pallet_safe_mode::Error<Runtime>;
type TxPauseCall = pallet_tx_pause::Call<Runtime>;
type TxPauseError = pallet_tx_pause::Error<Runtime>;

fn transfer() -> RuntimeCall {
    pallet_balances::Call::transfer_keep_alive { dest: eve().into(), value: QRY }.into()
}

fn remark() -> RuntimeCall {
    frame_system::Call::remark_with_event { remark: vec![1] }.into()
}

fn closed() -> DispatchResult {
    Err(frame_system::Error::<Runtime>::CallFiltered.into())
}

fn name(pallet: &str, call: &str) -> RuntimeCallNameOf<Runtime> {
    let bounded = |text: &str| text.as_bytes().to_vec().try_into().unwrap();
    (bounded(pallet), bounded(call))
}

fn pause(pallet: &str, call: &str) -> DispatchResult {
    as_admin(TxPauseCall::pause { full_name: name(pallet, call) })
}

fn begin_block(number: BlockNumber) {
    System::set_block_number(number);
    SafeMode::on_initialize(number);
}

/// A chain in safe mode from block 1 on.
fn closed_chain() -> sp_io::TestExternalities {
    let mut ext = dev_chain();
    ext.execute_with(|| as_admin(SafeModeCall::force_enter {})).unwrap();
    ext
}

#[test]
fn safe_mode_refuses_transfers_alone_and_inside_other_calls() {
    closed_chain().execute_with(|| {
        let before = Balances::free_balance(eve());
        assert_eq!(by_bob(transfer()), closed());
        assert_eq!(by_bob(remark()), closed());
        assert_eq!(by_bob(pallet_utility::Call::batch_all { calls: vec![transfer()] }), closed());
        let by_many = pallet_multisig::Call::as_multi_threshold_1 {
            other_signatories: vec![eve()],
            call: Box::new(transfer()),
        };
        assert_eq!(by_bob(by_many), closed());
        assert_eq!(Balances::free_balance(eve()), before);
    });
}

#[test]
fn the_admin_acts_in_safe_mode_and_ends_it() {
    closed_chain().execute_with(|| {
        let funds = pallet_balances::Call::force_set_balance { who: eve().into(), new_free: QRY };
        assert_ok!(as_admin(funds));
        assert_eq!(Balances::free_balance(eve()), QRY);
        assert_ok!(as_admin(SafeModeCall::force_exit {}));
        assert_ok!(by_bob(transfer()));
    });
}

#[test]
fn safe_mode_ends_by_itself() {
    closed_chain().execute_with(|| {
        begin_block(1 + SAFE_MODE_DURATION);
        assert_eq!(by_bob(transfer()), closed());
        begin_block(2 + SAFE_MODE_DURATION);
        assert_ok!(by_bob(transfer()));
    });
}

#[test]
fn the_admin_extends_safe_mode() {
    closed_chain().execute_with(|| {
        assert_ok!(as_admin(SafeModeCall::force_extend {}));
        begin_block(1 + 2 * SAFE_MODE_DURATION);
        assert_eq!(by_bob(transfer()), closed());
        begin_block(2 + 2 * SAFE_MODE_DURATION);
        assert_ok!(by_bob(transfer()));
    });
}

#[test]
fn nobody_else_enters_extends_or_ends_safe_mode() {
    dev_chain().execute_with(|| {
        assert_eq!(by_bob(SafeModeCall::force_enter {}), Err(BadOrigin.into()));
        assert_eq!(by_bob(SafeModeCall::enter {}), Err(SafeModeError::NotConfigured.into()));
        assert!(!SafeMode::is_entered());
    });
    closed_chain().execute_with(|| {
        let until = EnteredUntil::<Runtime>::get();
        assert_eq!(by_bob(SafeModeCall::force_extend {}), Err(BadOrigin.into()));
        assert_eq!(by_bob(SafeModeCall::extend {}), Err(SafeModeError::NotConfigured.into()));
        assert_eq!(by_bob(SafeModeCall::force_exit {}), Err(BadOrigin.into()));
        assert_eq!(EnteredUntil::<Runtime>::get(), until);
    });
}

#[test]
fn safe_mode_keeps_blocks_coming_and_validators_changing() {
    closed_chain().execute_with(|| {
        let timestamp: RuntimeCall = pallet_timestamp::Call::set { now: 1 }.into();
        assert_ok!(timestamp.dispatch(RuntimeOrigin::none()));
        let no_keys = pallet_session::Error::<Runtime>::NoKeys;
        assert_eq!(by_bob(pallet_session::Call::purge_keys {}), Err(no_keys.into()));
        let nothing = frame_system::Error::<Runtime>::NothingAuthorized;
        let upgrade = frame_system::Call::apply_authorized_upgrade { code: vec![] };
        assert_eq!(by_bob(upgrade), Err(nothing.into()));
    });
}

#[test]
fn an_admin_behind_a_multisig_a_derived_or_a_proxied_account_gets_in() {
    let exit = || Box::new(sudo(SafeModeCall::force_exit {}));
    let mut signatories = vec![bob(), eve()];
    signatories.sort();
    let real = Sr25519Keyring::Ferdie.to_account_id();
    let doors: [(AccountId, RuntimeCall); 3] = [
        (
            Multisig::multi_account_id(&signatories, 1),
            pallet_multisig::Call::as_multi_threshold_1 {
                other_signatories: vec![eve()],
                call: exit(),
            }
            .into(),
        ),
        (
            pallet_utility::derivative_account_id(bob(), 7),
            pallet_utility::Call::as_derivative { index: 7, call: exit() }.into(),
        ),
        (
            real.clone(),
            pallet_proxy::Call::proxy {
                real: real.clone().into(),
                force_proxy_type: None,
                call: exit(),
            }
            .into(),
        ),
    ];
    for (admin, door) in doors {
        dev_chain().execute_with(|| {
            let any = ProxyType::Any;
            assert_ok!(Proxy::add_proxy(RuntimeOrigin::signed(real.clone()), bob().into(), any, 0));
            assert_ok!(as_admin(SafeModeCall::force_enter {}));
            assert_ok!(as_admin(pallet_sudo::Call::set_key { new: admin.into() }));
            assert_ok!(by_bob(door.clone()));
            assert!(!SafeMode::is_entered(), "{door:?}");
        });
    }
}

#[test]
fn a_paused_call_is_refused_until_it_is_unpaused() {
    dev_chain().execute_with(|| {
        assert_ok!(pause("Balances", "transfer_keep_alive"));
        assert_eq!(by_bob(transfer()), closed());
        assert_eq!(by_bob(pallet_utility::Call::batch_all { calls: vec![transfer()] }), closed());
        assert_ok!(by_bob(remark()));
        let ident = name("Balances", "transfer_keep_alive");
        assert_ok!(as_admin(TxPauseCall::unpause { ident }));
        assert_ok!(by_bob(transfer()));
    });
}

#[test]
fn nobody_else_pauses_or_unpauses() {
    dev_chain().execute_with(|| {
        let full_name = name("Balances", "transfer_keep_alive");
        let ident = full_name.clone();
        assert_eq!(by_bob(TxPauseCall::pause { full_name }), Err(BadOrigin.into()));
        assert_ok!(by_bob(transfer()));
        assert_ok!(pause("Balances", "transfer_keep_alive"));
        assert_eq!(by_bob(TxPauseCall::unpause { ident }), Err(BadOrigin.into()));
        assert_eq!(by_bob(transfer()), closed());
    });
}

#[test]
fn what_the_chain_and_the_admin_need_cannot_be_paused() {
    let calls_of = <RuntimeCall as GetCallMetadata>::get_call_names;
    let mut whole = vec![];
    let mut single = vec![];
    for pallet in <RuntimeCall as GetCallMetadata>::get_module_names() {
        let kept: Vec<_> = calls_of(pallet)
            .iter()
            .filter(|call| Unpausable::contains(&name(pallet, call)))
            .collect();
        match kept.len() {
            len if len == calls_of(pallet).len() && len > 0 => whole.push(*pallet),
            _ => single.extend(kept.into_iter().map(|call| format!("{pallet}.{call}"))),
        }
    }
    assert_eq!(whole, ["Timestamp", "Utility", "Multisig", "Sudo", "SafeMode", "TxPause"]);
    assert_eq!(
        single,
        [
            "System.apply_authorized_upgrade",
            "Proxy.proxy",
            "Proxy.announce",
            "Proxy.proxy_announced"
        ]
    );
    dev_chain().execute_with(|| {
        for pallet in whole {
            for call in calls_of(pallet) {
                assert_eq!(pause(pallet, call), Err(TxPauseError::Unpausable.into()), "{call}");
            }
        }
    });
}

/// What is left after an upgrade came while a migration still ran, which fails that migration.
fn after_failed_migration(test: impl FnOnce()) {
    dev_chain().execute_with(|| {
        let running = ActiveCursor { index: 0, inner_cursor: None, started_at: 1 };
        Cursor::<Runtime>::put(MigrationCursor::Active(running));
        Migrations::on_runtime_upgrade();
        System::assert_has_event(pallet_migrations::Event::UpgradeFailed.into());
        test();
    });
}

#[test]
fn a_failed_migration_lets_only_the_admin_in_until_the_admin_opens_the_chain() {
    after_failed_migration(|| {
        assert!(!Migrations::ongoing(), "transactions would be kept out, the admin's too");
        assert_eq!(by_bob(transfer()), closed());
        begin_block(BlockNumber::MAX);
        assert_eq!(by_bob(transfer()), closed());
        assert_ok!(as_admin(SafeModeCall::force_exit {}));
        assert_ok!(by_bob(transfer()));
    });
}

#[test]
fn a_migration_that_fails_in_safe_mode_makes_it_last() {
    closed_chain().execute_with(|| {
        Cursor::<Runtime>::put(MigrationCursor::Stuck);
        Migrations::on_runtime_upgrade();
        assert_eq!(EnteredUntil::<Runtime>::get(), Some(BlockNumber::MAX));
        assert!(!Migrations::ongoing());
    });
}
