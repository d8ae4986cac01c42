//! What an account can let another do in its name.

use crate::RuntimeCall;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::InstanceFilter;
use scale_info::TypeInfo;

/// How far a proxy may act. A filter holds for the calls inside a batch as well.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    TypeInfo,
)]
pub enum ProxyType {
    /// Everything.
    #[default]
    Any,
    /// What moves no funds: neither the account's own nor those of accounts that it acts for, so that
    /// sudo, multisig and proxy calls stay out.
    NonTransfer,
    /// A tenant's business: the calls of the compute pallet, alone or in a batch.
    Compute,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        match self {
            Self::Any => true,
            Self::NonTransfer => {
                matches!(call, RuntimeCall::System(_) | RuntimeCall::Session(_)) || is_batch(call)
            }
            Self::Compute => is_batch(call),
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        self == other || matches!(self, Self::Any)
    }
}

/// Batches pass the filter on to the calls inside.
fn is_batch(call: &RuntimeCall) -> bool {
    use pallet_utility::Call;
    matches!(
        call,
        RuntimeCall::Utility(
            Call::batch { .. } | Call::batch_all { .. } | Call::force_batch { .. }
        )
    )
}
