//! Pools of addresses.
//!
//! A pool's free addresses are numbered without a gap: the last is taken first, and one that is taken from
//! the middle gives its number to the last. Addresses that come back rest in one queue in the order in which
//! they came, and leave it when they are asked for. So each step costs the same however large a pool is.

use crate::{
    Config, Error, Event, FreeIps, IpOf, IpPools, IpTickets, Ips, Pallet, Params, QuarantinedIps,
};
use codec::MaxEncodedLen;
use frame_support::{
    ensure,
    traits::{Consideration, EnsureOrigin, Footprint},
};
use frame_system::ensure_signed;
use quarry_primitives::{
    ip::{IpAddress, IpNetwork, IpPool, IpState, PoolId},
    market::{NodeRegistry, Speaker, Tenancy},
    node::{NodeId, NodeRecord},
    request::{ComputeRequest, ComputeRequestStatus, IpWish, RequestId},
    AccountId, BlockNumber,
};
use sp_runtime::{traits::BadOrigin, DispatchError, DispatchResult};

/// The most addresses that one call adds or removes.
pub(crate) const MOST_IPS: u32 = 256;
/// How many rested addresses a taking frees beside: more than one, so that they do not pile up.
const FREED_AT_ONCE: u32 = 2;

/// Who keeps a VM's address.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Keeper {
    Admin,
    Miner,
}

impl<T: Config> Pallet<T> {
    /// Fails with `BadOrigin`, `NodeNotFound`, `NodeLeaving` or `InvalidSignature`.
    pub(crate) fn ensure_pool_keeper(
        origin: T::RuntimeOrigin,
        pool: &PoolId,
    ) -> Result<(), DispatchError> {
        let PoolId::Node(node_id) = pool else {
            T::AdminOrigin::ensure_origin(origin)?;
            return Ok(());
        };
        let who = ensure_signed(origin)?;
        let node = T::Registry::node(node_id).ok_or(Error::<T>::NodeNotFound)?;
        ensure!(node.leaves_at.is_none(), Error::<T>::NodeLeaving);
        let speaker = T::Registry::speaker(&node, &who);
        ensure!(speaker == Some(Speaker::Miner), Error::<T>::InvalidSignature);
        Ok(())
    }

    /// Fails with `InvalidPrefixLength`, `InvalidGateway`, `InvalidDns` or `IpPoolInUse`.
    pub(crate) fn do_set_ip_pool(pool: PoolId, network: IpNetwork) -> DispatchResult {
        let IpNetwork { prefix_len, gateway, dns } = network;
        let sound = (1..=gateway.bits()).contains(&prefix_len);
        ensure!(sound, Error::<T>::InvalidPrefixLength);
        let sound = gateway.is_sound() && !gateway.is_edge_of(prefix_len);
        ensure!(sound, Error::<T>::InvalidGateway);
        ensure!(dns.is_sound(), Error::<T>::InvalidDns);
        let old = IpPools::<T>::get(&pool);
        if let Some(old) = old.filter(|old| old.total > 0) {
            let same = old.network.prefix_len == prefix_len && old.network.gateway == gateway;
            ensure!(same, Error::<T>::IpPoolInUse);
        }
        let state = old.map_or(
            IpPool { network, total: 0, free: 0, quarantine_first: 0, quarantine_next: 0 },
            |old| IpPool { network, ..old },
        );
        IpPools::<T>::insert(&pool, state);
        Self::deposit_event(Event::IpPoolSet { pool, network });
        Ok(())
    }

    /// Fails with `InvalidIpCount`, `IpPoolNotFound`, `InvalidIp`, `IpAlreadyExists`, or as the currency
    /// does where the deposit is not there.
    pub(crate) fn do_add_ips(pool: PoolId, first: IpAddress, count: u32) -> DispatchResult {
        ensure!((1..=MOST_IPS).contains(&count), Error::<T>::InvalidIpCount);
        let mut state = IpPools::<T>::get(&pool).ok_or(Error::<T>::IpPoolNotFound)?;
        for step in 0..count {
            let ip = first.checked_add(step).ok_or(Error::<T>::InvalidIp)?;
            ensure!(has_room_for(&state.network, &ip), Error::<T>::InvalidIp);
            ensure!(!Ips::<T>::contains_key(&pool, ip), Error::<T>::IpAlreadyExists);
            Self::put_free(&pool, &mut state, ip);
        }
        state.total = state.total.checked_add(count).ok_or(Error::<T>::InvalidIpCount)?;
        Self::hold_deposit_for_ips(&pool, state.total)?;
        IpPools::<T>::insert(&pool, state);
        Self::deposit_event(Event::IpAdded { pool, first, count });
        Ok(())
    }

