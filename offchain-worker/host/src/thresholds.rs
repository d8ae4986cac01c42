//! Whether the node takes new VMs. Running ones are left alone either way.

use std::{collections::VecDeque, fmt, time::Duration};

/// What is watched.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Figure {
    /// The CPUs, on the average of a minute.
    Cpu,
    /// The memory.
    Memory,
    /// The storage under the data folder.
    Storage,
}

impl Figure {
    /// Its name, for labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Storage => "storage",
        }
    }
}

/// What is in use, in thousandths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Of the CPUs, since the last look.
    pub cpu: u16,
    /// Of the memory.
    pub memory: u16,
    /// Of the storage.
    pub storage: u16,
}

/// What may be in use, in thousandths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Of the CPUs.
    pub cpu: u16,
    /// Of the memory.
    pub memory: u16,
    /// Of the storage.
    pub storage: u16,
    /// How far below its limit each must fall before the node takes VMs again.
    pub hysteresis: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu: 900, memory: 850, storage: 900, hysteresis: 50 }
    }
}

/// A figure that keeps the node from taking new VMs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Which.
    pub figure: Figure,
    /// What is in use, in thousandths.
    pub permille: u16,
    /// What it must not be above, for now.
    pub limit: u16,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |permille: u16| format!("{}.{}", permille / 10, permille % 10);
        let (name, used, limit) = (self.figure.name(), tenths(self.permille), tenths(self.limit));
        write!(out, "{name}: {used} % in use, above {limit} %")
    }
}

/// Decides by limits that are lower for a node which went above one.
#[derive(Clone, Debug)]
pub struct Thresholds {
    limits: Limits,
    cpu: Average,
    faults: Vec<Fault>,
}

impl Thresholds {
    /// A node that takes VMs until it is seen to have no room. The time before it is seen counts as idle,
    /// so that its own start does not close it.
    pub fn new(limits: Limits) -> Self {
        Self { limits, cpu: Average::default(), faults: Vec::new() }
    }

    /// Takes a look, so long after the last one. The figures that speak against new VMs are then told by
    /// [`faults`](Self::faults).
    pub fn observe(&mut self, load: Load, since_last: Duration) -> bool {
        let cpu = self.cpu.add(load.cpu, since_last);
        let lower = if self.faults.is_empty() { 0 } else { self.limits.hysteresis };
        let figures = [
            (Figure::Cpu, cpu, self.limits.cpu),
            (Figure::Memory, load.memory, self.limits.memory),
            (Figure::Storage, load.storage, self.limits.storage),
        ];
        let fault = |(figure, permille, limit): (Figure, u16, u16)| {
            let limit = limit.saturating_sub(lower);
            (permille > limit).then_some(Fault { figure, permille, limit })
        };
        self.faults = figures.into_iter().filter_map(fault).collect();
        self.is_accepting()
    }

    /// Whether the node takes new VMs.
    pub fn is_accepting(&self) -> bool {
        self.faults.is_empty()
    }

