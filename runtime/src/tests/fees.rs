use super::*;
use crate::{
    fees, Balances, Executive, Runtime, RuntimeCall, RuntimeEvent, SignedPayload,
    TransactionPayment, TxExtension, UncheckedExtrinsic,
};
use codec::Encode;
use frame_support::weights::Weight;
use pallet_transaction_payment::Multiplier;
use quarry_primitives::{Balance, MILLI_QRY, QRY};
use sp_runtime::{
    generic::Era,
    traits::{Convert, One},
};

/// A transaction without an end, by the account's next nonce.
pub fn signed(who: Sr25519Keyring, call: RuntimeCall, tip: Balance) -> UncheckedExtrinsic {
    let extension: TxExtension = (
        frame_system::AuthorizeCall::new(),
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckMortality::from(Era::Immortal),
        frame_system::CheckNonce::from(System::account_nonce(who.to_account_id())),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(tip).into(),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
        frame_system::WeightReclaim::new(),
    );
    let payload = SignedPayload::new(call, extension).unwrap();
    let signature = payload.using_encoded(|bytes| who.sign(bytes));
    let (call, extension, _) = payload.deconstruct();
    UncheckedExtrinsic::new_signed(call, who.to_account_id().into(), signature.into(), extension)
}

fn transfer(amount: Balance) -> RuntimeCall {
    pallet_balances::Call::transfer_keep_alive { dest: eve().into(), value: amount }.into()
}

/// A chain on which the next transaction can be applied.
fn ready_chain() -> sp_io::TestExternalities {
    let mut ext = dev_chain();
    ext.execute_with(|| frame_system::BlockHash::<Runtime>::insert(0, crate::Hash::zero()));
    ext
}

fn paid() -> Balance {
    System::events()
        .into_iter()
        .find_map(|record| match record.event {
            RuntimeEvent::TransactionPayment(
                pallet_transaction_payment::Event::TransactionFeePaid { actual_fee, .. },
            ) => Some(actual_fee),
            _ => None,
        })
        .expect("a fee was paid")
}

#[test]
fn a_fee_is_what_was_announced_and_goes_to_the_treasury() {
    ready_chain().execute_with(|| {
        let extrinsic = signed(Sr25519Keyring::Bob, transfer(QRY), 0);
        let length = extrinsic.encoded_size() as u32;
        let announced = TransactionPayment::query_info(extrinsic.clone(), length).partial_fee;
        let issuance = Balances::total_issuance();

        Executive::apply_extrinsic(extrinsic).unwrap().unwrap();

        assert_eq!(paid(), announced);
        assert_eq!(Balances::free_balance(bob()), 999_999 * QRY - announced);
        assert_eq!(Balances::free_balance(eve()), 1_000_001 * QRY);
        assert_eq!(Balances::free_balance(fees::treasury()), MILLI_QRY + announced);
        assert_eq!(Balances::total_issuance(), issuance);
    });
}

#[test]
fn a_call_that_fails_pays_all_the_same() {
    ready_chain().execute_with(|| {
        let extrinsic = signed(Sr25519Keyring::Bob, transfer(2_000_000 * QRY), 0);
        Executive::apply_extrinsic(extrinsic).unwrap().unwrap_err();
        assert_eq!(Balances::free_balance(bob()), 1_000_000 * QRY - paid());
        assert_eq!(Balances::free_balance(fees::treasury()), MILLI_QRY + paid());
    });
}

#[test]
fn a_tip_goes_to_the_treasury_too() {
    ready_chain().execute_with(|| {
        Executive::apply_extrinsic(signed(Sr25519Keyring::Bob, transfer(QRY), QRY))
            .unwrap()
            .unwrap();
        assert!(paid() > QRY);
        assert_eq!(Balances::free_balance(fees::treasury()), MILLI_QRY + paid());
    });
}

#[test]
fn a_transfer_costs_less_than_a_thousandth_of_a_token() {
    dev_chain().execute_with(|| {
        let extrinsic = signed(Sr25519Keyring::Bob, transfer(QRY), 0);
        let length = extrinsic.encoded_size() as u32;
        let fee = TransactionPayment::query_info(extrinsic, length).partial_fee;
        assert!((1..MILLI_QRY).contains(&fee), "{fee}");
    });
}

#[test]
fn dust_goes_to_the_treasury() {
    dev_chain().execute_with(|| {
        let issuance = Balances::total_issuance();
        let all_but_dust = 1_000_000 * QRY - 1;
        Balances::transfer_allow_death(
            crate::RuntimeOrigin::signed(bob()),
            eve().into(),
            all_but_dust,
        )
        .unwrap();
        assert_eq!(Balances::free_balance(fees::treasury()), MILLI_QRY + 1);
        assert_eq!(Balances::total_issuance(), issuance);
    });
}

/// The multiplier after a block of which ordinary transactions took this share of their room.
fn after_block(percent: u64, multiplier: Multiplier) -> Multiplier {
    let mut next = multiplier;
    dev_chain().execute_with(|| {
        let room = crate::configs::Weights::get()
            .get(frame_support::dispatch::DispatchClass::Normal)
            .max_total
            .unwrap();
        let used = Weight::from_parts(room.ref_time() / 100 * percent, 0);
        System::set_block_consumed_resources(used, 0);
        next = fees::FeeAdjustment::convert(multiplier);
    });
    next
}

#[test]
fn full_blocks_raise_the_fees_and_quiet_ones_lower_them_to_the_plain_price() {
    let plain = Multiplier::one();
    assert!(after_block(100, plain) > plain);
    assert_eq!(after_block(0, plain), plain);
    let raised = Multiplier::from_u32(2);
    assert!(after_block(0, raised) < raised);
}

#[test]
fn blocks_that_stay_full_of_free_reports_do_not_price_out_all_others() {
    let highest = Multiplier::from_u32(100);
    assert_eq!(after_block(100, highest), highest);
}

#[test]
fn a_block_of_bytes_costs_about_what_a_block_of_work_does() {
    dev_chain().execute_with(|| {
        use frame_support::dispatch::DispatchClass::Normal;
        let room = crate::configs::Weights::get().get(Normal).max_total.unwrap();
        let work = TransactionPayment::weight_to_fee(room);
        let bytes =
            TransactionPayment::length_to_fee(*crate::configs::Length::get().max.get(Normal));
        assert!(bytes * 10 > work * 9 && bytes * 10 < work * 11, "{bytes} and {work}");
    });
}