    /// Fails with `InvalidIpCount`, `IpPoolNotFound`, `IpNotFound`, `IpInUse` or `IpQuarantined`.
    pub(crate) fn do_remove_ips(pool: PoolId, first: IpAddress, count: u32) -> DispatchResult {
        ensure!((1..=MOST_IPS).contains(&count), Error::<T>::InvalidIpCount);
        let mut state = IpPools::<T>::get(&pool).ok_or(Error::<T>::IpPoolNotFound)?;
        Self::free_rested(&pool, &mut state, count);
        for step in 0..count {
            let ip = first.checked_add(step).ok_or(Error::<T>::IpNotFound)?;
            Self::take_free(&pool, &mut state, ip)?;
            Ips::<T>::remove(&pool, ip);
        }
        state.total = state.total.saturating_sub(count);
        Self::hold_deposit_for_ips(&pool, state.total)?;
        IpPools::<T>::insert(&pool, state);
        Self::deposit_event(Event::IpRemoved { pool, first, count });
        Ok(())
    }

    /// A miner's deposit for the addresses of its node; the global pool is the chain's own.
    fn hold_deposit_for_ips(pool: &PoolId, total: u32) -> DispatchResult {
        let PoolId::Node(node_id) = pool else { return Ok(()) };
        let footprint = Self::ips_footprint(total);
        match (IpTickets::<T>::take(node_id), total) {
            (Some((owner, ticket)), 0) => ticket.drop(&owner)?,
            (Some((owner, ticket)), _) => {
                let ticket = ticket.update(&owner, footprint)?;
                IpTickets::<T>::insert(node_id, (owner, ticket));
            }
            (None, 0) => {}
            (None, _) => {
                let node = T::Registry::node(node_id).ok_or(Error::<T>::NodeNotFound)?;
                let ticket = T::Consideration::new(&node.owner, footprint)?;
                IpTickets::<T>::insert(node_id, (node.owner, ticket));
            }
        }
        Ok(())
    }

    /// The room that so many addresses of a node take: each in the pool, and in one of its lists.
    pub(crate) fn ips_footprint(total: u32) -> Footprint {
        let bytes = IpState::max_encoded_len()
            .saturating_add(IpAddress::max_encoded_len().saturating_mul(2))
            .saturating_add(PoolId::max_encoded_len());
        Footprint::from_parts(total as usize, bytes.saturating_mul(total as usize))
    }

    /// Gives a request the next free address. Fails with `NoAvailableIp` or `VmAlreadyHasIp`.
    pub(crate) fn take_ip(
        request: &ComputeRequest,
        node_id: &NodeId,
        pool: PoolId,
    ) -> Result<IpAddress, Error<T>> {
        let mut state = IpPools::<T>::get(&pool).ok_or(Error::<T>::NoAvailableIp)?;
        Self::free_rested(&pool, &mut state, FREED_AT_ONCE);
        let last = state.free.checked_sub(1).ok_or(Error::<T>::NoAvailableIp)?;
        let ip = FreeIps::<T>::get(&pool, last).ok_or(Error::<T>::NoAvailableIp)?;
        Self::hold_ip(request, node_id, pool, &mut state, ip)?;
        Ok(ip)
    }