    /// What speaks against it.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A figure's average over the last minute; what was not seen of it counts as nought.
#[derive(Clone, Debug, Default)]
struct Average {
    spans: VecDeque<(Duration, u16)>,
    length: Duration,
}

impl Average {
    fn add(&mut self, permille: u16, lasted: Duration) -> u16 {
        let lasted = lasted.min(MINUTE);
        self.spans.push_back((lasted, permille));
        self.length += lasted;
        while self.length > MINUTE {
            let Some((span, _)) = self.spans.front_mut() else { break };
            let surplus = self.length - MINUTE;
            if *span > surplus {
                *span -= surplus;
                self.length -= surplus;
            } else {
                self.length -= *span;
                self.spans.pop_front();
            }
        }
        let sum: u128 =
            self.spans.iter().map(|(span, permille)| span.as_nanos() * u128::from(*permille)).sum();
        u16::try_from(sum / MINUTE.as_nanos()).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: Duration = Duration::from_secs(6);
    const IDLE: Load = Load { cpu: 0, memory: 0, storage: 0 };

    fn new() -> Thresholds {
        Thresholds::new(Limits::default())
    }

    fn faults(thresholds: &Thresholds) -> Vec<Figure> {
        thresholds.faults().iter().map(|fault| fault.figure).collect()
    }

    #[test]
    fn a_node_takes_vms_up_to_the_limit_and_none_above_it() {
        for (load, figure) in [
            (Load { memory: 850, ..IDLE }, Figure::Memory),
            (Load { storage: 900, ..IDLE }, Figure::Storage),
        ] {
            let mut thresholds = new();
            assert!(thresholds.observe(load, STEP), "{load:?}");
            let above = Load { memory: load.memory + 1, storage: load.storage + 1, ..load };
            assert!(!thresholds.observe(above, STEP), "{above:?}");
            assert_eq!(faults(&thresholds), [figure]);
        }
    }

    #[test]
    fn it_takes_vms_again_only_when_it_is_well_below() {
        let mut thresholds = new();
        assert!(!thresholds.observe(Load { memory: 851, ..IDLE }, STEP));
        assert!(!thresholds.observe(Load { memory: 801, ..IDLE }, STEP));
        assert_eq!(thresholds.faults()[0].to_string(), "memory: 80.1 % in use, above 80.0 %");
        assert!(thresholds.observe(Load { memory: 800, ..IDLE }, STEP));
        assert!(thresholds.observe(Load { memory: 850, ..IDLE }, STEP));
    }

    #[test]
    fn all_must_be_well_below_whichever_it_was() {
        let mut thresholds = new();
        assert!(!thresholds.observe(Load { memory: 900, storage: 880, cpu: 0 }, STEP));
        assert_eq!(faults(&thresholds), [Figure::Memory]);
        assert!(!thresholds.observe(Load { memory: 100, storage: 880, cpu: 0 }, STEP));
        assert_eq!(faults(&thresholds), [Figure::Storage]);
        assert!(thresholds.observe(Load { memory: 100, storage: 850, cpu: 0 }, STEP));
    }

    #[test]
    fn a_spike_of_the_cpu_is_no_reason_and_a_minute_is() {
        let mut thresholds = new();
        let busy = Load { cpu: 1_000, ..IDLE };
        for _ in 0..9 {
            assert!(thresholds.observe(busy, STEP));
        }
        assert!(!thresholds.observe(busy, STEP));
        assert_eq!(faults(&thresholds), [Figure::Cpu]);
        assert!(!thresholds.observe(IDLE, STEP));
        assert!(thresholds.observe(IDLE, STEP));
    }

    #[test]
    fn a_long_silence_counts_as_one_minute_of_what_came_after_it() {
        let mut thresholds = new();
        let busy = Load { cpu: 1_000, ..IDLE };
        assert!(!thresholds.observe(busy, Duration::MAX));
        assert!(thresholds.observe(IDLE, Duration::MAX));
        assert!(thresholds.observe(busy, Duration::ZERO));
    }

    fn loads() -> impl Strategy<Value = Vec<(Load, Duration)>> {
        let load = (0..=1_000u16, 0..=1_000u16, 0..=1_000u16)
            .prop_map(|(cpu, memory, storage)| Load { cpu, memory, storage });
        let pause = (0..90_000u64).prop_map(Duration::from_millis);
        prop::collection::vec((load, pause), 1..80)
    }

    proptest! {
        #[test]
        fn above_a_limit_it_never_takes_vms_and_well_below_all_it_always_does(steps in loads()) {
            let limits = Limits::default();
            let mut thresholds = new();
            for (load, pause) in steps {
                let was = thresholds.is_accepting();
                let accepting = thresholds.observe(load, pause);
                if load.memory > limits.memory || load.storage > limits.storage {
                    prop_assert!(!accepting);
                }
                if accepting && !was {
                    prop_assert!(load.memory <= limits.memory - limits.hysteresis);
                    prop_assert!(load.storage <= limits.storage - limits.hysteresis);
                }
                prop_assert_eq!(accepting, thresholds.faults().is_empty());
                for fault in thresholds.faults() {
                    prop_assert!(fault.permille > fault.limit);
                }
            }
            prop_assert!(thresholds.observe(IDLE, MINUTE));
        }

        #[test]
        fn what_moves_by_less_than_the_hysteresis_changes_it_once_at_most(
            middle in 0..=1_000u16,
            moves in prop::collection::vec(-25..=25i16, 1..200),
        ) {
            let mut thresholds = new();
            let mut changes = 0;
            for by in moves {
                let was = thresholds.is_accepting();
                let figure = middle.saturating_add_signed(by);
                let load = Load { cpu: figure, memory: figure, storage: figure };
                changes += u32::from(thresholds.observe(load, STEP) != was);
            }
            prop_assert!(changes <= 1, "{} changes", changes);
        }

        #[test]
        fn the_average_lies_within_what_was_seen_of_the_last_minute(
            seen in prop::collection::vec((0..=1_000u16, 1..30_000u64), 1..50),
        ) {
            let mut average = Average::default();
            for (permille, _) in &seen {
                average.add(*permille, MINUTE);
            }
            let mut last = 0;
            for (permille, millis) in &seen {
                last = average.add(*permille, Duration::from_millis(*millis));
            }
            let values = seen.iter().map(|(permille, _)| *permille);
            // It is rounded down.
            prop_assert!(last + 1 >= values.clone().min().unwrap() && last <= values.max().unwrap());
            prop_assert!(average.length <= MINUTE);
        }
    }
}
