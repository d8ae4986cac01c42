//! Which transactions of the account are settled: they stand in finalized blocks.

use super::{
    actor::Actor,
    blocks::{self, BlockEvents},
    item::{Inclusion, Verdict},
    Refusal,
};
use crate::{
    call::LIFE,
    chain::{Block, Session},
    reads::ReadError,
};
use quarry_primitives::{BlockNumber, Hash, Nonce};
use std::collections::{BTreeSet, HashMap};

/// After a longer absence the blocks before these are not looked at.
const MOST_BLOCKS: BlockNumber = 2_000;

/// How far finalized blocks were looked at.
pub(super) struct Ledger {
    /// The account's next nonce by the last block that was looked at.
    next: Nonce,
    /// That block.
    block: BlockNumber,
    /// What is bound to no later block was signed before this run began.
    begun: BlockNumber,
    /// Nonces before this one were not all looked at.
    unseen: Nonce,
    /// Nonces from `next` on that are known to be ours, or of a former run with the same key.
    ours: BTreeSet<Nonce>,
    /// Our transactions that could still come into a block.
    sent: HashMap<Hash, Sent>,
}

struct Sent {
    nonce: Nonce,
    expires: BlockNumber,
}

impl Ledger {
    pub(super) fn new(block: BlockNumber, next: Nonce, begun: BlockNumber) -> Self {
        Self { next, block, begun, unseen: 0, ours: BTreeSet::new(), sent: HashMap::new() }
    }

    pub(super) fn note_sent(&mut self, hash: Hash, nonce: Nonce, expires: BlockNumber) {
        self.sent.insert(hash, Sent { nonce, expires });
    }

    fn note_found(&mut self, hash: &Hash) -> bool {
        let found = self.sent.remove(hash);
        self.ours.extend(found.iter().map(|sent| sent.nonce));
        found.is_some()
    }

    /// Takes up a nonce of a transaction that this run did not sign: a former run did, wherever it has been since,
    /// or somebody else.
    fn note_signed(&mut self, nonce: Nonce, bound_to: BlockNumber) {
        if bound_to <= self.begun {
            self.ours.insert(nonce);
        }
    }

    /// Where to look next, to have seen everything up to `block`, where the next nonce is `next`.
    fn begin(&mut self, block: BlockNumber, next: Nonce) -> BlockNumber {
        let following = self.block.saturating_add(1);
        let from = following.max(block.saturating_sub(MOST_BLOCKS));
        if from > following {
            // Ours may be in what is passed over.
            self.unseen = next;
        }
        from
    }

    /// Takes up that a block was looked at, if the chain node had it, on the way to where the next nonce is `next`.
    fn note_block(&mut self, block: BlockNumber, was_there: bool, next: Nonce) {
        if !was_there {
            // Ours may be in it.
            self.unseen = next;
        }
        self.block = block;
    }

    /// Whether the transaction that has this nonce would have been found.
    fn was_seen(&self, nonce: Nonce) -> bool {
        nonce >= self.unseen
    }

    /// Takes up that all was looked at up to `block`, where the next nonce is `next`; gives how many
    /// nonces somebody else used.
    fn close(&mut self, block: BlockNumber, next: Nonce) -> u64 {
        let foreign = (self.next..next)
            .filter(|nonce| !self.ours.contains(nonce) && self.was_seen(*nonce))
            .count();
        self.ours = self.ours.split_off(&next);
        self.sent.retain(|_, sent| sent.expires.saturating_add(LIFE) > block);
        self.next = next;
        self.block = block;
        foreign as u64
    }
}

impl Actor {
    /// Looks for our transactions in the blocks that were finalized since the last time.
    pub(super) async fn settle(&mut self, session: &Session, at: Block) -> Result<u64, ReadError> {
        if at.number <= self.ledger.block {
            return Ok(0);
        }
        let next = self.nonce_at(session, at.hash).await?;
        if next > self.ledger.next {
            for number in self.ledger.begin(at.number, next)..=at.number {
                let was_there = self.look_at(session, number).await?;
                self.ledger.note_block(number, was_there, next);
            }
        }
        let foreign = self.ledger.close(at.number, next);
        if foreign > 0 {
            self.tell(|status| status.foreign_nonce_seen += foreign);
            tracing::warn!(foreign, "somebody else sends transactions with this key");
        }
        for (nonce, item) in self.window.take_before(next) {
            if self.ledger.was_seen(nonce) || item.counts_once() {
                // Its nonce went to somebody else's transaction, which bars ours for ever.
                self.queue.put_back(item);
            } else {
                self.resolve(item, Verdict::Refused(Refusal::Unknown));
            }
        }
        Ok(foreign)
    }

