use crate::{mock::*, Error, MetricsHistory, NodeMetrics, HISTORY_LENGTH};
use frame_support::{assert_noop, assert_ok};
use quarry_primitives::{
    node::{MetricsSample, NodeMetricsData},
    NodeId,
};
use sp_runtime::DispatchResult;

fn submit(node_id: &NodeId, metrics: NodeMetricsData) -> DispatchResult {
    Registry::submit_node_metrics(by(WORKER), node_id.clone(), true, Some(Box::new(metrics)))
}

fn assert_refused(error: Error<Test>, spoil: impl FnOnce(&mut NodeMetricsData)) {
    run_with_node(|mia_1| {
        let mut metrics = largest_metrics(&mia_1);
        spoil(&mut metrics);
        assert_noop!(submit(&mia_1, metrics), error);
    });
}

#[test]
fn metrics_are_kept() {
    run_with_node(|mia_1| {
        pass(2);
        assert_ok!(submit(&mia_1, largest_metrics(&mia_1)));
        assert_eq!(NodeMetrics::<Test>::get(&mia_1), Some(largest_metrics(&mia_1)));
        assert_eq!(node(&mia_1).last_metrics, Some(3));
    });
}

#[test]
fn later_metrics_take_the_place_of_earlier_ones() {
    run_with_node(|mia_1| {
        assert_ok!(submit(&mia_1, largest_metrics(&mia_1)));
        let later = NodeMetricsData { miner_id: mia_1.clone(), cpu_cores: 8, ..Default::default() };
        assert_ok!(submit(&mia_1, later.clone()));
        assert_eq!(NodeMetrics::<Test>::get(&mia_1), Some(later));
    });
}

#[test]
fn a_part_of_the_metrics_goes_into_the_history() {
    run_with_node(|mia_1| {
        let mut metrics = largest_metrics(&mia_1);
        metrics.disks.truncate(2);
        metrics.disks.iter_mut().for_each(|disk| disk.free_space_mb = 100);
        (metrics.cpu_load_permille, metrics.free_memory_mb, metrics.vm_count) = (420, 512, 3);
        assert_ok!(submit(&mia_1, metrics));
        let sample =
            MetricsSample { at: 1, load: 420, free_memory_mb: 512, free_disk_mb: 200, vm_count: 3 };
        assert_eq!(MetricsHistory::<Test>::get(&mia_1).into_inner(), [sample]);
    });
}

#[test]
fn a_full_history_loses_its_oldest_metrics() {
    run_with_node(|mia_1| {
        for _ in 0..=HISTORY_LENGTH {
            pass(1);
            assert_ok!(submit(&mia_1, largest_metrics(&mia_1)));
        }
        let times = MetricsHistory::<Test>::get(&mia_1).into_iter().map(|sample| sample.at);
        assert!(times.eq(3..=HISTORY_LENGTH + 2));
    });
}

#[test]
fn a_heartbeat_without_metrics_leaves_them() {
    run_with_node(|mia_1| {
        assert_ok!(submit(&mia_1, largest_metrics(&mia_1)));
        pass(50);
        assert_ok!(beat(&mia_1));
        assert!(NodeMetrics::<Test>::contains_key(&mia_1));
        assert_eq!(node(&mia_1).last_metrics, Some(1));
    });
}

#[test]
fn a_host_without_disks_or_gpu_has_metrics() {
    run_with_node(|mia_1| {
        let bare = NodeMetricsData { miner_id: mia_1.clone(), ..Default::default() };
        assert_ok!(submit(&mia_1, bare));
    });
}

#[test]
fn metrics_of_another_node_are_refused() {
    assert_refused(Error::MetricsOfAnotherNode, |m| m.miner_id = node_id("milo-1"));
}

#[test]
fn a_load_above_the_whole_is_refused() {
    assert_refused(Error::InvalidCpuLoad, |m| m.cpu_load_permille = 1_001);
}

#[test]
fn a_geolocation_that_is_no_text_is_refused() {
    assert_refused(Error::InvalidGeolocation, |m| m.geolocation = rubbish());
}

#[test]
fn a_cpu_model_that_is_no_text_is_refused() {
    assert_refused(Error::InvalidCpuModel, |m| m.cpu_model = text("a\tb"));
}

#[test]
fn a_disk_whose_name_is_no_text_is_refused() {
    assert_refused(Error::InvalidDisk, |m| m.disks[3].name = rubbish());
}

#[test]
fn a_disk_whose_type_is_no_text_is_refused() {
    assert_refused(Error::InvalidDisk, |m| m.disks[0].disk_type = rubbish());
}

#[test]
fn an_interface_whose_name_is_no_text_is_refused() {
    let spoil = |m: &mut NodeMetricsData| m.primary_network_interface.name = rubbish();
    assert_refused(Error::InvalidNetworkInterface, spoil);
}

#[test]
fn an_interface_whose_mac_is_no_text_is_refused() {
    let spoil = |m: &mut NodeMetricsData| m.primary_network_interface.mac_address = rubbish();
    assert_refused(Error::InvalidNetworkInterface, spoil);
}

#[test]
fn a_gpu_whose_name_is_no_text_is_refused() {
    assert_refused(Error::InvalidGpuName, |m| m.gpu_name = Some(rubbish()));
}

#[test]
fn a_hypervisor_that_is_no_text_is_refused() {
    assert_refused(Error::InvalidHypervisor, |m| m.hypervisor = rubbish());
}

#[test]
fn a_worker_version_that_is_no_text_is_refused() {
    assert_refused(Error::InvalidWorkerVersion, |m| m.worker_version = rubbish());
}
