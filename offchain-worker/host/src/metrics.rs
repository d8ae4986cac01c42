//! The figures as the chain takes them.

use crate::{disks::Disk, host::Sample, network::Interface, speed::DiskSpeed};
use quarry_primitives::{
    node::{self, NetworkInterface, NodeMetricsData},
    text::Text,
    NodeId,
};

/// What the worker knows of its node beside the host's figures.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// The node.
    pub node_id: NodeId,
    /// Where it stands.
    pub geolocation: String,
    /// How many VMs run.
    pub vm_count: u32,
    /// The hypervisor and its version.
    pub hypervisor: String,
    /// The worker's version.
    pub worker_version: String,
    /// What was measured of the disk under the data folder.
    pub disk_speed: Option<DiskSpeed>,
}

const MB: u64 = 1_000_000;

/// Everything cut to what the chain has room for.
pub fn to_metrics(sample: &Sample, facts: &NodeFacts) -> NodeMetricsData {
    let disks: Vec<_> =
        sample.disks.iter().take(4).map(|disk| chain_disk(disk, facts.disk_speed)).collect();
    NodeMetricsData {
        miner_id: facts.node_id.clone(),
        geolocation: cut(&facts.geolocation),
        cpu_model: cut(&sample.cpu_model),
        cpu_cores: sample.cpu_cores,
        cpu_load_permille: sample.cpu_permille.min(1_000),
        memory_mb: mb(sample.memory.total),
        free_memory_mb: mb(sample.memory.free),
        disks: disks.try_into().unwrap_or_default(),
        primary_network_interface: sample.interface.as_ref().map(interface).unwrap_or_default(),
        bandwidth_mbps: sample.interface.as_ref().map_or(0, |interface| interface.mbps),
        vm_count: facts.vm_count,
        uptime_minutes: u32::try_from(sample.uptime.as_secs() / 60).unwrap_or(u32::MAX),
        is_sev_enabled: sample.is_sev_enabled,
        gpu_name: sample.gpu.as_ref().map(|gpu| cut(&gpu.name)),
        gpu_memory_mb: sample.gpu.as_ref().map_or(0, |gpu| mb(gpu.memory)),
        hypervisor: cut(&facts.hypervisor),
        worker_version: cut(&facts.worker_version),
    }
}

fn chain_disk(disk: &Disk, speed: Option<DiskSpeed>) -> node::Disk {
    let speed = speed.filter(|_| disk.holds_data);
    node::Disk {
        name: cut(&disk.name),
        disk_type: cut(disk.kind.name()),
        total_space_mb: disk.space.total / MB,
        free_space_mb: disk.space.free / MB,
        read_mb_s: speed.map_or(0, |speed| speed.read_mb_s),
        write_mb_s: speed.map_or(0, |speed| speed.write_mb_s),
    }
}

fn interface(interface: &Interface) -> NetworkInterface {
    NetworkInterface {
        name: cut(&interface.name),
        mac_address: cut(&interface.mac_address),
        uplink_mb: interface.sent / MB,
        downlink_mb: interface.received / MB,
    }
}

fn mb(bytes: u64) -> u32 {
    u32::try_from(bytes / MB).unwrap_or(u32::MAX)
}

