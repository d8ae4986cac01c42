//! What happens at the access port, which counts for itself.

use prometheus::{
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use quarry_access::{Figures, Refusal};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

const SESSIONS: (&str, &str) =
    ("quarry_worker_access_sessions", "Connections of tenants that are logged in");
const LOGINS: (&str, &str) =
    ("quarry_worker_access_logins_total", "Connections that logged in at the access port");
const RECEIVED: (&str, &str) =
    ("quarry_worker_access_received_bytes_total", "Bytes carried from tenants to VMs");
const SENT: (&str, &str) =
    ("quarry_worker_access_sent_bytes_total", "Bytes carried from VMs to tenants");
const REFUSED: (&str, &str) =
    ("quarry_worker_access_refused_total", "Refusals at the access port by reason");

/// The port's figures; all at nought where there is no port.
#[derive(Clone)]
pub(super) struct AccessFigures {
    descriptions: Vec<Desc>,
    source: Arc<OnceLock<Arc<Figures>>>,
}

impl AccessFigures {
    pub(super) fn new() -> prometheus::Result<Self> {
        let describe = |(name, help): (&str, &str), labels| {
            Desc::new(name.into(), help.into(), labels, HashMap::new())
        };
        let plain = [SESSIONS, LOGINS, RECEIVED, SENT].map(|name| describe(name, Vec::new()));
        let by_reason = describe(REFUSED, vec!["reason".into()]);
        let descriptions = plain.into_iter().chain([by_reason]).collect::<Result<_, _>>()?;
        Ok(Self { descriptions, source: Arc::default() })
    }

    pub(super) fn set(&self, source: Arc<Figures>) {
        let _only_once = self.source.set(source);
    }
}

impl Collector for AccessFigures {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let none = Figures::default();
        let figures = self.source.get().map_or(&none, |figures| figures);
        let (received, sent) = figures.bytes();
        let refused = Refusal::ALL.map(|why| {
            let mut label = LabelPair::default();
            label.set_name("reason".into());
            label.set_value(why.name().into());
            let mut metric = counted(figures.refused(why));
            metric.set_label(vec![label]);
            metric
        });
        let mut gauge = Gauge::default();
        gauge.set_value(figures.sessions() as f64);
        let mut sessions = Metric::default();
        sessions.set_gauge(gauge);
        vec![
            family(SESSIONS, MetricType::GAUGE, vec![sessions]),
            family(LOGINS, MetricType::COUNTER, vec![counted(figures.logins())]),
            family(RECEIVED, MetricType::COUNTER, vec![counted(received)]),
            family(SENT, MetricType::COUNTER, vec![counted(sent)]),
            family(REFUSED, MetricType::COUNTER, refused.into()),
        ]
    }
}

fn counted(count: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
