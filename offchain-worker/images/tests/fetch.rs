//! Images by HTTP, from servers that break, stall, lie and change their minds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use data_encoding::HEXLOWER;
use quarry_images::{FetchError, Fetches, ImageError, Store};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};
use support::*;

#[tokio::test]
async fn an_image_is_fetched_once_and_then_read_only_under_its_digest() {
    let content = bytes(1, 3 * MIB);
    let digest = sha256(&content);
    let server = Server::start(content.clone(), []).await;
    let (dir, store) = store_with(|_| {});
    for _ in 0..2 {
        let held = store.get(&raw(server.image(), digest)).await.unwrap();
        assert_eq!(fs::read(held.path()).unwrap(), content);
        assert_eq!(held.virtual_bytes(), content.len() as u64);
        let mode = fs::metadata(held.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o444);
    }
    assert_eq!(server.asked().len(), 1);
    assert_eq!(store.bytes(), content.len() as u64);
    assert!(store.contains(&digest));
    assert_eq!(count(&dir.path().join("store"), "partial"), 0);
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_broke() {
    let content = bytes(2, 4 * MIB);
    let acts = [Act::Break(MIB), Act::Status(503), Act::Break(MIB)];
    let server = Server::start(content.clone(), acts).await;
    let (_dir, store) = store_with(|_| {});
    store.get(&raw(server.image(), sha256(&content))).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked[0].range, None);
    let starts: Vec<usize> = asked[1..]
        .iter()
        .map(|asked| {
            assert_eq!(asked.if_range.as_deref(), Some("\"one\""));
            let range = asked.range.as_deref().unwrap();
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(starts, [MIB, MIB, 2 * MIB]);
}

#[tokio::test]
async fn a_file_that_changed_in_between_is_fetched_anew() {
    let content = bytes(3, 2 * MIB);
    let server = Server::start(content.clone(), [Act::Break(MIB), Act::Changed("\"two\"")]).await;
    let (_dir, store) = store_with(|_| {});
    store.get(&raw(server.image(), sha256(&content))).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_server_without_ranges_sends_all_of_it_again() {
    let content = bytes(4, 2 * MIB);
    let server = Server::start(content.clone(), [Act::Break(MIB), Act::IgnoreRange]).await;
    let (_dir, store) = store_with(|_| {});
    let held = store.get(&raw(server.image(), sha256(&content))).await.unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), content);
}

#[tokio::test]
async fn a_part_nobody_asked_for_is_not_taken() {
    let content = bytes(5, 2 * MIB);
    let server = Server::start(content.clone(), [Act::Break(MIB), Act::WrongRange]).await;
    let (_dir, store) = store_with(|_| {});
    let held = store.get(&raw(server.image(), sha256(&content))).await.unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), content);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn two_halves_that_do_not_go_together_are_fetched_as_one_again() {
    let content = bytes(6, 2 * MIB);
    let server = Server::start(content.clone(), [Act::Break(MIB), Act::Lie]).await;
    let (_dir, store) = store_with(|_| {});
    let held = store.get(&raw(server.image(), sha256(&content))).await.unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), content);
    assert_eq!(server.asked()[2].range, None);
}

#[tokio::test]
async fn a_download_goes_on_after_a_restart_of_the_process() {
    let content = bytes(7, 4 * MIB);
    let wanted = |server: &Server| raw(server.image(), sha256(&content));
    let server = Server::start(content.clone(), [Act::Stall(2 * MIB)]).await;
    let (dir, store) = store_with(|_| {});
    let task = tokio::spawn({
        let (store, wanted) = (store.clone(), wanted(&server));
        async move { store.get(&wanted).await.map(drop) }
    });
    let partial = dir.path().join("store/partial").join(HEXLOWER.encode(&sha256(&content)));
    while fs::metadata(&partial).map_or(0, |file| file.len()) < 2 * MIB as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.fetching()[0].total, Some(content.len() as u64));
    task.abort();
    task.await.unwrap_err();
    drop(store);
    let store = loop {
        // The thread that wrote lets go of the store a moment later.
        if let Ok(store) = Store::open(settings(&dir.path().join("store"))) {
            break store;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(store.bytes(), 2 * MIB as u64);
    store.get(&wanted(&server)).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[1].range, Some(format!("bytes={}-", 2 * MIB)));
    assert_eq!(asked[1].if_range.as_deref(), Some("\"one\""));
}

