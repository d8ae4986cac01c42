//! What always holds, by number. Checked after every test and every step of the model.

use crate::{
    money, Claims, ComputeRequests, Config, Credits, DeadlineCursor, Deadlines, FreeIps,
    HoldReason, IpOf, IpPools, IpTickets, Ips, Leases, MinerComputeBootRequests,
    MinerComputeDeletionRequests, MinerComputeRebootRequests, MinerComputeRequests,
    MinerComputeResizeRequests, MinerComputeStopRequests, NextRequestId, Pallet, PendingRequests,
    QuarantinedIps, RequestOwner, RequestTickets, SshKeys,
};
use alloc::{
    collections::{btree_map::BTreeMap, btree_set::BTreeSet},
    vec::Vec,
};
use frame_support::{ensure, traits::fungible::InspectHold};
use quarry_primitives::{
    ip::IpState,
    market::NodeRegistry,
    node::NodeId,
    request::{
        ComputeRequest, ComputeRequestStatus, DeadlineKind, OperationKind, QueuedOperation,
        RequestId,
    },
    resources::Resources,
    AccountId, Balance,
};
use sp_runtime::{traits::Convert, TryRuntimeError};

impl<T: Config> Pallet<T> {
    /// Says which invariant is broken, if any is.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let requests: Vec<ComputeRequest> = ComputeRequests::<T>::iter_values().collect();
        Self::money_is_held(&requests)?;
        Self::nodes_hold_their_vms(&requests)?;
        Self::addresses_have_one_holder()?;
        Self::queues_mirror_operations(&requests)?;
        Self::deadlines_mirror_waits(&requests)?;
        Self::requests_are_in_one_place(&requests)
    }

    /// 1: the funds on hold are those of leases, credits and deposits.
    fn money_is_held(requests: &[ComputeRequest]) -> Result<(), TryRuntimeError> {
        let mut rent = BTreeMap::<AccountId, Balance>::new();
        let mut deposits = BTreeMap::<AccountId, Balance>::new();
        let add = |map: &mut BTreeMap<_, Balance>, who: &AccountId, amount: Balance| {
            let sum = map.entry(who.clone()).or_default();
            *sum = sum.saturating_add(amount);
        };
        for request in requests {
            let held = Leases::<T>::get(request.request_id).map_or(0, |lease| lease.held);
            add(&mut rent, &request.owner, held);
            let keys = SshKeys::<T>::get(request.request_id).unwrap_or_default();
            let price = T::DepositPrice::convert(Self::request_footprint(&keys));
            add(&mut deposits, &request.owner, price);
        }
        for (node_id, (owner, _)) in IpTickets::<T>::iter() {
            let pool = IpPools::<T>::get(quarry_primitives::ip::PoolId::Node(node_id));
            let total = pool.map_or(0, |pool| pool.total);
            add(&mut deposits, &owner, T::DepositPrice::convert(Self::ips_footprint(total)));
        }
        let credits = Credits::<T>::iter_values().fold(0, Balance::saturating_add);
        add(&mut rent, &money::pot::<T>(), credits);
        let held_as = |reason: HoldReason, sums: BTreeMap<AccountId, Balance>| {
            sums.iter().all(|(who, sum)| T::Currency::balance_on_hold(&reason.into(), who) == *sum)
        };
        ensure!(held_as(HoldReason::Lease, rent), "held rent is not that of leases and credits");
        ensure!(held_as(HoldReason::StorageDeposit, deposits), "held deposits are not those due");
        Ok(())
    }

    /// 2: a node's reserved room is that of its VMs, and within its capacity.
    fn nodes_hold_their_vms(requests: &[ComputeRequest]) -> Result<(), TryRuntimeError> {
        let mut sums = BTreeMap::<NodeId, (Resources, u32)>::new();
        for request in requests {
            if let Some(node_id) = Self::node_of(request) {
                let size = Self::reserved_size(request, &node_id);
                let (sum, count) = sums.entry(node_id).or_default();
                *sum = sum.checked_add(&size).ok_or("VMs take more than there can be")?;
                *count = count.saturating_add(1);
            }
        }
        for (node_id, (sum, count)) in &sums {
            let node = T::Registry::node(node_id).ok_or("a node with VMs is gone")?;
            ensure!(node.reserved == *sum, "a node's reserved room is not that of its VMs");
            ensure!(node.vms == *count, "a node's count of VMs is wrong");
            ensure!(sum.fits(&node.offer.capacity), "a node's VMs exceed its capacity");
        }
        Ok(())
    }

    /// 3: a held address has one VM, and a pool's lists and counts are true.
    fn addresses_have_one_holder() -> Result<(), TryRuntimeError> {
        for (request_id, (pool, ip)) in IpOf::<T>::iter() {
            let state = Ips::<T>::get(&pool, ip);
            ensure!(state == Some(IpState::Held(request_id)), "a VM's address is not its own");
            let holder = Self::request(request_id).ok().and_then(|vm| Self::node_of(&vm));
            ensure!(holder.is_some(), "a VM without a node has an address");
        }
        for (pool, state) in IpPools::<T>::iter() {
            let (mut free, mut resting, mut total) = (0u32, 0u64, 0u32);
            for (ip, of) in Ips::<T>::iter_prefix(&pool) {
                total = total.saturating_add(1);
                match of {
                    IpState::Free(index) => {
                        free = free.saturating_add(1);
                        let listed = FreeIps::<T>::get(&pool, index) == Some(ip);
                        ensure!(listed && index < state.free, "a free address is not listed");
                    }
                    IpState::Held(request_id) => {
                        let held = IpOf::<T>::get(request_id) == Some((pool.clone(), ip));
                        ensure!(held, "an address is held by nobody");
                    }
                    IpState::Quarantined(_) => resting = resting.saturating_add(1),
                }
            }
            ensure!(state.free == free && state.total == total, "a pool's counts are wrong");
            let queued = state.quarantine_next.saturating_sub(state.quarantine_first);
            let listed = QuarantinedIps::<T>::iter_prefix(&pool).count() as u64;
            ensure!(queued == resting && listed == resting, "a pool's quarantine is wrong");
        }
        Ok(())
    }

    /// 4: a queue has what its VMs' operations say, and nothing else.
    fn queues_mirror_operations(requests: &[ComputeRequest]) -> Result<(), TryRuntimeError> {
        let mut queued = BTreeMap::<(NodeId, RequestId), (OperationKind, QueuedOperation)>::new();
        let mut twice = false;
        let mut add = |kind: OperationKind, entries: Vec<(NodeId, RequestId, QueuedOperation)>| {
            for (node_id, id, entry) in entries {
                twice |= queued.insert((node_id, id), (kind, entry)).is_some();
            }
        };
        add(OperationKind::Boot, MinerComputeBootRequests::<T>::iter().collect());
        add(OperationKind::Stop, MinerComputeStopRequests::<T>::iter().collect());
        add(OperationKind::Reboot, MinerComputeRebootRequests::<T>::iter().collect());
        add(OperationKind::Resize, MinerComputeResizeRequests::<T>::iter().collect());
        add(OperationKind::Delete, MinerComputeDeletionRequests::<T>::iter().collect());
        ensure!(!twice, "a VM stands in two queues");
        for request in requests {
            let operation = request.pending_operation();
            let Some(node_id) = Self::node_of(request) else {
                ensure!(operation.is_none(), "an operation on a VM without a node");
                continue;
            };
            let launching = operation == Some(OperationKind::Launch);
            let in_launch = request.status == ComputeRequestStatus::InProgress
                && operation != Some(OperationKind::Delete);
            ensure!(launching == in_launch, "a launch and its status differ");
            let entry = queued.remove(&(node_id.clone(), request.request_id));
            let listed = entry.as_ref().map(|(kind, _)| *kind);
            ensure!(listed == operation.filter(|_| !launching), "a queue and a VM differ");
            if let Some((_, entry)) = entry {
                let sound = entry.generation == request.generation
                    && entry.user_id == request.owner
                    && entry.miner_node_id == node_id;
                ensure!(sound, "an entry of a queue is not its VM's");
            }
        }
        ensure!(queued.is_empty(), "an entry of a queue has no VM");
        Ok(())
    }

    /// 5: a deadline has what waits for it, and the other way round.
    fn deadlines_mirror_waits(requests: &[ComputeRequest]) -> Result<(), TryRuntimeError> {
        let mut waits = BTreeSet::new();
        for request in requests {
            let id = request.request_id;
            if let Some(operation) = request.operation {
                waits.insert((operation.deadline, id, operation.kind.deadline_kind()));
            }
            if let Some(at) = request.kept_until {
                waits.insert((at, id, DeadlineKind::Retention));
            }
            let lease = Leases::<T>::get(id);
            if let Some(at) = lease.as_ref().and_then(|lease| lease.check_at) {
                waits.insert((at, id, DeadlineKind::Lease));
            }
            let charged = lease.is_some_and(|lease| {
                lease.ends_at.is_some() || (lease.mark.is_some() && lease.price > 0)
            });
            let looked_at =
                waits.iter().any(|(_, of, kind)| *of == id && *kind == DeadlineKind::Lease);
            ensure!(charged == looked_at, "a lease is charged and nobody looks at it");
        }
        let armed: BTreeSet<_> = Deadlines::<T>::iter_keys().collect();
        ensure!(armed == waits, "the deadlines are not those that requests wait for");
        let cursor = DeadlineCursor::<T>::get();
        ensure!(armed.iter().all(|(at, _, _)| *at >= cursor), "the cursor passed a deadline");
        Ok(())
    }

    /// 6: a request is pending, on one node, or ended; and its parts are together.
    fn requests_are_in_one_place(requests: &[ComputeRequest]) -> Result<(), TryRuntimeError> {
        let mut assigned = 0usize;
        for request in requests {
            let (id, ended) = (request.request_id, request.status.has_ended());
            let pending = PendingRequests::<T>::contains_key(id);
            ensure!(
                pending == (request.status == ComputeRequestStatus::Pending),
                "pending, or not"
            );
            let places = [pending, request.is_assigned, ended].into_iter().filter(|is| *is).count();
            ensure!(places == 1, "a request is in no place, or in two");
            ensure!(ended == request.kept_until.is_some(), "an ended request is kept for ever");
            if let Some(node_id) = Self::node_of(request) {
                assigned = assigned.saturating_add(1);
                let listed = MinerComputeRequests::<T>::contains_key(&node_id, id);
                ensure!(listed, "a node does not list its VM");
            }
            let lease = Leases::<T>::get(id);
            let closing = request.pending_operation() == Some(OperationKind::Delete);
            ensure!(
                lease.is_some() != (ended || closing),
                "a lease outlives its VM, or is missing"
            );
            let placed = lease.is_none_or(|lease| lease.node == Self::node_of(request));
            ensure!(placed, "a lease is with another node than its VM");
            ensure!(RequestOwner::<T>::get(id).as_ref() == Some(&request.owner), "whose is it?");
            let kept = SshKeys::<T>::contains_key(id) && RequestTickets::<T>::contains_key(id);
            ensure!(kept, "a request lost its keys or its deposit");
            ensure!(id < NextRequestId::<T>::get(), "a request has a number to come");
        }
        ensure!(MinerComputeRequests::<T>::iter_keys().count() == assigned, "a VM on two nodes");
        let all = requests.len();
        ensure!(RequestOwner::<T>::iter_keys().count() == all, "an owner of nothing");
        ensure!(RequestTickets::<T>::iter_keys().count() == all, "a deposit for nothing");
        ensure!(SshKeys::<T>::iter_keys().count() == all, "keys to nothing");
        let leases = Leases::<T>::iter_keys().filter(|id| !RequestOwner::<T>::contains_key(id));
        ensure!(leases.count() == 0, "a lease of nothing");
        Self::claims_are_counted()
    }

    fn claims_are_counted() -> Result<(), TryRuntimeError> {
        let mut claims = BTreeMap::<NodeId, u32>::new();
        for (node_id, _, entry) in MinerComputeRequests::<T>::iter() {
            if entry.claimed {
                ensure!(!entry.fullfilled, "a claim outlives its launch");
                let count = claims.entry(node_id).or_default();
                *count = count.saturating_add(1);
            }
        }
        let counted: BTreeMap<_, _> = Claims::<T>::iter().collect();
        ensure!(counted == claims, "a node's count of claims is wrong");
        Ok(())
    }
}
