//! A fetch against `sha256sum` of the same file:
//! `cargo nextest run --release -p quarry-images --run-ignored only --no-capture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use axum::{body::Body, response::Response, Router};
use quarry_images::{create_overlay, ImageFormat};
use std::{process::Command, time::Instant};
use support::*;
use tokio_util::io::ReaderStream;

const LENGTH: usize = 900 * MIB;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures"]
async fn a_fetch_and_sha256sum_side_by_side() {
    let (dir, store) = store_with(|_| {});
    let file = dir.path().join("content");
    let content = bytes(1, LENGTH);
    let digest = sha256(&content);
    std::fs::write(&file, &content).unwrap();
    drop(content);

    let begin = Instant::now();
    assert!(Command::new("sha256sum").arg(&file).output().unwrap().status.success());
    println!("sha256sum: {:?}", begin.elapsed());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let serve = move || {
        let file = file.clone();
        async move {
            let stream =
                ReaderStream::with_capacity(tokio::fs::File::open(file).await.unwrap(), MIB);
            let response = Response::builder().header("content-length", LENGTH);
            response.body(Body::from_stream(stream)).unwrap()
        }
    };
    let router = Router::new().route("/x", axum::routing::get(serve));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let begin = Instant::now();
    let held = store.get(&raw(url, digest)).await.unwrap();
    println!("fetch of {LENGTH} bytes, synced: {:?}", begin.elapsed());

    let begin = Instant::now();
    for index in 0..1000 {
        let path = dir.path().join(index.to_string());
        create_overlay(&path, held.path(), ImageFormat::Raw, 10 * GIB).unwrap();
    }
    println!("an overlay, synced: {:?}", begin.elapsed() / 1000);
}
