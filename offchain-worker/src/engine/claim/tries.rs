//! Which open requests are tried, in which order, and when again.

use crate::reconcile::Time;
use quarry_images::Digest;
use quarry_primitives::request::RequestId;
use rand::{seq::SliceRandom, Rng};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// A request that could not be served is let alone for so long: at first, and at most.
const LET_ALONE: Duration = Duration::from_secs(300);
const LET_ALONE_AT_MOST: Duration = Duration::from_secs(3_600);
/// The same where it could have been.
const MISSED: Duration = Duration::from_secs(30);
/// How many are prepared at once whose image is here, and how many whose image is not: of those that wait for this node
/// by name, and of all others, so that neither keep the others waiting.
const AT_ONCE: usize = 4;
/// How many of the latter have the same image: a slow one leaves turns to others.
const OF_ONE_IMAGE: usize = 2;

/// What a try waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// For no image: it is in the store.
    Stored,
    /// For an image from elsewhere.
    Fetch(Digest),
}

/// How a try ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// It cannot be served here, and soon would not either.
    InVain,
    /// It was claimed, somebody else was faster, there was no room for so many, or the chain did not answer.
    Missed,
}

/// What is known of a request.
#[derive(Default)]
struct Memory {
    /// Whether it waits for this node by name; none until the chain was asked.
    is_named: Option<bool>,
    /// In vain.
    tries: u32,
    /// Until when it is let alone.
    until: Time,
}

/// Requests that are open, or were tried.
#[derive(Default)]
pub(super) struct Known {
    requests: HashMap<RequestId, Memory>,
    /// And whether it waits for this node by name.
    under_way: HashMap<RequestId, (Turn, bool)>,
}

impl Known {
    /// Forgets those that are not open any more, once they are neither tried nor let alone.
    pub fn keep(&mut self, open: &HashSet<RequestId>, now: Time) {
        let under_way = &self.under_way;
        self.requests.retain(|id, memory| {
            open.contains(id) || under_way.contains_key(id) || memory.until > now
        });
    }

    /// Whether it waits for this node by name; none where the chain was not asked.
    pub fn is_named(&self, id: RequestId) -> Option<bool> {
        self.requests.get(&id)?.is_named
    }

    /// Notes whether it waits for this node by name.
    pub fn set_named(&mut self, id: RequestId, is_named: bool) {
        self.requests.entry(id).or_default().is_named = Some(is_named);
    }

    /// Begins a try, unless one is under way, or it is let alone, or has no turn.
    pub fn begin(&mut self, id: RequestId, turn: Turn, now: Time) -> bool {
        let is_let_alone = self.requests.get(&id).is_some_and(|memory| memory.until > now);
        let is_named = self.is_named(id) == Some(true);
        if is_let_alone || self.under_way.contains_key(&id) || !self.has_turn(turn, is_named) {
            return false;
        }
        self.under_way.insert(id, (turn, is_named));
        true
    }

    fn has_turn(&self, turn: Turn, is_named: bool) -> bool {
        let alike = self.under_way.values().filter(|(_, named)| *named == is_named);
        let others: Vec<Turn> = alike.map(|(other, _)| *other).collect();
        let fetches = others.iter().filter(|other| **other != Turn::Stored).count();
        let same = others.iter().filter(|other| **other == turn).count();
        match turn {
            Turn::Stored => same < AT_ONCE,
            Turn::Fetch(_) => fetches < AT_ONCE && same < OF_ONE_IMAGE,
        }
    }

    /// Ends a try. The request is let alone from now on.
    pub fn end(&mut self, id: RequestId, ended: Ended, now: Time) {
        self.under_way.remove(&id);
        let memory = self.requests.entry(id).or_default();
        memory.until = now
            + match ended {
                Ended::InVain => let_alone(memory.tries),
                Ended::Missed => MISSED,
            };
        memory.tries = memory.tries.saturating_add((ended == Ended::InVain).into());
    }
}

/// For how long a request is let alone that was tried in vain so often before.
fn let_alone(tries: u32) -> Duration {
    LET_ALONE.saturating_mul(1 << tries.min(8)).min(LET_ALONE_AT_MOST)
}

