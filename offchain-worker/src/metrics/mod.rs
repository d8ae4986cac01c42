//! The worker's figures for Prometheus.
//!
//! Setters say what happened; nobody else knows the names, the units or the labels.

mod access;
mod family;
#[cfg(test)]
mod tests;
mod vms;

use access::AccessFigures;
use family::{Maker, State};
use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};
use quarry_hypervisor::DomainStats;
use quarry_images::Fetches;
use quarry_primitives::RequestId;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use vms::VmFigures;

/// The metrics could not be set up, or written: a mistake in the worker, not in its settings.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(String);

impl From<prometheus::Error> for MetricsError {
    fn from(error: prometheus::Error) -> Self {
        Self(error.to_string())
    }
}

/// How an action, a report or a fetch ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// It failed.
    Failed,
    /// It was given up: something else is wanted now.
    Dropped,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// All figures of a worker.
pub struct Metrics {
    registry: Registry,
    access: AccessFigures,
    vm_figures: VmFigures,
    vm_states: State,
    vms_failing: IntGauge,
    vms_dying: IntGauge,
    queue_blocks: HistogramVec,
    first_call_seconds: Histogram,
    action_seconds: HistogramVec,
    actions_under_way: IntGaugeVec,
    reports: IntCounterVec,
    reports_under_way: IntGauge,
    finalized: IntGauge,
    endpoints: State,
    hypervisor: IntGauge,
    registered: IntGauge,
    store_bytes: IntGauge,
    store_limit: IntGauge,
    store_images: IntGauge,
    fetches: IntCounterVec,
    fetched_bytes: IntCounter,
    heartbeat: Gauge,
    accepting: IntGauge,
    not_accepting: State,
}

const QUEUE_BLOCKS: [f64; 9] = [0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 150.0];
const FIRST_CALL_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
const ACTION_SECONDS: [f64; 12] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

