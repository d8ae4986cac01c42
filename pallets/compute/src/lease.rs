//! What a VM costs: settling, exhaustion, top-ups and the end.

use crate::{
    checks,
    placement::{price_with, Fit},
    Config, Error, Event, Leases, Pallet, Params,
};
use frame_support::{ensure, traits::Get};
use quarry_primitives::{
    ip::PoolId,
    market::{NodeRegistry, Speaker},
    node::{NodeId, NodeRecord},
    request::{
        ComputeRequest, ComputeRequestStatus, DeadlineKind, Lease, OperationKind, RequestId,
    },
    resources::Resources,
    AccountId, Balance, BlockNumber,
};
use sp_runtime::{DispatchError, DispatchResult};

/// The chain does not look at a lease again sooner. Rent stands still while a node is gone, so what should
/// be used up in a block may not be for long.
const LOOK_AGAIN: BlockNumber = 10;

/// As many blocks may be unpaid at the end of a lease: what a node served since its last report cannot be paid in
/// advance.
const UNPAID_AT_THE_END: BlockNumber = 10;

impl<T: Config> Pallet<T> {
    /// Fails with `ComputeRequestNotFound` or `LeaseClosed`.
    pub(crate) fn do_settle(request_id: RequestId) -> DispatchResult {
        let request = Self::request(request_id)?;
        Self::look_at_lease(request)
    }

    /// Settles, and does what the state of the lease then asks for: stops the VM when only the reserve is
    /// left, deletes it when nothing is, or when its miner's notice is over.
    pub(crate) fn look_at_lease(mut request: ComputeRequest) -> DispatchResult {
        let id = request.request_id;
        let mut lease = Leases::<T>::get(id).ok_or(Error::<T>::LeaseClosed)?;
        Self::settle_lease(&request, &mut lease);
        let charged = is_charged(&lease);
        let ended = lease.ends_at.is_some_and(|at| at <= Self::now());
        if ended || (charged && lease.held == 0) {
            Leases::<T>::insert(id, lease);
            // What the miner ends costs the tenant no more than what was served.
            return Self::order_deletion(request, !ended);
        }
        if charged && !lease.exhausted && lease.held <= Self::reserve(&lease) {
            Self::exhaust(&mut request, &mut lease)?;
            Self::store(&request);
        } else if lease.exhausted && Self::to_its_end(&lease).is_some_and(|all| lease.held >= all) {
            // Its node was gone for as long as it lacked.
            Self::revive(&mut request, &mut lease)?;
            Self::store(&request);
        }
        Self::store_lease(id, lease);
        Ok(())
    }

    /// Pays what the lease owes by now. The node's `served` counts no time in which it was gone.
    pub(crate) fn settle_lease(request: &ComputeRequest, lease: &mut Lease) {
        let Some((node, blocks)) = Self::owed_blocks(lease) else { return };
        if blocks > 0 {
            lease.mark = Some(node.served);
            Self::charge(request, lease, &node, blocks);
        }
    }

    /// Pays for so many blocks, or for as many as the hold covers.
    fn charge(request: &ComputeRequest, lease: &mut Lease, node: &NodeRecord, blocks: BlockNumber) {
        let Some(node_id) = lease.node.clone() else { return };
        let times = |price: Balance| price.saturating_mul(blocks.into());
        let due = times(lease.price).min(lease.held);
        let for_address = times(lease.ip_fee).min(due);
        let rent = due.saturating_sub(for_address);
        let share = T::TreasuryShare::get().mul_ceil(rent);
        let miner_share = rent.saturating_sub(share);
        let treasury_share = for_address.saturating_add(share);
        Self::pay(&request.owner, &T::Treasury::get(), treasury_share);
        Self::pay(&request.owner, &node.owner, miner_share);
        lease.held = lease.held.saturating_sub(due);
        lease.billed = lease.billed.saturating_add(blocks);
        Self::deposit_event(Event::LeaseSettled {
            node_id,
            request_id: request.request_id,
            owner: request.owner.clone(),
            blocks,
            miner_share,
            treasury_share,
        });
    }

