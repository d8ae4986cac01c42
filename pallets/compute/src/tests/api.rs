use super::acts::*;
use crate::{mock::*, IpOf};
use frame_support::assert_ok;
use quarry_primitives::{
    api::{
        ApiError, Desired, NodeFilter, OpenRequest, Page, PendingReasons, RequestCursor, Unfit,
        VmAddress, WorkItem, MAX_ROWS,
    },
    node::{Country, NodeId, NodeRecord},
    request::{ComputeRequestStatus, IpWish, OperationKind, RequestId},
    text::Amount,
};

fn nodes() -> impl Iterator<Item = (NodeId, NodeRecord)> {
    market::Nodes::get().into_iter()
}

fn nodes_after(last: &NodeId) -> impl Iterator<Item = (NodeId, NodeRecord)> + '_ {
    nodes().skip_while(move |(node_id, _)| node_id <= last)
}

fn filter() -> NodeFilter {
    NodeFilter { resources: SMALL, country: None, max_price: None, ip: IpWish::None }
}

fn found(filter: NodeFilter) -> Vec<NodeId> {
    let page = Compute::find_nodes(&filter, nodes(), 10);
    assert_eq!(page.next, None);
    page.rows.into_iter().map(|row| row.node.node_id).collect()
}

fn ids(hosts: &[Host]) -> Vec<NodeId> {
    hosts.iter().map(Host::id).collect()
}

#[test]
fn the_nodes_that_take_a_vm_are_found() {
    run_test(|| {
        assert_eq!(found(filter()), ids(&[MAX_1, MIA_1, MILO_1]));
        MAX_1.change(|node| node.worker_accepting = false);
        MILO_1.fall_silent();
        pass(9);
        assert_eq!(found(filter()), ids(&[MIA_1]));
    });
}

#[test]
fn nodes_are_found_by_room_country_price_and_address() {
    run_test(|| {
        MIA_1.change(|node| node.offer.capacity.vcpus = 1);
        MAX_1.change(|node| node.offer.rates.vcpu = 100);
        MILO_1.change(|node| node.offer.global_ips = false);
        let large = NodeFilter { resources: LARGE, ..filter() };
        assert_eq!(found(large), ids(&[MAX_1, MILO_1]));
        let swedish = NodeFilter { country: Some(Country(*b"SE")), ..filter() };
        assert_eq!(found(swedish), ids(&[MILO_1]));
        let cheap = NodeFilter { max_price: Some(Amount(PRICE)), ..filter() };
        assert_eq!(found(cheap), ids(&[MIA_1, MILO_1]));
        let with_address = NodeFilter { ip: IpWish::Require, ..filter() };
        assert_eq!(found(with_address), ids(&[MAX_1, MIA_1]));
    });
}

#[test]
fn a_found_node_says_what_it_would_cost() {
    run_test(|| {
        let with_address = NodeFilter { ip: IpWish::Require, ..filter() };
        let row = Compute::find_nodes(&with_address, nodes(), 1).rows.remove(0);
        assert_eq!((row.price, row.ip_pool), (24, Some(quarry_primitives::ip::PoolId::Global)));
        let view = row.node;
        assert_eq!((view.online, view.takes_vms, view.free_ips), (true, true, 0));
        assert_eq!(view.room, market::CAPACITY);
    });
}

#[test]
fn nodes_come_in_pages() {
    run_test(|| {
        MIA_1.change(|node| node.worker_accepting = false);
        let first = Compute::find_nodes(&filter(), nodes(), 2);
        assert_eq!((first.rows.len(), first.next.clone()), (1, Some(MIA_1.id())));
        let rest = Compute::find_nodes(&filter(), nodes_after(&MIA_1.id()), 2);
        assert_eq!((rest.rows.len(), rest.next), (1, None));
    });
}

#[test]
fn a_limit_is_one_at_least_and_a_hundred_at_most() {
    run_test(|| {
        let many = || (0..u64::from(MAX_ROWS) + 50).map(|_| (MIA_1.id(), MIA_1.record()));
        let looked_at = |limit| Compute::find_nodes(&filter(), many(), limit).rows.len();
        assert_eq!((looked_at(0), looked_at(7), looked_at(u32::MAX)), (1, 7, 100));
    });
}

