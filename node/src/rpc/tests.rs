mod damaged;
mod documentation;
mod migrations;
mod mock;
mod refusals;

use super::compute;
use jsonrpsee::{tokio::runtime, Methods};
use mock::{metrics, node, plan_id, vm, Asked, Chain, BEST, GENESIS, TENANT};
use serde_json::{json, Value};

struct Rpc {
    methods: Methods,
    asked: Asked,
}

impl Rpc {
    fn new() -> Self {
        Self::of(Chain::default())
    }

    fn of(chain: Chain) -> Self {
        let asked = chain.asked.clone();
        Self { methods: compute::methods(chain.into()).unwrap().into(), asked }
    }

    fn send(&self, request: &str) -> Value {
        self.answer(request).expect("a request")
    }

    /// None to what is no request at all.
    fn answer(&self, request: &str) -> Option<Value> {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let (answer, _) = runtime.block_on(self.methods.raw_json_request(request, 1)).ok()?;
        Some(serde_json::from_str(&answer).unwrap())
    }

    fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.send(&request.to_string())
    }

    #[track_caller]
    fn result(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params);
        answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().clone()
    }
}

fn filter() -> Value {
    json!({
        "resources": { "vcpus": 1, "memory_mib": 2048, "disk_gib": 20 },
        "country": "SE",
        "max_price": "6000000",
        "ip": "prefer",
    })
}

fn small_filter() -> Value {
    json!({ "resources": { "vcpus": 1, "memory_mib": 2048, "disk_gib": 20 } })
}

/// Each method with all its arguments but the block, by name and in order.
fn calls() -> Vec<(&'static str, Value, Value)> {
    let plan = plan_id();
    vec![
        ("compute_get_node_metrics", json!({ "node_id": "alpha" }), json!(["alpha"])),
        ("compute_get_node", json!({ "node_id": "alpha" }), json!(["alpha"])),
        (
            "compute_find_nodes",
            json!({ "filter": filter(), "cursor": "alpha", "limit": 3 }),
            json!([filter(), "alpha", 3]),
        ),
        (
            "compute_get_user_vms",
            json!({ "account": TENANT, "cursor": "6", "limit": 3 }),
            json!([TENANT, "6", 3]),
        ),
        ("compute_get_vm", json!({ "request_id": "7" }), json!(["7"])),
        ("compute_quote", json!({ "plan_id": plan, "node_id": "alpha" }), json!([plan, "alpha"])),
        (
            "compute_why_pending",
            json!({ "request_id": "8", "cursor": "alpha", "limit": 3 }),
            json!(["8", "alpha", 3]),
        ),
        (
            "compute_work_for",
            json!({ "node_id": "alpha", "cursor": "6", "limit": 3 }),
            json!(["alpha", "6", 3]),
        ),
        (
            "compute_open_for",
            json!({ "node_id": "alpha", "cursor": "6", "limit": 3 }),
            json!(["alpha", "6", 3]),
        ),
    ]
}

#[test]
fn every_method_takes_names_and_takes_an_array_to_the_same_end() {
    let rpc = Rpc::new();
    assert_eq!(calls().len(), rpc.methods.method_names().count());
    for (method, named, ordered) in calls() {
        let by_name = (rpc.result(method, named), rpc.asked());
        let by_order = (rpc.result(method, ordered), rpc.asked());
        assert_eq!(by_name, by_order, "{method}");
        let call = by_name.1.split(' ').next().unwrap();
        assert_eq!(format!("compute_{call}"), method);
    }
}

#[test]
fn every_method_looks_at_the_best_block_or_at_the_one_named() {
    let rpc = Rpc::new();
    for (method, mut named, mut ordered) in calls() {
        rpc.result(method, named.clone());
        assert!(rpc.asked().ends_with(&format!("at {BEST:?}")), "{method}: {}", rpc.asked());

        let at = json!(GENESIS);
        named.as_object_mut().unwrap().insert("at".into(), at.clone());
        ordered.as_array_mut().unwrap().push(at);
        for params in [named, ordered] {
            rpc.call(method, params);
            assert!(rpc.asked().ends_with(&format!("at {GENESIS:?}")), "{method}: {}", rpc.asked());
        }
    }
}

#[test]
fn every_argument_reaches_the_runtime() {
    let rpc = Rpc::new();
    rpc.result("compute_find_nodes", json!([filter(), "alpha", 3]));
    let expected = "find_nodes (NodeFilter { resources: Resources { vcpus: 1, memory_mib: 2048, \
         disk_gib: 20 }, country: Some(Country([83, 69])), max_price: Some(Amount(6000000)), \
         ip: Prefer }, Some(\"alpha\"), 3) at";
    assert!(rpc.asked().starts_with(expected), "{}", rpc.asked());

    rpc.result(
        "compute_open_for",
        json!(["alpha", "340282366920938463463374607431768211455", 100]),
    );
    let expected =
        "open_for (\"alpha\", Some(RequestCursor(340282366920938463463374607431768211455)), 100) at";
    assert!(rpc.asked().starts_with(expected), "{}", rpc.asked());
}

