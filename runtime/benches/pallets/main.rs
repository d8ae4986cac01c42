//! What a call costs by how many requests there are, on the whole chain and on one node. Prints JSON:
//! `scripts/bench pallets` makes a page of it.
//!
//! Each call runs in the native runtime, over a state that earlier blocks left in a trie. What is timed is
//! the call with its feeless check, and then the new root of the state, which each block computes. Beside
//! it, some of them run in the shape that others use: all requests of an account, and all of a node, in one
//! `Vec` under one key each, found by going through it and written back.
#![allow(clippy::expect_used)] // Without its market the bench has nothing to say.

mod calls;
mod chain;
mod market;
mod plain;

use chain::{Chain, Measured};
use market::Place;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Requests on the chain, and of them on one node, which one tenant rents.
const SIZES: [(u32, u32); 4] = [(10, 10), (1_000, 1_000), (100_000, 10), (100_000, 10_000)];
/// Requests that a call is tried on in turn, and how often on each.
const SUBJECTS: usize = 10;
const ROUNDS: usize = 15;

/// Prepares one request and says what is to be measured on it.
type Prepare = fn(&Place) -> Measured;

/// A market of a certain size.
struct Column {
    chain: Chain,
    place: Place,
}

#[derive(Default)]
struct Times {
    call: Vec<Duration>,
    with_root: Vec<Duration>,
}

fn main() {
    let columns = columns();
    let ours = measure_all(&columns, &calls::all());
    let columns: Vec<Column> = columns
        .into_iter()
        .map(|mut column| {
            column.chain.change(|| plain::copy_from(&column.place));
            Column { chain: column.chain.settled(), ..column }
        })
        .collect();
    let plain = measure_all(&columns, &plain::all());
    let sizes = SIZES.map(|(chain, node)| serde_json::json!({ "chain": chain, "node": node }));
    let report = serde_json::json!({ "sizes": sizes, "ours": ours, "plain": plain });
    println!("{report:#}");
}

fn columns() -> Vec<Column> {
    let mut built: Vec<(u32, Chain, Vec<Place>)> = Vec::new();
    let mut columns = Vec::new();
    for (total, on_node) in SIZES {
        if built.last().is_none_or(|(size, ..)| *size != total) {
            eprintln!("making {total} requests");
            let started = Instant::now();
            let wanted: Vec<u32> = SIZES.iter().filter(|(t, _)| *t == total).map(|s| s.1).collect();
            let (chain, places) = market::build(total, &wanted);
            eprintln!("  in {:.0} s", started.elapsed().as_secs_f64());
            built.push((total, chain, places));
        }
        let (_, chain, places) = built.last().expect("it was just made");
        let place = places.iter().find(|place| place.vms == on_node).expect("it was asked for");
        columns.push(Column { chain: chain.branch(), place: place.clone() });
    }
    columns
}

fn measure_all(columns: &[Column], steps: &[(&'static str, Prepare)]) -> Vec<serde_json::Value> {
    steps
        .iter()
        .map(|(name, prepare)| {
            eprintln!("measuring {name}");
            let medians = measure(columns, *prepare).map(|times| {
                serde_json::json!({
                    "call": microseconds(times.call),
                    "with_root": microseconds(times.with_root),
                })
            });
            serde_json::json!({ "name": name, "microseconds": medians.collect::<Vec<_>>() })
        })
        .collect()
}

/// Goes through the columns in turn, so that what else the machine does hits all of them alike.
fn measure(columns: &[Column], prepare: Prepare) -> impl Iterator<Item = Times> {
    let prepared: Vec<(Chain, Vec<Measured>)> = columns
        .iter()
        .map(|column| {
            let mut chain = column.chain.branch();
            let prepare_one = |_| chain.change(|| prepare(&column.place));
            let subjects = (0..SUBJECTS).map(prepare_one).collect();
            (chain, subjects)
        })
        .collect();
    let mut times: Vec<Times> = columns.iter().map(|_| Times::default()).collect();
    for round in 0..=ROUNDS {
        for ((chain, subjects), times) in prepared.iter().zip(&mut times) {
            for subject in subjects {
                let (call, root) = chain.time(|| black_box(subject()).expect("the call succeeds"));
                // The first round warms up.
                if round > 0 {
                    times.call.push(call);
                    times.with_root.push(call + root);
                }
            }
        }
    }
    times.into_iter()
}

/// The median.
fn microseconds(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    (median.as_secs_f64() * 1e7).round() / 10.0
}
