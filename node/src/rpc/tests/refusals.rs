use super::{
    mock::{plan_id, TENANT},
    small_filter, Rpc,
};
use serde_json::{json, Value};

/// The code, name and message of the error that the call gives.
#[track_caller]
fn refusal(method: &str, params: Value) -> (i64, String, String) {
    let answer = Rpc::new().call(method, params);
    let error = answer.get("error").unwrap_or_else(|| panic!("{method}: {answer}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (error["code"].as_i64().unwrap(), text(&error["data"]["name"]), text(&error["message"]))
}

#[track_caller]
fn assert_refused(method: &str, params: Value, code: i64, name: &str) {
    let (given_code, given_name, message) = refusal(method, params);
    assert_eq!((given_code, given_name.as_str()), (code, name), "{message}");
}

/// The arguments are refused, with these words.
#[track_caller]
fn assert_invalid(method: &str, params: Value, words: &str) {
    let (code, name, message) = refusal(method, params);
    assert_eq!((code, name.as_str()), (-32602, "invalid_params"), "{message}");
    assert!(message.starts_with(&format!("Invalid params: {words}")), "{message}");
}

#[test]
fn a_price_of_what_is_not_there_says_what_is_missing() {
    assert_refused("compute_quote", json!([plan_id(), "beta"]), 7001, "node_not_found");
    let other_plan = "0x0000000000000000000000000000000000000000000000000000000000000000";
    assert_refused("compute_quote", json!([other_plan, "alpha"]), 7003, "plan_not_found");
}

#[test]
fn a_price_beyond_a_balance_is_refused() {
    assert_refused("compute_quote", json!([plan_id(), "dear"]), 7005, "price_overflow");
}

#[test]
fn a_request_that_does_not_wait_has_no_reason_to() {
    assert_refused("compute_why_pending", json!([9]), 7002, "request_not_found");
    assert_refused("compute_why_pending", json!([7]), 7004, "not_pending");
}

#[test]
fn a_page_has_one_row_at_least_and_a_hundred_at_most() {
    for (method, of) in [
        ("compute_find_nodes", small_filter()),
        ("compute_get_user_vms", json!(TENANT)),
        ("compute_why_pending", json!(8)),
        ("compute_work_for", json!("alpha")),
        ("compute_open_for", json!("alpha")),
    ] {
        for limit in [json!(0), json!(101), json!(u64::MAX), json!(-1), json!(1.5)] {
            assert_refused(method, json!([of, null, limit]), 7010, "invalid_limit");
        }
        for limit in [1, 100] {
            Rpc::new().result(method, json!([of, null, limit]));
        }
    }
}

#[test]
fn a_limit_that_is_no_number_is_named() {
    assert_invalid("compute_open_for", json!(["alpha", null, "10"]), "limit: invalid type");
}

#[test]
fn an_account_that_is_neither_address_nor_key_is_refused() {
    let key = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
    for account in [
        "",
        "alice",
        "0x",
        "0xd43593c7",
        &TENANT.to_lowercase(),
        &format!("{TENANT} "),
        &format!("0x{key}00"),
        &"5".repeat(3_000),
    ] {
        assert_refused("compute_get_user_vms", json!([account]), 7011, "invalid_account");
    }
    assert_invalid("compute_get_user_vms", json!([5]), "account: invalid type");
}

#[test]
fn a_block_that_the_node_does_not_have_is_refused() {
    let at = "0x1111111111111111111111111111111111111111111111111111111111111111";
    for (method, mut params, _) in super::calls() {
        params.as_object_mut().unwrap().insert("at".into(), json!(at));
        assert_refused(method, params, 7012, "unknown_block");
    }
}

#[test]
fn a_runtime_without_an_answer_is_told_apart() {
    assert_refused("compute_get_node", json!(["broken"]), 7013, "runtime_failed");
}

#[test]
fn a_missing_argument_is_named() {
    for (method, name) in [
        ("compute_get_node_metrics", "node_id"),
        ("compute_get_node", "node_id"),
        ("compute_find_nodes", "filter"),
        ("compute_get_user_vms", "account"),
        ("compute_get_vm", "request_id"),
        ("compute_quote", "plan_id"),
        ("compute_why_pending", "request_id"),
        ("compute_work_for", "node_id"),
        ("compute_open_for", "node_id"),
    ] {
        let words = format!("missing field `{name}`");
        for params in [json!({}), json!([]), Value::Null] {
            assert_invalid(method, params, &words);
        }
        assert_eq!(
            Rpc::new().send(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#))["error"]
                ["message"],
            json!(format!("Invalid params: {words}"))
        );
    }
    assert_invalid("compute_quote", json!([plan_id()]), "missing field `node_id`");
}

#[test]
fn an_argument_of_another_name_is_refused_rather_than_passed_over() {
    let params = json!({ "node_id": "alpha", "limt": 5 });
    assert_invalid("compute_open_for", params, "limt: unknown field `limt`, expected one of");
    let params = json!({ "nodeId": "alpha" });
    assert_invalid("compute_get_node", params, "nodeId: unknown field `nodeId`");
}

#[test]
fn arguments_beyond_the_last_are_refused_with_the_names_of_all() {
    let words = "an object or an array of (node_id, at)";
    assert_invalid("compute_get_node", json!(["alpha", null, 1]), words);
    for params in [json!("alpha"), json!(7), json!(true)] {
        assert_invalid("compute_get_node", params, words);
    }
}

#[test]
fn a_name_of_a_node_has_64_bytes_at_most() {
    Rpc::new().result("compute_get_node", json!(["n".repeat(64)]));
    assert_invalid("compute_get_node", json!(["n".repeat(65)]), "node_id: a text of more than 64");
    assert_invalid("compute_get_node", json!([7]), "node_id: invalid type");
    assert_invalid(
        "compute_find_nodes",
        json!([small_filter(), "n".repeat(65)]),
        "cursor: a text of more than 64",
    );
}

#[test]
fn a_number_that_is_none_is_named() {
    let beyond = "340282366920938463463374607431768211456";
    for id in [json!(-1), json!(1.5), json!("+7"), json!("0x7"), json!(""), json!(beyond)] {
        assert_invalid("compute_get_vm", json!([id]), "request_id: invalid");
        assert_invalid("compute_work_for", json!(["alpha", id]), "cursor: invalid");
    }
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"compute_get_vm","params":[1e30]}"#;
    assert_eq!(Rpc::new().send(request)["error"]["code"], json!(-32602));
}

#[test]
fn a_hash_of_another_length_is_named() {
    for hash in [json!("small"), json!("0x12"), json!(7)] {
        assert_invalid("compute_quote", json!([hash, "alpha"]), "plan_id: ");
        assert_invalid("compute_get_node", json!(["alpha", hash]), "at: ");
    }
}

#[test]
fn a_search_that_is_wrong_names_the_part_that_is() {
    for (pointer, value, words) in [
        ("/resources/vcpus", json!(70_000), "filter.resources.vcpus: invalid "),
        ("/resources/vcpus", json!("1"), "filter.resources.vcpus: invalid type"),
        ("/resources/vcpus", json!(0), "filter.resources: at least one"),
        ("/resources/memory_mib", json!(0), "filter.resources: at least one"),
        ("/resources/disk_gib", json!(0), "filter.resources: at least one"),
        ("/resources/disk_gib", json!(-1), "filter.resources.disk_gib: invalid "),
        ("/resources", json!({ "vcpus": 1 }), "filter.resources: missing field `memory_mib`"),
        ("/country", json!("se"), "filter.country: a country has two capital letters"),
        ("/country", json!("SWE"), "filter.country: a country has two capital letters"),
        ("/max_price", json!("cheap"), "filter.max_price: invalid value"),
        ("/max_price", json!(1.5), "filter.max_price: invalid type"),
        ("/ip", json!("maybe"), "filter.ip: unknown variant `maybe`, expected one of `none`"),
    ] {
        let mut filter = super::filter();
        *filter.pointer_mut(pointer).unwrap() = value;
        assert_invalid("compute_find_nodes", json!([filter]), words);
        assert_invalid("compute_find_nodes", json!({ "filter": filter }), words);
    }
}

#[test]
fn a_search_by_what_nodes_do_not_have_is_refused() {
    let mut filter = super::filter();
    filter["maxPrice"] = json!(5);
    assert_invalid("compute_find_nodes", json!([filter]), "filter.maxPrice: unknown field");
    let mut filter = super::filter();
    filter["resources"]["gpus"] = json!(1);
    assert_invalid("compute_find_nodes", json!([filter]), "filter.resources.gpus: unknown field");
}

#[test]
fn arguments_that_are_too_long_are_refused_unread() {
    let words = "more than 4096 bytes";
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for params in
        [json!(["n".repeat(4_096)]), json!({ "node_id": "alpha", "x": "y".repeat(5_000) })]
    {
        assert_invalid("compute_get_node", params, words);
    }
    let rpc = Rpc::new();
    let request =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"compute_get_node","params":{deep}}}"#);
    let answer = rpc.send(&request);
    assert_eq!(answer["error"]["message"], json!(format!("Invalid params: {words}")));
    assert_eq!(rpc.asked(), "");
}

#[test]
fn arguments_that_are_nested_too_deep_are_refused() {
    let deep = format!("{}1{}", "[".repeat(1_500), "]".repeat(1_500));
    let request =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"compute_get_node","params":{deep}}}"#);
    assert_eq!(Rpc::new().send(&request)["error"]["code"], json!(-32602));
}

#[test]
fn the_longest_sound_arguments_are_read() {
    let name = "\u{1}".repeat(64);
    let mut filter = super::filter();
    filter["max_price"] = json!(u128::MAX.to_string());
    let params = json!({ "filter": filter, "cursor": name, "limit": 100, "at": plan_id() });
    assert_refused("compute_find_nodes", params, 7012, "unknown_block");
}
