//! Runs a pallet's benchmarks and fits lines through what they took.

use crate::machine::{Counting, Machine};
use codec::{Decode, Encode};
use frame_benchmarking::{
    Analysis, BenchmarkBatch, BenchmarkConfig, BenchmarkList, BenchmarkMetadata,
    BenchmarkParameter, BenchmarkResult, BenchmarkSelector,
};
use frame_support::traits::StorageInfo;
use quarry_weights::{points, Access, CallCost, Component, Line, Thoroughness};
use std::{collections::BTreeMap, error::Error};

/// The benchmarks in a runtime.
pub struct Bench {
    machine: Machine,
    pallets: Vec<BenchmarkList>,
    storages: Vec<StorageInfo>,
}

/// A benchmark, and the values of its components.
struct Run<'a> {
    list: &'a BenchmarkList,
    benchmark: &'a BenchmarkMetadata,
    point: &'a [u32],
}

impl Bench {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let machine = Machine::new()?;
        let extra_ones = false.encode();
        let answer = machine.call("Benchmark_benchmark_metadata", &extra_ones, Counting::Off)?;
        let (pallets, storages) = Decode::decode(&mut answer.as_slice())?;
        Ok(Self { machine, pallets, storages })
    }

    /// The benchmarks of a pallet, by the name of its crate.
    pub fn benchmarks_of(&self, pallet: &str) -> Result<&BenchmarkList, Box<dyn Error>> {
        let listed = self.pallets.iter().find(|list| list.pallet == pallet.as_bytes());
        Ok(listed.ok_or(format!(
            "{pallet} is not in the runtime's define_benchmarks! (runtime/src/lib.rs)"
        ))?)
    }

    /// What each benchmarked call costs.
    pub fn weigh(
        &self,
        list: &BenchmarkList,
        thoroughness: Thoroughness,
    ) -> Result<Vec<CallCost>, Box<dyn Error>> {
        let weigh = |benchmark: &BenchmarkMetadata| {
            let name = format!("{}::{}", text(&list.pallet), text(&benchmark.name));
            eprintln!("measuring {name}");
            self.weigh_call(list, benchmark, thoroughness)
                .map_err(|error| format!("{name}: {error}").into())
        };
        list.benchmarks.iter().map(weigh).collect()
    }

    fn weigh_call(
        &self,
        list: &BenchmarkList,
        benchmark: &BenchmarkMetadata,
        thoroughness: Thoroughness,
    ) -> Result<CallCost, Box<dyn Error>> {
        let components: Vec<_> = benchmark.components.iter().map(component).collect();
        let points = points(&components, thoroughness.steps);
        let runs: Vec<_> = points.iter().map(|point| Run { list, benchmark, point }).collect();
        let counted = self.count(&runs)?;
        let timed = self.time(&runs, thoroughness)?;
        let time = fit(&timed, &components, BenchmarkSelector::ExtrinsicTime)?;
        let reads = fit(&counted, &components, BenchmarkSelector::Reads)?;
        let writes = fit(&counted, &components, BenchmarkSelector::Writes)?;
        Ok(CallCost {
            name: text(&benchmark.name),
            time: time.without_noise(&components).rounded_up(),
            reads: covering(reads, &counted, |result| result.reads),
            writes: covering(writes, &counted, |result| result.writes),
            accesses: self.accesses(&counted),
            components,
        })
    }

    /// What each run reads and writes, once the benchmark's own assertions, which must not be counted,
    /// have held.
    fn count(&self, runs: &[Run<'_>]) -> Result<Vec<BenchmarkResult>, Box<dyn Error>> {
        let mut counted = Vec::new();
        for run in runs {
            self.dispatch(run, true, 1, Counting::Off)?;
            counted.extend(self.dispatch(run, false, 1, Counting::On)?);
        }
        Ok(counted)
    }

    fn time(
        &self,
        runs: &[Run<'_>],
        thoroughness: Thoroughness,
    ) -> Result<Vec<BenchmarkResult>, Box<dyn Error>> {
        let mut timed = Vec::new();
        for _ in 0..thoroughness.rounds {
            for run in runs {
                timed.extend(self.dispatch(run, false, thoroughness.repeats, Counting::Off)?);
            }
        }
        Ok(timed)
    }

    fn dispatch(
        &self,
        run: &Run<'_>,
        verify: bool,
        internal_repeats: u32,
        counting: Counting,
    ) -> Result<Vec<BenchmarkResult>, Box<dyn Error>> {
        let names = run.benchmark.components.iter().map(|(name, ..)| *name);
        let config = BenchmarkConfig {
            pallet: run.list.pallet.clone(),
            instance: run.list.instance.clone(),
            benchmark: run.benchmark.name.clone(),
            selected_components: names.zip(run.point.iter().copied()).collect(),
            verify,
            internal_repeats,
        };
        let answer =
            self.machine.call("Benchmark_dispatch_benchmark", &config.encode(), counting)?;
        let batches = Result::<Vec<BenchmarkBatch>, String>::decode(&mut answer.as_slice())??;
        Ok(batches.into_iter().flat_map(|batch| batch.results).collect())
    }

    fn accesses(&self, counted: &[BenchmarkResult]) -> Vec<Access> {
        let mut most = BTreeMap::<String, (u32, u32)>::new();
        for (prefix, reads, writes, _) in counted.iter().flat_map(|result| &result.keys) {
            if *reads + *writes > 0 {
                let seen = most.entry(self.storage_name(prefix)).or_default();
                *seen = (seen.0.max(*reads), seen.1.max(*writes));
            }
        }
        most.into_iter()
            .map(|(storage, (reads, writes))| Access { storage, reads, writes })
            .collect()
    }

    fn storage_name(&self, prefix: &[u8]) -> String {
        self.storages.iter().find(|storage| prefix.starts_with(&storage.prefix)).map_or_else(
            || format!("0x{}", prefix.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            |storage| format!("{}::{}", text(&storage.pallet_name), text(&storage.storage_name)),
        )
    }
}

fn component((name, low, high): &(BenchmarkParameter, u32, u32)) -> Component {
    Component { name: name.to_string(), low: *low, high: *high }
}

/// A line by least squares through the middle half of what was measured at each point; the median where
/// there is nothing to draw a line over.
fn fit(
    results: &[BenchmarkResult],
    components: &[Component],
    what: BenchmarkSelector,
) -> Result<Line, Box<dyn Error>> {
    let varies = |component: &Component| component.low < component.high;
    let results = results
        .iter()
        .map(|result| {
            let values = result.components.iter().zip(components);
            let varying = values.filter(|(_, component)| varies(component));
            let components = varying.map(|(value, _)| *value).collect();
            BenchmarkResult { components, ..result.clone() }
        })
        .collect();
    let fit = Analysis::min_squares_iqr(&results, what)?;
    let mut slopes = fit.slopes.into_iter();
    let slope = |component| if varies(component) { slopes.next().unwrap_or(0) } else { 0 };
    Ok(Line { base: fit.base, slopes: components.iter().map(slope).collect() })
}

fn covering(line: Line, counted: &[BenchmarkResult], count: fn(&BenchmarkResult) -> u32) -> Line {
    let seen: Vec<(Vec<u32>, u32)> = counted
        .iter()
        .map(|result| (result.components.iter().map(|(_, value)| *value).collect(), count(result)))
        .collect();
    line.covering(seen.iter().map(|(point, count)| (point.as_slice(), *count)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
