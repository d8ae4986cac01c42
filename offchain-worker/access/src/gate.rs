//! How many connections may be unauthenticated at once.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts connections that have not authenticated yet, in all and by source address.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    per_source: usize,
    /// Never more entries than `total`, as none is zero.
    within: Mutex<HashMap<IpAddr, usize>>,
}

/// A place within the gate; it is free when this is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Inner>,
    source: IpAddr,
}

impl Gate {
    /// A gate with `total` places, `per_source` of them for one address.
    pub fn new(total: usize, per_source: usize) -> Self {
        Self(Arc::new(Inner { total, per_source, within: Mutex::default() }))
    }

    /// A place, if there is one for that address.
    pub fn enter(&self, source: IpAddr) -> Option<Pass> {
        let source = counted_as(source);
        let mut within = self.0.within();
        let own = within.get(&source).copied().unwrap_or(0);
        if own >= self.0.per_source || within.values().sum::<usize>() >= self.0.total {
            return None;
        }
        within.insert(source, own + 1);
        Some(Pass { gate: self.0.clone(), source })
    }
}

impl Inner {
    fn within(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.within.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut within = self.gate.within();
        match within.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(within.remove(&self.source)),
        }
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
        assert!(gate.0.within().is_empty(), "nothing is kept of who went");
        assert!(gate.enter(address("192.0.2.9")).is_some());
    }
}
