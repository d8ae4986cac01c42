//! Requests from creation to the end of their record.

use crate::{
    checks, ComputeRequests, Config, Error, Event, Leases, NextRequestId, Pallet, Params,
    PendingRequests, RequestOwner, RequestTickets, SshKeys,
};
use codec::{Encode, MaxEncodedLen};
use frame_support::{
    defensive, ensure,
    traits::{Consideration, Footprint},
};
use quarry_primitives::{
    api::Unfit,
    market::NodeRegistry,
    node::{NodeId, NodeRecord},
    request::{
        Cid, ComputeRequest, ComputeRequestStatus, DeadlineKind, ImageMetadata, ImageName, IpWish,
        Lease, MinerComputeRequest, Placement, Plan, PlanId, RequestId, SshKeyList, VmName,
    },
    AccountId, Balance, BlockNumber, Hash,
};
use sp_runtime::{DispatchError, DispatchResult};

/// What a tenant asks for.
pub struct NewRequest {
    /// The tenant.
    pub owner: AccountId,
    /// What the tenant calls it.
    pub name: VmName,
    /// Its plan.
    pub plan_id: PlanId,
    /// What it starts from.
    pub image: ImageName,
    /// Who may log in.
    pub ssh_keys: SshKeyList,
    /// User data for cloud-init.
    pub cloud_init_cid: Option<Cid>,
    /// Where it may run.
    pub placement: Placement,
    /// The most that it may cost per live block.
    pub max_price: Balance,
    /// The live blocks to pay for in advance.
    pub prepaid_blocks: BlockNumber,
    /// Whether it wants an address.
    pub ip: IpWish,
}

impl<T: Config> Pallet<T> {
    /// Fails with the error of a wrong field; for a named node also with `NodeNotFound`, `NodeLeaving`,
    /// `WrongCountry` or `PriceAboveMax`, as waiting for that node would be in vain.
    pub(crate) fn do_create(new: NewRequest) -> DispatchResult {
        Self::check_new(&new)?;
        let plan = Self::rentable_plan(new.plan_id)?;
        let image = Self::usable_image(&new.image)?;
        ensure!(image.virtual_size_gib <= plan.resources.disk_gib, Error::<T>::ImageTooLarge);
        let held = Self::prepayment(new.max_price, new.prepaid_blocks)?;

        let request_id = Self::next_id()?;
        let owner = new.owner.clone();
        Self::hold_rent(&owner, held)?;
        let ticket = T::Consideration::new(&owner, Self::request_footprint(&new.ssh_keys))?;
        RequestTickets::<T>::insert(request_id, ticket);
        SshKeys::<T>::insert(request_id, &new.ssh_keys);
        RequestOwner::<T>::insert(request_id, &owner);
        PendingRequests::<T>::insert(request_id, ());
        Leases::<T>::insert(request_id, unplaced_lease(held));
        let request = Self::new_request(new, request_id, plan, image);
        Self::store(&request);
        let node_id = request.miner_id.clone();
        Self::deposit_event(Event::ComputeRequestCreated { request_id, owner, node_id });
        Self::place_on_named_node(request)
    }

    fn check_new(new: &NewRequest) -> Result<(), Error<T>> {
        checks::vm_name::<T>(&new.name)?;
        checks::ssh_keys::<T>(&new.ssh_keys)?;
        new.cloud_init_cid.as_ref().map_or(Ok(()), checks::cid::<T>)?;
        let country = new.placement.country.is_none_or(|country| country.is_sound());
        ensure!(country, Error::<T>::InvalidCountry);
        ensure!(new.max_price > 0, Error::<T>::InvalidMaxPrice);
        Ok(())
    }

    /// Fails with `PrepaidTooShort`, `PrepaidTooLong` or `PriceOverflow`.
    fn prepayment(max_price: Balance, blocks: BlockNumber) -> Result<Balance, Error<T>> {
        let params = Params::<T>::get();
        ensure!(blocks >= checks::least_prepaid(&params), Error::<T>::PrepaidTooShort);
        ensure!(blocks <= params.max_prepaid, Error::<T>::PrepaidTooLong);
        max_price.checked_mul(blocks.into()).ok_or(Error::<T>::PriceOverflow)
    }

