//! `docs/rpc.md` is held to what the node does.

use super::{calls, Rpc};
use serde_json::{json, Value};

const PAGE: &str = include_str!("../../../../docs/rpc.md");

/// Each example's request and answer.
fn examples() -> Vec<(String, Value)> {
    PAGE.split("```sh\n")
        .skip(1)
        .map(|part| {
            let (command, rest) = part.split_once("```").unwrap();
            let (_, request) = command.split_once("-d '").unwrap();
            let (request, _) = request.rsplit_once('\'').unwrap();
            let (_, answer) = rest.split_once("```json\n").unwrap();
            let (answer, _) = answer.split_once("```").unwrap();
            (request.to_owned(), serde_json::from_str(answer).expect(request))
        })
        .collect()
}

#[test]
fn every_example_is_answered_as_shown() {
    let rpc = Rpc::new();
    for (request, answer) in examples() {
        assert_eq!(rpc.send(&request), answer, "{request}");
    }
}

#[test]
fn every_method_has_an_example() {
    let requests: Vec<_> = examples().into_iter().map(|(request, _)| request).collect();
    for method in Rpc::new().methods.method_names() {
        let named = format!("\"method\":\"{method}\"");
        assert!(requests.iter().any(|request| request.contains(&named)), "{method}");
    }
}

#[test]
fn every_method_is_listed_with_its_parameters_in_order() {
    for (method, ..) in calls() {
        let too_many = Rpc::new().call(method, json!([1, 2, 3, 4, 5, 6, 7, 8, 9]));
        let message = too_many["error"]["message"].as_str().unwrap();
        let (_, parameters) = message.split_once(" of (").unwrap();
        let listed = format!("`{method}({parameters}`");
        assert!(PAGE.contains(&listed), "{listed}");
    }
}

#[test]
fn every_code_is_listed_with_its_name() {
    for (code, name) in [
        (7001, "node_not_found"),
        (7002, "request_not_found"),
        (7003, "plan_not_found"),
        (7004, "not_pending"),
        (7005, "price_overflow"),
        (7010, "invalid_limit"),
        (7011, "invalid_account"),
        (7012, "unknown_block"),
        (7013, "runtime_failed"),
        (7014, "migrating"),
        (7015, "migration_failed"),
        (7016, "other_release"),
        (-32602, "invalid_params"),
    ] {
        let row = format!("| {code} | `{name}` |");
        assert!(PAGE.contains(&row), "{row}");
    }
}

#[test]
fn every_reason_to_wait_is_listed_with_its_words() {
    use quarry_primitives::api::Unfit::*;
    for reason in [
        OtherNodeNamed,
        Leaving,
        Offline,
        NotAccepting,
        BondTooSmall,
        WrongCountry,
        Excluded,
        TooLarge,
        TooManyVms,
        TooDear,
        NoAddress,
        RatesRaisedLately,
        TooManyClaims,
    ] {
        let name = json!(reason);
        let row = format!("| `{}` | {} |", name.as_str().unwrap(), reason.words());
        assert!(PAGE.contains(&row), "{row}");
    }
}
