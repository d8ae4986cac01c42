//! The verbs of `quarry-worker`.

pub mod check;
pub mod enroll;
pub mod key;
pub mod relay;
pub mod run;
pub mod status;
