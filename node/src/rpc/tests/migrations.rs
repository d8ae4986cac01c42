//! What is said of a block whose state a migration has yet to move, and of those before it.

use super::{
    calls,
    mock::{settled, Chain, GENESIS},
    Rpc,
};
use quarry_primitives::settled::Signs;
use serde_json::json;

fn rpc(signs: Signs) -> Rpc {
    Rpc::of(Chain { signs, ..Chain::default() })
}

/// No method tells anything of the best block, and the runtime is not even asked.
#[track_caller]
fn assert_untold(signs: Signs, code: i64, name: &str) {
    let rpc = rpc(signs);
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