    fn hold_ip(
        request: &ComputeRequest,
        node_id: &NodeId,
        pool: PoolId,
        state: &mut IpPool,
        ip: IpAddress,
    ) -> Result<(), Error<T>> {
        let request_id = request.request_id;
        ensure!(!IpOf::<T>::contains_key(request_id), Error::<T>::VmAlreadyHasIp);
        Self::take_free(&pool, state, ip)?;
        Ips::<T>::insert(&pool, ip, IpState::Held(request_id));
        IpOf::<T>::insert(request_id, (&pool, ip));
        IpPools::<T>::insert(&pool, *state);
        let (node_id, owner) = (node_id.clone(), request.owner.clone());
        Self::deposit_event(Event::IpAssigned { node_id, request_id, owner, pool, ip });
        Ok(())
    }

    /// Lets a request's address rest. It asks nothing of the node, which may be gone.
    pub(crate) fn return_ip(request: &ComputeRequest, quarantine: BlockNumber) {
        let request_id = request.request_id;
        let Some((pool, ip)) = IpOf::<T>::take(request_id) else { return };
        let until = Self::now().saturating_add(quarantine);
        Ips::<T>::insert(&pool, ip, IpState::Quarantined(until));
        IpPools::<T>::mutate_extant(&pool, |state| {
            QuarantinedIps::<T>::insert(&pool, state.quarantine_next, ip);
            state.quarantine_next = state.quarantine_next.saturating_add(1);
        });
        let owner = request.owner.clone();
        Self::deposit_event(Event::IpReturned { request_id, owner, pool, ip, until });
    }

    /// The address at the head of the quarantine, if it has rested.
    pub(crate) fn first_rested(pool: &PoolId, state: &IpPool) -> Option<IpAddress> {
        let ip = QuarantinedIps::<T>::get(pool, state.quarantine_first)?;
        match Ips::<T>::get(pool, ip)? {
            IpState::Quarantined(until) if until <= Self::now() => Some(ip),
            _ => None,
        }
    }

    fn free_rested(pool: &PoolId, state: &mut IpPool, most: u32) {
        for _ in 0..most {
            let Some(ip) = Self::first_rested(pool, state) else { return };
            QuarantinedIps::<T>::remove(pool, state.quarantine_first);
            state.quarantine_first = state.quarantine_first.saturating_add(1);
            Self::put_free(pool, state, ip);
        }
    }

    fn put_free(pool: &PoolId, state: &mut IpPool, ip: IpAddress) {
        FreeIps::<T>::insert(pool, state.free, ip);
        Ips::<T>::insert(pool, ip, IpState::Free(state.free));
        state.free = state.free.saturating_add(1);
    }

