//! What stays in the store, and what goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use data_encoding::HEXLOWER;
use quarry_images::{FetchError, OpenError, Store};
use std::{fs, os::unix::fs::symlink};
use support::*;

/// A store with room for two images of 1 MiB, and the URLs of three in its local folder.
async fn small_store() -> (tempfile::TempDir, Store, Vec<quarry_images::Wanted>) {
    let local = tempfile::tempdir().unwrap();
    let wanted = (1..=3).map(|seed| {
        let content = bytes(seed, MIB);
        fs::write(local.path().join(seed.to_string()), &content).unwrap();
        raw(format!("file:{seed}"), sha256(&content))
    });
    let wanted = wanted.collect();
    let (dir, store) = store_with(|settings| {
        settings.store_bytes = 2 * MIB as u64;
        settings.local_dir = Some(local.path().into());
    });
    fs::rename(local.path(), dir.path().join("local")).unwrap();
    (dir, store, wanted)
}

#[tokio::test]
async fn the_image_used_last_the_longest_ago_makes_room() {
    let (dir, store, wanted) = small_store().await;
    for index in [0, 1, 0, 2] {
        store.get(&wanted[index]).await.unwrap();
    }
    let there: Vec<_> = wanted.iter().map(|wanted| store.contains(&wanted.digest)).collect();
    assert_eq!(there, [true, false, true]);
    assert_eq!(count(&dir.path().join("store"), "images"), 2);
    assert_eq!(store.bytes(), 2 * MIB as u64);
}

#[tokio::test]
async fn an_image_in_use_is_never_dropped_and_the_next_one_has_no_room() {
    let (_dir, store, wanted) = small_store().await;
    let held = store.get(&wanted[0]).await.unwrap();
    store.get(&wanted[1]).await.unwrap();
    store.use_image(wanted[1].digest);
    let error = store.get(&wanted[2]).await.unwrap_err();
    assert!(matches!(error, FetchError::NoRoom { .. }) && !error.is_terminal(), "{error}");
    assert!(held.path().exists() && store.path_of(&wanted[1].digest).exists());
    assert!(store.list().iter().all(|image| image.in_use));

    drop(held);
    store.get(&wanted[2]).await.unwrap();
    assert!(!store.contains(&wanted[0].digest));
    store.release_image(wanted[1].digest);
    store.get(&wanted[0]).await.unwrap();
    assert!(!store.contains(&wanted[1].digest));
}

#[tokio::test]
async fn what_vms_have_is_said_anew_after_a_restart() {
    let (dir, store, wanted) = small_store().await;
    store.get(&wanted[0]).await.unwrap();
    store.get(&wanted[1]).await.unwrap();
    drop(store);
    let mut settings = settings(&dir.path().join("store"));
    settings.store_bytes = 2 * MIB as u64;
    settings.local_dir = Some(dir.path().join("local"));
    let store = Store::open(settings).unwrap();
    store.set_in_use([wanted[0].digest]);
    store.get(&wanted[2]).await.unwrap();
    assert!(store.contains(&wanted[0].digest) && !store.contains(&wanted[1].digest));
}

