//! A worker without funds tells a development chain what it does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{
    access, next_block, soon, subxt_account, temporary, worker_key, ChainNode, Market, BLOCK_TIME,
};
use futures::future::join_all;
use quarry_client::{
    bindings, Chain, ChainOptions, Config, Outcome, Refusal, Report, Reports, ReportsHandle,
    Submitter,
};
use quarry_primitives::{
    api::Desired,
    node::NodeMetricsData,
    request::{FailureKind, OperationKind, VmAccess},
    BlockNumber, Hash, RequestId,
};
use std::{collections::BTreeMap, time::Duration};
use subxt::{
    config::DefaultExtrinsicParamsBuilder,
    rpcs::{rpc_params, RpcClient},
};

fn vm_access(job_id: &str) -> VmAccess {
    let job_id = job_id.try_into().unwrap();
    VmAccess { job_id, hypervisor_ip: None, vnc_port: None, ssh_host_key: None }
}

fn launched(request_id: RequestId, generation: u64) -> Report {
    Report::Launched { request_id, generation, access: vm_access("launch") }
}

fn working(request_id: RequestId, generation: u64) -> Report {
    Report::Working { request_id, generation, job_id: "launch".try_into().unwrap() }
}

fn heartbeat(market: &Market, with_metrics: bool) -> Report {
    let metrics = NodeMetricsData { miner_id: market.node_id.clone(), ..Default::default() };
    Report::Heartbeat { accepting: true, metrics: with_metrics.then(|| Box::new(metrics)) }
}

fn is_finalized(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Finalized { .. })
}

/// The generation at which each VM of the node is asked for something.
async fn generation_of(market: &Market, request_id: RequestId) -> u64 {
    let work = market.now().work_for(&market.node_id).await.unwrap();
    work.iter().find(|item| item.request_id == request_id).unwrap().generation
}

/// A client with the worker's key.
fn reports_of(market: &Market) -> ReportsHandle {
    reports_after(market, 0)
}

/// The same after a run that saw that block.
fn reports_after(market: &Market, seen: BlockNumber) -> ReportsHandle {
    Reports::spawn(market.chain.clone(), market.worker.clone(), market.node_id.clone(), seen)
}

