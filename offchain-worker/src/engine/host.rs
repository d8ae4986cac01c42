//! The host's figures: what goes to the chain, what people see, and whether there is room for more VMs.

use super::{lock, Engine};
use quarry_host::{to_metrics, DiskSpeed, Host, Limits, NodeFacts, Sample, Thresholds};
use quarry_primitives::node::NodeMetricsData;
use std::{
    collections::HashMap,
    sync::{atomic::Ordering, Arc},
    time::{Duration, Instant},
};
use tokio::time::{interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often the host is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// How long the disk's measured speed is good for.
pub const SPEED_KEEPS: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is watched from one look to the next.
struct Watch {
    host: Host,
    thresholds: Thresholds,
    last: Instant,
}

impl Engine {
    /// Watches the host until it is told to stop.
    pub(super) async fn watch_host(self: Arc<Self>, stop: CancellationToken) {
        let limits = &self.settings.thresholds;
        let mut watch = Watch {
            host: Host::new(&self.settings.data_dir),
            thresholds: Thresholds::new(Limits {
                cpu: limits.cpu,
                memory: limits.memory,
                storage: limits.storage,
                hysteresis: limits.hysteresis,
            }),
            last: Instant::now(),
        };
        let mut clock = interval(SAMPLE_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = clock.tick() => (),
            }
            let engine = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                engine.sample(&mut watch);
                engine.publish_figures();
                watch
            });
            match looked.await {
                Ok(back) => watch = back,
                Err(error) => {
                    tracing::error!(%error, "watching the host broke off; no new VMs are taken");
                    self.accepting.store(false, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn sample(&self, watch: &mut Watch) {
        let sample = match watch.host.sample() {
            Ok(sample) => sample,
            Err(error) => {
                tracing::warn!(%error, "the host's figures cannot be read; no new VMs are taken");
                self.accepting.store(false, Ordering::Relaxed);
                return;
            }
        };
        let accepting = watch.thresholds.observe(sample.load(), watch.last.elapsed());
        watch.last = Instant::now();
        let faults = watch.thresholds.faults();
        let reasons: Vec<String> = faults.iter().map(ToString::to_string).collect();
        if self.accepting.swap(accepting, Ordering::Relaxed) != accepting {
            tracing::info!(accepting, reasons = reasons.join("; "), "room for new VMs");
        }
        let figures: Vec<&'static str> = faults.iter().map(|fault| fault.figure.name()).collect();
        self.metrics.set_accepting(&figures);
        self.board.update(|status| {
            status.accepting = accepting;
            status.not_accepting_because = reasons;
        });
        *lock(&self.sample) = Some(sample);
    }

    fn publish_figures(&self) {
        let figures = match self.hypervisor.stats() {
            Ok(figures) => figures,
            Err(error) => {
                tracing::debug!(%error, "no figures of the VMs");
                return;
            }
        };
        let numbers: HashMap<_, _> =
            self.table().vms.iter().map(|(uuid, vm)| (*uuid, vm.request_id)).collect();
        self.metrics.set_vm_figures(
            figures.into_iter().filter_map(|of| Some((*numbers.get(&of.uuid)?, of))),
        );
    }

    fn vm_count(&self) -> u32 {
        let count = self.table().vms.values().filter(|vm| vm.item.is_some()).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// What the chain learns of the host.
    pub(super) fn host_metrics(&self) -> Option<NodeMetricsData> {
        let sample: Sample = lock(&self.sample).clone()?;
        let hypervisor = self.board.status().hypervisor.description.unwrap_or_default();
        let facts = NodeFacts {
            node_id: self.settings.node_id.clone(),
            geolocation: self.settings.geolocation.as_str().unwrap_or_default().to_owned(),
            vm_count: self.vm_count(),
            hypervisor,
            worker_version: env!("CARGO_PKG_VERSION").to_owned(),
            disk_speed: *lock(&self.disk_speed),
        };
        Some(to_metrics(&sample, &facts))
    }

    /// Measures the disk, unless it was measured lately.
    pub(super) async fn measure_disk(self: Arc<Self>) {
        let data_dir = self.settings.data_dir.clone();
        let measured = tokio::task::spawn_blocking(move || {
            DiskSpeed::known_or_measured(&data_dir, SPEED_KEEPS)
        });
        match measured.await {
            Ok(Ok(speed)) => *lock(&self.disk_speed) = Some(speed),
            Ok(Err(error)) => tracing::warn!(%error, "the disk's speed is not known"),
            Err(error) => tracing::error!(%error, "measuring the disk broke off"),
        }
    }
}