    /// Settles a last time and frees the rest. `at_will`: the tenant or its empty hold ends it, so that the
    /// least rent is due where the node is there.
    pub(crate) fn close(request: &ComputeRequest, mut lease: Lease, at_will: bool) {
        let id = request.request_id;
        Self::settle_lease(request, &mut lease);
        let node = lease.node.as_ref().and_then(T::Registry::node);
        if let Some(node) = node.filter(|node| at_will && T::Registry::is_online(node)) {
            let missing = T::MinBilled::get().saturating_sub(lease.billed);
            if lease.mark.is_some() && missing > 0 {
                Self::charge(request, &mut lease, &node, missing);
            }
        }
        if let Some(at) = lease.check_at {
            Self::disarm(at, id, DeadlineKind::Lease);
        }
        Leases::<T>::remove(id);
        Self::pay(&request.owner, &request.owner, lease.held);
        let owner = request.owner.clone();
        Self::deposit_event(Event::LeaseClosed { request_id: id, owner, refunded: lease.held });
    }

    /// The VM runs for the first time on this node.
    pub(crate) fn start_rent(request_id: RequestId, node_id: &NodeId) -> DispatchResult {
        let node = T::Registry::node(node_id).ok_or(Error::<T>::NodeNotFound)?;
        let mut lease = Leases::<T>::get(request_id).ok_or(Error::<T>::LeaseClosed)?;
        lease.mark = Some(node.served);
        Self::store_lease(request_id, lease);
        Ok(())
    }

    /// The request has no node any more; its hold stays.
    pub(crate) fn unplace_lease(request_id: RequestId) {
        if let Some(lease) = Leases::<T>::get(request_id) {
            let held = lease.held;
            let check_at = lease.check_at;
            Self::store_lease(
                request_id,
                Lease { check_at, ..crate::requests::unplaced_lease(held) },
            );
        }
    }