impl Metrics {
    /// All at nought.
    pub fn new() -> Result<Arc<Self>, MetricsError> {
        let registry = Registry::new();
        let vm_figures = VmFigures::new()?;
        registry.register(Box::new(vm_figures.clone()))?;
        let access = AccessFigures::new()?;
        registry.register(Box::new(access.clone()))?;
        let make = Maker(&registry);
        make.gauges("build_info", "The worker's version; always 1", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        make.real_gauge("start_time_seconds", "When the process started, as Unix time")?
            .set(unix_now());
        let metrics = Self {
            vm_states: make.state("vms", "VMs by what they do", "state")?,
            vms_failing: make.gauge("vms_failing", "VMs whose last step failed")?,
            vms_dying: make.gauge(
                "vms_dying",
                "VMs whose guest soon went off again after each of its last three starts or more",
            )?,
            queue_blocks: make.histograms(
                "operation_queue_blocks",
                "Live blocks from an operation's queueing to the worker's first step for it",
                &["operation"],
                &QUEUE_BLOCKS,
            )?,
            first_call_seconds: make.histogram(
                "first_call_seconds",
                "From a finalized block with new work to the first call to libvirt for it",
                &FIRST_CALL_SECONDS,
            )?,
            action_seconds: make.histograms(
                "action_duration_seconds",
                "How long actions on VMs took",
                &["action", "result"],
                &ACTION_SECONDS,
            )?,
            actions_under_way: make.gauges(
                "actions_under_way",
                "Actions on VMs that are being carried out",
                &["action"],
            )?,
            reports: make.counters(
                "reports_total",
                "Reports to the chain by call and result",
                &["kind", "result"],
            )?,
            reports_under_way: make
                .gauge("reports_under_way", "Reports that are not finalized yet")?,
            finalized: make.gauge("finalized_block", "The last finalized block seen")?,
            endpoints: make.state(
                "chain_connected",
                "1 for the chain endpoint in use while it answers, 0 for the others",
                "endpoint",
            )?,
            hypervisor: make.gauge("hypervisor_connected", "1 while libvirt answers")?,
            registered: make.gauge("registered", "1 while the chain has the node with this key")?,
            store_bytes: make.gauge("image_store_bytes", "What the image store takes on disk")?,
            store_limit: make
                .gauge("image_store_limit_bytes", "What the image store may take on disk")?,
            store_images: make.gauge("image_store_images", "Images in the store")?,
            fetches: make.counters(
                "image_fetches_total",
                "Image fetches by result",
                &["result"],
            )?,
            fetched_bytes: make
                .counter("image_fetched_bytes_total", "Bytes of images that were fetched")?,
            heartbeat: make.real_gauge(
                "last_heartbeat_timestamp_seconds",
                "When the last heartbeat was in a block, as Unix time; 0 before the first",
            )?,
            accepting: make.gauge("accepting", "1 while the worker lets the node take new VMs")?,
            not_accepting: make.state(
                "not_accepting",
                "1 for each reason why the worker takes no new VMs",
                "reason",
            )?,
            access,
            vm_figures,
            registry,
        };
        Ok(Arc::new(metrics))
    }

    /// All of it as Prometheus reads it.
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Where the access port counts; once.
    pub fn set_access(&self, figures: Arc<quarry_access::Figures>) {
        self.access.set(figures);
    }

    /// The figures of all running VMs. Those that are not among them are gone from the next scrape on.
    pub fn set_vm_figures(&self, figures: impl IntoIterator<Item = (RequestId, DomainStats)>) {
        self.vm_figures.set(figures.into_iter().collect());
    }

    /// How many VMs are in which state.
    pub fn set_vm_states<'a>(&self, states: impl IntoIterator<Item = (&'a str, usize)>) {
        self.vm_states.set(states.into_iter().map(|(state, count)| (state, whole(count as u64))));
    }

    /// How many VMs failed at their last step, and how many guests die over and over.
    pub fn set_vm_troubles(&self, failing: usize, dying: usize) {
        self.vms_failing.set(whole(failing as u64));
        self.vms_dying.set(whole(dying as u64));
    }

    /// The first step was taken for an operation that had been queued for so long.
    pub fn operation_begun(&self, operation: &'static str, queued_blocks: u32) {
        self.queue_blocks.with_label_values(&[operation]).observe(queued_blocks.into());
    }

    /// The first call to libvirt came so long after the finalized block that asked for it.
    pub fn first_call(&self, after: Duration) {
        self.first_call_seconds.observe(after.as_secs_f64());
    }

    /// An action begins. It lasts until [`ActionTimer::finish`].
    pub fn begin_action(self: &Arc<Self>, action: &'static str) -> ActionTimer {
        self.actions_under_way.with_label_values(&[action]).inc();
        ActionTimer {
            metrics: self.clone(),
            action,
            since: Instant::now(),
            outcome: Outcome::Dropped,
        }
    }

    /// A report ended.
    pub fn report(&self, kind: &'static str, outcome: Outcome) {
        self.reports.with_label_values(&[kind, outcome.label()]).inc();
    }

    /// How many reports are not finalized yet.
    pub fn set_reports_under_way(&self, count: usize) {
        self.reports_under_way.set(whole(count as u64));
    }

    /// A block was finalized.
    pub fn set_finalized(&self, number: u32) {
        self.finalized.set(number.into());
    }

    /// Which endpoint answers; none if none does. Endpoints are named without what may be secret in
    /// their URL.
    pub fn set_chain(&self, endpoint: Option<&str>) {
        let endpoint = endpoint.map(crate::http::public_part);
        self.endpoints.set(endpoint.as_deref().map(|endpoint| (endpoint, 1)));
    }

    /// Whether libvirt answers.
    pub fn set_hypervisor_connected(&self, connected: bool) {
        self.hypervisor.set(connected.into());
    }

    /// Whether the chain has the node with this worker's key.
    pub fn set_registered(&self, registered: bool) {
        self.registered.set(registered.into());
    }

    /// What the image store holds, and what it may.
    pub fn set_image_store(&self, images: usize, bytes: u64, limit: u64) {
        self.store_images.set(whole(images as u64));
        self.store_bytes.set(whole(bytes));
        self.store_limit.set(whole(limit));
    }

    /// The image fetches that ended in this process.
    pub fn set_fetches(&self, fetches: &Fetches) {
        let by = |outcome: Outcome| self.fetches.with_label_values(&[outcome.label()]);
        raise(&by(Outcome::Done), fetches.done);
        raise(&by(Outcome::Failed), fetches.failed);
        raise(&self.fetched_bytes, fetches.bytes);
    }

    /// A heartbeat is in a block.
    pub fn heartbeat(&self) {
        self.heartbeat.set(unix_now());
    }

    /// Whether the worker lets the node take new VMs: it does if nothing speaks against it.
    pub fn set_accepting(&self, reasons_against: &[&'static str]) {
        self.accepting.set(reasons_against.is_empty().into());
        self.not_accepting.set(reasons_against.iter().map(|reason| (*reason, 1)));
    }
}

/// An action under way. Dropped without a word, it counts as dropped.
#[must_use = "an action lasts until it is finished"]
pub struct ActionTimer {
    metrics: Arc<Metrics>,
    action: &'static str,
    since: Instant,
    outcome: Outcome,
}

impl ActionTimer {
    /// It ended.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for ActionTimer {
    fn drop(&mut self) {
        let labels = [self.action, self.outcome.label()];
        self.metrics.actions_under_way.with_label_values(&[self.action]).dec();
        let seconds = self.since.elapsed().as_secs_f64();
        self.metrics.action_seconds.with_label_values(&labels).observe(seconds);
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
