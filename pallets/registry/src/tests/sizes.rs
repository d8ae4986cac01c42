use crate::{
    mock::*,
    samples::{full, largest_metrics},
    Call,
};
use codec::Encode;
use quarry_primitives::node::NodeMetricsData;

const MOST_BYTES: usize = 1_024;

#[test]
fn a_call_stays_below_a_kilobyte_in_memory() {
    assert!(size_of::<Call<Test>>() < MOST_BYTES);
}

#[test]
fn the_largest_heartbeat_stays_below_a_kilobyte() {
    let node_id = full();
    let metrics = largest_metrics(&node_id);
    let call = RuntimeCall::Registry(Call::submit_node_metrics {
        node_id,
        accepting: true,
        metrics: Some(Box::new(metrics)),
    });
    assert!(call.encoded_size() < MOST_BYTES, "{}", call.encoded_size());
}

#[test]
fn the_largest_metrics_are_the_largest() {
    use codec::MaxEncodedLen;
    let spare_of_collections = 4;
    let largest = largest_metrics(&full()).encoded_size();
    assert!(NodeMetricsData::max_encoded_len() - largest <= 16 * spare_of_collections);
}