    /// Only the reserve is left: the chain's own stop takes the place of whatever was asked.
    fn exhaust(request: &mut ComputeRequest, lease: &mut Lease) -> DispatchResult {
        lease.exhausted = true;
        lease.boot_on_top_up = match (request.status, request.pending_operation()) {
            (ComputeRequestStatus::Running, Some(OperationKind::Stop)) => false,
            (ComputeRequestStatus::Running, _) => true,
            (_, operation) => operation == Some(OperationKind::Boot),
        };
        Self::drop_operation(request)?;
        let node_id = Self::node_of(request).ok_or(Error::<T>::NotAssigned)?;
        if Self::is_running(request) {
            Self::enqueue(request, OperationKind::Stop, None)?;
        } else {
            T::Registry::touch(&node_id)?;
        }
        let (request_id, owner) = (request.request_id, request.owner.clone());
        Self::deposit_event(Event::LeaseExhausted { node_id, request_id, owner });
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound`, `LeaseClosed`, also where the hold is used up, `InvalidBlocks`,
    /// `PriceOverflow`, `PrepaidTooLong`, `LeaseIsEnding`, or as the currency does.
    pub(crate) fn do_top_up(
        owner: &AccountId,
        request_id: RequestId,
        blocks: BlockNumber,
    ) -> DispatchResult {
        ensure!(blocks > 0, Error::<T>::InvalidBlocks);
        let mut request = Self::request_of(owner, request_id)?;
        let mut lease = Leases::<T>::get(request_id).ok_or(Error::<T>::LeaseClosed)?;
        Self::settle_lease(&request, &mut lease);
        // What it owes beyond its hold would be forgiven.
        ensure!(lease.held > 0 || !is_charged(&lease), Error::<T>::LeaseClosed);
        let price = if lease.node.is_some() { lease.price } else { request.max_price };
        let amount = price.checked_mul(blocks.into()).ok_or(Error::<T>::PriceOverflow)?;
        let held = lease.held.checked_add(amount).ok_or(Error::<T>::PriceOverflow)?;
        Self::ensure_may_hold(&request, &lease, held)?;
        Self::hold_rent(owner, amount)?;
        lease.held = held;
        if lease.exhausted && held > Self::reserve(&lease) {
            Self::revive(&mut request, &mut lease)?;
            Self::store(&request);
        }
        Self::store_lease(request_id, lease);
        let owner = owner.clone();
        Self::deposit_event(Event::LeaseToppedUp { request_id, owner, amount, held });
        Ok(())
    }

    fn ensure_may_hold(
        request: &ComputeRequest,
        lease: &Lease,
        held: Balance,
    ) -> Result<(), Error<T>> {
        let most = request.max_price.saturating_mul(Params::<T>::get().max_prepaid.into());
        ensure!(held <= most, Error::<T>::PrepaidTooLong);
        let payable = Self::to_its_end(lease).is_none_or(|all| held <= all);
        ensure!(payable, Error::<T>::LeaseIsEnding);
        Ok(())
    }

    /// What a lease whose miner gave notice costs from now to its end.
    fn to_its_end(lease: &Lease) -> Option<Balance> {
        let left = lease.ends_at?.saturating_sub(Self::now());
        Some(lease.price.saturating_mul(left.into()))
    }

    /// What its tenant stops is not started by a top-up.
    pub(crate) fn leave_stopped(request_id: RequestId) {
        if let Some(lease) = Leases::<T>::get(request_id).filter(|lease| lease.boot_on_top_up) {
            Leases::<T>::insert(request_id, Lease { boot_on_top_up: false, ..lease });
        }
    }

    /// Takes back the chain's stop, or starts a VM that it stopped.
    fn revive(request: &mut ComputeRequest, lease: &mut Lease) -> DispatchResult {
        lease.exhausted = false;
        if !core::mem::take(&mut lease.boot_on_top_up) {
            return Ok(());
        }
        let node_id = Self::node_of(request).ok_or(Error::<T>::NotAssigned)?;
        match (request.status, request.pending_operation()) {
            (ComputeRequestStatus::Running, Some(OperationKind::Stop)) => {
                Self::drop_operation(request)?;
                T::Registry::touch(&node_id)
            }
            (ComputeRequestStatus::Stopped, None) => {
                Self::enqueue(request, OperationKind::Boot, None)
            }
            _ => Ok(()),
        }
    }

    /// Fails with `ComputeRequestNotFound`, `NotAssigned`, `InvalidSignature`, `LeaseClosed`, or with
    /// `LeaseIsEnding` where the miner gave notice already.
    pub(crate) fn do_end_lease(miner: &AccountId, request_id: RequestId) -> DispatchResult {
        let request = Self::request(request_id)?;
        let node_id = Self::node_of(&request).ok_or(Error::<T>::NotAssigned)?;
        let node = T::Registry::node(&node_id).ok_or(Error::<T>::NodeNotFound)?;
        let speaker = T::Registry::speaker(&node, miner);
        ensure!(speaker == Some(Speaker::Miner), Error::<T>::InvalidSignature);
        let mut lease = Leases::<T>::get(request_id).ok_or(Error::<T>::LeaseClosed)?;
        ensure!(lease.ends_at.is_none(), Error::<T>::LeaseIsEnding);
        Self::settle_lease(&request, &mut lease);
        let at = Self::after(Params::<T>::get().notice_period);
        lease.ends_at = Some(at);
        Self::store_lease(request_id, lease);
        let owner = request.owner;
        Self::deposit_event(Event::LeaseEnding { node_id, request_id, owner, at });
        Ok(())
    }

    /// Fails with `PriceAboveMax`, or with `LeaseTooShort` where a VM of that size would soon be exhausted.
    pub(crate) fn ensure_affordable(
        request: &ComputeRequest,
        size: &Resources,
    ) -> Result<(), Error<T>> {
        let lease = Leases::<T>::get(request.request_id).ok_or(Error::<T>::LeaseClosed)?;
        let price = Self::price_at(&lease, &request.resources, size)?;
        ensure!(price <= request.max_price, Error::<T>::PriceAboveMax);
        let least = checks::least_prepaid(&Params::<T>::get());
        let least = price.saturating_mul(least.into());
        ensure!(Self::left(&lease) >= least, Error::<T>::LeaseTooShort);
        Ok(())
    }

    /// What is left of the hold without what the lease owes by now.
    fn left(lease: &Lease) -> Balance {
        let blocks = Self::owed_blocks(lease).map_or(0, |(_, blocks)| blocks);
        lease.held.saturating_sub(lease.price.saturating_mul(blocks.into()))
    }

    /// The node of a lease whose rent runs, and the blocks that it served and was not paid for.
    fn owed_blocks(lease: &Lease) -> Option<(NodeRecord, BlockNumber)> {
        let mark = lease.mark?;
        let node = T::Registry::node(lease.node.as_ref()?)?;
        let blocks = node.served.saturating_sub(mark);
        Some((node, blocks))
    }

    /// Settles at the old price, and charges that of the new size from now on.
    pub(crate) fn reprice(request: &ComputeRequest, size: &Resources) -> DispatchResult {
        let id = request.request_id;
        let mut lease = Leases::<T>::get(id).ok_or(Error::<T>::LeaseClosed)?;
        Self::settle_lease(request, &mut lease);
        lease.price = Self::price_at(&lease, &request.resources, size)?;
        Self::store_lease(id, lease);
        Ok(())
    }

    /// The price of another size; what an address costs stays.
    fn price_at(lease: &Lease, old: &Resources, new: &Resources) -> Result<Balance, Error<T>> {
        let rates = lease.rates.unwrap_or_default();
        let both = rates.price(old).zip(rates.price(new));
        let (old, new) = both.ok_or(Error::<T>::PriceOverflow)?;
        let rest = lease.price.saturating_sub(old);
        new.checked_add(rest).ok_or(Error::<T>::PriceOverflow)
    }

    /// What pays for the grace period, or for what is left of it before the lease ends.
    pub(crate) fn reserve(lease: &Lease) -> Balance {
        let left = lease.ends_at.map_or(BlockNumber::MAX, |at| at.saturating_sub(Self::now()));
        let grace = Params::<T>::get().grace_period;
        let blocks = grace.min(left.saturating_sub(UNPAID_AT_THE_END));
        lease.price.saturating_mul(blocks.into())
    }

    /// What the hold may fall to before the chain has to look. Towards the end the reserve falls with the hold, which
    /// stays above it if that is so without what the node served and has not told yet.
    fn floor(lease: &Lease) -> Balance {
        if lease.exhausted {
            return 0;
        }
        let reserve = Self::reserve(lease);
        let whole = lease.price.saturating_mul(Params::<T>::get().grace_period.into());
        let untold = lease.price.saturating_mul(T::Registry::offline_after().into());
        let falls = reserve < whole && lease.held > reserve.saturating_add(untold);
        if falls {
            0
        } else {
            reserve
        }
    }

    /// Stores a lease, and has the chain look at it when it may be used up or is ended.
    pub(crate) fn store_lease(request_id: RequestId, mut lease: Lease) {
        let next = Self::next_look(&lease);
        if next != lease.check_at {
            if let Some(at) = lease.check_at {
                Self::disarm(at, request_id, DeadlineKind::Lease);
            }
            if let Some(at) = next {
                Self::arm(at, request_id, DeadlineKind::Lease);
            }
            lease.check_at = next;
        }
        Leases::<T>::insert(request_id, lease);
    }

    fn next_look(lease: &Lease) -> Option<BlockNumber> {
        let used_up = Some(lease).filter(|lease| is_charged(lease)).map(|lease| {
            let blocks = lease.held.saturating_sub(Self::floor(lease)).div_ceil(lease.price);
            let blocks = BlockNumber::try_from(blocks).unwrap_or(BlockNumber::MAX);
            let at = Self::after(blocks.max(LOOK_AGAIN));
            // A look that is near is not put off, or small top-ups would put it off for ever.
            lease.check_at.filter(|_| blocks < LOOK_AGAIN).map_or(at, |armed| armed.min(at))
        });
        let ends = lease.ends_at.map(|at| at.max(Self::after(1)));
        used_up.into_iter().chain(ends).min()
    }

    /// The live block that is `wait` later; at least the next, whose deadlines are still to come.
    pub(crate) fn after(wait: BlockNumber) -> BlockNumber {
        Self::now().saturating_add(wait.max(1))
    }

    pub(crate) fn deposit_expired(request: &ComputeRequest, kind: DeadlineKind) {
        Self::deposit_event(Event::DeadlineExpired {
            node_id: Self::node_of(request),
            request_id: request.request_id,
            owner: request.owner.clone(),
            kind,
        });
    }

    /// Charges for an address of this pool from now on, or for none, at the rates that the lease has fixed.
    pub(crate) fn set_address_price(
        request: &ComputeRequest,
        pool: Option<PoolId>,
    ) -> Result<(), DispatchError> {
        let id = request.request_id;
        let mut lease = Leases::<T>::get(id).ok_or(Error::<T>::LeaseClosed)?;
        Self::settle_lease(request, &mut lease);
        let rates = lease.rates.unwrap_or_default();
        let global_price = Params::<T>::get().global_ip_price;
        let fit = price_with(&rates, &request.resources, pool, global_price);
        let Fit { price, ip_fee, .. } = fit.ok_or(Error::<T>::PriceOverflow)?;
        ensure!(price <= request.max_price, Error::<T>::PriceAboveMax);
        lease.price = price;
        lease.ip_fee = ip_fee;
        Self::store_lease(id, lease);
        Ok(())
    }
}

/// Whether rent runs.
fn is_charged(lease: &Lease) -> bool {
    lease.mark.is_some() && lease.price > 0
}