    fn next_id() -> Result<RequestId, DispatchError> {
        NextRequestId::<T>::try_mutate(|next| {
            let id = *next;
            *next = id.checked_add(1).ok_or(sp_runtime::ArithmeticError::Overflow)?;
            Ok(id)
        })
    }

    fn new_request(
        new: NewRequest,
        request_id: RequestId,
        plan: Plan,
        selected_image: ImageMetadata,
    ) -> ComputeRequest {
        let parent = frame_system::Pallet::<T>::parent_hash();
        let birth = sp_io::hashing::blake2_256(&(parent, &new.owner, request_id).encode());
        ComputeRequest {
            request_id,
            birth: Hash::from(birth),
            plan_technical_description: plan.technical_description,
            plan_id: new.plan_id,
            resources: plan.resources,
            status: ComputeRequestStatus::Pending,
            created_at: Self::now(),
            owner: new.owner,
            name: new.name,
            selected_image,
            is_assigned: false,
            cloud_init_cid: new.cloud_init_cid,
            named_node: new.placement.miner_id.is_some(),
            miner_id: new.placement.miner_id,
            country: new.placement.country,
            max_price: new.max_price,
            ip: new.ip,
            generation: 0,
            operation: None,
            attempts: 0,
            terminal_failures: 0,
            excluded: Default::default(),
            last_failure: None,
            kept_until: None,
        }
    }

    fn place_on_named_node(mut request: ComputeRequest) -> DispatchResult {
        let Some(node_id) = request.miner_id.clone() else { return Ok(()) };
        let node = T::Registry::node(&node_id).ok_or(Error::<T>::NodeNotFound)?;
        Self::ensure_worth_waiting(&request, &node)?;
        match Self::fit(&request, &node_id, &node) {
            Ok(fit) => {
                Self::assign(&mut request, &node_id, &node, fit, false)?;
                Self::store(&request);
                Ok(())
            }
            Err(Unfit::TooDear) => Err(Error::<T>::PriceAboveMax.into()),
            Err(_) => Ok(()),
        }
    }

    /// What no waiting mends, also where the node takes nothing now for another reason. Fails with
    /// `NodeLeaving`, `WrongCountry` or `PriceAboveMax`.
    fn ensure_worth_waiting(request: &ComputeRequest, node: &NodeRecord) -> Result<(), Error<T>> {
        ensure!(node.leaves_at.is_none(), Error::<T>::NodeLeaving);
        let there = request.country.is_none_or(|country| country == node.offer.country);
        ensure!(there, Error::<T>::WrongCountry);
        let price = node.offer.rates.price(&request.resources);
        ensure!(price.is_some_and(|price| price <= request.max_price), Error::<T>::PriceAboveMax);
        Ok(())
    }

    /// Fails with `ComputeRequestNotFound` or `NotPending`.
    pub(crate) fn do_cancel(owner: &AccountId, request_id: RequestId) -> DispatchResult {
        let request = Self::request_of(owner, request_id)?;
        ensure!(request.status == ComputeRequestStatus::Pending, Error::<T>::NotPending);
        Self::cancel(request);
        Ok(())
    }

    pub(crate) fn cancel(mut request: ComputeRequest) {
        Self::end(&mut request, ComputeRequestStatus::Cancelled);
        Self::store(&request);
        let ComputeRequest { request_id, owner, .. } = request;
        Self::deposit_event(Event::ComputeRequestCancelled { request_id, owner });
    }

