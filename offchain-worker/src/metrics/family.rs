//! Families of figures, registered as they are made.

use prometheus::{
    core::Collector, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, Result,
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Makes families in one registry, all with the worker's prefix.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, made: Result<C>) -> Result<C> {
        let collector = made?;
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::with_opts(options(name, help)))
    }

    pub(super) fn real_gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.register(Gauge::with_opts(options(name, help)))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(options(name, help), labels))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::with_opts(options(name, help)))
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(options(name, help), labels))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options))
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec> {
        let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels))
    }

    pub(super) fn state(&self, name: &str, help: &str, label: &str) -> Result<State> {
        Ok(State { gauges: self.gauges(name, help, &[label])?, seen: Mutex::default() })
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("quarry_worker_{name}"), help)
}

/// A gauge for each value of a label. A value that is no longer named falls to 0 and stays there, so
/// that a graph does not end where something was.
pub(super) struct State {
    gauges: IntGaugeVec,
    seen: Mutex<BTreeSet<String>>,
}

impl State {
    pub(super) fn set<'a>(&self, values: impl IntoIterator<Item = (&'a str, i64)>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = seen.clone();
        for (value, number) in values {
            gone.remove(value);
            self.gauges.with_label_values(&[value]).set(number);
            seen.insert(value.to_owned());
        }
        for value in gone {
            self.gauges.with_label_values(&[&value]).set(0);
        }
    }
}
