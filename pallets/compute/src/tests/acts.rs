//! What tenants, miners, workers and time do in the tests.

use crate::{
    mock::{market, *},
    Call, ComputeRequests, HoldReason, Leases, NextRequestId, RequestOwner,
};
use frame_support::{
    assert_ok,
    dispatch::CheckIfFeeless,
    traits::{
        fungible::{Inspect, InspectHold},
        Hooks, UnfilteredDispatchable,
    },
    weights::Weight,
};
use quarry_primitives::{
    node::{Country, NodeId},
    request::{
        Cid, ComputeRequest, ComputeRequestStatus, FailureKind, IpWish, Lease, OperationKind,
        Placement, PlanId, RequestId, SshKeyList, VmAccess,
    },
    Balance, BlockNumber,
};
use sp_keyring::Sr25519Keyring;
use sp_runtime::DispatchResult;

pub const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
pub const RETRYABLE: FailureKind = FailureKind::Retryable;
pub const TERMINAL: FailureKind = FailureKind::Terminal;
/// What [`ask`] pays for in advance, and at most, per live block.
pub const BLOCKS: BlockNumber = 100;
pub const MOST: Balance = 50;

/// Runs a test and checks what always holds, after it.
pub fn run_test(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        let issuance = Balances::total_issuance();
        test();
        Compute::do_try_state().expect("the invariants hold");
        assert_eq!(Balances::total_issuance(), issuance, "money came or went");
        for node in market::Nodes::get().into_values().filter(|node| node.vms == 0) {
            assert_eq!(node.reserved, Default::default(), "room that nothing takes");
        }
    });
}

/// What a tenant asks for.
#[derive(Clone)]
pub struct Ask {
    pub tenant: Sr25519Keyring,
    pub name: &'static [u8],
    pub plan: &'static str,
    pub image: &'static str,
    pub keys: Vec<Vec<u8>>,
    pub cid: Option<Cid>,
    pub node: Option<NodeId>,
    pub country: Option<Country>,
    pub max_price: Balance,
    pub blocks: BlockNumber,
    pub ip: IpWish,
}

/// A small VM of [`TINA`]'s anywhere, without an address.
pub fn ask() -> Ask {
    Ask {
        tenant: TINA,
        name: b"web",
        plan: "small",
        image: "debian",
        keys: vec![SSH_KEY.into()],
        cid: None,
        node: None,
        country: None,
        max_price: MOST,
        blocks: BLOCKS,
        ip: IpWish::None,
    }
}

/// The same on that node.
pub fn ask_for(host: &Host) -> Ask {
    Ask { node: Some(host.id()), ..ask() }
}

pub fn plan_id(name: &str) -> PlanId {
    crate::catalogue::plan_id(&text(name))
}

pub fn keys(lines: &[Vec<u8>]) -> SshKeyList {
    let keys: Vec<_> = lines.iter().map(|line| line.clone().try_into().unwrap()).collect();
    keys.try_into().unwrap()
}

pub fn submit(ask: Ask) -> DispatchResult {
    Compute::create_compute_request(
        by(ask.tenant),
        ask.name.to_vec().try_into().unwrap(),
        plan_id(ask.plan),
        text(ask.image),
        keys(&ask.keys),
        ask.cid,
        Placement { miner_id: ask.node, country: ask.country },
        ask.max_price,
        ask.blocks,
        ask.ip,
    )
}

pub fn create(ask: Ask) -> RequestId {
    assert_ok!(submit(ask));
    NextRequestId::<Test>::get() - 1
}

/// A VM that no node has.
pub fn pending() -> RequestId {
    create(ask())
}

/// A VM that [`MIA_1`] claimed.
pub fn launching() -> RequestId {
    launching_as(ask())
}

pub fn launching_as(ask: Ask) -> RequestId {
    let vm = create(ask);
    if !request(vm).is_assigned {
        assert_ok!(MIA_1.claims(vm));
    }
    vm
}

/// A VM that runs on [`MIA_1`].
pub fn running() -> RequestId {
    running_as(ask())
}

pub fn running_as(ask: Ask) -> RequestId {
    let vm = launching_as(ask);
    assert_ok!(MIA_1.launches(vm));
    vm
}

/// A VM that stands still on [`MIA_1`].
pub fn stopped() -> RequestId {
    stopped_as(ask())
}

pub fn stopped_as(ask: Ask) -> RequestId {
    let tenant = ask.tenant;
    let vm = running_as(ask);
    assert_ok!(Compute::request_compute_stop(by(tenant), vm));
    assert_ok!(MIA_1.does(OperationKind::Stop, vm));
    vm
}

/// A running VM of which only the reserve is left, just before the chain looks at it.
pub fn nearly_exhausted() -> RequestId {
    let vm = running_as(Ask { blocks: 31, max_price: PRICE, ..ask() });
    pass(10);
    assert!(!lease(vm).exhausted);
    vm
}

/// A VM that the chain's own stop waits for.
pub fn exhausted() -> RequestId {
    let vm = nearly_exhausted();
    pass(1);
    assert!(lease(vm).exhausted);
    vm
}

pub fn request(vm: RequestId) -> ComputeRequest {
    let owner = RequestOwner::<Test>::get(vm).expect("the request is there");
    ComputeRequests::<Test>::get(owner, vm).expect("the request is its owner's")
}

pub fn is_gone(vm: RequestId) -> bool {
    RequestOwner::<Test>::get(vm).is_none()
}

pub fn status(vm: RequestId) -> ComputeRequestStatus {
    request(vm).status
}

pub fn operation(vm: RequestId) -> Option<OperationKind> {
    request(vm).pending_operation()
}