    /// Settles what is in that block; false where the chain node keeps it no more.
    async fn look_at(&mut self, session: &Session, number: BlockNumber) -> Result<bool, ReadError> {
        let Some((block, all)) = blocks::transactions(session, number).await? else {
            return Ok(false);
        };
        let (found, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|transaction| self.ledger.sent.contains_key(&transaction.hash));
        for transaction in others.iter().filter(|other| other.is_by(&self.account.0)) {
            if let Some((nonce, bound_to)) = transaction.signed(session, block).await? {
                self.ledger.note_signed(nonce, bound_to);
            }
        }
        if found.is_empty() {
            return Ok(true);
        }
        let events = match BlockEvents::read(session, block).await {
            Ok(events) => Some(events),
            Err(error) if error.lasts() => None,
            Err(error) => return Err(error),
        };
        for transaction in found {
            let index = transaction.index;
            let outcome =
                events.as_ref().map_or(Err(Refusal::Unknown), |events| events.outcome(index));
            let verdict = match outcome {
                Ok(()) => Verdict::Included(Inclusion { block, index }),
                Err(refusal) => Verdict::Refused(refusal),
            };
            self.ledger.note_found(&transaction.hash);
            self.resolve_transaction(transaction.hash, verdict);
        }
        Ok(true)
    }

    fn resolve_transaction(&mut self, hash: Hash, verdict: Verdict) {
        let is_it = |item: &super::Item| item.transactions.contains(&hash);
        let flight = self.window.position(is_it).and_then(|nonce| self.window.remove(nonce));
        match flight {
            Some(flight) => self.resolve(flight.item, verdict),
            None => {
                for item in self.queue.remove(is_it) {
                    self.resolve(item, verdict.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(of: u8) -> Hash {
        Hash::repeat_byte(of)
    }

    #[test]
    fn a_nonce_that_nobody_here_used_is_somebody_elses() {
        let mut ledger = Ledger::new(10, 5, 10);
        ledger.note_sent(hash(1), 5, 74);
        assert!(ledger.note_found(&hash(1)));
        assert!(!ledger.note_found(&hash(2)));
        assert_eq!(ledger.close(11, 7), 1);
        assert_eq!(ledger.close(12, 7), 0);
    }

    #[test]
    fn what_was_signed_before_this_run_began_is_not_somebody_elses() {
        let mut ledger = Ledger::new(10, 5, 12);
        ledger.note_signed(5, 10);
        ledger.note_signed(6, 12);
        ledger.note_signed(7, 13);
        assert_eq!(ledger.close(14, 7), 0);
        assert_eq!(ledger.close(15, 8), 1);
    }

    #[test]
    fn our_transactions_are_known_as_ours_in_whichever_order_they_are_found() {
        let mut ledger = Ledger::new(10, 0, 10);
        for nonce in 0..4u8 {
            ledger.note_sent(hash(nonce), nonce.into(), 74);
        }
        for nonce in [2, 0, 3, 1] {
            ledger.note_found(&hash(nonce));
        }
        assert_eq!(ledger.close(11, 2), 0);
        assert_eq!(ledger.close(12, 4), 0);
    }

    #[test]
    fn what_can_come_into_no_block_any_more_is_forgotten() {
        let mut ledger = Ledger::new(10, 0, 10);
        ledger.note_sent(hash(1), 0, 74);
        ledger.close(74 + LIFE - 1, 0);
        assert_eq!(ledger.sent.len(), 1);
        ledger.close(74 + LIFE, 0);
        assert!(ledger.sent.is_empty());
    }

    #[test]
    fn after_a_long_absence_only_the_latest_blocks_are_looked_at() {
        let mut ledger = Ledger::new(10, 0, 10);
        assert_eq!(ledger.begin(12, 3), 11);
        assert!(ledger.was_seen(0));
        assert_eq!(ledger.begin(10_000, 3), 10_000 - MOST_BLOCKS);
        assert!(!ledger.was_seen(2) && ledger.was_seen(3));
    }

    #[test]
    fn what_was_not_looked_at_is_nobodys_although_the_search_broke_off() {
        let away = 10 + 2 * MOST_BLOCKS;
        let mut ledger = Ledger::new(10, 5, 10);
        let from = ledger.begin(away, 7);
        ledger.note_block(from, true, 7);
        assert_eq!(ledger.begin(away + 1, 8), from + 1);
        assert_eq!(ledger.close(away + 1, 8), 1);
        assert!(!ledger.was_seen(6) && ledger.was_seen(7));
    }

    #[test]
    fn what_is_in_a_block_that_the_chain_node_lacks_is_nobodys() {
        let mut ledger = Ledger::new(10, 5, 10);
        ledger.note_block(11, false, 7);
        assert_eq!(ledger.begin(13, 8), 12);
        ledger.note_block(12, true, 8);
        assert_eq!(ledger.close(13, 8), 1);
    }
}
