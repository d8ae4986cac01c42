//! Which node a request goes to, and what it takes and gives back there.

use crate::{
    Claims, Config, Error, Event, IpPools, Leases, MinerComputeRequests, Pallet, Params,
    PendingRequests,
};
use frame_support::ensure;
use quarry_primitives::{
    api::Unfit,
    ip::PoolId,
    market::{NodeRegistry, Outcome, Speaker},
    node::{Country, NodeId, NodeRecord},
    request::{
        ComputeRequest, ComputeRequestStatus, IpWish, MinerComputeRequest, OperationKind, PlanId,
        RequestId,
    },
    resources::{Rates, Resources},
    AccountId, Balance, BlockNumber,
};
use sp_runtime::DispatchResult;

/// What a node must have to take a VM.
pub struct Wanted<'a> {
    /// Room for this.
    pub resources: &'a Resources,
    /// In this country.
    pub country: Option<Country>,
    /// At this price or less.
    pub max_price: Option<Balance>,
    /// With an address.
    pub ip: IpWish,
    /// It must be this one, and have been there by then: a name that is free again is anyone's.
    pub named: Option<(&'a NodeId, BlockNumber)>,
    /// It must be none of these miners'.
    pub excluded: &'a [AccountId],
}

/// What a VM costs on a node that takes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fit {
    /// Per live block, all in all.
    pub price: Balance,
    /// What of that is for an address of the global pool.
    pub ip_fee: Balance,
    /// Where its address comes from.
    pub pool: Option<PoolId>,
}

/// A claim or an assignment that would succeed.
pub struct Assignable {
    request: ComputeRequest,
    node: NodeRecord,
    fit: Fit,
    claimed: bool,
    speaker: Option<Speaker>,
}

