//! The extension in a small runtime of its own, whose only free call is free when its argument says so.

use crate::feeless::{FeelessPriority, Subject, FEELESS_PRIORITY};
use codec::{Decode, Encode};
use frame_support::{
    assert_ok, construct_runtime, derive_impl,
    dispatch::{DispatchResultWithPostInfo, GetDispatchInfo},
    traits::{ConstU128, ConstU8, Contains},
    weights::IdentityFee,
};
use pallet_skip_feeless_payment::SkipCheckIfFeeless;
use pallet_transaction_payment::{ChargeTransactionPayment, FungibleAdapter};
use quarry_primitives::{Balance, QRY};
use scale_info::{meta_type, TypeInfo};
use sp_runtime::{
    traits::{DispatchTransaction, TransactionExtension, TransactionExtensionMetadata},
    transaction_validity::{
        InvalidTransaction, TransactionPriority, TransactionSource, TransactionValidityError,
    },
    BuildStorage,
};

#[frame_support::pallet(dev_mode)]
mod reports {
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        #[pallet::feeless_if(|_: &OriginFor<T>, due: &bool| -> bool { *due })]
        pub fn report(origin: OriginFor<T>, due: bool) -> DispatchResult {
            ensure_signed(origin)?;
            ensure!(due, DispatchError::Other("not due"));
            Ok(())
        }
    }
}

construct_runtime!(
    pub enum Mock {
        System: frame_system,
        Balances: pallet_balances,
        TransactionPayment: pallet_transaction_payment,
        SkipFeelessPayment: pallet_skip_feeless_payment,
        Reports: reports,
    }
);

frame_support::parameter_types! {
    static Closed: bool = false;
}