/// As much of a text as there is room for, in whole characters that a terminal can show.
fn cut<const MAX: u32>(text: &str) -> Text<MAX> {
    let mut short = String::new();
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if short.len() + c.len_utf8() > MAX as usize {
            break;
        }
        short.push(c);
    }
    Text::try_from(short.as_str()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use crate::{DiskKind, Gpu, Share};
    use codec::{Encode, MaxEncodedLen};
    use proptest::prelude::*;
    use std::time::Duration;

    fn sample(text: &str, number: u64) -> Sample {
        let space = Share { total: number, free: number };
        let disk = |holds_data| Disk { name: text.into(), kind: DiskKind::Nvme, space, holds_data };
        Sample {
            cpu_permille: number as u16,
            cpu_model: text.into(),
            cpu_cores: number as u16,
            memory: space,
            storage: space,
            disks: vec![disk(true), disk(false), disk(false), disk(false), disk(false)],
            interface: Some(Interface {
                name: text.into(),
                mac_address: text.into(),
                mbps: number as u32,
                sent: number,
                received: number,
            }),
            uptime: Duration::from_secs(number),
            gpu: Some(Gpu { name: text.into(), memory: number }),
            is_sev_enabled: true,
        }
    }

    fn facts(text: &str) -> NodeFacts {
        NodeFacts {
            node_id: cut(text),
            geolocation: text.into(),
            vm_count: u32::MAX,
            hypervisor: text.into(),
            worker_version: text.into(),
            disk_speed: Some(DiskSpeed { read_mb_s: 7, write_mb_s: 5, measured_at: 0 }),
        }
    }

    fn texts(metrics: &NodeMetricsData) -> Vec<bool> {
        let interface = &metrics.primary_network_interface;
        let mut clean = vec![
            metrics.miner_id.is_clean(),
            metrics.geolocation.is_clean(),
            metrics.cpu_model.is_clean(),
            interface.name.is_clean(),
            interface.mac_address.is_clean(),
            metrics.gpu_name.as_ref().unwrap().is_clean(),
            metrics.hypervisor.is_clean(),
            metrics.worker_version.is_clean(),
        ];
        clean.extend(metrics.disks.iter().map(|disk| disk.name.is_clean()));
        clean
    }

    /// The call's index, the node, the flag and the option around the metrics.
    const CALL: usize = 2 + 65 + 1 + 1;

    #[test]
    fn the_call_stays_below_its_limit_whatever_the_host_says() {
        assert!(NodeMetricsData::max_encoded_len() + CALL < 1_024);
        let metrics = to_metrics(&sample(&"x".repeat(500), u64::MAX), &facts(&"y".repeat(500)));
        let unused = metrics.disks.len() * (16 - "nvme".len());
        assert_eq!(metrics.encoded_size() + unused, NodeMetricsData::max_encoded_len());
    }

    #[test]
    fn the_figures_stand_where_they_belong() {
        let metrics = to_metrics(&sample("amd", 3_000_000), &facts("here"));
        assert_eq!(
            (metrics.memory_mb, metrics.uptime_minutes, metrics.gpu_memory_mb),
            (3, 50_000, 3)
        );
        assert_eq!(metrics.primary_network_interface.uplink_mb, 3);
        assert_eq!(metrics.geolocation.as_str(), Some("here"));
        assert_eq!(metrics.disks[0].disk_type.as_str(), Some("nvme"));
        assert!(metrics.is_sev_enabled);
    }

    #[test]
    fn only_the_measured_disk_has_a_speed() {
        let metrics = to_metrics(&sample("a", 1), &facts("b"));
        let speeds: Vec<_> = metrics.disks.iter().map(|d| (d.read_mb_s, d.write_mb_s)).collect();
        assert_eq!(speeds, [(7, 5), (0, 0), (0, 0), (0, 0)]);
    }

    #[test]
    fn a_host_that_tells_little_has_metrics_too() {
        let bare = Sample { disks: vec![], interface: None, gpu: None, ..sample("", 0) };
        let metrics = to_metrics(&bare, &NodeFacts::default());
        assert_eq!((metrics.disks.len(), metrics.gpu_name.is_some()), (0, false));
        assert_eq!(metrics.primary_network_interface, NetworkInterface::default());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut::<4>("äää").as_str(), Some("ää"));
        assert_eq!(cut::<5>("äää").as_str(), Some("ää"));
        assert_eq!(cut::<9>(" a\u{1b}[2J\nb ").as_str(), Some("a[2Jb"));
    }

    proptest! {
        #[test]
        fn any_text_is_cut_to_a_clean_start_of_itself(text in "\\PC{0,90}[\\x00-\\x1f]{0,3}\\PC{0,9}") {
            let metrics = to_metrics(&sample(&text, 1), &facts(&text));
            prop_assert!(texts(&metrics).into_iter().all(|clean| clean));
            let plain: String = text.trim().chars().filter(|c| !c.is_control()).collect();
            prop_assert!(plain.starts_with(metrics.cpu_model.as_str().unwrap()));
            prop_assert!(metrics.encoded_size() + CALL < 1_024);
        }
    }
}
