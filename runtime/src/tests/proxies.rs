use super::*;
use crate::{
    Balances, Proxy, ProxyType, Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin, Utility,
};
use frame_support::{assert_ok, traits::InstanceFilter};
use quarry_primitives::QRY;
use sp_runtime::{DispatchError, DispatchResult};

fn remark() -> RuntimeCall {
    frame_system::Call::remark_with_event { remark: vec![1] }.into()
}

fn transfer() -> RuntimeCall {
    pallet_balances::Call::transfer_keep_alive { dest: eve().into(), value: QRY }.into()
}

fn batch(calls: Vec<RuntimeCall>) -> RuntimeCall {
    pallet_utility::Call::batch_all { calls }.into()
}

/// What comes of the call when Bob makes it as a proxy of that type for Alice.
fn as_proxy(kind: ProxyType, call: RuntimeCall) -> DispatchResult {
    let mut outcome = Ok(());
    dev_chain().execute_with(|| {
        assert_ok!(Proxy::add_proxy(RuntimeOrigin::signed(alice()), bob().into(), kind, 0));
        let before = Balances::free_balance(eve());
        assert_ok!(Proxy::proxy(
            RuntimeOrigin::signed(bob()),
            alice().into(),
            None,
            Box::new(call)
        ));
        outcome = System::events()
            .into_iter()
            .find_map(|record| match record.event {
                RuntimeEvent::Proxy(pallet_proxy::Event::ProxyExecuted { result }) => Some(result),
                _ => None,
            })
            .expect("the proxy's call ran");
        if outcome.is_err() {
            assert_eq!(Balances::free_balance(eve()), before, "a refused call moved funds");
        }
    });
    outcome
}

fn filtered() -> DispatchError {
    frame_system::Error::<Runtime>::CallFiltered.into()
}

#[test]
fn any_may_transfer() {
    assert_ok!(as_proxy(ProxyType::Any, transfer()));
}

#[test]
fn non_transfer_may_remark_alone_and_in_a_batch() {
    assert_ok!(as_proxy(ProxyType::NonTransfer, remark()));
    assert_ok!(as_proxy(ProxyType::NonTransfer, batch(vec![remark(), remark()])));
}

#[test]
fn non_transfer_may_not_transfer() {
    assert_eq!(as_proxy(ProxyType::NonTransfer, transfer()), Err(filtered()));
}

#[test]
fn a_batch_is_no_way_around_the_filter() {
    for kind in [ProxyType::NonTransfer, ProxyType::Compute] {
        let hidden = batch(vec![batch(vec![transfer()])]);
        assert_eq!(as_proxy(kind, hidden), Err(filtered()), "{kind:?}");
    }
}

#[test]
fn non_transfer_may_not_act_through_another_account() {
    let inner = Box::new(transfer());
    let doors: [RuntimeCall; 4] = [
        pallet_sudo::Call::sudo { call: inner.clone() }.into(),
        pallet_proxy::Call::proxy {
            real: eve().into(),
            force_proxy_type: None,
            call: inner.clone(),
        }
        .into(),
        pallet_multisig::Call::as_multi_threshold_1 {
            other_signatories: vec![bob()],
            call: inner.clone(),
        }
        .into(),
        pallet_utility::Call::as_derivative { index: 0, call: inner }.into(),
    ];
    for door in doors {
        assert_eq!(as_proxy(ProxyType::NonTransfer, door.clone()), Err(filtered()), "{door:?}");
    }
}

#[test]
fn compute_may_neither_transfer_nor_remark() {
    assert_eq!(as_proxy(ProxyType::Compute, transfer()), Err(filtered()));
    assert_eq!(as_proxy(ProxyType::Compute, remark()), Err(filtered()));
}

#[test]
fn compute_may_batch() {
    assert_ok!(as_proxy(ProxyType::Compute, batch(vec![])));
}

#[test]
fn only_any_covers_another_type() {
    use ProxyType::{Any, Compute, NonTransfer};
    for kind in [Any, NonTransfer, Compute] {
        assert!(Any.is_superset(&kind));
        assert!(kind.is_superset(&kind));
    }
    assert!(!NonTransfer.is_superset(&Compute));
    assert!(!NonTransfer.is_superset(&Any));
    assert!(!Compute.is_superset(&NonTransfer));
}

#[test]
fn utility_itself_is_not_filtered_for_its_owner() {
    dev_chain().execute_with(|| {
        assert_ok!(Utility::batch_all(RuntimeOrigin::signed(alice()), vec![transfer()]));
    });
}
