//! How many connections may be unauthenticated at once.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// Counts connections that have not authenticated yet, in all and by source address.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    per_source: usize,
    within: Mutex<Within>,
}

#[derive(Debug, Default)]
struct Within {
    /// The number of the next place.
    next: u64,
    /// The places of each source, the oldest first; none without any.
    of: HashMap<IpAddr, VecDeque<Taken>>,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    /// Nothing was heard of it yet.
    is_silent: bool,
    pushed_out: CancellationToken,
}

/// A place within the gate; it is free when this is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Inner>,
    source: IpAddr,
    number: u64,
    pushed_out: CancellationToken,
}

/// Of a connection that has a place.
#[derive(Debug)]
pub struct Voice {
    gate: Arc<Inner>,
    source: IpAddr,
    number: u64,
}

impl Gate {
    /// A gate with `total` places, `per_source` of them for one address.
    pub fn new(total: usize, per_source: usize) -> Self {
        Self(Arc::new(Inner { total, per_source, within: Mutex::default() }))
    }

    /// A place, if there is one for that address.
    pub fn enter(&self, source: IpAddr) -> Option<Pass> {
        self.place(source, false)
    }

    /// A place, if that address has not had its share. Where all are taken, one of which nothing was heard goes, and
    /// one that speaks only where there is no such: so silence, which costs nothing, keeps nobody out who logs in. Of
    /// several whoever has most loses its oldest one: so nobody keeps others out by holding on to places.
    pub fn press_in(&self, source: IpAddr) -> Option<Pass> {
        self.place(source, true)
    }

    fn place(&self, source: IpAddr, presses: bool) -> Option<Pass> {
        let source = counted_as(source);
        let mut within = self.0.within();
        let own = within.of.get(&source).map_or(0, VecDeque::len);
        let is_full = within.count() >= self.0.total;
        if own >= self.0.per_source || (is_full && !presses) {
            return None;
        }
        if is_full {
            within.push_one_out();
        }
        let (number, pushed_out) = (within.next, CancellationToken::new());
        within.next += 1;
        let taken = Taken { number, is_silent: true, pushed_out: pushed_out.clone() };
        within.of.entry(source).or_default().push_back(taken);
        Some(Pass { gate: self.0.clone(), source, number, pushed_out })
    }
}

impl Pass {
    /// Tells the gate of what is heard, wherever the place itself is kept.
    pub fn voice(&self) -> Voice {
        Voice { gate: self.gate.clone(), source: self.source, number: self.number }
    }

    /// Is cancelled when the place goes to somebody else.
    pub fn pushed_out(&self) -> CancellationToken {
        self.pushed_out.clone()
    }
}

impl Voice {
    /// Something was heard of the connection.
    pub fn is_heard(&self) {
        if let Some(taken) = self.gate.within().find(self.source, self.number) {
            taken.is_silent = false;
        }
    }
}

impl Inner {
    fn within(&self) -> MutexGuard<'_, Within> {
        self.within.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Within {
    fn count(&self) -> usize {
        self.of.values().map(VecDeque::len).sum()
    }

    fn push_one_out(&mut self) {
        let all = self.of.iter().flat_map(|(source, places)| {
            places
                .iter()
                .map(|taken| (taken.is_silent, places.len(), Reverse(taken.number), *source))
        });
        if let Some((_, _, Reverse(number), source)) = all.max() {
            if let Some(taken) = self.take(source, number) {
                taken.pushed_out.cancel();
            }
        }
    }

    fn find(&mut self, source: IpAddr, number: u64) -> Option<&mut Taken> {
        self.of.get_mut(&source)?.iter_mut().find(|taken| taken.number == number)
    }

    fn take(&mut self, source: IpAddr, number: u64) -> Option<Taken> {
        let places = self.of.get_mut(&source)?;
        let index = places.iter().position(|taken| taken.number == number)?;
        let taken = places.remove(index);
        if places.is_empty() {
            self.of.remove(&source);
        }
        taken
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.within().take(self.source, self.number);
    }
}

/// One subscriber of IPv6 has a /64 to choose addresses from.
fn counted_as(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_its_share_and_no_more() {
        let gate = Gate::new(10, 2);
        let first = gate.enter(address("192.0.2.1")).unwrap();
        let _second = gate.enter(address("192.0.2.1")).unwrap();
        assert!(gate.enter(address("192.0.2.1")).is_none());
        assert!(gate.enter(address("::ffff:192.0.2.1")).is_none(), "mapped into IPv6");
        assert!(gate.enter(address("192.0.2.2")).is_some());
        drop(first);
        assert!(gate.enter(address("192.0.2.1")).is_some());
    }

    #[test]
    fn an_ipv6_source_is_its_64() {
        let gate = Gate::new(10, 1);
        let _held = gate.enter(address("2001:db8::1")).unwrap();
        assert!(gate.enter(address("2001:db8::ffff:2")).is_none());
        assert!(gate.enter(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn the_places_are_counted_in_all_and_given_back() {
        let gate = Gate::new(3, 2);
        let passes: Vec<Pass> =
            (1..=3).map(|n| gate.enter(IpAddr::from([192, 0, 2, n])).unwrap()).collect();
        assert!(gate.enter(address("192.0.2.9")).is_none());
        drop(passes);
        assert!(gate.0.within().of.is_empty(), "nothing is kept of who went");
        assert!(gate.enter(address("192.0.2.9")).is_some());
    }

    #[test]
    fn one_that_speaks_keeps_its_place_while_another_is_silent() {
        let gate = Gate::new(3, 2);
        let [one, two, three] = [1, 2, 3].map(|n| IpAddr::from([192, 0, 2, n]));
        let places = [one, one, two].map(|source| gate.press_in(source).unwrap());
        let out = || places.each_ref().map(|pass| pass.pushed_out().is_cancelled());
        places[0].voice().is_heard();
        places[1].voice().is_heard();
        let third = gate.press_in(three).unwrap();
        assert_eq!(out(), [false, false, true], "although another has more, and older ones");
        third.voice().is_heard();
        let _fourth = gate.press_in(two).unwrap();
        assert_eq!(out(), [true, false, true], "all speak: the oldest of who has most");
        places[0].voice().is_heard();
        assert_eq!(gate.0.within().count(), 3, "what was pushed out is not back");
    }

    #[test]
    fn whoever_presses_in_takes_the_oldest_place_of_who_has_most() {
        let gate = Gate::new(4, 2);
        let (one, two) = (address("192.0.2.1"), address("192.0.2.2"));
        let places = [one, two, two, one].map(|source| gate.press_in(source).unwrap());
        let out = || places.each_ref().map(|pass| pass.pushed_out().is_cancelled());
        assert!(gate.press_in(two).is_none(), "it has its share");
        assert_eq!(out(), [false; 4]);
        let third = gate.press_in(address("192.0.2.3")).unwrap();
        assert_eq!(out(), [true, false, false, false], "of two with as many, the older");
        let fourth = gate.press_in(address("192.0.2.4")).unwrap();
        assert_eq!(out(), [true, true, false, false]);
        let fifth = gate.press_in(address("192.0.2.5")).unwrap();
        assert_eq!(out(), [true, true, true, false], "all have one: the oldest of all");
        drop(places);
        assert_eq!(gate.0.within().count(), 3, "what was pushed out frees nobody else's place");
        for pass in [third, fourth, fifth] {
            assert!(!pass.pushed_out().is_cancelled());
        }
    }
}
