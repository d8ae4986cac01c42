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
    /// All that a tenant does with VMs, alone or in a batch. It spends: it rents, tops up and deletes.
    Compute,
    /// Boots, stops and reboots a tenant's VMs, alone or in a batch.
    ComputeOperator,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        match self {
            Self::Any => true,
            Self::NonTransfer => {
                matches!(call, RuntimeCall::System(_) | RuntimeCall::Session(_))
                    || keeps_a_node(call)
                    || operates(call)
                    || is_batch(call)
            }
            Self::Compute => is_tenants(call) || is_batch(call),
            Self::ComputeOperator => operates(call) || is_batch(call),
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::NonTransfer | Self::Compute, Self::ComputeOperator) => true,
            _ => self == other,
        }
    }
}

/// What starts and stops a VM.
fn operates(call: &RuntimeCall) -> bool {
    use pallet_compute::Call;
    matches!(
        call,
        RuntimeCall::Compute(
            Call::request_compute_boot { .. }
                | Call::request_compute_stop { .. }
                | Call::request_compute_reboot { .. }
        )
    )
}

/// What a tenant does, for money or not.
fn is_tenants(call: &RuntimeCall) -> bool {
    use pallet_compute::Call;
    let others = matches!(
        call,
        RuntimeCall::Compute(
            Call::create_compute_request { .. }
                | Call::cancel_compute_request { .. }
                | Call::submit_compute_request_assignment { .. }
                | Call::request_compute_resize { .. }
                | Call::request_compute_delete { .. }
                | Call::set_ssh_keys { .. }
                | Call::top_up { .. }
                | Call::evacuate { .. }
                | Call::settle { .. }
                | Call::expire { .. }
                | Call::claim_credit { .. }
        )
    );
    others || operates(call)
}

/// What a miner does with a node without moving its bond.
fn keeps_a_node(call: &RuntimeCall) -> bool {
    use pallet_registry::Call;
    matches!(
        call,
        RuntimeCall::Registry(
            Call::set_miner_accepting { .. } | Call::set_access { .. } | Call::set_worker { .. }
        )
    )
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
