//! Which transactions come first: a valid report that pays no fee before everything that does, and only one
//! on each subject.

use crate::RuntimeCall;
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use core::fmt;
use frame_support::{
    dispatch::{CheckIfFeeless, DispatchInfo, DispatchResult, PostDispatchInfo},
    pallet_prelude::{InvalidTransaction, TransactionSource, TransactionValidityError},
    traits::Contains,
    weights::Weight,
};
use frame_system::pallet_prelude::OriginFor;
use pallet_skip_feeless_payment::{Intermediate, SkipCheckIfFeeless};
use pallet_transaction_payment::{ChargeTransactionPayment, OnChargeTransaction};
use scale_info::{StaticTypeInfo, TypeInfo};
use sp_runtime::{
    traits::{
        DispatchInfoOf, DispatchOriginOf, Dispatchable, Implication, PostDispatchInfoOf,
        TransactionExtension, TransactionExtensionMetadata, UniqueSaturatedInto, ValidateResult,
    },
    transaction_validity::TransactionPriority,
};

/// The priority of a feeless transaction; paid ones are kept below it. No value would be high enough by
/// itself: a paid one's is its tip in the smallest unit times how often it fits into a block, so that a
/// tip of a few thousand QRY reaches the type's highest value. Half of that leaves room for what
/// other extensions add.
pub const FEELESS_PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// How far a tip raises a feeless transaction above others. It is not charged. A chain node keeps what it took until
/// that expires, and does not send it to others twice, even where they dropped it: by its tip another with the same
/// nonce takes its place.
const MOST_RAISED: TransactionPriority = 255;

/// What charges a fee, and may charge a tip above it.
pub trait Tipped {
    /// The tip, or as much of it as fits.
    fn tipped(&self) -> u64;
}

impl<T: pallet_transaction_payment::Config> Tipped for ChargeTransactionPayment<T>
where
    T::RuntimeCall: Dispatchable<Info = DispatchInfo, PostInfo = PostDispatchInfo>,
    <T::OnChargeTransaction as OnChargeTransaction<T>>::Balance:
        From<u64> + Send + Sync + UniqueSaturatedInto<u64>,
{
    fn tipped(&self) -> u64 {
        self.tip().unique_saturated_into()
    }
}

/// What a feeless transaction is about. The pool keeps one on each subject: it judges every transaction by
/// the state of the last block, by which a thousand heartbeats of one node are all due, and would throw out
/// those of others, and what pays, for them.
pub trait Subject {
    /// Names the subject.
    fn subject(&self) -> Vec<u8>;
}

impl Subject for RuntimeCall {
    fn subject(&self) -> Vec<u8> {
        use pallet_compute::Call as Compute;
        use pallet_registry::Call as Registry;
        match self {
            Self::Registry(Registry::submit_node_metrics { node_id, .. }) => {
                ("heartbeat", node_id).encode()
            }
            Self::Registry(Registry::set_access { node_id, .. }) => ("access", node_id).encode(),
            Self::Compute(Compute::submit_compute_request_assignment {
                miner_node_id,
                request_id,
                ..
            }) => ("claim", miner_node_id, request_id).encode(),
            Self::Compute(Compute::update_miner_compute_request {
                node_id,
                request_id,
                generation,
                ..
            }) => ("start", node_id, request_id, generation).encode(),
            Self::Compute(
                Compute::mark_compute_request_fulfilled { node_id, request_id, generation, .. }
                | Compute::handle_miner_compute_request_failure {
                    node_id,
                    request_id,
                    generation,
                    ..
                }
                | Compute::submit_compute_boot_request_fulfillment {
                    node_id,
                    request_id,
                    generation,
                }
                | Compute::mark_miner_compute_stop_request_fulfilled {
                    node_id,
                    request_id,
                    generation,
                }
                | Compute::submit_compute_reboot_request_fulfillment {
                    node_id,
                    request_id,
                    generation,
                }
                | Compute::submit_compute_resize_request_fulfillment {
                    node_id,
                    request_id,
                    generation,
                }
                | Compute::submit_compute_deletion_request { node_id, request_id, generation }
                | Compute::report_operation_failure { node_id, request_id, generation, .. },
            ) => ("report", node_id, request_id, generation).encode(),
            other => other.encode(),
        }
    }
}