    /// Takes an address from the free ones; its state is the caller's. Fails with `IpNotFound`, `IpInUse`
    /// or `IpQuarantined`.
    fn take_free(pool: &PoolId, state: &mut IpPool, ip: IpAddress) -> Result<(), Error<T>> {
        let index = match Ips::<T>::get(pool, ip).ok_or(Error::<T>::IpNotFound)? {
            IpState::Free(index) => index,
            IpState::Held(_) => return Err(Error::<T>::IpInUse),
            IpState::Quarantined(_) => return Err(Error::<T>::IpQuarantined),
        };
        let last = state.free.saturating_sub(1);
        if let Some(moved) = FreeIps::<T>::take(pool, last).filter(|_| index != last) {
            FreeIps::<T>::insert(pool, index, moved);
            Ips::<T>::insert(pool, moved, IpState::Free(index));
        }
        state.free = last;
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound`, `NotStopped`, `OperationPending`, `VmAlreadyHasIp`,
    /// `InvalidSignature`, `IpNotFound`, `IpInUse`, `IpQuarantined`, `NoAvailableIp` where the node does
    /// not route the global pool, or `PriceAboveMax`.
    pub(crate) fn do_assign_ip(
        origin: T::RuntimeOrigin,
        request_id: RequestId,
        ip: IpAddress,
    ) -> DispatchResult {
        let request = Self::request(request_id)?;
        let (node_id, node, keeper) = Self::ensure_ip_can_change(origin, &request)?;
        ensure!(!IpOf::<T>::contains_key(request_id), Error::<T>::VmAlreadyHasIp);
        let pool = Self::pool_with(&node_id, &node, keeper, &ip)?;
        let mut state = IpPools::<T>::get(&pool).ok_or(Error::<T>::IpPoolNotFound)?;
        Self::free_rested(&pool, &mut state, FREED_AT_ONCE);
        Self::hold_ip(&request, &node_id, pool.clone(), &mut state, ip)?;
        // Whoever did not ask for an address does not pay for one.
        if request.ip != IpWish::None {
            Self::set_address_price(&request, Some(pool))?;
        }
        Self::note_ip(&node_id, request_id, Some(ip))
    }

    /// Fails with `ComputeRequestNotFound`, `NotStopped`, `OperationPending`, `VmHasNoIp` or
    /// `InvalidSignature`.
    pub(crate) fn do_release_ip(origin: T::RuntimeOrigin, request_id: RequestId) -> DispatchResult {
        let request = Self::request(request_id)?;
        let (node_id, _, keeper) = Self::ensure_ip_can_change(origin, &request)?;
        let (pool, _) = IpOf::<T>::get(request_id).ok_or(Error::<T>::VmHasNoIp)?;
        let may = keeper == Keeper::Admin || pool == PoolId::Node(node_id.clone());
        ensure!(may, Error::<T>::InvalidSignature);
        Self::return_ip(&request, Params::<T>::get().ip_quarantine);
        Self::set_address_price(&request, None)?;
        Self::note_ip(&node_id, request_id, None)
    }

    fn note_ip(node_id: &NodeId, request_id: RequestId, ip: Option<IpAddress>) -> DispatchResult {
        Self::change_assignment(node_id, request_id, |entry| {
            entry.ip_assigned = ip;
        });
        T::Registry::touch(node_id)
    }

    fn ensure_ip_can_change(
        origin: T::RuntimeOrigin,
        request: &ComputeRequest,
    ) -> Result<(NodeId, NodeRecord, Keeper), DispatchError> {
        let node_id = Self::node_of(request).ok_or(Error::<T>::NotStopped)?;
        let node = T::Registry::node(&node_id).ok_or(Error::<T>::NodeNotFound)?;
        let keeper = Self::keeper(origin, &node)?;
        let stopped = request.status == ComputeRequestStatus::Stopped;
        ensure!(stopped, Error::<T>::NotStopped);
        ensure!(request.operation.is_none(), Error::<T>::OperationPending);
        Ok((node_id, node, keeper))
    }

    fn keeper(origin: T::RuntimeOrigin, node: &NodeRecord) -> Result<Keeper, DispatchError> {
        if T::AdminOrigin::ensure_origin(origin.clone()).is_ok() {
            return Ok(Keeper::Admin);
        }
        let who: AccountId = ensure_signed(origin).map_err(|_| BadOrigin)?;
        let speaker = T::Registry::speaker(node, &who);
        ensure!(speaker == Some(Speaker::Miner), Error::<T>::InvalidSignature);
        Ok(Keeper::Miner)
    }

    /// The pool of this node that has the address.
    fn pool_with(
        node_id: &NodeId,
        node: &NodeRecord,
        keeper: Keeper,
        ip: &IpAddress,
    ) -> Result<PoolId, Error<T>> {
        let own = PoolId::Node(node_id.clone());
        if Ips::<T>::contains_key(&own, ip) {
            return Ok(own);
        }
        let global = keeper == Keeper::Admin && Ips::<T>::contains_key(PoolId::Global, ip);
        ensure!(global, Error::<T>::IpNotFound);
        ensure!(node.offer.global_ips, Error::<T>::NoAvailableIp);
        Ok(PoolId::Global)
    }
}

impl<T: Config> Tenancy for Pallet<T> {
    fn pool_is_empty(node_id: &NodeId) -> bool {
        IpPools::<T>::get(PoolId::Node(node_id.clone())).is_none_or(|pool| pool.total == 0)
    }

    fn forget_pool(node_id: &NodeId) {
        IpPools::<T>::remove(PoolId::Node(node_id.clone()));
    }
}

/// Whether the address is one that a guest in that network can have.
fn has_room_for(network: &IpNetwork, ip: &IpAddress) -> bool {
    ip.is_sound()
        && ip.shares_prefix(&network.gateway, network.prefix_len)
        && !ip.is_edge_of(network.prefix_len)
        && *ip != network.gateway
        && *ip != network.dns
}
