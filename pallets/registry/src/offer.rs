//! What a node has and asks.

use crate::{Config, Error, Event, Pallet};
use frame_support::ensure;
use quarry_primitives::{
    node::{NodeId, NodeRecord, Offer},
    AccountId,
};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T> {
    /// Fails as [`change_own_node`](Self::change_own_node) and as the checks of the offer do, or when
    /// the miner's funds do not reach for the bond.
    pub(crate) fn do_update_offer(
        miner: &AccountId,
        node_id: NodeId,
        offer: Offer,
    ) -> DispatchResult {
        Self::ensure_sound_offer(&offer)?;
        let bond = Self::change_own_node(miner, &node_id, |node| {
            Self::ensure_covers_vms(&offer, node)?;
            if offer.rates.raised_from(&node.offer.rates) {
                node.rates_raised_at = Some(Self::now());
            }
            node.offer = offer;
            Self::adjust_bond(node)?;
            Ok(node.bond)
        })?;
        Self::deposit_event(Event::OfferUpdated { node_id, owner: miner.clone(), bond });
        Ok(())
    }

    /// Fails as [`change_own_node`](Self::change_own_node).
    pub(crate) fn do_set_miner_accepting(
        miner: &AccountId,
        node_id: NodeId,
        accepting: bool,
    ) -> DispatchResult {
        Self::change_own_node(miner, &node_id, |node| {
            node.miner_accepting = accepting;
            Ok(())
        })?;
        let owner = miner.clone();
        Self::deposit_event(Event::MinerAcceptingSet { node_id, owner, accepting });
        Ok(())
    }

    /// Fails with `InvalidCapacity`, `InvalidCountry`, `InvalidMaxVms` or `RatesOverflow`.
    pub(crate) fn ensure_sound_offer(offer: &Offer) -> Result<(), Error<T>> {
        ensure!(offer.capacity.is_sound(), Error::InvalidCapacity);
        ensure!(offer.country.is_sound(), Error::InvalidCountry);
        ensure!(offer.max_vms > 0, Error::InvalidMaxVms);
        let whole = offer.rates.price(&offer.capacity);
        let with_address = whole.and_then(|price| price.checked_add(offer.rates.ip));
        ensure!(with_address.is_some(), Error::RatesOverflow);
        Ok(())
    }

    /// Fails with `CapacityBelowReserved` or `MaxVmsBelowCount`.
    fn ensure_covers_vms(offer: &Offer, node: &NodeRecord) -> Result<(), Error<T>> {
        ensure!(node.reserved.fits(&offer.capacity), Error::CapacityBelowReserved);
        ensure!(node.vms <= offer.max_vms, Error::MaxVmsBelowCount);
        Ok(())
    }
}
