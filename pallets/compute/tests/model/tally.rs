//! What was done, and how often.

use crate::kinds;
use std::{collections::BTreeMap, fmt};

/// What the test is for, beside that each kind of step succeeds.
const TO_COME_ABOUT: [&str; 34] = [
    "a claim cost the bond",
    "a deletion replaced an operation",
    "a deletion timed out",
    "a global address",
    "a hold was used up",
    "a launch failed and goes elsewhere",
    "a launch on the named node failed",
    "a launch timed out",
    "a lease is paid to its end",
    "a lease was looked at",
    "a node's own address",
    "a notice was over",
    "a payout became a credit",
    "a penalty that the treasury could not have",
    "a record was forgotten",
    "a tenant's own stop in grace",
    "a top-up boots",
    "a top-up took back the stop",
    "a VM was lost",
    "an absence made a hold suffice",
    "an operation timed out",
    "claimed",
    "deleted without the node",
    "enough miners failed a launch",
    "evacuated",
    "exhausted",
    "expired by somebody",
    "placed at once",
    "the least penalty",
    "the least rent was due",
    "too little room for a deadline",
    "two miners said that it will never run",
    "a node came back",
    "a miner rents from itself",
];

#[derive(Default)]
pub struct Tally {
    /// Succeeded and refused, by kind.
    steps: BTreeMap<&'static str, (u64, u64)>,
    seen: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn count(&mut self, kind: &'static str, succeeded: bool) {
        let (done, refused) = self.steps.entry(kind).or_default();
        *(if succeeded { done } else { refused }) += 1;
    }

    pub fn came_about(&mut self, seen: BTreeMap<&'static str, u64>) {
        for (what, times) in seen {
            *self.seen.entry(what).or_default() += times;
        }
    }

    pub fn add(&mut self, other: Self) {
        for (kind, (done, refused)) in other.steps {
            let sum = self.steps.entry(kind).or_default();
            *sum = (sum.0 + done, sum.1 + refused);
        }
        self.came_about(other.seen);
    }

    /// So that the test cannot rot.
    pub fn ensure_all_came_about(&self) {
        for kind in kinds::names() {
            let (done, refused) = self.steps.get(kind).copied().unwrap_or_default();
            assert!(done > 0, "{kind} never succeeded");
            assert!(refused > 0 || kind == "pass", "{kind} was never refused");
        }
        for what in TO_COME_ABOUT {
            assert!(self.seen.contains_key(what), "it never came about: {what}");
        }
        for what in self.seen.keys() {
            assert!(TO_COME_ABOUT.contains(what), "nobody waits for it: {what}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.steps.values().map(|(done, refused)| done + refused).sum();
        writeln!(out, "ran {all} steps of the market against its model")?;
        writeln!(out, "    done  refused")?;
        for (kind, (done, refused)) in &self.steps {
            writeln!(out, "{done:8} {refused:8}  {kind}")?;
        }
        writeln!(out, "   times           what came about")?;
        for (what, times) in &self.seen {
            writeln!(out, "{times:8}           {what}")?;
        }
        Ok(())
    }
}