#[test]
fn a_full_node_takes_no_vms() {
    run_test(|| {
        MIA_1.change(|node| node.offer.max_vms = 1);
        running();
        let view = Compute::node_view(MIA_1.id(), MIA_1.record());
        assert_eq!((view.online, view.takes_vms), (true, false));
    });
}

#[test]
fn a_quote_says_what_a_plan_costs() {
    run_test(|| {
        let quote = Compute::quote(plan_id("small"), MIA_1.id()).unwrap();
        assert_eq!((quote.price, quote.ip_price), (PRICE, Some(Amount(GLOBAL_IP_PRICE))));
        assert_eq!((quote.min_prepaid_blocks, quote.unfit), (30, None));
        pending();
        assert!(quote.deposit.abs_diff(deposit_held(TINA)) < 50);
    });
}

#[test]
fn a_quote_says_why_a_node_would_not_take_it() {
    run_test(|| {
        MIA_1.change(|node| {
            node.offer.capacity.disk_gib = 1;
            node.offer.global_ips = false;
        });
        let quote = Compute::quote(plan_id("small"), MIA_1.id()).unwrap();
        assert_eq!((quote.ip_price, quote.unfit), (None, Some(Unfit::TooLarge)));
    });
}

#[test]
fn a_full_node_still_quotes_its_address() {
    run_test(|| {
        MIA_1.change(|node| node.offer.max_vms = 0);
        let quote = Compute::quote(plan_id("small"), MIA_1.id()).unwrap();
        assert_eq!(quote.ip_price, Some(Amount(GLOBAL_IP_PRICE)));
        assert_eq!(quote.unfit, Some(Unfit::TooManyVms));
    });
}

#[test]
fn a_quote_of_what_is_not_there_is_an_error() {
    run_test(|| {
        let small = plan_id("small");
        assert_eq!(Compute::quote(plan_id("huge"), MIA_1.id()), Err(ApiError::PlanNotFound));
        assert_eq!(Compute::quote(small, text("nowhere")), Err(ApiError::NodeNotFound));
        MIA_1.change(|node| node.offer.rates.vcpu = u128::MAX);
        let endless = Compute::quote(plan_id("large"), MIA_1.id());
        assert_eq!(endless, Err(ApiError::PriceOverflow));
    });
}

fn why(vm: RequestId) -> PendingReasons {
    Compute::why_pending(vm, nodes(), 10).unwrap()
}

#[test]
fn why_a_request_waits_is_counted() {
    run_test(|| {
        let vm = pending();
        assert_eq!((why(vm).nodes, why(vm).takers, why(vm).reasons), (3, 3, vec![]));
        MIA_1.change(|node| node.worker_accepting = false);
        MILO_1.change(|node| node.miner_accepting = false);
        MAX_1.change(|node| node.rates_raised_at = Some(now()));
        let reasons = vec![(Unfit::NotAccepting, 2), (Unfit::RatesRaisedLately, 1)];
        assert_eq!((why(vm).takers, why(vm).reasons), (0, reasons));
    });
}

#[test]
fn each_reason_to_wait_is_named() {
    let reasons: [(Unfit, fn()); 11] = [
        (Unfit::Leaving, || MIA_1.change(|node| node.leaves_at = Some(9))),
        (Unfit::NotAccepting, || MIA_1.change(|node| node.worker_accepting = false)),
        (Unfit::BondTooSmall, || MIA_1.change(|node| node.bond = 0)),
        (Unfit::WrongCountry, || MIA_1.change(|node| node.offer.country = Country(*b"XX"))),
        (Unfit::TooLarge, || MIA_1.change(|node| node.offer.capacity = Default::default())),
        (Unfit::TooManyVms, || MIA_1.change(|node| node.offer.max_vms = 0)),
        (Unfit::TooDear, || MIA_1.change(|node| node.offer.rates.disk_gib = 99)),
        (Unfit::NoAddress, || MIA_1.change(|node| node.offer.global_ips = false)),
        (Unfit::RatesRaisedLately, || MIA_1.change(|node| node.rates_raised_at = Some(1))),
        (Unfit::TooManyClaims, || {
            launching();
            launching();
        }),
        (Unfit::Offline, || {
            MIA_1.fall_silent();
            pass(9);
        }),
    ];
    for (reason, cause) in reasons {
        run_test(|| {
            let german = Some(Country(*b"DE"));
            let vm = create(Ask { country: german, ip: IpWish::Require, ..ask() });
            cause();
            let only_mia = nodes().filter(|(node_id, _)| *node_id == MIA_1.id());
            let found = Compute::why_pending(vm, only_mia, 10).unwrap();
            assert_eq!((found.takers, found.reasons), (0, vec![(reason, 1)]));
        });
    }
}

