//! What waits to be sent, the urgent first.

use super::item::{Item, Urgency};
use std::collections::{BTreeMap, VecDeque};

#[derive(Default)]
pub(super) struct Queue {
    by_urgency: BTreeMap<Urgency, VecDeque<Item>>,
}

impl Queue {
    /// Adds an item, and gives back those that it makes needless.
    pub(super) fn push(&mut self, item: Item) -> Vec<Item> {
        let mut needless = Vec::new();
        if let Some(subject) = item.subject.as_deref().filter(|_| item.newest_only) {
            needless.extend(self.remove(|other| other.is_on(subject)));
        }
        if let Some(subject) = item.makes_needless.as_deref() {
            needless.extend(self.remove(|other| other.is_on(subject)));
        }
        self.by_urgency.entry(item.urgency).or_default().push_back(item);
        needless
    }

    /// Puts back what was taken, before all others of its urgency.
    pub(super) fn put_back(&mut self, item: Item) {
        self.by_urgency.entry(item.urgency).or_default().push_front(item);
    }

    /// Takes the first that may be sent now.
    pub(super) fn take(&mut self, may_go: impl Fn(&Item) -> bool) -> Option<Item> {
        self.by_urgency.values_mut().find_map(|items| {
            let at = items.iter().position(&may_go)?;
            items.remove(at)
        })
    }

    pub(super) fn find(&mut self, wanted: impl Fn(&Item) -> bool) -> Option<&mut Item> {
        self.by_urgency.values_mut().flatten().find(|item| wanted(item))
    }

    /// Takes out all that are meant.
    pub(super) fn remove(&mut self, meant: impl Fn(&Item) -> bool) -> Vec<Item> {
        let mut removed = Vec::new();
        for items in self.by_urgency.values_mut() {
            for item in std::mem::take(items) {
                if meant(&item) {
                    removed.push(item);
                } else {
                    items.push_back(item);
                }
            }
        }
        removed
    }

    pub(super) fn len(&self) -> usize {
        self.by_urgency.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{bindings, call::Call};

    fn item(name: &str, urgency: Urgency) -> Item {
        let remark = bindings::tx().system().remark(Vec::new());
        let mut item = Item::new(Call::new(remark), urgency);
        item.identity = Some(name.into());
        item.subject = Some(name.into());
        item
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        let taken = std::iter::from_fn(|| queue.take(|_| true));
        taken.map(|item| String::from_utf8(item.identity.unwrap()).unwrap()).collect()
    }

    #[test]
    fn reports_go_before_access_and_heartbeats_and_else_in_order() {
        let mut queue = Queue::default();
        queue.push(item("beat", Urgency::Heartbeat));
        queue.push(item("move", Urgency::Access));
        queue.push(item("first", Urgency::Report));
        queue.push(item("second", Urgency::Report));
        assert_eq!(names(&mut queue), ["first", "second", "move", "beat"]);
    }

    #[test]
    fn what_is_put_back_is_the_first_again() {
        let mut queue = Queue::default();
        queue.push(item("first", Urgency::Report));
        queue.push(item("second", Urgency::Report));
        let first = queue.take(|_| true).unwrap();
        queue.put_back(first);
        assert_eq!(names(&mut queue), ["first", "second"]);
    }

    #[test]
    fn what_may_not_go_yet_is_passed_over() {
        let mut queue = Queue::default();
        queue.push(item("first", Urgency::Report));
        queue.push(item("beat", Urgency::Heartbeat));
        let taken = queue.take(|item| !item.is_on(b"first")).unwrap();
        assert!(taken.is(b"beat"));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn of_heartbeats_only_the_newest_is_kept() {
        let mut queue = Queue::default();
        for identity in ["old", "new"] {
            let mut beat = item("beat", Urgency::Heartbeat);
            beat.identity = Some(identity.into());
            beat.newest_only = true;
            let needless = queue.push(beat);
            assert_eq!(needless.len(), usize::from(identity == "new"));
            assert!(needless.iter().all(|item| item.is(b"old")));
        }
        assert_eq!(names(&mut queue), ["new"]);
    }

    #[test]
    fn the_end_of_a_launch_makes_its_start_needless_and_nothing_else() {
        let mut queue = Queue::default();
        queue.push(item("start 1", Urgency::Report));
        queue.push(item("start 2", Urgency::Report));
        let mut end = item("end 1", Urgency::Report);
        end.makes_needless = Some(b"start 1".into());
        let needless = queue.push(end);
        assert!(needless.len() == 1 && needless.iter().all(|item| item.is(b"start 1")));
        assert_eq!(names(&mut queue), ["start 2", "end 1"]);
    }
}
