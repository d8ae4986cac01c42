//! Places where tests end the worker as a crash would.
//!
//! `QUARRY_CRASH_AT=<name>` ends the process, at once and without a word to anybody, when it comes to
//! the place of that name; `<name>:<n>` does at the nth time. Whoever sets a worker's environment can
//! end it anyway.

use std::sync::{
    atomic::{AtomicU32, Ordering},
    OnceLock,
};

struct Planned {
    name: String,
    visits_left: AtomicU32,
}

fn planned() -> Option<&'static Planned> {
    static PLANNED: OnceLock<Option<Planned>> = OnceLock::new();
    PLANNED
        .get_or_init(|| {
            let text = std::env::var("QUARRY_CRASH_AT").ok()?;
            let (name, visits) = match text.rsplit_once(':') {
                Some((name, visits)) => (name, visits.parse().ok()?),
                None => (text.as_str(), 1),
            };
            Some(Planned { name: name.to_owned(), visits_left: AtomicU32::new(visits) })
        })
        .as_ref()
}

/// The place `<when>-<what>`.
pub fn point(when: &str, what: &str) {
    let Some(planned) = planned() else { return };
    let here = planned.name.strip_prefix(when).and_then(|rest| rest.strip_prefix('-'));
    if here == Some(what) && planned.visits_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        eprintln!("QUARRY_CRASH_AT: {}", planned.name);
        std::process::abort();
    }
}