pub struct OpenCalls;
impl Contains<RuntimeCall> for OpenCalls {
    fn contains(_: &RuntimeCall) -> bool {
        !Closed::get()
    }
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Mock {
    type AccountData = pallet_balances::AccountData<Balance>;
    type BaseCallFilter = OpenCalls;
    type Block = frame_system::mocking::MockBlock<Mock>;
    type BlockLength = crate::configs::Length;
    type BlockWeights = crate::configs::Weights;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Mock {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<1>;
}

impl pallet_transaction_payment::Config for Mock {
    type FeeMultiplierUpdate = ();
    type LengthToFee = IdentityFee<Balance>;
    type OnChargeTransaction = FungibleAdapter<Balances, ()>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type WeightToFee = IdentityFee<Balance>;
}

impl pallet_skip_feeless_payment::Config for Mock {
    type RuntimeEvent = RuntimeEvent;
}

impl reports::Config for Mock {}

impl Subject for RuntimeCall {
    fn subject(&self) -> Vec<u8> {
        self.encode()
    }
}

type Charge = ChargeTransactionPayment<Mock>;

const WORKER: u64 = 1;
const TENANT: u64 = 2;
const LENGTH: usize = 100;
/// As much as an account can have: more cannot be issued.
const ALL: Balance = Balance::MAX;

/// A chain whose worker has nothing, and whose tenant holds all that there is.
fn chain() -> sp_io::TestExternalities {
    Closed::set(false);
    let mut storage = frame_system::GenesisConfig::<Mock>::default().build_storage().unwrap();
    pallet_balances::GenesisConfig::<Mock> { balances: vec![(TENANT, ALL)], ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| System::set_block_number(1));
    ext
}

fn report(due: bool) -> RuntimeCall {
    reports::Call::report { due }.into()
}

fn transfer() -> RuntimeCall {
    pallet_balances::Call::transfer_allow_death { dest: WORKER, value: 1 }.into()
}

/// The priority that an extension gives to the call.
fn priority(
    extension: impl TransactionExtension<RuntimeCall>,
    who: u64,
    call: RuntimeCall,
) -> Result<TransactionPriority, TransactionValidityError> {
    let info = call.get_dispatch_info();
    extension
        .validate_only(Some(who).into(), &call, &info, LENGTH, TransactionSource::External, 0)
        .map(|(validity, ..)| validity.priority)
}

fn ours(tip: Balance) -> FeelessPriority<Mock, Charge> {
    Charge::from(tip).into()
}

fn apply(who: u64, call: RuntimeCall) -> DispatchResultWithPostInfo {
    apply_with_tip(0, who, call)
}

fn apply_with_tip(tip: Balance, who: u64, call: RuntimeCall) -> DispatchResultWithPostInfo {
    let info = call.get_dispatch_info();
    ours(tip)
        .dispatch_transaction(Some(who).into(), call, &info, LENGTH, 0)
        .expect("the transaction is valid")
}

#[test]
fn a_free_report_comes_before_the_transfer_with_the_largest_tip() {
    chain().execute_with(|| {
        let tip = ALL - QRY;
        assert_eq!(priority(Charge::from(tip), TENANT, transfer()), Ok(TransactionPriority::MAX));
        let report = priority(ours(0), WORKER, report(true)).unwrap();
        assert!(report > priority(ours(tip), TENANT, transfer()).unwrap());
    });
}

#[test]
fn a_tip_raises_a_free_report_a_little_and_is_not_charged() {
    chain().execute_with(|| {
        let raised = |tip| priority(ours(tip), WORKER, report(true)).unwrap() - FEELESS_PRIORITY;
        for (tip, by) in [(0, 0), (1, 1), (2, 2), (255, 255), (256, 255), (ALL, 255)] {
            assert_eq!(raised(tip), by);
        }
        assert_ok!(apply_with_tip(ALL, WORKER, report(true)));
        assert_ok!(apply_with_tip(QRY, TENANT, report(true)));
        assert_eq!(Balances::free_balance(TENANT), ALL);
    });
}

/// What the pool keeps one transaction of.
fn provides(who: u64, call: RuntimeCall) -> Vec<Vec<u8>> {
    let info = call.get_dispatch_info();
    let source = TransactionSource::External;
    let validity = ours(0).validate_only(Some(who).into(), &call, &info, LENGTH, source, 0);
    validity.unwrap().0.provides
}

#[test]
fn the_pool_keeps_one_free_report_on_a_subject() {
    chain().execute_with(|| {
        let of_the_worker = provides(WORKER, report(true));
        assert_eq!(of_the_worker.len(), 1);
        assert_eq!(of_the_worker, provides(TENANT, report(true)));
    });
}

#[test]
fn what_pays_has_no_subject() {
    chain().execute_with(|| {
        assert!(provides(TENANT, transfer()).is_empty());
        assert!(provides(TENANT, report(false)).is_empty());
    });
}

#[test]
fn a_call_that_is_not_free_keeps_its_priority() {
    chain().execute_with(|| {
        for tip in [0, 1, QRY] {
            for call in [transfer(), report(false)] {
                let stock = priority(Charge::from(tip), TENANT, call.clone()).unwrap();
                assert!(stock > 0);
                assert_eq!(priority(ours(tip), TENANT, call), Ok(stock));
            }
        }
    });
}

#[test]
fn a_free_report_needs_no_funds_and_says_that_it_paid_nothing() {
    chain().execute_with(|| {
        assert_ok!(apply(WORKER, report(true)));
        let skipped = pallet_skip_feeless_payment::Event::FeeSkipped {
            origin: RuntimeOrigin::signed(WORKER).caller,
        };
        System::assert_has_event(RuntimeEvent::SkipFeelessPayment(skipped));
        assert_eq!(Balances::free_balance(TENANT), ALL);
    });
}

#[test]
fn a_call_that_is_not_free_is_charged() {
    chain().execute_with(|| {
        apply(TENANT, report(false)).unwrap_err();
        let after_report = Balances::free_balance(TENANT);
        assert!(after_report < ALL);
        assert_ok!(apply(TENANT, transfer()));
        assert!(Balances::free_balance(TENANT) < after_report - 1);
    });
}

#[test]
fn who_cannot_pay_is_refused_what_is_not_free() {
    chain().execute_with(|| {
        assert_eq!(
            priority(ours(0), WORKER, report(false)),
            Err(InvalidTransaction::Payment.into())
        );
    });
}

#[test]
fn a_closed_call_is_not_let_in_for_free() {
    chain().execute_with(|| {
        Closed::set(true);
        assert_eq!(priority(ours(0), WORKER, report(true)), Err(InvalidTransaction::Call.into()));
        assert!(priority(ours(0), TENANT, transfer()).is_ok());
    });
}

#[test]
fn wallets_see_the_extension_that_charges_the_fee_and_nothing_else() {
    type Stock = SkipCheckIfFeeless<crate::Runtime, ChargeTransactionPayment<crate::Runtime>>;
    type Ours = FeelessPriority<crate::Runtime, ChargeTransactionPayment<crate::Runtime>>;
    assert_eq!(meta_type::<Ours>(), meta_type::<Stock>());
    assert_eq!(Ours::type_info(), Stock::type_info());

    let described = |extension: Vec<TransactionExtensionMetadata>| -> Vec<_> {
        extension.into_iter().map(|part| (part.identifier, part.ty, part.implicit)).collect()
    };
    assert_eq!(described(Ours::metadata()), described(Stock::metadata()));
    let names: Vec<_> =
        crate::TxExtension::metadata().into_iter().map(|part| part.identifier).collect();
    assert_eq!(
        names,
        [
            "AuthorizeCall",
            "CheckNonZeroSender",
            "CheckSpecVersion",
            "CheckTxVersion",
            "CheckGenesis",
            "CheckMortality",
            "CheckNonce",
            "CheckWeight",
            "ChargeTransactionPayment",
            "CheckMetadataHash",
            "WeightReclaim",
        ]
    );
}

#[test]
fn a_transaction_is_encoded_as_with_the_extension_that_charges_the_fee_alone() {
    for tip in [0, 1, QRY, ALL] {
        assert_eq!(ours(tip).encode(), Charge::from(tip).encode());
        let encoded = Charge::from(tip).encode();
        assert_eq!(FeelessPriority::decode(&mut &encoded[..]), Ok(ours(tip)));
    }
}