pub fn lease(vm: RequestId) -> Lease {
    Leases::<Test>::get(vm).expect("the lease is open")
}

pub fn generation(vm: RequestId) -> u64 {
    request(vm).generation
}

pub fn free(key: Sr25519Keyring) -> Balance {
    Balances::balance(&id(key))
}

pub fn treasury() -> Balance {
    Balances::balance(&Treasury::get()) - DUST
}

pub fn rent_held(key: Sr25519Keyring) -> Balance {
    Balances::balance_on_hold(&HoldReason::Lease.into(), &id(key))
}

pub fn deposit_held(key: Sr25519Keyring) -> Balance {
    Balances::balance_on_hold(&HoldReason::StorageDeposit.into(), &id(key))
}

pub fn happened(event: crate::Event<Test>) -> bool {
    let event = RuntimeEvent::from(event);
    System::events().iter().any(|record| record.event == event)
}

#[track_caller]
pub fn assert_happened(event: crate::Event<Test>) {
    assert!(happened(event.clone()), "no {event:?} in {:#?}", System::events());
}

pub fn now() -> BlockNumber {
    LiveBlock::get()
}

/// Lets live blocks pass; nodes that are not silent report in each of them.
pub fn pass(blocks: BlockNumber) {
    for _ in 0..blocks {
        pass_busy(1);
        idle(Weight::MAX);
    }
}

/// The same where the chain has no room for deadlines.
pub fn pass_busy(blocks: BlockNumber) {
    for _ in 0..blocks {
        LiveBlock::set(&(now() + 1));
        market::beat();
    }
}

pub fn idle(room: Weight) -> Weight {
    Compute::on_idle(System::block_number(), room)
}

pub fn is_free(who: Sr25519Keyring, call: &Call<Test>) -> bool {
    call.is_feeless(&by(who))
}

/// Sends a call. What is free must succeed, or it would cost nobody anything to fill blocks.
#[track_caller]
pub fn send(who: Sr25519Keyring, call: Call<Test>) -> DispatchResult {
    let free = is_free(who, &call);
    let done = call.clone().dispatch_bypass_filter(by(who));
    assert!(!free || done.is_ok(), "free, and fails with {done:?}: {call:?}");
    done.map(|_| ()).map_err(|refusal| refusal.error)
}

pub fn access() -> VmAccess {
    VmAccess {
        job_id: text("job-1"),
        hypervisor_ip: None,
        vnc_port: Some(5_900),
        ssh_host_key: Some([9; 32]),
    }
}

pub fn claim(host: &Host, vm: RequestId) -> Call<Test> {
    let (owner, plan_id) = RequestOwner::<Test>::get(vm)
        .map(|owner| (owner, request(vm).plan_id))
        .unwrap_or((id(TINA), plan_id("small")));
    Call::submit_compute_request_assignment {
        miner_node_id: host.id(),
        plan_id,
        request_id: vm,
        owner,
    }
}

pub fn start(host: &Host, vm: RequestId, generation: u64) -> Call<Test> {
    let (node_id, job_id) = (host.id(), text("job-1"));
    Call::update_miner_compute_request { node_id, request_id: vm, generation, job_id }
}

pub fn failure(host: &Host, vm: RequestId, generation: u64, kind: FailureKind) -> Call<Test> {
    let (node_id, reason) = (host.id(), text("no image"));
    let request_id = vm;
    Call::handle_miner_compute_request_failure { node_id, request_id, generation, kind, reason }
}

pub fn trouble(host: &Host, vm: RequestId, generation: u64) -> Call<Test> {
    let (node_id, request_id, reason) = (host.id(), vm, text("no disk"));
    Call::report_operation_failure { node_id, request_id, generation, kind: RETRYABLE, reason }
}

/// The report that an operation is done.
pub fn done(kind: OperationKind, host: &Host, vm: RequestId, generation: u64) -> Call<Test> {
    let (node_id, request_id) = (host.id(), vm);
    match kind {
        OperationKind::Launch => {
            let access = access();
            Call::mark_compute_request_fulfilled { node_id, request_id, generation, access }
        }
        OperationKind::Boot => {
            Call::submit_compute_boot_request_fulfillment { node_id, request_id, generation }
        }
        OperationKind::Stop => {
            Call::mark_miner_compute_stop_request_fulfilled { node_id, request_id, generation }
        }
        OperationKind::Reboot => {
            Call::submit_compute_reboot_request_fulfillment { node_id, request_id, generation }
        }
        OperationKind::Resize => {
            Call::submit_compute_resize_request_fulfillment { node_id, request_id, generation }
        }
        OperationKind::Delete => {
            Call::submit_compute_deletion_request { node_id, request_id, generation }
        }
    }
}

impl Host {
    pub fn claims(&self, vm: RequestId) -> DispatchResult {
        send(self.worker, claim(self, vm))
    }

    pub fn starts(&self, vm: RequestId) -> DispatchResult {
        send(self.worker, start(self, vm, generation(vm)))
    }

    pub fn launches(&self, vm: RequestId) -> DispatchResult {
        self.does(OperationKind::Launch, vm)
    }

    pub fn does(&self, kind: OperationKind, vm: RequestId) -> DispatchResult {
        send(self.worker, done(kind, self, vm, generation(vm)))
    }

    /// The launch failed, or the VM is lost.
    pub fn fails(&self, vm: RequestId, kind: FailureKind) -> DispatchResult {
        send(self.worker, failure(self, vm, generation(vm), kind))
    }

    /// What is queued cannot be done.
    pub fn has_trouble(&self, vm: RequestId) -> DispatchResult {
        send(self.worker, trouble(self, vm, generation(vm)))
    }
}
