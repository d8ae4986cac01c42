//! Making what fails short.

use crate::{run, run::Failed, step::Step};
use std::{
    fmt::Write,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The shortest sequence found that still fails, as text. Leaves out ever smaller parts.
pub fn shortest(mut failed: Failed) -> String {
    let started = Instant::now();
    let mut part = failed.steps.len() / 2;
    while part > 0 && started.elapsed() < PATIENCE {
        let mut at = 0;
        let mut shorter = false;
        while at < failed.steps.len() && started.elapsed() < PATIENCE {
            let end = failed.steps.len().min(at + part);
            let mut rest = failed.steps.clone();
            rest.drain(at..end);
            match run::again(&rest) {
                Err(still) => {
                    failed = still;
                    shorter = true;
                }
                Ok(_) => at = end,
            }
        }
        part = if part == 1 && shorter { 1 } else { part / 2 };
    }
    describe(&failed)
}

fn describe(failed: &Failed) -> String {
    let mut text = String::new();
    for (number, Step { by, act, .. }) in failed.steps.iter().enumerate() {
        let _ = writeln!(text, "{number:4}  {by:?}: {act:?}");
    }
    let _ = write!(text, "      {}", failed.why);
    text
}
