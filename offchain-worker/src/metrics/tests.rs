#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

fn text(metrics: &Metrics) -> String {
    metrics.render().unwrap()
}

fn has(metrics: &Metrics, line: &str) -> bool {
    text(metrics).lines().any(|found| found == line)
}

fn figures(cpu_nanoseconds: u64) -> DomainStats {
    DomainStats {
        cpu_nanoseconds,
        memory_bytes: 1,
        disk_read_bytes: 2,
        disk_written_bytes: 3,
        disk_allocated_bytes: 4,
        network_received_bytes: 5,
        network_sent_bytes: 6,
        ..Default::default()
    }
}

#[test]
fn a_vm_has_its_figures_under_the_number_of_its_request() {
    let metrics = Metrics::new().unwrap();
    metrics.set_vm_figures([(7, figures(1_500_000_000))]);
    for line in [
        "quarry_worker_vm_cpu_seconds_total{vm=\"7\"} 1.5",
        "quarry_worker_vm_memory_bytes{vm=\"7\"} 1",
        "quarry_worker_vm_disk_read_bytes_total{vm=\"7\"} 2",
        "quarry_worker_vm_disk_written_bytes_total{vm=\"7\"} 3",
        "quarry_worker_vm_disk_allocated_bytes{vm=\"7\"} 4",
        "quarry_worker_vm_network_received_bytes_total{vm=\"7\"} 5",
        "quarry_worker_vm_network_sent_bytes_total{vm=\"7\"} 6",
    ] {
        assert!(has(&metrics, line), "{line} in\n{}", text(&metrics));
    }
}

#[test]
fn a_vm_that_is_gone_leaves_no_figures() {
    let metrics = Metrics::new().unwrap();
    metrics.set_vm_figures([(7, figures(0)), (8, figures(0))]);
    metrics.set_vm_figures([(8, figures(0))]);
    assert!(!text(&metrics).contains("vm=\"7\""));
    assert!(text(&metrics).contains("vm=\"8\""));
    metrics.set_vm_figures([]);
    assert!(!text(&metrics).contains("quarry_worker_vm_"));
}

#[test]
fn an_action_is_under_way_until_it_is_finished() {
    let metrics = Metrics::new().unwrap();
    let timer = metrics.begin_action("launch");
    assert!(has(&metrics, "quarry_worker_actions_under_way{action=\"launch\"} 1"));
    timer.finish(Outcome::Done);
    assert!(has(&metrics, "quarry_worker_actions_under_way{action=\"launch\"} 0"));
    let count = "quarry_worker_action_duration_seconds_count{action=\"launch\",result=\"done\"} 1";
    assert!(has(&metrics, count));
}

#[test]
fn an_action_that_nobody_finished_counts_as_dropped() {
    let metrics = Metrics::new().unwrap();
    drop(metrics.begin_action("stop"));
    let count = "quarry_worker_action_duration_seconds_count{action=\"stop\",result=\"dropped\"} 1";
    assert!(has(&metrics, count));
    assert!(has(&metrics, "quarry_worker_actions_under_way{action=\"stop\"} 0"));
}

#[test]
fn a_state_that_no_vm_is_in_any_more_falls_to_nought() {
    let metrics = Metrics::new().unwrap();
    metrics.set_vm_states([("running", 2), ("off", 1)]);
    metrics.set_vm_states([("running", 3)]);
    assert!(has(&metrics, "quarry_worker_vms{state=\"running\"} 3"));
    assert!(has(&metrics, "quarry_worker_vms{state=\"off\"} 0"));
}