/// Puts those first that wait for this node by name, and all others as chance has it: none is always last.
pub(super) fn arrange<T>(open: &mut [T], is_named: impl Fn(&T) -> bool, random: &mut impl Rng) {
    open.shuffle(random);
    open.sort_by_cached_key(|request| !is_named(request));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, SeedableRng};

    const A: Turn = Turn::Fetch([1; 32]);
    const B: Turn = Turn::Fetch([2; 32]);
    const C: Turn = Turn::Fetch([3; 32]);
    const HOUR: Time = Time::from_secs(3600);

    #[test]
    fn a_request_is_not_tried_twice_at_once_however_long_it_takes() {
        let mut known = Known::default();
        assert!(known.begin(1, A, Time::ZERO));
        known.keep(&HashSet::from([1]), HOUR);
        assert!(!known.begin(1, A, HOUR));
    }

    #[test]
    fn a_request_is_let_alone_from_the_end_of_its_try() {
        let mut known = Known::default();
        assert!(known.begin(1, A, Time::ZERO));
        known.end(1, Ended::InVain, HOUR);
        assert!(!known.begin(1, A, HOUR + LET_ALONE - Time::from_secs(1)));
        assert!(known.begin(1, A, HOUR + LET_ALONE));
    }

    #[test]
    fn a_request_is_let_alone_twice_as_long_each_time_up_to_hours() {
        let waits: Vec<u64> = (0..8).map(|tries| let_alone(tries).as_secs()).collect();
        assert_eq!(waits, [300, 600, 1_200, 2_400, 3_600, 3_600, 3_600, 3_600]);
        assert_eq!(let_alone(u32::MAX), LET_ALONE_AT_MOST);
        let mut known = Known::default();
        known.end(1, Ended::InVain, Time::ZERO);
        known.keep(&HashSet::from([1]), HOUR);
        known.end(1, Ended::InVain, HOUR);
        assert!(!known.begin(1, A, HOUR + LET_ALONE));
        assert!(known.begin(1, A, HOUR + LET_ALONE * 2));
    }

    #[test]
    fn what_was_only_missed_is_tried_again_soon_however_often() {
        let mut known = Known::default();
        let mut now = Time::ZERO;
        for _ in 0..20 {
            assert!(known.begin(1, A, now));
            known.end(1, Ended::Missed, now);
            assert!(!known.begin(1, A, now + MISSED - Time::from_secs(1)));
            now += MISSED;
        }
        known.end(1, Ended::InVain, now);
        assert!(known.begin(1, A, now + LET_ALONE), "the first in vain");
    }

    #[test]
    fn those_that_name_this_node_and_all_others_do_not_keep_each_other_waiting() {
        let mut known = Known::default();
        for id in 0..10 {
            known.set_named(id, true);
        }
        let begun = |known: &mut Known, ids: std::ops::Range<RequestId>| {
            ids.filter(|id| known.begin(*id, Turn::Stored, Time::ZERO)).count()
        };
        assert_eq!(begun(&mut known, 0..10), AT_ONCE);
        assert_eq!(begun(&mut known, 10..20), AT_ONCE);
    }

    #[test]
    fn a_request_that_is_open_no_more_is_forgotten_once_it_is_not_let_alone() {
        let mut known = Known::default();
        known.end(1, Ended::InVain, Time::ZERO);
        known.set_named(2, true);
        known.keep(&HashSet::new(), Time::ZERO);
        assert!(!known.begin(1, A, Time::ZERO));
        assert_eq!(known.is_named(2), None);
        known.keep(&HashSet::new(), LET_ALONE);
        assert!(known.requests.is_empty());
    }

    #[test]
    fn images_that_are_fetched_leave_turns_to_other_images_and_to_those_that_are_here() {
        let mut known = Known::default();
        let begun = |known: &mut Known, ids: std::ops::Range<RequestId>, turn| {
            ids.filter(|id| known.begin(*id, turn, Time::ZERO)).count()
        };
        assert_eq!(begun(&mut known, 0..10, A), OF_ONE_IMAGE);
        assert_eq!(begun(&mut known, 10..20, B), OF_ONE_IMAGE);
        assert_eq!(begun(&mut known, 20..30, C), 0);
        assert_eq!(begun(&mut known, 30..40, Turn::Stored), AT_ONCE);
        known.end(0, Ended::InVain, Time::ZERO);
        assert_eq!(begun(&mut known, 40..50, Turn::Stored), 0);
        assert_eq!(begun(&mut known, 50..60, C), 1);
    }

    #[test]
    fn those_that_name_this_node_come_first_and_none_of_the_others_is_always_behind() {
        let mut random = StdRng::seed_from_u64(1);
        let mut third = HashSet::new();
        for _ in 0..1_000 {
            let mut open: Vec<u32> = (0..20).collect();
            arrange(&mut open, |id| [7, 13].contains(id), &mut random);
            assert!(open[0] + open[1] == 20 && open[0].min(open[1]) == 7, "{open:?}");
            third.insert(open[2]);
        }
        assert_eq!(third.len(), 18);
    }
}
