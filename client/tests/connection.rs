//! What a worker's client makes of a chain that goes away.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{
    free_port, next_block, soon, subxt_account, temporary, worker_key, ChainNode, Market,
    BLOCK_TIME, PATIENCE,
};
use futures::future::join_all;
use quarry_client::{
    bindings, bindings::runtime_types, Chain, ChainOptions, EndpointError, Outcome, Refusal,
    Report, Reports, ReportsHandle, Standing, SubmitError, Submitter, WorkerKey,
};
use quarry_primitives::{request::VmAccess, RequestId, QRY};
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{tcp::OwnedReadHalf, tcp::OwnedWriteHalf, TcpListener, TcpStream},
};

async fn launches(market: &Market, requests: &[RequestId]) -> Vec<Report> {
    let work = market.now().work_for(&market.node_id).await.unwrap();
    let asked: Vec<_> = work.iter().filter(|item| requests.contains(&item.request_id)).collect();
    assert_eq!(asked.len(), requests.len());
    asked
        .into_iter()
        .map(|item| {
            let job_id = "launch".try_into().unwrap();
            let access =
                VmAccess { job_id, hypervisor_ip: None, vnc_port: None, ssh_host_key: None };
            let (request_id, generation) = (item.request_id, item.generation);
            Report::Launched { request_id, generation, access }
        })
        .collect()
}

/// A node that was never heard gets no VMs.
async fn come_online(reports: &ReportsHandle) {
    let beat = reports.send(Report::Heartbeat { accepting: true, metrics: None });
    assert!(matches!(soon("the heartbeat", beat).await, Outcome::Finalized { .. }));
}

async fn all_land(reports: &ReportsHandle, launches: &[Report]) {
    let sent = launches.iter().map(|report| reports.send(report.clone()));
    let outcomes = soon("the reports", join_all(sent)).await;
    let landed = |outcome: &Outcome| matches!(outcome, Outcome::Finalized { .. });
    assert!(outcomes.iter().all(landed), "{outcomes:?}");
}

