//! The verbs of `quarry-worker`.

pub mod check;
pub mod enroll;
pub mod key;
pub mod run;
pub mod status;
