use super::*;
use crate::{
    Balances, Proxy, ProxyType, Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin, Utility,
};
use frame_support::{assert_ok, traits::InstanceFilter};
use pallet_compute::Call as ComputeCall;
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
    for kind in [ProxyType::NonTransfer, ProxyType::Compute, ProxyType::ComputeOperator] {
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

fn boot() -> RuntimeCall {
    ComputeCall::request_compute_boot { request_id: 0 }.into()
}

fn delete() -> RuntimeCall {
    ComputeCall::request_compute_delete { request_id: 0 }.into()
}

fn disable_plan() -> RuntimeCall {
    ComputeCall::set_plan_enabled { plan_id: Default::default(), enabled: false }.into()
}

/// The call was let through, and the pallet found nothing to do it with.
fn let_through() -> DispatchResult {
    Err(pallet_compute::Error::<Runtime>::ComputeRequestNotFound.into())
}

#[test]
fn compute_may_do_all_that_a_tenant_does() {
    assert_eq!(as_proxy(ProxyType::Compute, boot()), let_through());
    assert_eq!(as_proxy(ProxyType::Compute, delete()), let_through());
    assert_eq!(as_proxy(ProxyType::Compute, batch(vec![delete()])), let_through());
}

#[test]
fn compute_may_not_do_what_a_miner_or_an_admin_does() {
    let end_lease = ComputeCall::end_lease { request_id: 0 }.into();
    assert_eq!(as_proxy(ProxyType::Compute, end_lease), Err(filtered()));
    assert_eq!(as_proxy(ProxyType::Compute, disable_plan()), Err(filtered()));
}

#[test]
fn an_operator_may_boot_stop_and_reboot() {
    let stop = ComputeCall::request_compute_stop { request_id: 0 }.into();
    let reboot = ComputeCall::request_compute_reboot { request_id: 0 }.into();
    for call in [boot(), stop, reboot, batch(vec![boot()])] {
        assert_eq!(as_proxy(ProxyType::ComputeOperator, call.clone()), let_through(), "{call:?}");
    }
}

#[test]
fn an_operator_may_neither_delete_nor_pay_nor_transfer() {
    let top_up = ComputeCall::top_up { request_id: 0, blocks: 1 }.into();
    for call in [delete(), top_up, transfer(), batch(vec![delete()])] {
        assert_eq!(as_proxy(ProxyType::ComputeOperator, call.clone()), Err(filtered()), "{call:?}");
    }
}

#[test]
fn a_type_covers_itself_and_what_it_may_do() {
    use ProxyType::{Any, Compute, ComputeOperator, NonTransfer};
    for kind in [Any, NonTransfer, Compute, ComputeOperator] {
        assert!(Any.is_superset(&kind));
        assert!(kind.is_superset(&kind));
        assert!(kind == ComputeOperator || !ComputeOperator.is_superset(&kind));
    }
    assert!(Compute.is_superset(&ComputeOperator));
    assert!(NonTransfer.is_superset(&ComputeOperator));
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
