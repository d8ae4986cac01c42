//! Measures what the calls of pallets cost in the runtime's wasm, and writes their `weights.rs`.

mod machine;
mod measure;

use clap::Parser;
use measure::Bench;
use quarry_weights::{source, Thoroughness};
use std::{error::Error, path::PathBuf, process::ExitCode};

const THOROUGHNESS: Thoroughness = Thoroughness { steps: 10, rounds: 5, repeats: 10 };

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    /// The pallets' folders, such as pallets/validators for the crate pallet_validators
    #[arg(required = true)]
    pallets: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new()?;
    let mut pallets = Vec::new();
    for folder in &arguments.pallets {
        let name = folder.file_name().ok_or("a pallet's folder has a name")?.to_string_lossy();
        let benchmarks = bench.benchmarks_of(&format!("pallet_{}", name.replace('-', "_")))?;
        pallets.push((folder, name, benchmarks));
    }
    for (folder, name, benchmarks) in pallets {
        let calls = bench.weigh(benchmarks, THOROUGHNESS)?;
        let file = folder.join("src/weights.rs");
        std::fs::write(&file, source(&name, &calls, THOROUGHNESS))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}
