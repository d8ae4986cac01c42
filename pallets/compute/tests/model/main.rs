//! The market against a model of it.
//!
//! Random tenants, miners, workers and an admin act on a chain with both pallets, and time passes. A model
//! that is plainly simple says of each step whether it succeeds, whether it is free, and what the chain is
//! afterwards; both pallets' invariants and the sum of all money are checked as well.
//!
//! `QUARRY_MODEL_STEPS` sets how many steps are done, `QUARRY_MODEL_SEED` from which seed on. What fails is
//! made as short as it can be and printed.
// Benchmarks have a market of their own.
#![cfg(not(feature = "runtime-benchmarks"))]
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod calls;
mod chain;
mod check;
mod chooser;
mod kinds;
mod pick;
mod reference;
mod run;
mod shrink;
mod step;
mod tally;
mod world;

use std::{
    env,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex,
    },
    thread,
    time::Instant,
};

const STEPS_OF_A_SEQUENCE: usize = 400;
const USUAL_STEPS: usize = 100_000;
/// With as many, each kind of step succeeds and each thing that the test is for comes about.
const STEPS_FOR_ALL: usize = 50_000;
const FIRST_SEED: u64 = 1;

fn from_env<N: std::str::FromStr>(name: &str, usual: N) -> N {
    match env::var(name) {
        Ok(text) => text.parse().ok().unwrap_or_else(|| panic!("{name} is a number")),
        Err(_) => usual,
    }
}

#[test]
fn the_chain_does_what_the_model_says() {
    let steps = from_env("QUARRY_MODEL_STEPS", USUAL_STEPS);
    let first_seed = from_env("QUARRY_MODEL_SEED", FIRST_SEED);
    let sequences = steps.div_ceil(STEPS_OF_A_SEQUENCE);
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(tally::Tally::default()));
    let failure = Mutex::new(None);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| loop {
                let sequence = next.fetch_add(1, Ordering::Relaxed);
                if sequence >= sequences {
                    return;
                }
                let seed = first_seed + sequence as u64;
                match run::random(seed, STEPS_OF_A_SEQUENCE) {
                    Ok(done) => tally.lock().unwrap().add(done),
                    Err(failed) => {
                        next.store(sequences, Ordering::Relaxed);
                        // The first seed, whichever thread was faster.
                        let mut first = failure.lock().unwrap();
                        if first.as_ref().is_none_or(|(other, _)| seed < *other) {
                            *first = Some((seed, failed));
                        }
                    }
                }
            });
        }
    });
    if let Some((seed, failed)) = failure.into_inner().unwrap() {
        panic!("QUARRY_MODEL_SEED={seed} repeats this:\n{}", shrink::shortest(failed));
    }
    let tally = tally.into_inner().unwrap();
    println!("{tally}seeds from {first_seed} on, {:.0?}", started.elapsed());
    if steps >= STEPS_FOR_ALL {
        tally.ensure_all_came_about();
    }
}
