//! The miners' funds behind their nodes.

use crate::{Config, Error, Event, HoldReason, Nodes, Pallet};
use core::cmp::Ordering;
use frame_support::{
    storage::with_storage_layer,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
        Get,
    },
};
use quarry_primitives::{
    node::{NodeId, NodeRecord},
    resources::Resources,
    AccountId, Balance,
};
use sp_runtime::{DispatchError, DispatchResult};

const MIB_PER_GIB: u32 = 1024;

impl<T: Config> Pallet<T> {
    /// What a node of this capacity has on hold; `None` where no balance holds it.
    pub fn bond_for(capacity: &Resources) -> Option<Balance> {
        let memory_gib = capacity.memory_mib.div_ceil(MIB_PER_GIB);
        let vcpus = T::BondPerVcpu::get().checked_mul(capacity.vcpus.into())?;
        let memory = T::BondPerGibMemory::get().checked_mul(memory_gib.into())?;
        let disk = T::BondPerGibDisk::get().checked_mul(capacity.disk_gib.into())?;
        T::BondBase::get().checked_add(vcpus)?.checked_add(memory)?.checked_add(disk)
    }

    /// Holds or releases until the bond is what the capacity asks for, which also makes up for what was
    /// taken of it. Fails with `BondOverflow`, or when the miner's funds do not reach.
    pub(crate) fn adjust_bond(node: &mut NodeRecord) -> DispatchResult {
        let need = Self::bond_for(&node.offer.capacity).ok_or(Error::<T>::BondOverflow)?;
        match need.cmp(&node.bond) {
            Ordering::Greater => {
                let missing = need.saturating_sub(node.bond);
                T::Currency::hold(&HoldReason::NodeBond.into(), &node.owner, missing)?;
            }
            Ordering::Less => Self::release_bond(&node.owner, node.bond.saturating_sub(need))?,
            Ordering::Equal => (),
        }
        node.bond = need;
        Ok(())
    }

    pub(crate) fn release_bond(owner: &AccountId, amount: Balance) -> DispatchResult {
        T::Currency::release(&HoldReason::NodeBond.into(), owner, amount, Precision::Exact)?;
        Ok(())
    }

    /// Takes up to `amount` of the node's bond for the treasury, and says how much. What cannot be
    /// taken is not: a VM that failed must not stay because a payment did.
    pub(crate) fn take_from_bond(node_id: &NodeId, amount: Balance) -> Balance {
        let Some(mut node) = Nodes::<T>::get(node_id) else { return 0 };
        let amount = amount.min(node.bond);
        if amount == 0 {
            return 0;
        }
        let taken = with_storage_layer(|| pay_treasury::<T>(&node.owner, amount)).unwrap_or(0);
        if taken > 0 {
            node.bond = node.bond.saturating_sub(taken);
            Nodes::<T>::insert(node_id, &node);
            let (node_id, owner) = (node_id.clone(), node.owner);
            Self::deposit_event(Event::BondSlashed { node_id, owner, amount: taken });
        }
        taken
    }
}

fn pay_treasury<T: Config>(owner: &AccountId, amount: Balance) -> Result<Balance, DispatchError> {
    T::Currency::transfer_on_hold(
        &HoldReason::NodeBond.into(),
        owner,
        &T::Treasury::get(),
        amount,
        Precision::BestEffort,
        Restriction::Free,
        Fortitude::Force,
    )
}
