//! What is said of a block whose state a migration has yet to move, or whose runtime is of another release, and of those
//! before it.

use super::{
    calls,
    mock::{settled, Chain, GENESIS},
    Rpc,
};
use crate::rpc::settled::OURS;
use quarry_primitives::settled::Signs;
use serde_json::json;

fn rpc(signs: Signs) -> Rpc {
    Rpc::of(Chain { signs, ..Chain::default() })
}

#[track_caller]
fn assert_untold(signs: Signs, code: i64, name: &str) {
    assert_untold_by(&rpc(signs), code, name);
}

/// No method tells anything of the best block, and the runtime is not even asked.
#[track_caller]
fn assert_untold_by(rpc: &Rpc, code: i64, name: &str) {
    for (method, params, _) in calls() {
        let error = &rpc.call(method, params)["error"];
        assert_eq!(error["code"], json!(code), "{method}: {error}");
        assert_eq!(error["data"]["name"], json!(name), "{method}: {error}");
    }
    assert_eq!(rpc.asked(), "");
}

#[test]
fn a_state_that_the_next_block_moves_is_not_told() {
    let last_upgrade = Some(b"\x08\x18quarry".to_vec());
    assert_untold(Signs { last_upgrade, ..settled() }, 7014, "migrating");
}

#[test]
fn a_state_that_is_moved_over_many_blocks_is_not_told() {
    assert_untold(Signs { cursor: Some(vec![0]), ..settled() }, 7014, "migrating");
}

#[test]
fn a_state_that_could_not_be_moved_is_not_told() {
    let closed_until = Some(u32::MAX.to_le_bytes().to_vec());
    assert_untold(Signs { closed_until, ..settled() }, 7015, "migration_failed");
}

#[test]
fn a_chain_that_its_admin_closed_is_told_of() {
    let closed_until = Some(14_400u32.to_le_bytes().to_vec());
    let rpc = rpc(Signs { closed_until, ..settled() });
    for (method, params, _) in calls() {
        rpc.result(method, params);
    }
}

#[test]
fn a_block_before_the_migration_can_be_named_meanwhile() {
    let rpc = rpc(Signs { cursor: Some(vec![0]), ..settled() });
    let found = rpc.result("compute_get_user_vms", json!([super::TENANT, null, 3, GENESIS]));
    assert_eq!(found, json!({ "rows": [], "next": null }));
    assert!(rpc.asked().ends_with(&format!("at {GENESIS:?}")), "{}", rpc.asked());
}

fn of_release(api_version: Option<u32>) -> Rpc {
    Rpc::of(Chain { api_version, ..Chain::default() })
}

#[test]
fn what_a_runtime_of_another_release_answers_is_not_misread() {
    for (theirs, words) in [(OURS + 1, "too old"), (OURS - 1, "too new")] {
        let rpc = of_release(Some(theirs));
        assert_untold_by(&rpc, 7016, "other_release");
        let error = &rpc.call("compute_get_node", json!(["alpha"]))["error"];
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
}

#[test]
fn a_block_of_this_release_can_be_named_where_the_best_is_of_another() {
    let rpc = of_release(Some(OURS + 1));
    let found = rpc.result("compute_get_user_vms", json!([super::TENANT, null, 3, GENESIS]));
    assert_eq!(found, json!({ "rows": [], "next": null }));
}

#[test]
fn a_runtime_without_a_market_says_so_itself() {
    let rpc = of_release(None);
    assert_eq!(rpc.result("compute_get_node", json!(["beta"])), json!(null));
    assert!(rpc.asked().starts_with("get_node "), "{}", rpc.asked());
}
