//! How long a place is waited for that sends nothing, or next to nothing.

use crate::FetchError;
use std::{
    future::Future,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// A place that sends fewer bytes than this a second stands still, too.
const LEAST_RATE: u128 = 16 << 10;
/// How many times as long as silence that is borne.
const WINDOW: u32 = 2;

/// Waits for the parts of one answer.
pub(crate) struct StallWatch<'a> {
    /// Where it comes from.
    shown: &'a str,
    stall: Duration,
    /// How long was waited in this window, which begins with its first bytes: they may take their time.
    waited: Option<Duration>,
    /// What came in this window.
    received: u64,
}

impl<'a> StallWatch<'a> {
    pub(crate) fn new(shown: &'a str, stall: Duration) -> Self {
        Self { shown, stall, waited: None, received: 0 }
    }

    /// Waits for the next part.
    pub(crate) async fn wait<T>(&mut self, part: impl Future<Output = T>) -> Result<T, FetchError> {
        let begun = Instant::now();
        let part = timeout(self.stall, part).await.map_err(|_| self.stalled(self.stall))?;
        if let Some(waited) = &mut self.waited {
            *waited += begun.elapsed();
        }
        Ok(part)
    }

    /// Notes what came; at a window's end it must be enough.
    pub(crate) fn received(&mut self, bytes: usize) -> Result<(), FetchError> {
        self.received += bytes as u64;
        let waited = *self.waited.get_or_insert_default();
        if waited < self.stall.saturating_mul(WINDOW) {
            return Ok(());
        }
        if u128::from(self.received) * 1000 < LEAST_RATE * waited.as_millis() {
            return Err(self.stalled(waited));
        }
        (self.waited, self.received) = (None, 0);
        Ok(())
    }

    fn stalled(&self, after: Duration) -> FetchError {
        FetchError::Stalled { url: self.shown.into(), after }
    }
}