#[tokio::test]
async fn a_download_that_is_gone_on_with_is_not_dropped_for_another() {
    let (dir, store, wanted) = small_store().await;
    drop(store);
    let folder = dir.path().join("store");
    let partial = folder.join("partial").join(HEXLOWER.encode(&wanted[0].digest));
    fs::write(&partial, bytes(1, MIB - 1)).unwrap();
    fs::write(partial.with_extension("json"), r#"{"url":"file:1","validator":null}"#).unwrap();
    let mut settings = settings(&folder);
    settings.store_bytes = 2 * MIB as u64;
    settings.local_dir = Some(dir.path().join("local"));
    let store = Store::open(settings).unwrap();
    let _in_use = store.get(&wanted[1]).await.unwrap();

    // For as long as this is held the fetch waits where it hashes what is there.
    let busy = fs::File::open(&partial).unwrap();
    busy.lock().unwrap();
    let (same, first) = (store.clone(), wanted[0].clone());
    let gone_on = tokio::spawn(async move { same.get(&first).await });
    while store.fetching().is_empty() {
        tokio::task::yield_now().await;
    }
    let error = store.get(&wanted[2]).await.unwrap_err();
    assert!(matches!(error, FetchError::NoRoom { .. }), "{error}");
    drop(busy);
    gone_on.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_store_has_one_owner() {
    let (dir, store) = store_with(|_| {});
    let again = Store::open(settings(&dir.path().join("store")));
    assert!(matches!(again, Err(OpenError::InUse(_))));
    drop(store);
    Store::open(settings(&dir.path().join("store"))).unwrap();
}

#[tokio::test]
async fn what_does_not_belong_into_the_store_is_swept_when_it_opens() {
    let (dir, store) = store_with(|_| {});
    drop(store);
    let folder = dir.path().join("store");
    let digest = "ab".repeat(32);
    for name in ["images/readme", "images/AB", "partial/x", "partial/x.json"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    fs::write(folder.join("images").join("cd".repeat(32)), "").unwrap();
    symlink("/etc/passwd", folder.join("images").join(&digest)).unwrap();
    fs::create_dir(folder.join("images/folder")).unwrap();
    // Nobody knows where this one came from.
    fs::write(folder.join("partial").join(&digest), "x").unwrap();
    let kept = folder.join("partial").join("ef".repeat(32));
    fs::write(&kept, "part").unwrap();
    fs::write(kept.with_extension("json"), r#"{"url":"https://x/","validator":null}"#).unwrap();
    let store = Store::open(settings(&folder)).unwrap();
    assert_eq!(count(&folder, "images"), 0);
    assert_eq!(count(&folder, "partial"), 2);
    assert_eq!(store.bytes(), 4);
    assert!(fs::exists("/etc/passwd").unwrap());
}

#[tokio::test]
async fn a_store_that_cannot_be_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = settings(&dir.path().join("store"));
    wrong.gateways = vec!["ipfs.example".into()];
    assert!(matches!(Store::open(wrong), Err(OpenError::Gateway(_))));
    let mut wrong = settings(&dir.path().join("store"));
    wrong.local_dir = Some(dir.path().join("nowhere"));
    assert!(matches!(Store::open(wrong), Err(OpenError::LocalDir { .. })));
    fs::write(dir.path().join("file"), "").unwrap();
    let wrong = settings(&dir.path().join("file"));
    assert!(matches!(Store::open(wrong), Err(OpenError::File { .. })));
}

#[tokio::test]
async fn no_link_leads_out_of_the_local_folder() {
    let local = tempfile::tempdir().unwrap();
    let content = bytes(1, MIB);
    fs::write(local.path().join("disk"), &content).unwrap();
    symlink("disk", local.path().join("within")).unwrap();
    symlink("/etc/passwd", local.path().join("out")).unwrap();
    symlink("/etc", local.path().join("etc")).unwrap();
    let (_dir, store) = store_with(|settings| settings.local_dir = Some(local.path().into()));
    for name in ["out", "etc/passwd", "missing", "."] {
        let error = store.get(&raw(format!("file:{name}"), [1; 32])).await.unwrap_err();
        assert!(!error.is_terminal() || matches!(error, FetchError::Url { .. }), "{name}: {error}");
    }
    store.get(&raw("file:within", sha256(&content))).await.unwrap();
}

#[tokio::test]
async fn another_local_file_is_this_nodes_own_trouble() {
    let local = tempfile::tempdir().unwrap();
    fs::write(local.path().join("disk"), bytes(1, MIB)).unwrap();
    let (_dir, store) = store_with(|settings| settings.local_dir = Some(local.path().into()));
    let error = store.get(&raw("file:disk", [1; 32])).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { proven: false, .. }), "{error}");
    assert!(!error.is_terminal());
}