#[tokio::test]
async fn an_endpoint_that_can_never_answer_is_refused_at_once() {
    let start = |endpoint: &str| Chain::start(ChainOptions::new([endpoint])).err();
    assert!(matches!(start("localhost:9944"), Some(EndpointError::NotAWebSocket { .. })));
    assert!(matches!(start("what?"), Some(EndpointError::NotAUrl { number: 1, .. })));
    let none = Chain::start(ChainOptions::new(Vec::<String>::new())).err();
    assert_eq!(none, Some(EndpointError::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_outlive_a_chain_node_that_is_killed_and_a_reset_of_the_chain() {
    let (folder, port) = (temporary(), free_port());
    let mut node = ChainNode::start(folder.path(), port);
    let nobody = format!("ws://127.0.0.1:{}", free_port());
    let market = Market::open(ChainOptions::new([nobody, node.url()]), "alpha").await;
    let reports =
        Reports::spawn(market.chain.clone(), market.worker.clone(), market.node_id.clone(), 0);
    come_online(&reports).await;
    let requests = market.rent(20).await;
    let launches = launches(&market, &requests).await;

    // Just after a block, so that they are in the pool and in no block when it goes.
    next_block(&market.chain).await;
    let begun = Instant::now();
    let waiting: Vec<_> = launches.iter().map(|report| reports.send(report.clone())).collect();
    let mut status = reports.status();
    soon("the pool", status.wait_for(|status| status.under_way == 20)).await.unwrap();
    node.kill();
    let in_time = begun.elapsed() < BLOCK_TIME / 2;
    let mut connection = market.chain.connection();
    soon("the end", connection.wait_for(|now| now.endpoint.is_none())).await.unwrap();
    node = ChainNode::start(folder.path(), port);
    for outcome in soon("the reports", join_all(waiting)).await {
        assert!(matches!(outcome, Outcome::Finalized { .. }), "{outcome:?}");
    }
    let seen = reports.status().borrow().clone();
    assert!((seen.sent_again >= 20 || !in_time) && seen.finalized == 21, "{seen:?}");
    assert_eq!(seen.foreign_nonce_seen, 0);
    let view = market.now().node(&market.node_id).await.unwrap().unwrap();
    assert_eq!(view.node.counts.launched, 20);
    all_land(&reports, &launches).await;

    node.kill();
    let elsewhere = temporary();
    let queued = reports.send(Report::SetAccess(common::access("second.example:2222")));
    let _node = ChainNode::start(elsewhere.path(), port);
    let mut finalized = market.chain.finalized();
    let reset = |now: &Option<quarry_client::Finalized>| {
        now.is_some_and(|now| now.standing == Standing::Replaced)
    };
    let replaced = *soon("the new chain", finalized.wait_for(reset)).await.unwrap();
    assert!(!replaced.unwrap().may_act());
    assert_eq!(soon("the end of a report", queued).await, Outcome::Stale);
}

/// The chain by way of endpoints that are taken for lost before a test is over, and not for a few late blocks.
fn follow(endpoints: impl IntoIterator<Item = String>) -> Chain {
    let mut options = ChainOptions::new(endpoints);
    options.silence = BLOCK_TIME * 4;
    Chain::start(options).unwrap()
}

/// Stands between a client and a chain node, and can fall silent without closing anything.
struct Wire {
    url: String,
    silent: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let silent = Arc::new(AtomicBool::new(false));
        let hushed = silent.clone();
        let task = tokio::spawn(async move {
            let mut copies = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_node, to_node) =
                    TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
                copies.spawn(copy(from_client, to_node, hushed.clone()));
                copies.spawn(copy(from_node, to_client, hushed.clone()));
            }
        });
        Self { url, silent, task }
    }

    fn hush(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, silent: Arc<AtomicBool>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !silent.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_takes_over_from_one_that_falls_silent_and_from_one_that_closes() {
    let folder = temporary();
    let node = ChainNode::start(folder.path(), 0);
    let (first, second) = (Wire::to(node.port).await, Wire::to(node.port).await);
    let chain = follow([first.url.clone(), second.url.clone()]);
    let alice = Submitter::spawn(chain.clone(), common::alice());
    let lands = || async {
        let remark = bindings::tx().system().remark(b"here".to_vec());
        soon("a remark", alice.submit(remark)).await.unwrap();
    };
    lands().await;
    let mut connection = chain.connection();
    assert_eq!(connection.borrow().endpoint.as_ref(), Some(&first.url));

    first.hush(true);
    let second_in_use = connection.wait_for(|now| now.endpoint.as_ref() == Some(&second.url));
    let _ =
        tokio::join!(async { soon("the second", second_in_use).await.unwrap().connects }, lands());
    let error = connection.borrow().last_error.clone().unwrap();
    assert!(error.starts_with(&first.url), "{error}");

    first.hush(false);
    second.task.abort();
    let _ = second.task.await;
    let first_in_use = connection.wait_for(|now| now.endpoint.as_ref() == Some(&first.url));
    soon("the first", first_in_use).await.unwrap();
    lands().await;
    assert!(chain.finalized().borrow().unwrap().may_act());
    assert_eq!(alice.status().borrow().foreign_nonce_seen, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_takes_over_from_one_that_is_cut_off_from_the_chain() {
    let (folder, elsewhere) = (temporary(), temporary());
    let cut_off = ChainNode::cut_off(folder.path());
    let other = ChainNode::start(elsewhere.path(), 0);
    let nobody = format!("ws://127.0.0.1:{}", free_port());
    let with_another = follow([cut_off.url(), other.url(), nobody.clone()]);
    let alone = follow([cut_off.url(), nobody]);
    let mut connection = with_another.connection();
    let first_in_use = connection.wait_for(|now| now.endpoint.as_ref() == Some(&cut_off.url()));
    soon("the first", first_in_use).await.unwrap();
    let other_in_use = connection.wait_for(|now| now.endpoint.as_ref() == Some(&other.url()));
    soon("the other", other_in_use).await.unwrap();
    let error = connection.borrow().last_error.clone().unwrap();
    assert!(error.contains("lags behind the chain or has no peers"), "{error}");

    // Where no other answers, it is better than none.
    let only = alone.connection().borrow().clone();
    assert!(only.last_error.is_none_or(|error| !error.contains("lags")));
    assert!(alone.network().await.unwrap().is_alone);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_landed_before_the_chain_node_forgot_it_holds_up_nothing() {
    tokio::join!(
        a_long_absence(&["--state-pruning", "4"]),
        a_long_absence(&["--state-pruning", "4", "--blocks-pruning", "4"]),
    );
}

/// A worker and a tenant are away for longer than their chain node keeps what would tell them of their last calls.
async fn a_long_absence(keeps: &[&str]) {
    let folder = temporary();
    let node = ChainNode::start_with(folder.path(), 0, keeps);
    let wire = Wire::to(node.port).await;
    let market = Market::open(ChainOptions::new([node.url()]), "alpha").await;
    let far = follow([wire.url.clone()]);
    let reports = Reports::spawn(far.clone(), market.worker.clone(), market.node_id.clone(), 0);
    come_online(&reports).await;
    let requests = market.rent(2).await;
    let launches = launches(&market, &requests).await;
    let tenant = Submitter::spawn(far.clone(), WorkerKey::from_uri("//Bob").unwrap());
    let receiver = worker_key("receiver").public();
    let transfer =
        bindings::tx().balances().transfer_keep_alive(subxt_account(&receiver).into(), QRY);

    next_block(&far).await;
    let report = reports.send(launches[0].clone());
    let paid = tenant.submit(transfer);
    for mut status in [reports.status(), tenant.status()] {
        soon("the pool", status.wait_for(|status| status.under_way == 1)).await.unwrap();
    }
    wire.hush(true);
    let left = market.chain.best().borrow().unwrap().number;
    let mut finalized = market.chain.finalized();
    let gone =
        |now: &Option<quarry_client::Finalized>| now.is_some_and(|now| now.block.number > left + 8);
    soon("later blocks", finalized.wait_for(gone)).await.unwrap();
    wire.hush(false);

    assert_eq!(soon("the end of the report", report).await, Outcome::Stale);
    let paid = soon("the end of the call", paid).await.err().unwrap();
    assert!(matches!(paid, SubmitError::Refused(Refusal::Unknown)), "{paid}");
    all_land(&reports, &launches[1..]).await;
    let now = far.at(far.finalized().borrow().unwrap().block.hash);
    let view = now.node(&market.node_id).await.unwrap().unwrap();
    assert_eq!(view.node.counts.launched, 2);
    let account = now.account(&receiver).await.unwrap().unwrap();
    assert_eq!(account.free, QRY);
    let (ours, theirs) = (reports.status(), tenant.status());
    let foreign = [ours.borrow().foreign_nonce_seen, theirs.borrow().foreign_nonce_seen];
    assert_eq!(foreign, [0, 0]);
}

type RuntimeCall = runtime_types::quarry_runtime::RuntimeCall;

fn launches_paused(paused: bool) -> RuntimeCall {
    use runtime_types::pallet_tx_pause::pallet::Call::{pause, unpause};
    let name = |text: &str| {
        runtime_types::bounded_collections::bounded_vec::BoundedVec(text.as_bytes().to_vec())
    };
    let full_name = (name("Compute"), name("mark_compute_request_fulfilled"));
    RuntimeCall::TxPause(match paused {
        true => pause { full_name },
        false => unpause { ident: full_name },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_does_not_take_now_holds_up_nothing_else() {
    let folder = temporary();
    let node = ChainNode::start(folder.path(), 0);
    let wire = Wire::to(node.port).await;
    let market = Market::open(ChainOptions::new([node.url()]), "alpha").await;
    let far = follow([wire.url.clone()]);
    let reports = Reports::spawn(far.clone(), market.worker.clone(), market.node_id.clone(), 0);
    come_online(&reports).await;
    let requests = market.rent(4).await;
    let mut launches = launches(&market, &requests).await.into_iter();

    // It has its nonce before the call is paused, and the chain node does not get it.
    let mut status = reports.status();
    let launch = loop {
        next_block(&far).await;
        tokio::time::sleep(BLOCK_TIME / 2).await;
        wire.hush(true);
        let launch = reports.send(launches.next().unwrap());
        let has_nonce = status.wait_for(|status| status.under_way == 1);
        if tokio::time::timeout(PATIENCE / 4, has_nonce).await.is_ok() {
            break launch;
        }
        // Something else was under way just then, and is not answered either.
        wire.hush(false);
        soon("the launch", launch).await;
    };
    let paused = |paused| bindings::tx().sudo().sudo(launches_paused(paused));
    market.submit(paused(true)).await.unwrap();
    wire.hush(false);
    let moved = reports.send(Report::SetAccess(common::access("second.example:2222")));
    let moved = soon("what is not paused", moved).await;
    assert!(matches!(moved, Outcome::Finalized { .. }), "{moved:?}");
    market.submit(paused(false)).await.unwrap();
    let launch = soon("what was paused", launch).await;
    assert!(matches!(launch, Outcome::Finalized { .. }), "{launch:?}");
}
