#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::{status::*, *};
use crate::metrics::Metrics;
use serde_json::{json, Value};
use std::{path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

struct Running {
    address: SocketAddr,
    board: Arc<StatusBoard>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    data_dir: tempfile::TempDir,
}

async fn running() -> Running {
    running_in(tempfile::tempdir().unwrap()).await
}

async fn running_in(data_dir: tempfile::TempDir) -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), data_dir.path()).await.unwrap();
    let board = StatusBoard::new("alpha", "test:///default");
    let metrics = Metrics::new().unwrap();
    let stop = CancellationToken::new();
    let address = server.address();
    let task = tokio::spawn(server.serve(board.clone(), metrics.clone(), stop.clone()));
    Running { address, board, metrics, stop, task, data_dir }
}

async fn raw(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    raw(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

fn vm(request_id: u128) -> VmStatus {
    VmStatus {
        request_id,
        name: "web".into(),
        desired: "running".into(),
        observed: "off".into(),
        generation: 3,
        operation: Some("boot".into()),
        progress: None,
        since: Timestamp::now(),
        address: None,
        image: "debian-13".into(),
        last_error: None,
    }
}

fn make_ready(board: &StatusBoard) {
    board.chain(Some("ws://127.0.0.1:9944"));
    board.finalized(9, false);
    board.update(|status| {
        status.hypervisor.connected = true;
        status.registered = true;
    });
}

#[tokio::test]
async fn a_worker_whose_loop_ticks_is_alive() {
    let worker = running().await;
    worker.board.beat();
    assert_eq!(ask(worker.address, "/livez").await, (200, "alive\n".into()));
}

#[tokio::test]
async fn a_worker_whose_loop_is_stuck_is_not_alive_and_says_why() {
    let worker = running().await;
    worker.board.pretend_last_beat_was(BEAT_LIMIT * 2);
    let (code, body) = ask(worker.address, "/livez").await;
    assert_eq!(code, 503);
    assert!(body.contains("stuck for 6"), "{body}");
    worker.board.beat();
    assert_eq!(ask(worker.address, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_new_worker_is_not_ready_and_names_all_that_is_missing() {
    let worker = running().await;
    let (code, body) = ask(worker.address, "/readyz").await;
    let answer: Readiness = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 503);
    assert_eq!(answer.missing.len(), 4, "{body}");
    for missing in ["chain endpoint", "finalized block", "libvirt", "alpha"] {
        assert!(answer.missing.iter().any(|line| line.contains(missing)), "{missing} in {body}");
    }
}

#[tokio::test]
async fn a_worker_with_all_it_needs_is_ready() {
    let worker = running().await;
    make_ready(&worker.board);
    let (code, body) = ask(worker.address, "/readyz").await;
    assert_eq!(code, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({ "ready": true, "missing": [] })
    );
}

#[tokio::test]
async fn a_chain_that_syncs_or_stands_still_or_is_gone_is_not_ready() {
    let board = StatusBoard::new("alpha", "test:///default");
    make_ready(&board);
    board.finalized(9, true);
    assert_eq!(
        board.readiness().missing,
        ["the chain node is syncing, or nothing new was finalized yet"]
    );
    board.finalized(9, false);
    board.chain(None);
    assert_eq!(board.readiness().missing, ["no chain endpoint answers"]);
    board.chain(Some("ws://127.0.0.1:9944"));
    board.pretend_last_block_was(FINALITY_LIMIT * 2);
    board.finalized(9, false);
    let missing = board.readiness().missing;
    assert!(missing.len() == 1 && missing[0].contains("for 12"), "{missing:?}");
    board.finalized(10, false);
    assert!(board.readiness().ready);
}

#[tokio::test]
async fn vms_are_listed_by_number_with_numbers_that_javascript_can_read() {
    let worker = running().await;
    for number in [u128::MAX, 7] {
        worker.board.set_vm(vm(number));
    }
    let (code, body) = ask(worker.address, "/v1/vms").await;
    let vms: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(code, 200);
    assert_eq!(vms[0]["request_id"], json!("7"));
    assert_eq!(vms[1]["request_id"], json!(u128::MAX.to_string()));
    assert_eq!(vms[0]["operation"], json!("boot"));
}

#[tokio::test]
async fn a_vm_line_changes_and_goes() {
    let board = StatusBoard::new("alpha", "test:///default");
    board.set_vm(vm(7));
    board.set_vm(vm(8));
    board.update_vm(7, |vm| vm.observed = "running".into());
    board.update_vm(9, |vm| vm.observed = "nowhere".into());
    board.retain_vms(|request_id| request_id == 7);
    let vms = board.vms();
    assert_eq!((vms.len(), vms[0].observed.as_str()), (1, "running"));
}

#[tokio::test]
async fn the_status_of_a_running_worker_is_found_by_its_data_folder() {
    let worker = running().await;
    worker.board.set_vm(vm(7));
    worker.board.update(|status| status.worker = Some("5Grw".into()));
    let status = fetch_status(worker.data_dir.path()).await.unwrap();
    assert_eq!((status.worker.node_id.as_str(), status.vms[0].request_id), ("alpha", 7));
    assert_eq!(status.worker.worker.as_deref(), Some("5Grw"));
}

#[tokio::test]
async fn a_worker_that_ended_leaves_no_address_behind() {
    let worker = running().await;
    let data_dir = worker.data_dir.path().to_owned();
    assert_eq!(address_of_running_worker(&data_dir).unwrap(), worker.address);
    worker.stop.cancel();
    worker.task.await.unwrap();
    let error = fetch_status(&data_dir).await.unwrap_err();
    assert!(matches!(error, HttpError::NoWorker { .. }), "{error}");
}

#[tokio::test]
async fn an_address_of_a_worker_that_died_is_no_running_worker() {
    let data_dir = tempfile::tempdir().unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::fs::write(data_dir.path().join(ADDRESS_FILE), format!("{dead}\n")).unwrap();
    let error = fetch_status(data_dir.path()).await.unwrap_err().to_string();
    assert!(error.contains("nothing listens"), "{error}");
    std::fs::write(data_dir.path().join(ADDRESS_FILE), "rubbish").unwrap();
    let error = fetch_status(data_dir.path()).await.unwrap_err().to_string();
    assert!(error.contains("no address"), "{error}");
}

#[tokio::test]
async fn metrics_are_served_as_prometheus_reads_them() {
    let worker = running().await;
    worker.metrics.set_finalized(12);
    let (code, body) = ask(worker.address, "/metrics").await;
    assert_eq!(code, 200);
    assert!(body.contains("\nquarry_worker_finalized_block 12\n"), "{body}");
}

#[tokio::test]
async fn nothing_but_reading_is_answered() {
    let worker = running().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!("{method} /v1/vms HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw(worker.address, &request).await.0, 405, "{method}");
    }
    assert_eq!(ask(worker.address, "/").await.0, 404);
}

#[tokio::test]
async fn a_page_that_points_its_own_name_at_loopback_is_refused() {
    let worker = running().await;
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "a b", ""]
    {
        let request = format!("GET /v1/vms HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(raw(worker.address, &request).await.0, 403, "{host:?}");
    }
    for host in ["localhost", "LOCALHOST:9", "127.0.0.1", "127.8.8.8:1", "[::1]:1"] {
        let request = format!("GET /v1/vms HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(raw(worker.address, &request).await.0, 200, "{host}");
    }
    let absolute = "GET http://evil.example/v1/vms HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(raw(worker.address, absolute).await.0, 403);
    let nameless = "GET /v1/vms HTTP/1.0\r\n\r\n";
    assert_eq!(raw(worker.address, nameless).await.0, 403);
}

#[tokio::test]
async fn no_page_of_another_origin_is_let_in() {
    let worker = running().await;
    let mut stream = TcpStream::connect(worker.address).await.unwrap();
    let request = "GET /v1/vms HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_others_out_for_good() {
    let worker = running().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(worker.address).await.unwrap());
    }
    assert_eq!(ask(worker.address, "/livez").await.0, 200);
    drop(silent);
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = Server::bind(address.parse().unwrap(), Path::new("/nowhere")).await.err();
        assert!(matches!(error, Some(HttpError::NotLoopback(_))), "{address}: {error:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let worker = running().await;
    let error = Server::bind(worker.address, worker.data_dir.path()).await.err().unwrap();
    assert!(error.to_string().contains(&worker.address.to_string()), "{error}");
    assert!(error.to_string().contains("http.listen"), "{error}");
    assert_eq!(address_of_running_worker(worker.data_dir.path()).unwrap(), worker.address);
}

#[tokio::test]
async fn a_server_that_cannot_write_where_it_listens_serves_all_the_same() {
    let data_dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(data_dir.path().join(ADDRESS_FILE)).unwrap();
    let worker = running_in(data_dir).await;
    assert_eq!(ask(worker.address, "/livez").await.0, 200);
    assert!(address_of_running_worker(worker.data_dir.path()).is_err());
}

#[test]
fn a_url_shows_neither_password_nor_path_nor_query() {
    for (url, shown) in [
        ("wss://me:secret@chain.example:443/key?token=1", "wss://chain.example"),
        ("ws://[::1]:9944/", "ws://[::1]:9944"),
        ("not a url secret", "(not a URL)"),
    ] {
        assert_eq!(public_part(url), shown);
    }
    let board = StatusBoard::new("alpha", "test:///default");
    board.chain(Some("wss://chain.example/key"));
    assert_eq!(board.status().chain.endpoint.as_deref(), Some("wss://chain.example"));
}