#[test]
fn only_the_endpoint_in_use_is_connected_and_its_secrets_are_not_told() {
    let metrics = Metrics::new().unwrap();
    metrics.set_chain(Some("wss://user:pass@one.example/key?token=7"));
    assert!(has(&metrics, "quarry_worker_chain_connected{endpoint=\"wss://one.example\"} 1"));
    metrics.set_chain(Some("ws://127.0.0.1:9944"));
    assert!(has(&metrics, "quarry_worker_chain_connected{endpoint=\"wss://one.example\"} 0"));
    assert!(has(&metrics, "quarry_worker_chain_connected{endpoint=\"ws://127.0.0.1:9944\"} 1"));
    metrics.set_chain(None);
    assert!(has(&metrics, "quarry_worker_chain_connected{endpoint=\"ws://127.0.0.1:9944\"} 0"));
    for secret in ["user", "pass", "key", "token"] {
        let line = text(&metrics).lines().find(|l| l.contains("endpoint=")).unwrap().to_owned();
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn a_node_accepts_when_nothing_speaks_against_it() {
    let metrics = Metrics::new().unwrap();
    metrics.set_accepting(&["cpu", "storage"]);
    assert!(has(&metrics, "quarry_worker_accepting 0"));
    assert!(has(&metrics, "quarry_worker_not_accepting{reason=\"storage\"} 1"));
    metrics.set_accepting(&[]);
    assert!(has(&metrics, "quarry_worker_accepting 1"));
    assert!(has(&metrics, "quarry_worker_not_accepting{reason=\"cpu\"} 0"));
}

#[test]
fn reports_and_fetches_are_counted_by_how_they_ended() {
    let metrics = Metrics::new().unwrap();
    metrics.report("heartbeat", Outcome::Done);
    metrics.report("heartbeat", Outcome::Done);
    metrics.report("heartbeat", Outcome::Failed);
    metrics.set_fetches(&Fetches { done: 2, failed: 0, bytes: 40 });
    metrics.set_fetches(&Fetches { done: 2, failed: 1, bytes: 42 });
    assert!(has(&metrics, "quarry_worker_reports_total{kind=\"heartbeat\",result=\"done\"} 2"));
    assert!(has(&metrics, "quarry_worker_reports_total{kind=\"heartbeat\",result=\"failed\"} 1"));
    assert!(has(&metrics, "quarry_worker_image_fetches_total{result=\"done\"} 2"));
    assert!(has(&metrics, "quarry_worker_image_fetches_total{result=\"failed\"} 1"));
    assert!(has(&metrics, "quarry_worker_image_fetched_bytes_total 42"));
}

#[test]
fn lags_fall_into_buckets_of_blocks_and_seconds() {
    let metrics = Metrics::new().unwrap();
    metrics.operation_begun("boot", 2);
    metrics.first_call(Duration::from_millis(60));
    let blocks = "quarry_worker_operation_queue_blocks_bucket{operation=\"boot\",le=";
    assert!(has(&metrics, &format!("{blocks}\"1\"}} 0")));
    assert!(has(&metrics, &format!("{blocks}\"2\"}} 1")));
    assert!(has(&metrics, "quarry_worker_first_call_seconds_bucket{le=\"0.05\"} 0"));
    assert!(has(&metrics, "quarry_worker_first_call_seconds_bucket{le=\"0.1\"} 1"));
}

#[test]
fn what_is_set_is_shown() {
    let metrics = Metrics::new().unwrap();
    metrics.set_finalized(12);
    metrics.set_hypervisor_connected(true);
    metrics.set_image_store(3, 1 << 40, 1 << 41);
    metrics.set_registered(true);
    metrics.set_vm_troubles(5, 2);
    metrics.set_reports_under_way(4);
    for line in [
        "quarry_worker_finalized_block 12",
        "quarry_worker_hypervisor_connected 1",
        "quarry_worker_image_store_images 3",
        "quarry_worker_image_store_bytes 1099511627776",
        "quarry_worker_image_store_limit_bytes 2199023255552",
        "quarry_worker_registered 1",
        "quarry_worker_vms_failing 5",
        "quarry_worker_vms_dying 2",
        "quarry_worker_reports_under_way 4",
        "quarry_worker_last_heartbeat_timestamp_seconds 0",
    ] {
        assert!(has(&metrics, line), "{line} in\n{}", text(&metrics));
    }
    metrics.heartbeat();
    assert!(!has(&metrics, "quarry_worker_last_heartbeat_timestamp_seconds 0"));
}

#[test]
fn every_family_has_the_prefix_and_a_help_text_and_counters_end_in_total() {
    let metrics = Metrics::new().unwrap();
    metrics.set_vm_figures([(1, figures(1))]);
    metrics.report("heartbeat", Outcome::Done);
    let text = text(&metrics);
    let helped = |name: &str| text.contains(&format!("# HELP {name} "));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types: Vec<_> = types.filter_map(|line| line.split_once(' ')).collect();
    assert!(types.len() > 15, "{text}");
    for (name, kind) in types {
        assert!(name.starts_with("quarry_worker_") && helped(name), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
}
