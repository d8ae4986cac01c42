//! What an actor is given to send.

use super::Refusal;
use crate::{call::Call, chain::Block};
use quarry_primitives::{BlockNumber, Hash};
use tokio::sync::oneshot;

/// What goes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Urgency {
    Report,
    Access,
    Heartbeat,
}

/// Where a call was finalized.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Inclusion {
    pub(crate) block: Block,
    /// Its place among the block's transactions.
    pub(crate) index: u32,
}

/// What became of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Included(Inclusion),
    Refused(Refusal),
    Superseded,
}

/// A call to send, and who waits to hear of it.
pub(crate) struct Item {
    pub(crate) call: Call,
    pub(crate) urgency: Urgency,
    /// Two of one identity are one.
    pub(crate) identity: Option<Vec<u8>>,
    /// Two on one subject go one after the other.
    pub(crate) subject: Option<Vec<u8>>,
    /// Whether it takes the place of those on its subject that were not sent.
    pub(crate) newest_only: bool,
    /// The subject on which nothing needs to be sent any more.
    pub(crate) makes_needless: Option<Vec<u8>>,
    /// Whether it holds for good once it was finalized, so that nobody needs to say it again.
    pub(crate) lasts: bool,
    pub(crate) waiting: Vec<oneshot::Sender<Verdict>>,
    /// The hashes of all transactions that it was made into: any of them may come into a block.
    pub(crate) transactions: Vec<Hash>,
    /// How often it was signed anew as no block took it.
    pub(crate) raised: u8,
    /// How many signatures in a row the chain took for wrong.
    pub(crate) misfits: u32,
    /// The block before which it is not tried again.
    pub(crate) not_before: BlockNumber,
    /// For how many blocks it was put off, twice.
    pub(crate) waits: BlockNumber,
}

impl Item {
    pub(crate) fn new(call: Call, urgency: Urgency) -> Self {
        Self {
            call,
            urgency,
            identity: None,
            subject: None,
            newest_only: false,
            makes_needless: None,
            lasts: false,
            waiting: Vec::new(),
            transactions: Vec::new(),
            raised: 0,
            misfits: 0,
            not_before: 0,
            waits: 0,
        }
    }

    pub(crate) fn tell(self, verdict: Verdict) {
        for waiting in self.waiting {
            // Nobody may wait any more.
            let _ = waiting.send(verdict.clone());
        }
    }

    /// Whether the chain takes it once, in however many transactions it is sent. Others are paid for each time.
    pub(crate) fn counts_once(&self) -> bool {
        self.subject.is_some()
    }

    /// Whether it says the same as another.
    pub(crate) fn is(&self, identity: &[u8]) -> bool {
        self.identity.as_deref() == Some(identity)
    }

    pub(crate) fn is_on(&self, subject: &[u8]) -> bool {
        self.subject.as_deref() == Some(subject)
    }
}
