//! IPFS through gateways, some of which lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use data_encoding::BASE32_NOPAD;
use quarry_images::{FetchError, Store};
use std::time::Duration;
use support::*;
use tokio::time::timeout;

const IMAGE: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

fn cid_of(bytes: &[u8]) -> String {
    let cid = [&[0x01, 0x55, 0x12, 0x20][..], &sha256(bytes)].concat();
    format!("b{}", BASE32_NOPAD.encode(&cid).to_ascii_lowercase())
}

/// A store whose first gateway sends next to nothing, and its second one, which is honest.
async fn behind_a_trickle(content: &[u8]) -> (tempfile::TempDir, Store) {
    let trickle = Server::start(content.to_vec(), []).await.always(Act::Trickle);
    let honest = Server::start(content.to_vec(), []).await;
    store_with(|settings| {
        settings.stall = Duration::from_secs(1);
        settings.gateways = vec![trickle.url.clone(), honest.url.clone()];
    })
}

#[tokio::test]
async fn an_image_comes_from_the_first_gateway_that_does_not_lie() {
    let content = bytes(1, 2 * MIB);
    let gone = Server::start(Vec::new(), []).await.always(Act::Status(410));
    let liar = Server::start(content.clone(), []).await.always(Act::Lie);
    let honest = Server::start(content.clone(), [Act::Status(502), Act::Break(MIB)]).await;
    let (_dir, store) = store_with(|settings| {
        settings.allow_http = false;
        settings.gateways = [&gone, &liar, &honest].map(|server| server.url.clone()).into();
    });
    let wanted = raw(format!("ipfs://{IMAGE}/disk.img"), sha256(&content));
    let held = store.get(&wanted).await.unwrap();
    assert_eq!(std::fs::read(held.path()).unwrap(), content);
    assert_eq!(gone.asked().len(), 1);
    assert_eq!(liar.asked().len(), 1);
    assert_eq!(honest.asked()[0].path, format!("/ipfs/{IMAGE}/disk.img"));
}

#[tokio::test]
async fn gateways_that_all_lie_are_no_reason_for_good() {
    let content = bytes(2, MIB);
    let liar = Server::start(content.clone(), []).await.always(Act::Lie);
    let larger = Server::start(bytes(3, 2 * MIB), []).await;
    let (_dir, store) = store_with(|settings| {
        settings.max_file_bytes = MIB as u64;
        settings.gateways = [&larger, &liar].map(|server| server.url.clone()).into();
    });
    let wanted = raw(format!("ipfs://{IMAGE}"), sha256(&content));
    let error = store.get(&wanted).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { proven: false, .. }), "{error}");
    assert!(!error.is_terminal());
    assert_eq!(larger.asked().len(), 1);
}

#[tokio::test]
async fn a_content_id_of_another_digest_is_refused_for_good_and_not_fetched() {
    let content = bytes(6, MIB);
    let server = Server::start(content.clone(), []).await;
    let (_dir, store) = store_with(|settings| settings.gateways = vec![server.url.clone()]);
    let url = format!("ipfs://{}", cid_of(&content));
    let error = store.get(&raw(url.clone(), sha256(b"another"))).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { proven: true, .. }), "{error}");
    assert!(error.is_terminal());
    assert!(server.asked().is_empty());
    assert!(store.get(&raw(url, sha256(&content))).await.is_ok());
}

#[tokio::test]
async fn an_image_does_not_wait_for_a_gateway_that_sends_next_to_nothing() {
    let content = bytes(7, MIB);
    let (_dir, store) = behind_a_trickle(&content).await;
    let wanted = raw(format!("ipfs://{IMAGE}"), sha256(&content));
    timeout(Duration::from_secs(60), store.get(&wanted)).await.unwrap().unwrap();
}

#[tokio::test]
async fn user_data_does_not_wait_for_a_gateway_that_sends_next_to_nothing() {
    let data = bytes(8, MIB);
    let (_dir, store) = behind_a_trickle(&data).await;
    let fetched = timeout(Duration::from_secs(60), store.user_data(&cid_of(&data))).await;
    assert_eq!(fetched.unwrap().unwrap(), data);
}

#[tokio::test]
async fn user_data_is_fetched_raw_checked_and_kept() {
    let data = b"#cloud-config\npackages: [nginx]\n".to_vec();
    let cid = cid_of(&data);
    let liar = Server::start(data.clone(), []).await.always(Act::Lie);
    let honest = Server::start(data.clone(), []).await;
    let (dir, store) = store_with(|settings| {
        settings.gateways = vec![liar.url.clone(), honest.url.clone()];
    });
    for _ in 0..2 {
        assert_eq!(store.user_data(&cid).await.unwrap(), data);
    }
    let asked = honest.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, format!("/ipfs/{cid}?format=raw"));
    assert_eq!(asked[0].accept.as_deref(), Some("application/vnd.ipld.raw"));

    // What is damaged on disk is told by its digest.
    let kept = dir.path().join("store/user-data").read_dir().unwrap().next().unwrap().unwrap();
    std::fs::write(kept.path(), "#!/bin/sh\n").unwrap();
    assert_eq!(store.user_data(&cid).await.unwrap(), data);
    assert_eq!(honest.asked().len(), 2);
}

#[tokio::test]
async fn user_data_of_1_mib_is_the_largest() {
    for (length, fits) in [(MIB, true), (MIB + 1, false)] {
        let data = bytes(4, length);
        let server = Server::start(data.clone(), []).await;
        let (_dir, store) = store_with(|settings| settings.gateways = vec![server.url.clone()]);
        match store.user_data(&cid_of(&data)).await {
            Ok(got) => assert!(fits && got == data),
            Err(error) => {
                assert!(!fits && error.is_terminal(), "{error}");
                assert!(matches!(error, FetchError::UserDataTooLarge(_)));
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_that_sends_without_end_is_left() {
    let server = Server::start(bytes(5, 5 * MIB), []).await;
    let (_dir, store) = store_with(|settings| settings.gateways = vec![server.url.clone()]);
    let error = store.user_data(&cid_of(b"x")).await.unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }) && !error.is_terminal(), "{error}");
}

#[tokio::test]
async fn what_is_no_raw_content_id_is_refused_for_good() {
    let (_dir, store) = store_with(|_| {});
    for cid in ["", "x", IMAGE, "../../etc/passwd"] {
        let error = store.user_data(cid).await.unwrap_err();
        assert!(matches!(error, FetchError::Cid(_)) && error.is_terminal(), "{cid}");
    }
    let error = store.user_data(&cid_of(b"x")).await.unwrap_err();
    assert!(matches!(error, FetchError::NotHere { .. }) && !error.is_terminal(), "{error}");
}