async fn send(reports: &ReportsHandle, report: Report) -> Outcome {
    let name = report.name();
    soon(name, reports.send(report)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_tells_the_chain_what_it_does_and_each_thing_once() {
    let folder = temporary();
    let node = ChainNode::start(folder.path(), 0);
    let market = Market::open(ChainOptions::new([node.url()]), "alpha").await;
    let reports = reports_of(&market);

    heartbeats_are_free_for_a_worker_without_funds(&market, &reports).await;
    let requests = market.rent(207).await;
    tokio::join!(
        a_launch_that_is_told_twice_lands_once(&market, &reports, requests[0]),
        a_gap_is_filled_that_a_report_left_when_it_was_in_the_pool(
            &market,
            &reports,
            &requests[1..4]
        ),
        two_hundred_reports_at_once_all_land(&market, &reports, &requests[4..204]),
        a_tenants_mistake_has_its_name(&market),
        another_chain_is_refused(&market, node.url()),
    );
    let view = market.now().node(&market.node_id).await.unwrap().unwrap();
    assert_eq!((view.node.counts.launched, view.node.counts.failed), (203, 1));
    what_the_chain_has_moved_on_from_is_stale(&market, &reports, requests[0]).await;
    another_client_with_the_same_key_is_seen_and_outlived(&market, &reports, &requests[204..])
        .await;
}

/// A worker that is killed while its chain node begins anew leaves transactions in the pools of others only.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_run_signed_may_land_after_the_next_one_began() {
    let folder = temporary();
    let node = ChainNode::start(folder.path(), 0);
    let market = Market::open(ChainOptions::new([node.url()]), "alpha").await;
    assert!(is_finalized(&send(&reports_of(&market), heartbeat(&market, false)).await));
    let requests = market.rent(4).await;
    let elsewhere = subxt::OnlineClient::<Config>::from_insecure_url(node.url()).await.unwrap();
    let signed = async |nonce: u64, request_id: RequestId| {
        let call = bindings::tx().compute().mark_compute_request_fulfilled(
            (&market.node_id).into(),
            request_id,
            generation_of(&market, request_id).await,
            vm_access("launch").into(),
        );
        let params = DefaultExtrinsicParamsBuilder::new().mortal(64).nonce(nonce).build();
        let now = elsewhere.at_current_block().await.unwrap();
        now.tx().create_signed(&call, &market.worker, params).await.unwrap()
    };
    let before = signed(1, requests[0]).await;

    let reports = reports_of(&market);
    let mut status = reports.status();
    soon("the start", status.wait_for(|status| status.nonce == 1)).await.unwrap();
    before.submit().await.unwrap();
    soon("its block", status.wait_for(|status| status.nonce == 2)).await.unwrap();
    let generation = generation_of(&market, requests[1]).await;
    assert!(is_finalized(&send(&reports, launched(requests[1], generation)).await));
    assert_eq!(status.borrow_and_update().foreign_nonce_seen, 0);

    // One that begins with a chain node that is behind what the former run saw.
    let behind = reports_after(&market, market.chain.best().borrow().unwrap().number + 100);
    let mut late = behind.status();
    soon("the start", late.wait_for(|status| status.nonce == 3)).await.unwrap();

    signed(3, requests[2]).await.submit().await.unwrap();
    let seen = status.wait_for(|status| status.foreign_nonce_seen == 1);
    soon("what somebody else signed since", seen).await.unwrap();
    let generation = generation_of(&market, requests[3]).await;
    assert!(is_finalized(&send(&behind, launched(requests[3], generation)).await));
    assert_eq!(late.borrow_and_update().foreign_nonce_seen, 0);
}

async fn heartbeats_are_free_for_a_worker_without_funds(market: &Market, reports: &ReportsHandle) {
    let account = market.now().account(&market.worker.public()).await.unwrap().unwrap();
    assert_eq!((account.free, account.providers, account.nonce), (0, 1, 0));
    let outcome = send(reports, heartbeat(market, true)).await;
    let Outcome::Finalized { hash, .. } = outcome else { panic!("{outcome:?}") };
    let at = market.chain.at(hash);
    let view = at.node(&market.node_id).await.unwrap().unwrap();
    assert!(view.online && view.node.last_metrics.is_some());
    assert!(at.node_metrics(&market.node_id).await.unwrap().is_some());
    assert_eq!(at.heartbeat_every().await.unwrap(), 3);
    assert_eq!(at.metrics_every().await.unwrap(), 50);
    assert_eq!(at.params().await.unwrap().launch_timeout, 150);
    assert_eq!(at.next_request_id().await.unwrap(), market.next_request_id().await);
    assert!(at.live_blocks().await.unwrap() >= view.node.last_heartbeat.unwrap());
    assert!(market.chain.network().await.unwrap().is_in_step());
    assert_eq!(market.chain.spec_version().unwrap(), 1);
    // Metrics are not due again so soon.
    assert_eq!(send(reports, heartbeat(market, true)).await, Outcome::Stale);
}

async fn a_launch_that_is_told_twice_lands_once(
    market: &Market,
    reports: &ReportsHandle,
    request_id: RequestId,
) {
    let generation = generation_of(market, request_id).await;
    let (work, first, second) = tokio::join!(
        send(reports, working(request_id, generation)),
        send(reports, launched(request_id, generation)),
        send(reports, launched(request_id, generation)),
    );
    assert!(work == Outcome::Superseded || is_finalized(&work), "{work:?}");
    assert!(is_finalized(&first), "{first:?}");
    assert_eq!(first, second);
    assert_eq!(send(reports, launched(request_id, generation)).await, first);
    let vm = market.now().vm(request_id).await.unwrap().unwrap();
    assert_eq!(vm.assignment.unwrap().job_id, Some("launch".try_into().unwrap()));
}

/// The first report moves the generation on, so that the second, which was good when the pool took it, is
/// not when its turn comes. Those after it have its nonce to wait for.
async fn a_gap_is_filled_that_a_report_left_when_it_was_in_the_pool(
    market: &Market,
    reports: &ReportsHandle,
    requests: &[RequestId],
) {
    let generation = generation_of(market, requests[0]).await;
    let (kind, reason) = (FailureKind::Retryable, "no disk".try_into().unwrap());
    let request_id = requests[0];
    let outcomes = [
        send(reports, Report::LaunchFailed { request_id, generation, kind, reason }),
        send(reports, working(request_id, generation)),
        send(reports, launched(requests[1], generation_of(market, requests[1]).await)),
        send(reports, launched(requests[2], generation_of(market, requests[2]).await)),
    ];
    let outcomes = join_all(outcomes).await;
    assert_eq!(outcomes[1], Outcome::Stale);
    for at in [0, 2, 3] {
        assert!(is_finalized(&outcomes[at]), "{at}: {outcomes:?}");
    }
}

async fn what_the_chain_has_moved_on_from_is_stale(
    market: &Market,
    reports: &ReportsHandle,
    request_id: RequestId,
) {
    let generation = generation_of(market, request_id).await;
    let (kind, reason) = (FailureKind::Retryable, "no".try_into().unwrap());
    let stale = [
        launched(request_id, generation + 1),
        launched(1_000_000, 1),
        Report::Done { kind: OperationKind::Stop, request_id, generation },
        Report::OperationFailed { request_id, generation, kind, reason },
    ];
    for outcome in join_all(stale.map(|report| send(reports, report))).await {
        assert_eq!(outcome, Outcome::Stale);
    }
    let launch = Report::Done { kind: OperationKind::Launch, request_id, generation };
    assert_eq!(send(reports, launch).await, Outcome::Refused { error: Refusal::NotAReport });
    let status = reports.status().borrow().clone();
    assert_eq!((status.under_way, status.foreign_nonce_seen), (0, 0), "{status:?}");
}

async fn another_chain_is_refused(market: &Market, url: String) {
    let mut options = ChainOptions::new([url]);
    options.genesis = Some(Hash::repeat_byte(1));
    let chain = Chain::start(options).unwrap();
    let mut connection = chain.connection();
    let refused = connection.wait_for(|connection| connection.last_error.is_some());
    let error = soon("a refusal", refused).await.unwrap().last_error.clone().unwrap();
    assert!(
        error.contains("another chain") && error.contains(&format!("{:?}", market.genesis)),
        "{error}"
    );
    assert_eq!(connection.borrow().connects, 0);
    assert!(chain.finalized().borrow().is_none());
}

async fn two_hundred_reports_at_once_all_land(
    market: &Market,
    reports: &ReportsHandle,
    requests: &[RequestId],
) {
    let work = market.now().work_for(&market.node_id).await.unwrap();
    let launches = work.iter().filter(|item| requests.contains(&item.request_id));
    let launches: Vec<_> = launches.collect();
    assert!(launches.iter().all(|item| item.desired == Desired::Launch));
    let beat = reports.send(heartbeat(market, false));
    let sent =
        launches.iter().map(|item| send(reports, launched(item.request_id, item.generation)));
    let outcomes = join_all(sent).await;
    assert_eq!(outcomes.len(), 200);
    assert!(outcomes.iter().all(is_finalized), "{outcomes:?}");
    let beat = soon("the heartbeat", beat).await;
    assert!(is_finalized(&beat) || beat == Outcome::Stale, "{beat:?}");
}

async fn another_client_with_the_same_key_is_seen_and_outlived(
    market: &Market,
    reports: &ReportsHandle,
    requests: &[RequestId],
) {
    let other = reports_of(market);
    // What was signed before it started, it takes for its own of a former run.
    let mut started = other.status();
    soon("the other's start", started.wait_for(|status| status.nonce > 0)).await.unwrap();
    let before = market.now().node(&market.node_id).await.unwrap().unwrap().node.counts.launched;
    let generations =
        [generation_of(market, requests[0]).await, generation_of(market, requests[1]).await];
    let elsewhere = access("second.example:2222");
    let (ours, others, moved) = tokio::join!(
        send(reports, launched(requests[0], generations[0])),
        send(&other, launched(requests[1], generations[1])),
        send(&other, Report::SetAccess(elsewhere.clone())),
    );
    for outcome in [&ours, &others, &moved] {
        assert!(is_finalized(outcome), "{ours:?} {others:?} {moved:?}");
    }
    let is_seen_by = async |client: &ReportsHandle| {
        let mut status = client.status();
        let seen = status.wait_for(|status| status.foreign_nonce_seen > 0);
        soon("the other's nonces", seen).await.unwrap();
    };
    is_seen_by(reports).await;
    // What the one before it signed before the other began tells the other nothing.
    let generation = generation_of(market, requests[2]).await;
    assert!(is_finalized(&send(reports, launched(requests[2], generation)).await));
    is_seen_by(&other).await;
    let view = market.now().node(&market.node_id).await.unwrap().unwrap();
    assert_eq!(view.node.access, elsewhere);
    assert_eq!(view.node.counts.launched, before + 3);
}

async fn a_tenants_mistake_has_its_name(market: &Market) {
    let error = market.submit(bindings::tx().compute().request_compute_stop(999_999)).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("Compute.ComputeRequestNotFound"), "{error}");
    let pauper = Submitter::spawn(market.chain.clone(), worker_key("pauper"));
    let receiver = subxt_account(&market.worker.public()).into();
    let transfer = bindings::tx().balances().transfer_allow_death(receiver, 1);
    let error = soon("a refusal", pauper.submit(transfer)).await.err().unwrap();
    assert!(error.to_string().contains("cannot pay"), "{error}");
}

