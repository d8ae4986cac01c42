//! What happened at the port, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Too many connections, in all or from there, had not logged in yet.
    Busy,
    /// No key that was offered is one of the VM's, or there is no such VM.
    Key,
    /// Too many keys were offered.
    Tries,
    /// Logging in took too long.
    Time,
    /// It left before it offered a key, or spoke no SSH.
    Left,
    /// The VM has too many connections.
    Connections,
    /// A port, or a kind of channel, that is not carried, or one channel too many.
    Channel,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Busy,
        Self::Key,
        Self::Tries,
        Self::Time,
        Self::Left,
        Self::Connections,
        Self::Channel,
    ];

    /// What it is called in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Key => "key",
            Self::Tries => "tries",
            Self::Time => "time",
            Self::Left => "left",
            Self::Connections => "connections",
            Self::Channel => "channel",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Figures {
    opened: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Figures {
    /// Connections that are logged in.
    pub fn sessions(&self) -> u64 {
        let closed = self.closed.load(Ordering::Relaxed);
        self.opened.load(Ordering::Relaxed).saturating_sub(closed)
    }

    /// Connections that ever logged in.
    pub fn logins(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Bytes carried from tenants to VMs, and from VMs to tenants.
    pub fn bytes(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// How often somebody was refused for that reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn refuse(&self, why: Refusal) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}
