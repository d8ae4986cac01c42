//! What was sent and is not finalized, by nonce.

use super::item::Item;
use crate::call::Signed;
use quarry_primitives::Nonce;
use std::collections::BTreeMap;

/// A transaction under way.
pub(super) struct Flight {
    pub(super) item: Item,
    pub(super) signed: Signed,
    /// Whether the chain node in use took it, as far as is known.
    pub(super) taken: bool,
}

#[derive(Default)]
pub(super) struct Window {
    flights: BTreeMap<Nonce, Flight>,
}

impl Window {
    pub(super) fn insert(&mut self, nonce: Nonce, flight: Flight) {
        self.flights.insert(nonce, flight);
    }

    pub(super) fn remove(&mut self, nonce: Nonce) -> Option<Flight> {
        self.flights.remove(&nonce)
    }

    pub(super) fn get_mut(&mut self, nonce: Nonce) -> Option<&mut Flight> {
        self.flights.get_mut(&nonce)
    }

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    /// How many are in no block yet, when the chain's next nonce is `next`.
    pub(super) fn waiting(&self, next: Nonce) -> usize {
        self.flights.range(next..).count()
    }

    /// The nonces from `next` on whose transactions have to be sent again.
    pub(super) fn untaken(&self, next: Nonce) -> Vec<Nonce> {
        let waiting = self.flights.range(next..);
        waiting.filter(|(_, flight)| !flight.taken).map(|(nonce, _)| *nonce).collect()
    }

    /// Distrusts that the chain node still has those from `next` on.
    pub(super) fn distrust(&mut self, next: Nonce) {
        self.flights.range_mut(next..).for_each(|(_, flight)| flight.taken = false);
    }

    /// The nonces from `next` on of transactions that cannot be in block `number` any more.
    pub(super) fn expired(&self, next: Nonce, number: u32) -> Vec<Nonce> {
        let waiting = self.flights.range(next..);
        waiting
            .filter(|(_, flight)| flight.signed.expires <= number)
            .map(|(nonce, _)| *nonce)
            .collect()
    }

    /// The first nonce from `next` on that nothing has.
    pub(super) fn free(&self, next: Nonce) -> Nonce {
        let mut free = next;
        for nonce in self.flights.range(next..).map(|(nonce, _)| *nonce) {
            if nonce > free {
                break;
            }
            free = nonce.saturating_add(1);
        }
        free
    }

    /// The last nonce in use of what counts once, if something from `next` on lacks before it.
    pub(super) fn beyond_gap(&self, next: Nonce) -> Option<Nonce> {
        let free = self.free(next);
        let mut beyond = self.flights.range(free..);
        beyond.rfind(|(_, flight)| flight.item.counts_once()).map(|(nonce, _)| *nonce)
    }

    /// Whether one on that subject is in no block yet.
    pub(super) fn is_busy(&self, subject: &[u8], next: Nonce) -> bool {
        self.flights.range(next..).any(|(_, flight)| flight.item.is_on(subject))
    }

    pub(super) fn find(&mut self, wanted: impl Fn(&Item) -> bool) -> Option<&mut Item> {
        self.flights.values_mut().map(|flight| &mut flight.item).find(|item| wanted(item))
    }

    pub(super) fn position(&self, wanted: impl Fn(&Item) -> bool) -> Option<Nonce> {
        let mut flights = self.flights.iter();
        flights.find(|(_, flight)| wanted(&flight.item)).map(|(nonce, _)| *nonce)
    }

    /// Takes out those before `next`, the last of them first.
    pub(super) fn take_before(&mut self, next: Nonce) -> Vec<(Nonce, Item)> {
        let later = self.flights.split_off(&next);
        let before = std::mem::replace(&mut self.flights, later);
        before.into_iter().rev().map(|(nonce, flight)| (nonce, flight.item)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.flights).into_values().map(|flight| flight.item).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{bindings, call::Call, sender::Urgency};
    use quarry_primitives::Hash;

    fn flight(subject: &str, expires: u32) -> Flight {
        let remark = bindings::tx().system().remark(Vec::new());
        let mut item = Item::new(Call::new(remark), Urgency::Report);
        item.subject = Some(subject.into());
        let signed = Signed { bytes: Vec::new(), hash: Hash::zero(), expires };
        Flight { item, signed, taken: true }
    }

    fn window(nonces: &[Nonce]) -> Window {
        let mut window = Window::default();
        for nonce in nonces {
            window.insert(*nonce, flight(&nonce.to_string(), 64 + nonce));
        }
        window
    }

    #[test]
    fn the_next_free_nonce_comes_after_those_in_use() {
        assert_eq!(window(&[]).free(7), 7);
        assert_eq!(window(&[7, 8]).free(7), 9);
        assert_eq!(window(&[5, 6]).free(7), 7);
    }

    #[test]
    fn a_gap_is_the_next_free_nonce_and_known_as_one() {
        let window = window(&[7, 9, 10]);
        assert_eq!(window.free(7), 8);
        assert_eq!(window.beyond_gap(7), Some(10));
        assert_eq!(window.beyond_gap(9), None);
        assert_eq!(window.free(6), 6);
        assert_eq!(window.beyond_gap(6), Some(10));
    }

    #[test]
    fn what_is_paid_for_each_time_fills_no_gap() {
        let mut window = window(&[7, 9, 10]);
        window.get_mut(10).unwrap().item.subject = None;
        assert_eq!(window.beyond_gap(7), Some(9));
        window.get_mut(9).unwrap().item.subject = None;
        assert_eq!(window.beyond_gap(7), None);
    }

    #[test]
    fn a_subject_is_busy_until_its_transaction_is_in_a_block() {
        let window = window(&[7, 8]);
        assert!(window.is_busy(b"7", 7));
        assert!(!window.is_busy(b"7", 8));
        assert!(!window.is_busy(b"9", 7));
    }

    #[test]
    fn what_is_distrusted_is_sent_again_in_the_order_of_nonces() {
        let mut window = window(&[9, 7, 8]);
        assert!(window.untaken(0).is_empty());
        window.distrust(8);
        assert_eq!(window.untaken(0), [8, 9]);
        window.get_mut(8).unwrap().taken = true;
        assert_eq!(window.untaken(0), [9]);
    }

    #[test]
    fn what_no_block_can_have_any_more_is_expired() {
        let window = window(&[1, 2, 3]);
        assert!(window.expired(0, 64).is_empty());
        assert_eq!(window.expired(0, 66), [1, 2]);
        assert_eq!(window.expired(2, 66), [2]);
    }

    #[test]
    fn what_is_before_a_nonce_is_taken_out_last_first_to_be_put_back_in_order() {
        let mut window = window(&[1, 2, 3]);
        let taken = window.take_before(3).into_iter();
        let taken: Vec<_> = taken.map(|(nonce, item)| (nonce, item.subject.unwrap())).collect();
        assert_eq!(taken, [(2, b"2".to_vec()), (1, b"1".to_vec())]);
        assert_eq!((window.len(), window.waiting(0)), (1, 1));
    }
}