#[tokio::test]
async fn another_content_is_refused_for_good_and_leaves_nothing() {
    let content = bytes(8, MIB);
    let server = Server::start(content, []).await;
    let (dir, store) = store_with(|_| {});
    let error = store.get(&raw(server.image(), [8; 32])).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { proven: true, .. }), "{error}");
    assert!(error.is_terminal());
    assert_eq!(server.asked().len(), 1);
    assert_eq!(count(&dir.path().join("store"), "partial"), 0);
    assert_eq!(store.bytes(), 0);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_but_not_for_good() {
    let content = bytes(9, MIB);
    let server = Server::start(content.clone(), []).await.always(Act::Stall(1024));
    let (_dir, store) = store_with(|settings| settings.stall = Duration::from_millis(200));
    let error = store.get(&raw(server.image(), sha256(&content))).await.unwrap_err();
    assert!(matches!(error, FetchError::Stalled { .. }), "{error}");
    assert!(!error.is_terminal());
    assert!(server.asked().len() > 1);
}

#[tokio::test]
async fn what_is_not_there_is_not_asked_for_twice() {
    let server = Server::start(Vec::new(), []).await.always(Act::Status(404));
    let (dir, store) = store_with(|_| {});
    let error = store.get(&raw(server.image(), [0; 32])).await.unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 404, .. }), "{error}");
    assert!(!error.is_terminal());
    assert_eq!(server.asked().len(), 1);
    assert_eq!(count(&dir.path().join("store"), "partial"), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_reason_for_good() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", free.local_addr().unwrap());
    drop(free);
    let (_dir, store) = store_with(|_| {});
    let error = store.get(&raw(url, [0; 32])).await.unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }) && !error.is_terminal(), "{error}");
}

#[tokio::test]
async fn a_file_over_the_nodes_limit_is_refused_whether_its_length_is_known_or_not() {
    for act in [Act::Serve, Act::Unsized] {
        let content = bytes(10, 2 * MIB);
        let server = Server::start(content.clone(), []).await.always(act);
        let (dir, store) = store_with(|settings| settings.max_file_bytes = MIB as u64);
        let error = store.get(&raw(server.image(), sha256(&content))).await.unwrap_err();
        assert!(matches!(error, FetchError::FileTooLarge { .. }), "{error}");
        assert!(!error.is_terminal());
        assert_eq!(server.asked().len(), 1);
        assert_eq!(count(&dir.path().join("store"), "partial"), 0);
    }
}

#[tokio::test]
async fn a_raw_image_larger_than_the_chain_says_is_refused_for_good() {
    let content = bytes(11, MIB);
    let server = Server::start(content.clone(), []).await;
    let (_dir, store) = store_with(|_| {});
    let mut wanted = raw(server.image(), sha256(&content));
    wanted.virtual_size_gib = 0;
    let error = store.get(&wanted).await.unwrap_err();
    assert!(matches!(error, FetchError::Image(ImageError::LargerThanClaimed { .. })), "{error}");
    assert!(error.is_terminal());
}

#[tokio::test]
async fn a_file_of_unknown_length_is_fetched_all_the_same() {
    let content = bytes(12, 2 * MIB);
    let server = Server::start(content.clone(), []).await.always(Act::Unsized);
    let (_dir, store) = store_with(|_| {});
    store.get(&raw(server.image(), sha256(&content))).await.unwrap();
    assert_eq!(store.bytes(), content.len() as u64);
}

