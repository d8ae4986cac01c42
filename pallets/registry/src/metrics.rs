//! What workers say of their hosts.

use crate::{presence::push_out_oldest, Config, Error, MetricsHistory, NodeMetrics, Pallet};
use frame_support::ensure;
use quarry_primitives::{
    node::{Disk, NetworkInterface, NodeId, NodeMetricsData, NodeRecord},
    text::Text,
};

const WHOLE_LOAD_PERMILLE: u16 = 1000;

impl<T: Config> Pallet<T> {
    /// Fails with `MetricsOfAnotherNode` or `InvalidCpuLoad`, or with the error of the first text that
    /// is not clean.
    pub(crate) fn ensure_sound_metrics(
        node_id: &NodeId,
        metrics: &NodeMetricsData,
    ) -> Result<(), Error<T>> {
        ensure!(metrics.miner_id == *node_id, Error::MetricsOfAnotherNode);
        ensure!(metrics.cpu_load_permille <= WHOLE_LOAD_PERMILLE, Error::InvalidCpuLoad);
        ensure!(metrics.geolocation.is_clean(), Error::InvalidGeolocation);
        ensure!(metrics.cpu_model.is_clean(), Error::InvalidCpuModel);
        ensure!(metrics.disks.iter().all(is_clean_disk), Error::InvalidDisk);
        let network = &metrics.primary_network_interface;
        ensure!(is_clean_interface(network), Error::InvalidNetworkInterface);
        ensure!(metrics.gpu_name.as_ref().is_none_or(Text::is_clean), Error::InvalidGpuName);
        ensure!(metrics.hypervisor.is_clean(), Error::InvalidHypervisor);
        ensure!(metrics.worker_version.is_clean(), Error::InvalidWorkerVersion);
        Ok(())
    }

    /// Puts them in the place of the last ones, of which the history keeps a part.
    pub(crate) fn keep_metrics(node_id: &NodeId, node: &mut NodeRecord, metrics: NodeMetricsData) {
        let now = Self::now();
        node.last_metrics = Some(now);
        MetricsHistory::<T>::mutate(node_id, |history| {
            push_out_oldest(history, metrics.sample(now));
        });
        NodeMetrics::<T>::insert(node_id, metrics);
    }
}

fn is_clean_disk(disk: &Disk) -> bool {
    disk.name.is_clean() && disk.disk_type.is_clean()
}

fn is_clean_interface(network: &NetworkInterface) -> bool {
    network.name.is_clean() && network.mac_address.is_clean()
}
