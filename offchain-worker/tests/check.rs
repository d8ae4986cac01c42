//! `quarry-worker check` against a real chain node and libvirt's test driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../client/tests/common/mod.rs"]
mod common;

use common::{soon, temporary, ChainNode, Market};
use quarry_client::{ChainOptions, WorkerKey};
use quarry_worker::{
    commands::check::{all_ok, check, Finding},
    config::Settings,
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// The key that the market registers the node with.
const KEY: &str =
    "bottom drive obey lake curtain smoke basket hold race lonely fit walk//worker/alpha\n";

async fn checked(folder: &Path, more: &str) -> Vec<Finding> {
    let path = folder.join("worker.toml");
    let text = format!(
        "node_id = \"alpha\"\ndata_dir = \"{}/data\"\n{more}\n\
         hypervisor.uri = \"test:///default\"\nnetwork.own = {{ network = \"default\" }}\n\
         thresholds.storage_percent = 100\naccess.listen = \"none\"\n",
        folder.display()
    );
    fs::write(&path, text).unwrap();
    soon("the checks", check(&path, &Settings::load(&path, []))).await
}

/// What fails, and how that shows.
fn failed(findings: &[Finding]) -> Vec<(&str, &str)> {
    let failed = findings.iter().filter(|finding| finding.fails());
    failed.map(|finding| (finding.check, finding.found.as_str())).collect()
}

fn write_key(folder: &Path) {
    let file = folder.join("data/worker.key");
    fs::write(&file, KEY).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_fine_once_it_has_the_key_that_the_chain_has_for_it() {
    let folder = temporary();
    let chain_node = ChainNode::start(&folder.path().join("chain"), 0);
    let _market = Market::open(ChainOptions::new([chain_node.url()]), "alpha").await;
    fs::create_dir(folder.path().join("data")).unwrap();
    let endpoints = format!("chain.endpoints = [\"{}\"]", chain_node.url());

    let findings = checked(folder.path(), &endpoints).await;
    let failures = failed(&findings);
    assert_eq!(failures.iter().map(|(check, _)| *check).collect::<Vec<_>>(), ["key"]);

    WorkerKey::create(&folder.path().join("data/worker.key")).unwrap();
    let findings = checked(folder.path(), &endpoints).await;
    let [("registered", found)] = failed(&findings)[..] else { panic!("{findings:?}") };
    assert!(found.contains("another key"), "{found}");

    write_key(folder.path());
    let findings = checked(folder.path(), &endpoints).await;
    assert!(all_ok(&findings), "{:?}", failed(&findings));
    let names: Vec<_> = findings.iter().map(|finding| finding.check).collect();
    let all = [
        "config",
        "data_dir",
        "encryption",
        "storage",
        "images",
        "images.local_dir",
        "qemu-img",
        "libvirt",
        "versions",
        "autostart",
        "network.own",
        "guests",
        "libvirt-guests",
        "key",
        "access.listen",
        "time-sync",
        "chain",
        "clock",
        "registered",
        "online",
    ];
    assert_eq!(names, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_is_judged_for_itself() {
    let folder = temporary();
    let chain_node = ChainNode::start(&folder.path().join("chain"), 0);
    let _market = Market::open(ChainOptions::new([chain_node.url()]), "beta").await;
    let dead = common::free_port();
    fs::create_dir(folder.path().join("data")).unwrap();
    write_key(folder.path());
    let endpoints =
        format!("chain.endpoints = [\"ws://127.0.0.1:{dead}\", \"{}\"]", chain_node.url());

    let findings = checked(folder.path(), &endpoints).await;
    let failures = failed(&findings);
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].1.starts_with(&format!("ws://127.0.0.1:{dead}: ")), "{failures:?}");
    assert_eq!(failures[1], ("registered", "the chain has no node alpha"));

    let genesis = format!("{endpoints}\nchain.genesis = \"0x{}\"", "77".repeat(32));
    let findings = checked(folder.path(), &genesis).await;
    let failures = failed(&findings);
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[1].1.contains("serves another chain"), "{failures:?}");
}
