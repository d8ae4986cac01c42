//! Waits that grow, each with a random part so that a thousand workers do not come back at once.

use rand::Rng;
use std::time::Duration;

/// Doubles from `least` up to `most`.
#[derive(Clone, Debug)]
pub(crate) struct BackOff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl BackOff {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, next: least }
    }

    /// The next wait: between half of it and all of it.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.most);
        wait.mul_f64(rand::thread_rng().gen_range(0.5..=1.0))
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_millis(350);

    fn assert_between(wait: Duration, full: Duration) {
        assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
    }

    #[test]
    fn a_wait_doubles_up_to_the_longest() {
        let mut waits = BackOff::new(LEAST, MOST);
        for full in [LEAST, LEAST * 2, MOST, MOST] {
            assert_between(waits.wait(), full);
        }
    }

    #[test]
    fn after_a_reset_the_wait_is_short_again() {
        let mut waits = BackOff::new(LEAST, MOST);
        waits.wait();
        waits.wait();
        waits.reset();
        assert_between(waits.wait(), LEAST);
    }
}