#[test]
fn who_failed_or_was_not_named_is_a_reason_too() {
    run_test(|| {
        let vm = launching();
        assert_ok!(MIA_1.fails(vm, RETRYABLE));
        assert_eq!((why(vm).takers, why(vm).reasons), (2, vec![(Unfit::Excluded, 1)]));
        MILO_1.change(|node| node.worker_accepting = false);
        let named = create(ask_for(&MILO_1));
        let reasons = vec![(Unfit::OtherNodeNamed, 2), (Unfit::NotAccepting, 1)];
        assert_eq!(why(named).reasons, reasons);
    });
}

#[test]
fn what_does_not_wait_has_no_reason_to() {
    run_test(|| {
        let vm = running();
        assert_eq!(Compute::why_pending(vm, nodes(), 10), Err(ApiError::NotPending));
        let nothing = Compute::why_pending(vm + 1, nodes(), 10);
        assert_eq!(nothing, Err(ApiError::ComputeRequestNotFound));
    });
}

/// All rows, page by page.
fn all<Row>(page: impl Fn(Option<RequestCursor>) -> Page<Row, RequestCursor>) -> Vec<Row> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let found = page(cursor);
        rows.extend(found.rows);
        match found.next {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

#[test]
fn a_tenants_vms_come_in_pages() {
    run_test(|| {
        let mut vms = vec![pending(), launching(), running(), stopped(), pending()];
        assert_ok!(Compute::cancel_compute_request(by(TINA), vms[4]));
        create(Ask { tenant: TOM, ..ask() });
        for limit in [1, 2, 5, 100] {
            let rows = all(|cursor| Compute::user_vms(&id(TINA), cursor, limit));
            let mut found: Vec<_> = rows.iter().map(|row| row.request.request_id).collect();
            found.sort();
            assert_eq!(found, vms, "{limit}");
        }
        vms.clear();
        assert_eq!(Compute::user_vms(&id(MIA), None, 10), Page { rows: vec![], next: None });
    });
}

#[test]
fn a_vm_is_shown_with_all_that_belongs_to_it() {
    run_test(|| {
        let vm = running_as(Ask { ip: IpWish::Require, ..ask() });
        let view = Compute::vm(vm).unwrap();
        assert_eq!(view.request, request(vm));
        assert_eq!(view.ssh_keys, keys(&[SSH_KEY.into()]));
        assert_eq!(view.lease, Some(lease(vm)));
        assert!(view.assignment.unwrap().fullfilled);
        assert_eq!(view.access, Some(MIA_1.record().access));
        let (pool, address) = IpOf::<Test>::get(vm).unwrap();
        assert_eq!(view.address, Some(VmAddress { pool, address, network: network() }));
        assert_eq!(Compute::vm(vm + 1), None);
    });
}

#[test]
fn a_pending_vm_has_neither_assignment_nor_access() {
    run_test(|| {
        let view = Compute::vm(pending()).unwrap();
        assert_eq!((view.assignment, view.address, view.access), (None, None, None));
        assert!(view.lease.is_some());
    });
}

fn work(vm: RequestId) -> WorkItem {
    let rows = all(|cursor| Compute::work_for(&MIA_1.id(), cursor, 2));
    rows.into_iter().find(|item| item.request_id == vm).unwrap()
}

#[test]
fn a_worker_gets_all_that_it_needs_for_a_launch() {
    run_test(|| {
        let vm = launching_as(Ask { ip: IpWish::Require, ..ask() });
        let item = work(vm);
        let stored = request(vm);
        assert_eq!((item.owner, item.birth), (id(TINA), stored.birth));
        assert_eq!((item.assigned_generation, item.generation), (1, 1));
        assert_eq!((item.desired, item.launched), (Desired::Launch, false));
        assert_eq!(item.operation, stored.operation);
        assert_eq!((item.name, item.resources), (text("web"), SMALL));
        assert_eq!((item.plan_id, item.image), (plan_id("small"), image("debian")));
        assert_eq!((item.cloud_init_cid, item.ssh_keys), (None, keys(&[SSH_KEY.into()])));
        assert!(item.address.is_some());
    });
}

#[test]
fn a_worker_is_told_what_should_be() {
    run_test(|| {
        let vm = running();
        let desired = || (work(vm).desired, work(vm).generation, work(vm).assigned_generation);
        assert_eq!(desired(), (Desired::Running, 1, 1));
        assert_ok!(Compute::request_compute_reboot(by(TINA), vm));
        assert_eq!(desired(), (Desired::Running, 2, 1));
        assert_ok!(MIA_1.does(OperationKind::Reboot, vm));
        assert_ok!(Compute::request_compute_stop(by(TINA), vm));
        assert_eq!(desired(), (Desired::Stopped, 3, 1));
        assert_ok!(MIA_1.does(OperationKind::Stop, vm));
        assert_eq!(desired(), (Desired::Stopped, 3, 1));
        assert_ok!(Compute::request_compute_resize(by(TINA), vm, plan_id("large")));
        assert_eq!(desired(), (Desired::Stopped, 4, 1));
        assert_eq!((work(vm).resources, work(vm).plan_id), (LARGE, plan_id("large")));
        assert_ok!(MIA_1.has_trouble(vm));
        assert_eq!((work(vm).resources, work(vm).plan_id), (SMALL, plan_id("small")));
        assert_ok!(Compute::request_compute_boot(by(TINA), vm));
        assert_eq!(desired().0, Desired::Running);
        assert_ok!(Compute::request_compute_delete(by(TINA), vm));
        assert_eq!(desired().0, Desired::Deleted);
    });
}

#[test]
fn a_worker_is_told_of_its_own_vms_only() {
    run_test(|| {
        let vms = [running(), running(), pending()];
        assert_ok!(MILO_1.claims(vms[2]));
        let rows = all(|cursor| Compute::work_for(&MIA_1.id(), cursor, 1));
        assert_eq!(rows.len(), 2);
        let rows = all(|cursor| Compute::work_for(&MILO_1.id(), cursor, 1));
        assert_eq!(rows.len(), 1);
        assert_eq!(Compute::work_for(&text("nowhere"), None, 9).rows, vec![]);
    });
}

fn open(host: &Host, limit: u32) -> Vec<OpenRequest> {
    all(|cursor| Compute::open_for(&host.id(), cursor, limit))
}

#[test]
fn a_worker_sees_what_it_could_claim() {
    run_test(|| {
        let vm = create(Ask { ip: IpWish::Require, ..ask() });
        let row = open(&MIA_1, 1).remove(0);
        assert_eq!((row.request_id, row.owner), (vm, id(TINA)));
        assert_eq!((row.plan_id, row.resources), (plan_id("small"), SMALL));
        assert_eq!((row.image, row.price), (image("debian"), PRICE + GLOBAL_IP_PRICE));
    });
}

#[test]
fn what_is_open_to_a_node_is_what_it_can_claim() {
    run_test(|| {
        launching();
        let vms = [
            pending(),
            create(Ask { country: Some(Country(*b"SE")), ..ask() }),
            create(Ask { max_price: PRICE - 1, ..ask() }),
            create(Ask { tenant: TOM, plan: "large", ..ask() }),
        ];
        MILO_1.change(|node| node.worker_accepting = false);
        let named = create(ask_for(&MILO_1));
        for limit in [1, 3, 100] {
            let mut found: Vec<_> = open(&MIA_1, limit).iter().map(|row| row.request_id).collect();
            found.sort();
            assert_eq!(found, vec![vms[0], vms[3]]);
        }
        for vm in vms.into_iter().chain([named]) {
            let listed = open(&MIA_1, 9).iter().any(|row| row.request_id == vm);
            assert_eq!(is_free(MIA_1.worker, &claim(&MIA_1, vm)), listed);
        }
        assert_eq!(status(named), ComputeRequestStatus::Pending);
    });
}

#[test]
fn nothing_is_open_to_a_node_that_may_not_claim_or_is_not_there() {
    run_test(|| {
        pending();
        MIA_1.change(|node| node.rates_raised_at = Some(now()));
        assert_eq!(open(&MIA_1, 9), vec![]);
        assert_eq!(open(&Host { name: "nowhere", ..MIA_1 }, 9), vec![]);
    });
}
