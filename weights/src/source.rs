//! The `weights.rs` of a pallet.

use crate::{Access, CallCost, Line, Thoroughness};

const DATABASE: &str = "RocksDbWeight";
const IMPORTS: &str = "use frame_support::{
    traits::Get,
    weights::{constants::RocksDbWeight, Weight},
};";
const IMPORTS_WITHOUT_DATABASE: &str = "use frame_support::weights::Weight;";

/// The Rust that says what the calls of a pallet cost; `rustfmt` breaks its long lines.
pub fn source(folder: &str, calls: &[CallCost], measured: Thoroughness) -> String {
    let Thoroughness { steps, rounds, repeats } = measured;
    let declared: String = calls.iter().map(declaration).collect();
    let for_runtimes = |call: &CallCost| accesses(call) + &body(call, "T::DbWeight");
    let runtimes = calls.iter().map(for_runtimes).collect::<Vec<_>>().join("\n");
    let for_tests = |call: &CallCost| body(call, DATABASE);
    let tests = calls.iter().map(for_tests).collect::<Vec<_>>().join("\n");
    let imports = if tests.contains(DATABASE) { IMPORTS } else { IMPORTS_WITHOUT_DATABASE };
    format!(
        "//! What the calls cost. Written by `scripts/weights {folder}` from benchmarks of {steps} steps,\n\
         //! {rounds} rounds and {repeats} repeats: run that again rather than edit this.\n\
         \n\
         use core::marker::PhantomData;\n\
         {imports}\n\
         \n\
         /// What each call takes.\n\
         pub trait WeightInfo {{\n{declared}}}\n\
         \n\
         /// Weights by the runtime's database. Of the storage that a call touches, each key counts once.\n\
         pub struct SubstrateWeight<T>(PhantomData<T>);\n\
         \n\
         impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {{\n{runtimes}}}\n\
         \n\
         /// The same by RocksDB's figures, for tests.\n\
         impl WeightInfo for () {{\n{tests}}}\n"
    )
}

fn declaration(call: &CallCost) -> String {
    let bounds: String = call
        .components
        .iter()
        .map(|component| {
            format!("; `{}` is {} to {}", component.name, component.low, component.high)
        })
        .collect();
    let arguments = arguments(call, |_| "");
    format!("    /// The weight of `{0}`{bounds}.\n    fn {0}({arguments}) -> Weight;\n", call.name)
}

fn body(call: &CallCost, database: &str) -> String {
    let arguments = arguments(call, |place| if matters(call, place) { "" } else { "_" });
    let terms = [
        time(call),
        accessed(call, &call.reads, &format!("{database}::get().reads")),
        accessed(call, &call.writes, &format!("{database}::get().writes")),
    ]
    .concat();
    format!("    fn {}({arguments}) -> Weight {{\n        {terms}\n    }}\n", call.name)
}

fn accesses(call: &CallCost) -> String {
    let doc = |Access { storage, reads, writes }: &Access| {
        format!("    /// Storage: `{storage}` (r:{reads} w:{writes})\n")
    };
    call.accesses.iter().map(doc).collect()
}

fn arguments(call: &CallCost, prefix: impl Fn(usize) -> &'static str) -> String {
    let argument =
        |(place, name): (usize, &String)| format!("{prefix}{name}: u32", prefix = prefix(place));
    let names = call.components.iter().map(|component| &component.name);
    names.enumerate().map(argument).collect::<Vec<_>>().join(", ")
}

fn matters(call: &CallCost, place: usize) -> bool {
    [&call.time, &call.reads, &call.writes]
        .iter()
        .any(|line| line.slopes.get(place).is_some_and(|slope| *slope > 0))
}

fn time(call: &CallCost) -> String {
    let base = format!("Weight::from_parts({}, 0)", grouped(call.time.base));
    let grown = slopes(call, &call.time).map(|(name, slope)| {
        let unit = format!("Weight::from_parts({}, 0)", grouped(slope));
        format!(".saturating_add({unit}.saturating_mul({name}.into()))")
    });
    [base].into_iter().chain(grown).collect()
}

fn accessed(call: &CallCost, line: &Line, method: &str) -> String {
    let base = (line.base > 0).then(|| format!(".saturating_add({method}({}))", line.base));
    let grown = slopes(call, line).map(|(name, slope)| {
        format!(".saturating_add({method}({slope}_u64.saturating_mul({name}.into())))")
    });
    base.into_iter().chain(grown).collect()
}

fn slopes<'a>(call: &'a CallCost, line: &'a Line) -> impl Iterator<Item = (&'a str, u128)> {
    let names = call.components.iter().map(|component| component.name.as_str());
    names.zip(line.slopes.iter().copied()).filter(|(_, slope)| *slope > 0)
}

/// A number with underscores between its thousands.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Component;

    fn measured(calls: &[CallCost]) -> String {
        source("market", calls, Thoroughness { steps: 20, rounds: 5, repeats: 10 })
    }

    fn line(base: u128, slopes: &[u128]) -> Line {
        Line { base, slopes: slopes.into() }
    }

    fn open() -> CallCost {
        CallCost {
            name: "open".into(),
            components: Vec::new(),
            time: line(14_300_000, &[]),
            reads: line(2, &[]),
            writes: line(0, &[]),
            accesses: vec![Access { storage: "Market::Stalls".into(), reads: 2, writes: 0 }],
        }
    }

    fn close() -> CallCost {
        let component = |name: &str| Component { name: name.into(), low: 1, high: 64 };
        CallCost {
            name: "close".into(),
            components: vec![component("n"), component("m")],
            time: line(900, &[1_000, 0]),
            reads: line(0, &[0, 0]),
            writes: line(1, &[2, 0]),
            accesses: Vec::new(),
        }
    }

    #[test]
    fn a_call_without_components_costs_the_same_always() {
        let source = measured(&[open()]);
        assert!(source.contains("    /// The weight of `open`.\n    fn open() -> Weight;\n"));
        assert!(source
            .contains("    /// Storage: `Market::Stalls` (r:2 w:0)\n    fn open() -> Weight {\n"));
        for database in ["T::DbWeight", "RocksDbWeight"] {
            assert!(source.contains(&format!(
                " Weight::from_parts(14_300_000, 0).saturating_add({database}::get().reads(2))\n"
            )));
        }
    }

    #[test]
    fn a_component_adds_its_slopes_and_one_without_any_keeps_its_place() {
        let source = measured(&[close()]);
        assert!(source.contains("/// The weight of `close`; `n` is 1 to 64; `m` is 1 to 64.\n"));
        assert!(source.contains("fn close(n: u32, m: u32) -> Weight;\n"));
        assert!(source.contains("fn close(n: u32, _m: u32) -> Weight {\n"));
        assert!(source.contains(
            " Weight::from_parts(900, 0)\
             .saturating_add(Weight::from_parts(1_000, 0).saturating_mul(n.into()))\
             .saturating_add(T::DbWeight::get().writes(1))\
             .saturating_add(T::DbWeight::get().writes(2_u64.saturating_mul(n.into())))\n"
        ));
    }

    #[test]
    fn calls_that_touch_no_storage_import_nothing_of_it() {
        let calls = [CallCost { reads: line(0, &[]), ..open() }];
        assert!(measured(&calls).contains("\nuse frame_support::weights::Weight;\n\n"));
    }

    #[test]
    fn the_header_says_how_to_measure_again() {
        let source = measured(&[open()]);
        assert!(source.starts_with("//! What the calls cost. Written by `scripts/weights market`"));
    }
}