/// [`SkipCheckIfFeeless`] that also gives what it lets through for free its priority. As invisible from
/// outside as that one: a transaction looks as if there were only `S`, what charges the fee.
#[derive(Clone, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq)]
pub struct FeelessPriority<T, S>(SkipCheckIfFeeless<T, S>);

impl<T, S> From<S> for FeelessPriority<T, S> {
    fn from(charge: S) -> Self {
        Self(charge.into())
    }
}

impl<T, S: Encode> fmt::Debug for FeelessPriority<T, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<T, S: StaticTypeInfo> TypeInfo for FeelessPriority<T, S> {
    type Identity = S;

    fn type_info() -> scale_info::Type {
        S::type_info()
    }
}

impl<T, S> TransactionExtension<T::RuntimeCall> for FeelessPriority<T, S>
where
    T: pallet_skip_feeless_payment::Config + Send + Sync,
    T::RuntimeCall: CheckIfFeeless<Origin = OriginFor<T>> + Subject,
    S: TransactionExtension<T::RuntimeCall> + Tipped,
{
    type Implicit = S::Implicit;
    type Pre = <SkipCheckIfFeeless<T, S> as TransactionExtension<T::RuntimeCall>>::Pre;
    type Val = <SkipCheckIfFeeless<T, S> as TransactionExtension<T::RuntimeCall>>::Val;

    const IDENTIFIER: &'static str = S::IDENTIFIER;

    fn metadata() -> Vec<TransactionExtensionMetadata> {
        SkipCheckIfFeeless::<T, S>::metadata()
    }

    fn implicit(&self) -> Result<Self::Implicit, TransactionValidityError> {
        self.0.implicit()
    }

    fn weight(&self, call: &T::RuntimeCall) -> Weight {
        self.0.weight(call)
    }

    fn validate(
        &self,
        origin: DispatchOriginOf<T::RuntimeCall>,
        call: &T::RuntimeCall,
        info: &DispatchInfoOf<T::RuntimeCall>,
        len: usize,
        self_implicit: Self::Implicit,
        inherited_implication: &impl Implication,
        source: TransactionSource,
    ) -> ValidateResult<Self::Val, T::RuntimeCall> {
        let raised = self.0 .0.tipped().min(MOST_RAISED);
        let (mut validity, val, origin) = self.0.validate(
            origin,
            call,
            info,
            len,
            self_implicit,
            inherited_implication,
            source,
        )?;
        validity.priority = match val {
            // A call that is closed changes nothing, so that it would stay free, and first, for ever.
            Intermediate::Skip(_) if !T::BaseCallFilter::contains(call) => {
                return Err(InvalidTransaction::Call.into())
            }
            Intermediate::Skip(_) => {
                validity.provides.push(("feeless", call.subject()).encode());
                FEELESS_PRIORITY.saturating_add(raised)
            }
            Intermediate::Apply(_) => validity.priority.min(FEELESS_PRIORITY - 1),
        };
        Ok((validity, val, origin))
    }

    fn prepare(
        self,
        val: Self::Val,
        origin: &DispatchOriginOf<T::RuntimeCall>,
        call: &T::RuntimeCall,
        info: &DispatchInfoOf<T::RuntimeCall>,
        len: usize,
    ) -> Result<Self::Pre, TransactionValidityError> {
        self.0.prepare(val, origin, call, info, len)
    }

    fn post_dispatch_details(
        pre: Self::Pre,
        info: &DispatchInfoOf<T::RuntimeCall>,
        post_info: &PostDispatchInfoOf<T::RuntimeCall>,
        len: usize,
        result: &DispatchResult,
    ) -> Result<Weight, TransactionValidityError> {
        SkipCheckIfFeeless::<T, S>::post_dispatch_details(pre, info, post_info, len, result)
    }
}
