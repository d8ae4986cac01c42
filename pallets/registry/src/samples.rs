//! The largest that can come, for benchmarks and tests.

use alloc::{string::String, vec, vec::Vec};
use quarry_primitives::{
    node::{Disk, NetworkInterface, NodeId, NodeMetricsData},
    text::Text,
};
use sp_runtime::BoundedVec;

const MOST_DISKS: usize = 4;

/// A text of as many bytes as there may be.
pub fn full<const MAX: u32>() -> Text<MAX> {
    let bytes = String::from("x").repeat(MAX as usize).into_bytes();
    Text::try_from(bytes).unwrap_or_default()
}

/// Metrics in which all is as large as it may be.
pub fn largest_metrics(node_id: &NodeId) -> NodeMetricsData {
    let disk = Disk {
        name: full(),
        disk_type: full(),
        total_space_mb: u64::MAX,
        free_space_mb: u64::MAX,
        read_mb_s: u32::MAX,
        write_mb_s: u32::MAX,
    };
    let disks: Vec<Disk> = vec![disk; MOST_DISKS];
    NodeMetricsData {
        miner_id: node_id.clone(),
        geolocation: full(),
        cpu_model: full(),
        cpu_cores: u16::MAX,
        cpu_load_permille: 1_000,
        memory_mb: u32::MAX,
        free_memory_mb: u32::MAX,
        disks: BoundedVec::truncate_from(disks),
        primary_network_interface: NetworkInterface {
            name: full(),
            mac_address: full(),
            uplink_mb: u64::MAX,
            downlink_mb: u64::MAX,
        },
        bandwidth_mbps: u32::MAX,
        vm_count: u32::MAX,
        uptime_minutes: u32::MAX,
        is_sev_enabled: true,
        gpu_name: Some(full()),
        gpu_memory_mb: u32::MAX,
        hypervisor: full(),
        worker_version: full(),
    }
}