/// Chain nodes send each other a transaction once, and drop those behind one that is not good any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_nearest_chain_node_still_has_gets_into_a_block() {
    let folders = (temporary(), temporary());
    let maker = ChainNode::start_with(folders.0.path(), 0, &["--rpc-methods", "unsafe"]);
    let rpc = RpcClient::from_insecure_url(maker.url()).await.unwrap();
    let addresses: Vec<String> =
        rpc.request("system_localListenAddresses", rpc_params![]).await.unwrap();
    let address =
        addresses.iter().find(|address| address.starts_with("/ip4/127.0.0.1/tcp/")).unwrap();
    let nearest = ChainNode::follow(folders.1.path(), address);
    let market = Market::open(ChainOptions::new([maker.url()]), "alpha").await;
    let near = Chain::start(ChainOptions::new([nearest.url()])).unwrap();
    let reports = Reports::spawn(near.clone(), market.worker.clone(), market.node_id.clone(), 0);
    let knows_all = || async {
        let number = market.chain.finalized().borrow().unwrap().block.number;
        let mut best = near.best();
        let knows = best.wait_for(|best| best.is_some_and(|best| best.number >= number));
        soon("the follower", knows).await.unwrap();
    };
    knows_all().await;
    assert!(is_finalized(&send(&reports, heartbeat(&market, false)).await));
    let requests = market.rent(5).await;
    knows_all().await;

    let mut sent = 1;
    for request_id in requests {
        let report = launched(request_id, generation_of(&market, request_id).await);
        next_block(&near).await;
        let outcome = reports.send(report);
        let dropped = is_dropped(&rpc).await;
        assert!(is_finalized(&soon("the report", outcome).await));
        sent += 1;
        if dropped {
            let finalized = near.finalized().borrow().unwrap().block.hash;
            let worker = near.at(finalized).account(&market.worker.public()).await;
            let worker = worker.unwrap().unwrap();
            assert_eq!((worker.free, worker.nonce), (0, sent));
            return;
        }
    }
    panic!("a block took each of them before it could be dropped");
}

/// Makes the chain node drop the transaction that its pool gets next; false where a block comes first.
async fn is_dropped(rpc: &RpcClient) -> bool {
    let drop = async {
        loop {
            let pool: Vec<String> =
                rpc.request("author_pendingExtrinsics", rpc_params![]).await.unwrap();
            if let Some(transaction) = pool.first() {
                let which = [BTreeMap::from([("extrinsic", transaction)])];
                let gone: Vec<Hash> =
                    rpc.request("author_removeExtrinsic", rpc_params![which]).await.unwrap();
                return !gone.is_empty();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BLOCK_TIME * 2, drop).await.unwrap_or(false)
}