impl<'a> Wanted<'a> {
    /// What the request asks of a node.
    pub fn by(request: &'a ComputeRequest) -> Self {
        Self {
            resources: &request.resources,
            country: request.country,
            max_price: Some(request.max_price),
            ip: request.ip,
            named: request.miner_id.as_ref().map(|named| (named, request.created_at)),
            excluded: &request.excluded,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// What the request would cost on the node, or the first reason against it.
    pub(crate) fn fit(
        request: &ComputeRequest,
        node_id: &NodeId,
        node: &NodeRecord,
    ) -> Result<Fit, Unfit> {
        Self::fit_wanted(&Wanted::by(request), node_id, node)
    }

    pub(crate) fn fit_wanted(
        wanted: &Wanted<'_>,
        node_id: &NodeId,
        node: &NodeRecord,
    ) -> Result<Fit, Unfit> {
        let unless = |bad: bool, unfit: Unfit| if bad { Err(unfit) } else { Ok(()) };
        let another = |(named, at)| named != node_id || node.registered_at > at;
        unless(wanted.named.is_some_and(another), Unfit::OtherNodeNamed)?;
        Self::takes_vms(node)?;
        let elsewhere = wanted.country.is_some_and(|country| country != node.offer.country);
        unless(elsewhere, Unfit::WrongCountry)?;
        unless(wanted.excluded.contains(&node.owner), Unfit::Excluded)?;
        unless(!wanted.resources.fits(&node.room()), Unfit::TooLarge)?;
        unless(node.vms >= node.offer.max_vms, Unfit::TooManyVms)?;
        Self::priced(wanted, node_id, node)
    }

    /// Whether a node takes new VMs at all.
    pub(crate) fn takes_vms(node: &NodeRecord) -> Result<(), Unfit> {
        if node.leaves_at.is_some() {
            Err(Unfit::Leaving)
        } else if !T::Registry::is_online(node) {
            Err(Unfit::Offline)
        } else if !(node.miner_accepting && node.worker_accepting) {
            Err(Unfit::NotAccepting)
        } else if !T::Registry::bond_suffices(node) {
            Err(Unfit::BondTooSmall)
        } else {
            Ok(())
        }
    }

    /// What it would cost on the node, were there room for it.
    pub(crate) fn priced(
        wanted: &Wanted<'_>,
        node_id: &NodeId,
        node: &NodeRecord,
    ) -> Result<Fit, Unfit> {
        let rates = &node.offer.rates;
        let within = |fit: &Fit| wanted.max_price.is_none_or(|max| fit.price <= max);
        let bare = price_with(rates, wanted.resources, None, 0).filter(within);
        let bare = bare.ok_or(Unfit::TooDear)?;
        if wanted.ip == IpWish::None {
            return Ok(bare);
        }
        let with_address = match Self::pool_for(node_id, node) {
            Some(pool) => {
                let global_price = Params::<T>::get().global_ip_price;
                price_with(rates, wanted.resources, Some(pool), global_price)
                    .filter(within)
                    .ok_or(Unfit::TooDear)
            }
            None => Err(Unfit::NoAddress),
        };
        match wanted.ip {
            IpWish::Require => with_address,
            _ => Ok(with_address.unwrap_or(bare)),
        }
    }

    /// The pool that a new VM's address would come from.
    fn pool_for(node_id: &NodeId, node: &NodeRecord) -> Option<PoolId> {
        let own = PoolId::Node(node_id.clone());
        if Self::has_free_ip(&own) {
            return Some(own);
        }
        Some(PoolId::Global).filter(|pool| node.offer.global_ips && Self::has_free_ip(pool))
    }

    /// What stands against a claim of a node, beside what stands against any assignment.
    pub(crate) fn claim_bar(node_id: &NodeId, node: &NodeRecord) -> Result<(), Unfit> {
        let params = Params::<T>::get();
        let raised = node
            .rates_raised_at
            .is_some_and(|at| Self::now().saturating_sub(at) < params.rate_notice);
        if raised {
            Err(Unfit::RatesRaisedLately)
        } else if Claims::<T>::get(node_id) >= params.max_claims {
            Err(Unfit::TooManyClaims)
        } else {
            Ok(())
        }
    }

    /// Fails with `ComputeRequestNotFound`, `NotPending`, `PlanMismatch`, `NodeNotFound`,
    /// `InvalidSignature`, or with what makes the node unfit.
    pub(crate) fn ensure_assignable(
        who: &AccountId,
        node_id: &NodeId,
        plan_id: PlanId,
        request_id: RequestId,
        owner: &AccountId,
    ) -> Result<Assignable, Error<T>> {
        let request = Self::request_of(owner, request_id)?;
        let node = T::Registry::node(node_id).ok_or(Error::<T>::NodeNotFound)?;
        let speaker = T::Registry::speaker(&node, who);
        ensure!(speaker.is_some() || who == owner, Error::<T>::InvalidSignature);
        ensure!(request.status == ComputeRequestStatus::Pending, Error::<T>::NotPending);
        ensure!(request.plan_id == plan_id, Error::<T>::PlanMismatch);
        let claimed = who != owner && !request.named_node;
        if claimed {
            Self::claim_bar(node_id, &node).map_err(Error::<T>::from)?;
        }
        let fit = Self::fit(&request, node_id, &node).map_err(Error::<T>::from)?;
        Ok(Assignable { request, node, fit, claimed, speaker })
    }

    pub(crate) fn do_submit_assignment(
        who: &AccountId,
        node_id: NodeId,
        plan_id: PlanId,
        request_id: RequestId,
        owner: &AccountId,
    ) -> DispatchResult {
        let found = Self::ensure_assignable(who, &node_id, plan_id, request_id, owner)?;
        let Assignable { mut request, node, fit, claimed, speaker } = found;
        Self::assign(&mut request, &node_id, &node, fit, claimed)?;
        Self::store(&request);
        Self::note_report(speaker, &node_id)
    }

    /// Whether a worker's claim costs nothing.
    pub(crate) fn is_feeless_claim(
        origin: &T::RuntimeOrigin,
        node_id: &NodeId,
        plan_id: PlanId,
        request_id: RequestId,
        owner: &AccountId,
    ) -> bool {
        Self::signer(origin).is_some_and(|who| {
            Self::ensure_assignable(&who, node_id, plan_id, request_id, owner)
                .is_ok_and(|found| found.speaker == Some(Speaker::Worker))
        })
    }

    /// Gives a pending request to a node that it fits.
    pub(crate) fn assign(
        request: &mut ComputeRequest,
        node_id: &NodeId,
        node: &NodeRecord,
        fit: Fit,
        claimed: bool,
    ) -> DispatchResult {
        let id = request.request_id;
        T::Registry::reserve(node_id, &request.resources)?;
        PendingRequests::<T>::remove(id);
        request.status = ComputeRequestStatus::InProgress;
        request.is_assigned = true;
        request.miner_id = Some(node_id.clone());
        Self::set_operation(request, OperationKind::Launch, Params::<T>::get().launch_timeout);
        let ip = fit.pool.map(|pool| Self::take_ip(request, node_id, pool)).transpose()?;
        Leases::<T>::try_mutate(id, |lease| {
            let lease = lease.as_mut().ok_or(Error::<T>::LeaseClosed)?;
            lease.node = Some(node_id.clone());
            lease.rates = Some(node.offer.rates);
            lease.price = fit.price;
            lease.ip_fee = fit.ip_fee;
            Ok::<_, Error<T>>(())
        })?;
        let launch = MinerComputeRequest {
            miner_node_id: node_id.clone(),
            miner_account_id: node.owner.clone(),
            job_id: None,
            hypervisor_ip: None,
            fail_reason: None,
            vnc_port: None,
            ip_assigned: ip,
            request_id: id,
            plan_id: request.plan_id,
            created_at: Self::now(),
            fullfilled: false,
            ssh_host_key: None,
            generation: request.generation,
            claimed,
        };
        MinerComputeRequests::<T>::insert(node_id, id, launch);
        if claimed {
            Claims::<T>::mutate(node_id, |claims| *claims = claims.saturating_add(1));
        }
        Self::deposit_event(Event::ComputeRequestSubmitted {
            node_id: node_id.clone(),
            request_id: id,
            owner: request.owner.clone(),
            generation: request.generation,
            claimed,
        });
        Ok(())
    }

    /// Takes a request from its node: room, address, queue and all. The lease is the caller's.
    pub(crate) fn unassign(
        request: &mut ComputeRequest,
        outcome: Option<Outcome>,
        quarantine: BlockNumber,
    ) -> Result<NodeId, sp_runtime::DispatchError> {
        let node_id = Self::node_of(request).ok_or(Error::<T>::NotAssigned)?;
        let size = Self::reserved_size(request, &node_id);
        Self::clear_operation(request);
        T::Registry::release(&node_id, &size, outcome)?;
        Self::return_ip(request, quarantine);
        MinerComputeRequests::<T>::remove(&node_id, request.request_id);
        request.is_assigned = false;
        request.generation = request.generation.saturating_add(1);
        Ok(node_id)
    }

    /// Lets a request that was unassigned wait for another node.
    pub(crate) fn make_pending(request: &mut ComputeRequest) {
        request.status = ComputeRequestStatus::Pending;
        request.miner_id = None;
        request.named_node = false;
        PendingRequests::<T>::insert(request.request_id, ());
    }

    /// A claim ends with the launch, whatever becomes of it.
    pub(crate) fn end_claim(node_id: &NodeId, request_id: RequestId) {
        Self::change_assignment(node_id, request_id, |launch| {
            if core::mem::take(&mut launch.claimed) {
                Claims::<T>::mutate_exists(node_id, |claims| {
                    *claims =
                        claims.and_then(|claims| claims.checked_sub(1)).filter(|left| *left > 0);
                });
            }
        });
    }

    /// Changes what a node makes of a request that it has.
    pub(crate) fn change_assignment(
        node_id: &NodeId,
        request_id: RequestId,
        change: impl FnOnce(&mut MinerComputeRequest),
    ) {
        MinerComputeRequests::<T>::mutate_exists(node_id, request_id, |entry| {
            if let Some(entry) = entry {
                change(entry);
            }
        });
    }

    /// Whether the pool has an address to give.
    pub(crate) fn has_free_ip(pool: &PoolId) -> bool {
        IpPools::<T>::get(pool)
            .is_some_and(|state| state.free > 0 || Self::first_rested(pool, &state).is_some())
    }
}

/// What a VM of that size costs with an address of the pool, if any.
pub(crate) fn price_with(
    rates: &Rates,
    size: &Resources,
    pool: Option<PoolId>,
    global_price: Balance,
) -> Option<Fit> {
    let bare = rates.price(size)?;
    let (own_ip, ip_fee) = match pool {
        None => (0, 0),
        Some(PoolId::Node(_)) => (rates.ip, 0),
        Some(PoolId::Global) => (0, global_price),
    };
    let price = bare.checked_add(own_ip)?.checked_add(ip_fee)?;
    Some(Fit { price, ip_fee, pool })
}

impl<T: Config> From<Unfit> for Error<T> {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::OtherNodeNamed => Self::OtherNodeNamed,
            Unfit::Leaving => Self::NodeLeaving,
            Unfit::Offline => Self::NodeOffline,
            Unfit::NotAccepting => Self::NodeNotAccepting,
            Unfit::BondTooSmall => Self::BondTooSmall,
            Unfit::WrongCountry => Self::WrongCountry,
            Unfit::Excluded => Self::MinerExcluded,
            Unfit::TooLarge => Self::NodeFull,
            Unfit::TooManyVms => Self::TooManyVms,
            Unfit::TooDear => Self::PriceAboveMax,
            Unfit::NoAddress => Self::NoAvailableIp,
            Unfit::RatesRaisedLately => Self::RatesRaisedLately,
            Unfit::TooManyClaims => Self::TooManyClaims,
        }
    }
}