    /// Closes the lease of a request that no node has, and keeps its record for a while.
    pub(crate) fn end(request: &mut ComputeRequest, status: ComputeRequestStatus) {
        let id = request.request_id;
        PendingRequests::<T>::remove(id);
        if let Some(lease) = Leases::<T>::get(id) {
            Self::close(request, lease, false);
        }
        let until = Self::after(Params::<T>::get().retention);
        request.status = status;
        request.kept_until = Some(until);
        Self::arm(until, id, DeadlineKind::Retention);
    }

    /// Fails with `ComputeRequestNotFound`, `RequestEnded`, `InvalidSshKey`, or as the currency does
    /// where the deposit for longer keys is not there.
    pub(crate) fn do_set_ssh_keys(
        owner: &AccountId,
        request_id: RequestId,
        keys: SshKeyList,
    ) -> DispatchResult {
        let request = Self::request_of(owner, request_id)?;
        ensure!(!request.status.has_ended(), Error::<T>::RequestEnded);
        checks::ssh_keys::<T>(&keys)?;
        if let Some(ticket) = RequestTickets::<T>::take(request_id) {
            let ticket = ticket.update(owner, Self::request_footprint(&keys))?;
            RequestTickets::<T>::insert(request_id, ticket);
        }
        SshKeys::<T>::insert(request_id, keys);
        let node_id = Self::node_of(&request);
        node_id.as_ref().map_or(Ok(()), T::Registry::touch)?;
        Self::deposit_event(Event::SshKeysSet { node_id, request_id, owner: owner.clone() });
        Ok(())
    }

    /// Removes all that is left of a request that no node has.
    pub(crate) fn forget(request: &ComputeRequest, node_id: Option<NodeId>) {
        let (request_id, owner) = (request.request_id, request.owner.clone());
        if let Some(until) = request.kept_until {
            Self::disarm(until, request_id, DeadlineKind::Retention);
        }
        PendingRequests::<T>::remove(request_id);
        SshKeys::<T>::remove(request_id);
        RequestOwner::<T>::remove(request_id);
        ComputeRequests::<T>::remove(&owner, request_id);
        let ticket = RequestTickets::<T>::take(request_id);
        if ticket.is_some_and(|ticket| ticket.drop(&owner).is_err()) {
            defensive!("a deposit is never so small that it cannot be given back");
        }
        Self::deposit_event(Event::ComputeRequestDeleted { node_id, request_id, owner });
    }

    /// Fails with `ComputeRequestNotFound`.
    pub(crate) fn request_of(
        owner: &AccountId,
        request_id: RequestId,
    ) -> Result<ComputeRequest, Error<T>> {
        ComputeRequests::<T>::get(owner, request_id).ok_or(Error::<T>::ComputeRequestNotFound)
    }

    /// Fails with `ComputeRequestNotFound`.
    pub(crate) fn request(request_id: RequestId) -> Result<ComputeRequest, Error<T>> {
        let owner = RequestOwner::<T>::get(request_id).ok_or(Error::<T>::ComputeRequestNotFound)?;
        Self::request_of(&owner, request_id)
    }

    pub(crate) fn store(request: &ComputeRequest) {
        ComputeRequests::<T>::insert(&request.owner, request.request_id, request);
    }

    /// The node that has the request.
    pub(crate) fn node_of(request: &ComputeRequest) -> Option<NodeId> {
        request.miner_id.clone().filter(|_| request.is_assigned)
    }

    /// The room that a request takes, whatever becomes of it.
    pub(crate) fn request_footprint(keys: &SshKeyList) -> Footprint {
        let fixed = ComputeRequest::max_encoded_len()
            .saturating_add(Lease::max_encoded_len())
            .saturating_add(MinerComputeRequest::max_encoded_len());
        Footprint::from_parts(4, fixed.saturating_add(keys.encoded_size()))
    }
}

pub(crate) fn unplaced_lease(held: Balance) -> Lease {
    Lease {
        held,
        node: None,
        rates: None,
        price: 0,
        ip_fee: 0,
        mark: None,
        billed: 0,
        exhausted: false,
        boot_on_top_up: false,
        ends_at: None,
        check_at: None,
    }
}
