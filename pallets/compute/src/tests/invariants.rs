//! That a state in which something is wrong is told from a sound one.

use super::acts::*;
use crate::{
    mock::*, Claims, Credits, DeadlineCursor, Deadlines, FreeIps, IpOf, IpPools, Ips, Leases,
    MinerComputeBootRequests, MinerComputeRequests, MinerComputeStopRequests, NextRequestId,
    PendingRequests, QuarantinedIps, RequestOwner, RequestTickets, SshKeys,
};
use frame_support::assert_ok;
use quarry_primitives::{
    ip::{IpAddress, IpState, PoolId},
    request::{DeadlineKind, IpWish, RequestId},
};

/// A VM in each place: one waits, one is launched with an address, one is being stopped, one ended.
struct Scene {
    waiting: RequestId,
    launched: RequestId,
    stopping: RequestId,
    ended: RequestId,
}

fn breaks(what: &'static str, change: impl FnOnce(Scene)) {
    new_test_ext().execute_with(|| {
        let ended = pending();
        assert_ok!(Compute::cancel_compute_request(by(TINA), ended));
        let stopping = running();
        assert_ok!(Compute::request_compute_stop(by(TINA), stopping));
        let launched = launching_as(Ask { ip: IpWish::Require, ..ask() });
        assert_eq!(Compute::do_try_state(), Ok(()));
        change(Scene { waiting: pending(), launched, stopping, ended });
        assert_eq!(Compute::do_try_state(), Err(what.into()));
    });
}

#[test]
fn money_that_is_not_held_is_missed() {
    let rent = "held rent is not that of leases and credits";
    breaks(rent, |vms| Leases::<Test>::mutate_extant(vms.waiting, |lease| lease.held += 1));
    breaks(rent, |vms| Leases::<Test>::mutate_extant(vms.stopping, |lease| lease.held -= 1));
    breaks(rent, |_| Credits::<Test>::insert(id(MAX), 1));
    let deposits = "held deposits are not those due";
    breaks(deposits, |vms| SshKeys::<Test>::insert(vms.ended, keys(&[])));
}

#[test]
fn room_that_is_not_a_vms_is_noticed() {
    let count = "a node's count of VMs is wrong";
    breaks(count, |_| MIA_1.change(|node| node.vms += 1));
    let room = "a node's reserved room is not that of its VMs";
    breaks(room, |_| MIA_1.change(|node| node.reserved.vcpus -= 1));
    let beyond = "a node's VMs exceed its capacity";
    breaks(beyond, |_| MIA_1.change(|node| node.offer.capacity = SMALL));
}

#[test]
fn an_address_with_two_holders_or_none_is_noticed() {
    let last = IpAddress::V4([203, 0, 113, 12]);
    let pool = PoolId::Global;
    breaks("a VM's address is not its own", |vms| {
        Ips::<Test>::insert(PoolId::Global, last, IpState::Held(vms.waiting));
    });
    breaks("an address is held by nobody", |vms| IpOf::<Test>::remove(vms.launched));
    breaks("a VM without a node has an address", |vms| {
        let first = IpAddress::V4([203, 0, 113, 10]);
        Ips::<Test>::insert(PoolId::Global, first, IpState::Held(vms.waiting));
        IpOf::<Test>::insert(vms.waiting, (PoolId::Global, first));
    });
    breaks("a free address is not listed", |_| FreeIps::<Test>::remove(PoolId::Global, 0));
    breaks("a pool's counts are wrong", |_| {
        IpPools::<Test>::mutate_extant(PoolId::Global, |pool| pool.total += 1);
    });
    breaks("a pool's quarantine is wrong", |_| QuarantinedIps::<Test>::insert(pool, 7, last));
}

#[test]
fn a_queue_that_differs_from_its_vms_is_noticed() {
    let node = MIA_1.id();
    breaks("a queue and a VM differ", |vms| {
        MinerComputeStopRequests::<Test>::remove(&node, vms.stopping);
    });
    let copy = |vms: &Scene| MinerComputeStopRequests::<Test>::get(MIA_1.id(), vms.stopping);
    breaks("a VM stands in two queues", |vms| {
        MinerComputeBootRequests::<Test>::insert(MIA_1.id(), vms.stopping, copy(&vms).unwrap());
    });
    breaks("an entry of a queue has no VM", |vms| {
        MinerComputeBootRequests::<Test>::insert(MIA_1.id(), 99, copy(&vms).unwrap());
    });
    breaks("an entry of a queue is not its VM's", |vms| {
        MinerComputeStopRequests::<Test>::mutate(MIA_1.id(), vms.stopping, |entry| {
            entry.as_mut().unwrap().generation += 1;
        });
    });
}

#[test]
fn a_deadline_without_a_wait_and_a_wait_without_a_deadline_are_noticed() {
    let differ = "the deadlines are not those that requests wait for";
    breaks(differ, |vms| Compute::arm(99, vms.waiting, DeadlineKind::Launch));
    breaks(differ, |vms| {
        let at = request(vms.launched).operation.unwrap().deadline;
        Compute::disarm(at, vms.launched, DeadlineKind::Launch);
    });
    breaks("the cursor passed a deadline", |_| {
        let last = Deadlines::<Test>::iter_keys().map(|(at, _, _)| at).max().unwrap();
        DeadlineCursor::<Test>::put(last + 1);
    });
    breaks("a lease is charged and nobody looks at it", |vms| {
        Leases::<Test>::mutate_extant(vms.stopping, |lease| {
            let at = lease.check_at.take().unwrap();
            Compute::disarm(at, vms.stopping, DeadlineKind::Lease);
        });
    });
}

#[test]
fn a_request_that_is_lost_or_in_two_places_is_noticed() {
    breaks("pending, or not", |vms| PendingRequests::<Test>::remove(vms.waiting));
    breaks("pending, or not", |vms| PendingRequests::<Test>::insert(vms.launched, ()));
    breaks("a node does not list its VM", |vms| {
        MinerComputeRequests::<Test>::remove(MIA_1.id(), vms.launched);
    });
    breaks("a VM on two nodes", |vms| {
        let entry = MinerComputeRequests::<Test>::get(MIA_1.id(), vms.launched).unwrap();
        MinerComputeRequests::<Test>::insert(MILO_1.id(), vms.launched, entry);
    });
    breaks("whose is it?", |vms| RequestOwner::<Test>::insert(vms.waiting, id(TOM)));
    breaks("an owner of nothing", |_| RequestOwner::<Test>::insert(99, id(TOM)));
    breaks("a request lost its keys or its deposit", |vms| {
        RequestTickets::<Test>::remove(vms.ended);
    });
    breaks("a request has a number to come", |_| NextRequestId::<Test>::put(1));
    breaks("a node's count of claims is wrong", |_| Claims::<Test>::insert(MIA_1.id(), 2));
}