#[tokio::test]
async fn a_redirect_is_followed_and_a_loop_of_them_is_not() {
    let content = bytes(13, MIB);
    let there = Server::start(content.clone(), []).await;
    let here = Server::start(Vec::new(), [Act::Redirect(there.image())]).await;
    let (_dir, store) = store_with(|_| {});
    store.get(&raw(here.image(), sha256(&content))).await.unwrap();

    let around = Server::start(Vec::new(), []).await.always(Act::Redirect("/again".into()));
    let error = store.get(&raw(around.image(), [1; 32])).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }) && !error.is_terminal(), "{error}");
    assert!(error.to_string().contains("too many redirects"), "{error}");
    assert!(around.asked().len() < 20);
    let elsewhere = Act::Redirect("ftp://127.0.0.1/disk.img".into());
    let elsewhere = Server::start(Vec::new(), []).await.always(elsewhere);
    store.get(&raw(elsewhere.image(), [1; 32])).await.unwrap_err();
}

#[tokio::test]
async fn plain_http_is_taken_only_where_it_is_allowed() {
    let content = bytes(14, MIB);
    let server = Server::start(content.clone(), []).await;
    let (_dir, store) = store_with(|settings| settings.allow_http = false);
    let error = store.get(&raw(server.image(), sha256(&content))).await.unwrap_err();
    assert!(matches!(error, FetchError::NotHere { .. }) && !error.is_terminal(), "{error}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn two_callers_fetch_an_image_once_and_one_may_give_up() {
    let content = bytes(15, 4 * MIB);
    let wanted = |server: &Server| raw(server.image(), sha256(&content));
    let server = Server::start(content.clone(), [Act::Break(2 * MIB)]).await;
    let (_dir, store) = store_with(|_| {});
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (store, wanted) = (store.clone(), wanted(&server));
            tokio::spawn(async move { store.get(&wanted).await })
        })
        .collect();
    while server.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    callers[0].abort();
    for (index, caller) in callers.into_iter().enumerate() {
        match caller.await {
            Ok(held) => assert_eq!(held.unwrap().digest(), sha256(&content)),
            Err(aborted) => assert!(aborted.is_cancelled() && index == 0),
        }
    }
    assert_eq!(server.asked().len(), 2, "one download, which broke once");
    assert_eq!(store.fetches(), Fetches { done: 1, failed: 0, bytes: 4 * MIB as u64 });
}

#[tokio::test]
async fn a_caller_with_a_better_url_does_not_fail_with_the_first() {
    let content = bytes(16, MIB);
    let good = Server::start(content.clone(), []).await;
    let bad = Server::start(Vec::new(), []).await.always(Act::Status(404));
    let (_dir, store) = store_with(|_| {});
    let digest = sha256(&content);
    let (bad, good) = (raw(bad.image(), digest), raw(good.image(), digest));
    let (first, second) = tokio::join!(store.get(&bad), store.get(&good));
    assert!(first.is_err());
    second.unwrap();
    assert_eq!(store.fetches(), Fetches { done: 1, failed: 1, bytes: MIB as u64 });
}

#[tokio::test]
async fn an_image_whose_file_is_gone_or_damaged_is_fetched_again() {
    let content = bytes(17, MIB);
    let server = Server::start(content.clone(), []).await;
    let (dir, store) = store_with(|_| {});
    let wanted = raw(server.image(), sha256(&content));
    let path = store.get(&wanted).await.unwrap().path().to_path_buf();
    fs::remove_file(&path).unwrap();
    store.get(&wanted).await.unwrap();
    assert_eq!(server.asked().len(), 2);
    drop(store);

    fs::remove_file(&path).unwrap();
    fs::write(&path, [content.as_slice(), b"more"].concat()).unwrap();
    let store = Store::open(settings(&dir.path().join("store"))).unwrap();
    store.get(&wanted).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
}

#[tokio::test]
async fn a_server_that_begins_anew_for_ever_is_given_up() {
    let content = bytes(18, 3 * MIB);
    let server = Server::start(content.clone(), []).await.always(Act::Unsized);
    let (_dir, store) = store_with(|_| {});
    let chunked = store.get(&raw(server.image(), [1; 32])).await.unwrap_err();
    assert!(matches!(chunked, FetchError::WrongDigest { proven: true, .. }), "{chunked}");

    let other = Server::start(content.clone(), []).await.always(Act::Break(2 * MIB));
    store.get(&raw(other.image(), [2; 32])).await.unwrap_err();
    assert!(other.asked().len() < 20, "{}", other.asked().len());
}
