//! Figures of single VMs: there while the VM runs, gone with it.

use prometheus::{
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use quarry_hypervisor::DomainStats;
use quarry_primitives::RequestId;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

struct Figure {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    value: fn(&DomainStats) -> f64,
}

const FIGURES: [Figure; 7] = [
    Figure {
        name: "quarry_worker_vm_cpu_seconds_total",
        help: "CPU time that the VM took since it started",
        is_counter: true,
        value: |stats| stats.cpu_nanoseconds as f64 / 1e9,
    },
    Figure {
        name: "quarry_worker_vm_memory_bytes",
        help: "Host memory that the VM takes",
        is_counter: false,
        value: |stats| stats.memory_bytes as f64,
    },
    Figure {
        name: "quarry_worker_vm_disk_read_bytes_total",
        help: "Bytes that the VM read from its disk since it started",
        is_counter: true,
        value: |stats| stats.disk_read_bytes as f64,
    },
    Figure {
        name: "quarry_worker_vm_disk_written_bytes_total",
        help: "Bytes that the VM wrote to its disk since it started",
        is_counter: true,
        value: |stats| stats.disk_written_bytes as f64,
    },
    Figure {
        name: "quarry_worker_vm_disk_allocated_bytes",
        help: "What the VM's disk takes on the host",
        is_counter: false,
        value: |stats| stats.disk_allocated_bytes as f64,
    },
    Figure {
        name: "quarry_worker_vm_network_received_bytes_total",
        help: "Bytes that the VM received since it started",
        is_counter: true,
        value: |stats| stats.network_received_bytes as f64,
    },
    Figure {
        name: "quarry_worker_vm_network_sent_bytes_total",
        help: "Bytes that the VM sent since it started",
        is_counter: true,
        value: |stats| stats.network_sent_bytes as f64,
    },
];

/// The last figures of every running VM, which a scrape reads as they are.
#[derive(Clone)]
pub(super) struct VmFigures {
    descriptions: Vec<Desc>,
    last: Arc<Mutex<BTreeMap<RequestId, DomainStats>>>,
}

impl VmFigures {
    pub(super) fn new() -> prometheus::Result<Self> {
        let describe = |figure: &Figure| {
            Desc::new(figure.name.into(), figure.help.into(), vec!["vm".into()], HashMap::new())
        };
        let descriptions = FIGURES.iter().map(describe).collect::<Result<_, _>>()?;
        Ok(Self { descriptions, last: Arc::default() })
    }

    pub(super) fn set(&self, figures: BTreeMap<RequestId, DomainStats>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

impl Collector for VmFigures {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        FIGURES.iter().map(|figure| family(figure, &last)).collect()
    }
}

fn family(figure: &Figure, last: &BTreeMap<RequestId, DomainStats>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(figure.name.into());
    family.set_help(figure.help.into());
    family.set_field_type(if figure.is_counter { MetricType::COUNTER } else { MetricType::GAUGE });
    family.set_metric(last.iter().map(|(vm, stats)| metric(figure, *vm, stats)).collect());
    family
}

fn metric(figure: &Figure, vm: RequestId, stats: &DomainStats) -> Metric {
    let mut label = LabelPair::default();
    label.set_name("vm".into());
    label.set_value(vm.to_string());
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    if figure.is_counter {
        let mut counter = Counter::default();
        counter.set_value((figure.value)(stats));
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value((figure.value)(stats));
        metric.set_gauge(gauge);
    }
    metric
}
