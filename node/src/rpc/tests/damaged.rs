//! Damaged requests. `QUARRY_FUZZ_SECONDS` says how long to go on.

use super::Rpc;
use jsonrpsee::types::error::{
    INVALID_PARAMS_CODE, INVALID_REQUEST_CODE, METHOD_NOT_FOUND_CODE, PARSE_ERROR_CODE,
};
use quarry_fuzz::{damaged, each_file, Fate};
use serde_json::Value;
use std::path::Path;

/// What stands in `docs/rpc.md`.
const MARKET_CODES: std::ops::RangeInclusive<i64> = 7_001..=7_015;
const PROTOCOL_CODES: [i32; 4] =
    [PARSE_ERROR_CODE, INVALID_REQUEST_CODE, METHOD_NOT_FOUND_CODE, INVALID_PARAMS_CODE];
/// An answer to a request that was not understood names what was wrong, and does not repeat it all.
const LONGEST_REFUSAL: usize = 8_192;

fn corpus() -> &'static Path {
    Path::new("tests/corpus/rpc")
}

fn judge(rpc: &Rpc, input: &[u8]) -> Fate {
    // A request that is no UTF-8 never gets to the methods.
    let request = String::from_utf8_lossy(input);
    let Some(answer): Option<Value> = rpc.answer(&request) else {
        return Fate::Refused("no request".into());
    };
    if answer.get("result").is_some() {
        assert!(answer.get("error").is_none(), "{answer}");
        return Fate::Taken(rpc.asked().split(' ').next().unwrap_or_default().into());
    }
    let error = &answer["error"];
    let code = error["code"].as_i64().unwrap();
    let is_told = MARKET_CODES.contains(&code)
        || PROTOCOL_CODES.iter().any(|known| i64::from(*known) == code);
    assert!(is_told, "an error that nobody is told of: {answer}");
    assert!(answer.to_string().len() < LONGEST_REFUSAL, "{answer}");
    Fate::Refused(format!("{code} {}", error["message"].as_str().unwrap()))
}

#[test]
fn each_request_of_the_corpus_is_judged_as_its_name_says() {
    let rpc = Rpc::new();
    each_file(corpus(), |input| judge(&rpc, input));
}

#[test]
fn damaged_requests_get_an_answer_or_an_error_that_is_documented() {
    let rpc = Rpc::new();
    damaged(corpus(), |input| judge(&rpc, input));
}