#[test]
fn what_a_search_leaves_out_is_open_and_asks_for_no_address() {
    let rpc = Rpc::new();
    let filter = json!({ "resources": { "vcpus": 1, "memory_mib": 2048, "disk_gib": 20 } });
    rpc.result("compute_find_nodes", json!([filter]));
    let expected = "country: None, max_price: None, ip: None }, None, 50) at";
    assert!(rpc.asked().contains(expected), "{}", rpc.asked());
}

#[test]
fn a_page_has_fifty_rows_where_no_limit_is_named() {
    let rpc = Rpc::new();
    for (method, mut params) in [
        ("compute_find_nodes", json!({ "filter": small_filter() })),
        ("compute_get_user_vms", json!({ "account": TENANT })),
        ("compute_why_pending", json!({ "request_id": 8 })),
        ("compute_work_for", json!({ "node_id": "alpha" })),
        ("compute_open_for", json!({ "node_id": "alpha" })),
    ] {
        rpc.result(method, params.clone());
        assert!(rpc.asked().contains("None, 50) at"), "{method}: {}", rpc.asked());
        params.as_object_mut().unwrap().extend([
            ("cursor".into(), Value::Null),
            ("limit".into(), Value::Null),
            ("at".into(), Value::Null),
        ]);
        rpc.result(method, params);
        assert!(rpc.asked().contains("None, 50) at"), "{method}: {}", rpc.asked());
    }
}

#[test]
fn a_page_says_where_to_go_on() {
    let rpc = Rpc::new();
    let first = rpc.result("compute_find_nodes", json!([small_filter()]));
    assert_eq!(first["next"], json!("alpha"));
    let last = rpc.result("compute_find_nodes", json!([small_filter(), first["next"]]));
    assert_eq!(last, json!({ "rows": [], "next": null }));

    for (method, of) in [("compute_get_user_vms", TENANT), ("compute_work_for", "alpha")] {
        let first = rpc.result(method, json!([of]));
        assert_eq!(first["next"], json!("7"), "{method}");
        let last = rpc.result(method, json!([of, first["next"]]));
        assert_eq!(last, json!({ "rows": [], "next": null }), "{method}");
    }
}

#[test]
fn what_is_not_there_is_null() {
    let rpc = Rpc::new();
    for (method, params) in [
        ("compute_get_node_metrics", json!(["beta"])),
        ("compute_get_node", json!(["beta"])),
        ("compute_get_node", json!([""])),
        ("compute_get_vm", json!([9])),
    ] {
        assert_eq!(rpc.result(method, params), Value::Null, "{method}");
    }
}

#[test]
fn what_was_not_there_yet_is_null_at_that_block() {
    let rpc = Rpc::new();
    assert_eq!(rpc.result("compute_get_node", json!(["alpha", GENESIS])), Value::Null);
    assert_eq!(rpc.result("compute_get_vm", json!([7, GENESIS])), Value::Null);
}

#[test]
fn an_answer_reads_back_as_what_the_runtime_said() {
    let rpc = Rpc::new();
    let answer = rpc.result("compute_get_node_metrics", json!(["alpha"]));
    assert_eq!(serde_json::from_value::<_>(answer).ok(), Some(metrics()));
    let answer = rpc.result("compute_get_node", json!(["alpha"]));
    assert_eq!(serde_json::from_value::<_>(answer).ok(), Some(node()));
    let answer = rpc.result("compute_get_vm", json!([7]));
    assert_eq!(serde_json::from_value::<_>(answer).ok(), Some(vm()));
}

#[test]
fn a_tenants_vms_are_told_as_each_is_alone() {
    let rpc = Rpc::new();
    let vms = rpc.result("compute_get_user_vms", json!([TENANT]));
    assert_eq!(vms["rows"], json!([rpc.result("compute_get_vm", json!([7]))]));
}

#[test]
fn an_account_is_an_address_or_a_public_key() {
    let rpc = Rpc::new();
    let key = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
    rpc.result("compute_get_user_vms", json!([TENANT]));
    let by_address = rpc.asked();
    let on_polkadot = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";
    for account in [key, on_polkadot] {
        rpc.result("compute_get_user_vms", json!([account]));
        assert_eq!(rpc.asked(), by_address, "{account}");
    }
}

#[test]
fn a_request_is_named_by_a_number_or_by_its_digits() {
    let rpc = Rpc::new();
    for id in [json!(7), json!("7"), json!("007")] {
        assert_eq!(rpc.result("compute_get_vm", json!([id]))["request"]["request_id"], json!("7"));
    }
}

/// Every name in the answer, however deep.
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            found.push(name.clone());
            names(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_name_is_in_snake_case_and_every_balance_a_string() {
    let rpc = Rpc::new();
    let balances =
        ["bond", "price", "ip_price", "deposit", "max_price", "held", "ip_fee", "request_id"];
    for (method, named, _) in calls() {
        let mut first_page = named;
        first_page.as_object_mut().unwrap().remove("cursor");
        let answer = rpc.result(method, first_page);
        let mut found = Vec::new();
        names(&answer, &mut found);
        assert!(found.len() > 3, "{method}: {answer}");
        for name in found {
            let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(sound), "{method}: {name}");
        }
        for name in balances {
            let text = answer.to_string();
            for (position, _) in text.match_indices(&format!("\"{name}\":")) {
                let after = &text[position + name.len() + 3..];
                assert!(after.starts_with('"'), "{method}: {name} is {after:.20}");
            }
        }
    }
}
