//! The verbs of `quarry-worker`.

pub mod run;
pub mod status;
