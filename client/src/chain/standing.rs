//! How a finalized block stands to those seen before it.

use super::Block;
use quarry_primitives::{BlockNumber, Hash};
use std::time::Instant;

/// How a finalized block stands to those seen before it in this run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// At least as high as any.
    Ahead,
    /// Lower than one seen before: this chain node is behind, or the chain was reset. No order to
    /// destroy anything may be read from it.
    Behind {
        /// The highest seen.
        highest: BlockNumber,
    },
    /// Of another chain with the same genesis: the chain was reset. It stays so for the rest of the run,
    /// unless that chain is behind as well.
    Replaced,
}

/// The latest finalized block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Finalized {
    /// The block.
    pub block: Block,
    /// How it stands to those before it.
    pub standing: Standing,
    /// How often the chain was reset in this run.
    pub chain_number: u32,
    /// When the chain node told of it.
    pub told_at: Instant,
}

impl Finalized {
    /// Whether what stands in it may be acted on.
    pub fn may_act(&self) -> bool {
        self.standing == Standing::Ahead
    }
}

/// What was seen of the chain in this run.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The hash of block 1, which tells two chains with one genesis apart.
    first: Option<Hash>,
    /// Whether the chain node in use was asked for it, and had it.
    met: bool,
    highest: BlockNumber,
    chain_number: u32,
}

impl History {
    /// Another connection was made, perhaps to another chain.
    pub(super) fn reconnected(&mut self) {
        self.met = false;
    }

    /// Takes what the chain node in use has as block 1, if it has one.
    pub(super) fn meet(&mut self, first: Option<Hash>) {
        self.met |= first.is_some();
        match (self.first, first) {
            (Some(known), Some(first)) if known != first => {
                self.first = Some(first);
                self.highest = 0;
                self.chain_number = self.chain_number.saturating_add(1);
            }
            (None, Some(first)) => self.first = Some(first),
            _ => {}
        }
    }

    /// Whether block 1 is still to be asked for.
    pub(super) fn wants_first(&self) -> bool {
        !self.met
    }

    pub(super) fn judge(&mut self, block: Block) -> Finalized {
        let behind = block.number < self.highest;
        let highest = self.highest.max(block.number);
        self.highest = highest;
        let standing = match self.chain_number {
            _ if behind => Standing::Behind { highest },
            0 => Standing::Ahead,
            _ => Standing::Replaced,
        };
        Finalized { block, standing, chain_number: self.chain_number, told_at: Instant::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(of: u8) -> Hash {
        Hash::repeat_byte(of)
    }

    fn block(number: BlockNumber) -> Block {
        Block { number, hash: hash(2), parent: hash(1) }
    }

    #[test]
    fn a_higher_block_is_ahead_and_so_is_the_same_again() {
        let mut history = History::default();
        for number in [0, 5, 5, 6] {
            assert!(history.judge(block(number)).may_act());
        }
    }

    #[test]
    fn a_lower_block_is_behind_until_the_chain_is_as_high_again() {
        let mut history = History::default();
        history.judge(block(9));
        assert_eq!(history.judge(block(7)).standing, Standing::Behind { highest: 9 });
        assert_eq!(history.judge(block(8)).standing, Standing::Behind { highest: 9 });
        assert!(history.judge(block(9)).may_act());
    }

    #[test]
    fn a_chain_with_another_first_block_is_replaced_however_high_it_grows() {
        let mut history = History::default();
        history.meet(Some(hash(1)));
        assert!(history.judge(block(3)).may_act());
        history.meet(Some(hash(7)));
        for number in [1, 3, 1_000] {
            let finalized = history.judge(block(number));
            assert_eq!((finalized.standing, finalized.chain_number), (Standing::Replaced, 1));
        }
        assert_eq!(history.judge(block(4)).standing, Standing::Behind { highest: 1_000 });
        history.meet(Some(hash(8)));
        assert_eq!(history.judge(block(4)).chain_number, 2);
    }

    #[test]
    fn a_chain_that_starts_anew_is_behind_until_its_first_block_shows_that_it_is_another() {
        let mut history = History::default();
        history.meet(Some(hash(1)));
        history.judge(block(5));
        history.reconnected();
        history.meet(None);
        assert_eq!(history.judge(block(0)).standing, Standing::Behind { highest: 5 });
        assert!(history.wants_first());
        history.meet(Some(hash(7)));
        assert_eq!(history.judge(block(1)).standing, Standing::Replaced);
    }

    #[test]
    fn a_chain_node_without_a_first_block_replaces_nothing() {
        let mut history = History::default();
        assert!(history.wants_first());
        history.meet(Some(hash(1)));
        assert!(!history.wants_first());
        history.reconnected();
        history.meet(None);
        assert!(history.wants_first() && history.judge(block(1)).may_act());
        history.meet(Some(hash(1)));
        assert!(history.judge(block(1)).may_act());
    }
}
