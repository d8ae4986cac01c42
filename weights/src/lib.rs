//! What the calls of a pallet cost, and the `weights.rs` that tells the runtime so.
//!
//! The program of this package measures it. Only `scripts/weights` builds that, with the feature
//! `measure`: a runtime with benchmarks in it must not mix into what the other scripts build.
#![deny(missing_docs)]

mod line;
mod points;
mod source;

pub use line::Line;
pub use points::points;
pub use source::source;

/// What the cost of a call depends on, and the bounds of it.
#[derive(Clone, Debug)]
pub struct Component {
    /// One letter, as in the benchmark.
    pub name: String,
    /// The least it can be.
    pub low: u32,
    /// The most it can be.
    pub high: u32,
}

/// How often a call touches one storage item, at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The item, such as `System::Account`.
    pub storage: String,
    /// How many of its keys are read.
    pub reads: u32,
    /// How many of its keys are written.
    pub writes: u32,
}

/// What a call costs.
#[derive(Clone, Debug)]
pub struct CallCost {
    /// The call, as its benchmark is named.
    pub name: String,
    /// What the cost depends on. Each line below has one slope for each of these.
    pub components: Vec<Component>,
    /// In picoseconds, without the database.
    pub time: Line,
    /// Keys read.
    pub reads: Line,
    /// Keys written.
    pub writes: Line,
    /// Where those keys are.
    pub accesses: Vec<Access>,
}

/// How thoroughly the costs were measured.
#[derive(Clone, Copy, Debug)]
pub struct Thoroughness {
    /// How many values of each component were measured at.
    pub steps: u32,
    /// How often the values were gone through, so that a busy moment of the machine hits one round and
    /// not all that was measured of one value.
    pub rounds: u32,
    /// How often at each value in each round.
    pub repeats: u32,
}
