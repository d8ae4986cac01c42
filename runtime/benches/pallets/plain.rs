//! The shape that others use: all requests of an account, and all of a node, in one `Vec` each. Only what
//! is stored, with none of the checks, payments, deadlines and events of ours.

use crate::{chain::Measured, market::Place, Prepare};
use frame_support::{pallet_prelude::ValueQuery, storage_alias, Blake2_128Concat};
use pallet_compute::{ComputeRequests, MinerComputeRequests};
use quarry_primitives::{
    node::NodeId,
    request::{
        ComputeRequest, ComputeRequestStatus, MinerComputeRequest, Operation, OperationKind,
        QueuedOperation, RequestId,
    },
    AccountId,
};
use quarry_runtime::Runtime;

#[storage_alias]
type Requests = StorageMap<Plain, Blake2_128Concat, AccountId, Vec<ComputeRequest>, ValueQuery>;

#[storage_alias]
type Vms = StorageMap<Plain, Blake2_128Concat, NodeId, Vec<MinerComputeRequest>, ValueQuery>;

#[storage_alias]
type Stops = StorageMap<Plain, Blake2_128Concat, NodeId, Vec<QueuedOperation>, ValueQuery>;

/// The requests of a place, as they are, in the other shape.
pub fn copy_from(place: &Place) {
    let requests: Vec<_> = ComputeRequests::<Runtime>::iter_prefix_values(&place.tenant).collect();
    let vms: Vec<_> = MinerComputeRequests::<Runtime>::iter_prefix_values(&place.node_id).collect();
    Requests::insert(&place.tenant, requests);
    Vms::insert(&place.node_id, vms);
}

/// A request in the middle of the list, and of the queue too.
fn subject(place: &Place) -> RequestId {
    let requests = Requests::get(&place.tenant);
    requests.get(requests.len() / 2).expect("there are some").request_id
}

fn change_request(place: &Place, id: RequestId, change: impl FnOnce(&mut ComputeRequest)) {
    Requests::mutate(&place.tenant, |requests| {
        change(requests.iter_mut().find(|request| request.request_id == id).expect("it is there"));
    });
}

fn create(place: &Place) {
    let mut requests = Requests::get(&place.tenant);
    let mut vms = Vms::get(&place.node_id);
    let (Some(request), Some(vm)) = (requests.first().cloned(), vms.first().cloned()) else {
        return;
    };
    requests.push(ComputeRequest { request_id: u128::MAX, ..request });
    vms.push(MinerComputeRequest { request_id: u128::MAX, ..vm });
    Requests::insert(&place.tenant, requests);
    Vms::insert(&place.node_id, vms);
}

fn fulfil(place: &Place, id: RequestId) {
    Vms::mutate(&place.node_id, |vms| {
        vms.iter_mut().find(|vm| vm.request_id == id).expect("it is there").fullfilled = true;
    });
    change_request(place, id, |request| {
        request.status = ComputeRequestStatus::Running;
        request.operation = None;
    });
}

fn ask_to_stop(place: &Place, id: RequestId) {
    change_request(place, id, |request| {
        request.operation = Some(Operation { kind: OperationKind::Stop, deadline: 0 });
    });
    Stops::mutate(&place.node_id, |stops| {
        stops.push(QueuedOperation {
            miner_node_id: place.node_id.clone(),
            job_id: None,
            request_id: id,
            user_id: place.tenant.clone(),
            plan_id: Default::default(),
            created_at: 0,
            fullfilled: false,
            generation: 0,
        });
    });
}

fn stop(place: &Place, id: RequestId) {
    Stops::mutate(&place.node_id, |stops| stops.retain(|stop| stop.request_id != id));
    change_request(place, id, |request| {
        request.status = ComputeRequestStatus::Stopped;
        request.operation = None;
    });
}

fn delete(place: &Place, id: RequestId) {
    Vms::mutate(&place.node_id, |vms| vms.retain(|vm| vm.request_id != id));
    Requests::mutate(&place.tenant, |requests| requests.retain(|vm| vm.request_id != id));
}

fn measured(place: &Place, work: impl Fn(&Place) + 'static) -> Measured {
    let place = place.clone();
    Box::new(move || {
        work(&place);
        Ok(())
    })
}

/// By the names of our calls that do the same.
pub fn all() -> Vec<(&'static str, Prepare)> {
    vec![
        ("create_compute_request", |p| measured(p, create)),
        ("mark_compute_request_fulfilled", |p| {
            let id = subject(p);
            measured(p, move |p| fulfil(p, id))
        }),
        ("request_compute_stop", |p| {
            let id = subject(p);
            measured(p, move |p| ask_to_stop(p, id))
        }),
        ("mark_miner_compute_stop_request_fulfilled", |p| {
            let id = subject(p);
            ask_to_stop(p, id);
            measured(p, move |p| stop(p, id))
        }),
        ("submit_compute_deletion_request", |p| {
            let id = subject(p);
            measured(p, move |p| delete(p, id))
        }),
    ]
}
