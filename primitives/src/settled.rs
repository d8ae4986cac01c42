//! Whether the state of a block lies where its runtime looks for it.
//!
//! A block that brings a new runtime has it in its state, which otherwise is as the runtime before left it. It is moved
//! with the next block, or over many. What is asked in between finds nothing where something is: a VM that must not be
//! removed, for one.

use crate::BlockNumber;
use alloc::vec::Vec;
use codec::{Compact, Decode};

/// Something in the state: its pallet, and what it is called there.
pub type Item = (&'static str, &'static str);

/// What tells of migrations in a block's state, as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    /// [`Self::LAST_UPGRADE`].
    pub last_upgrade: Option<Vec<u8>>,
    /// [`Self::CURSOR`].
    pub cursor: Option<Vec<u8>>,
    /// [`Self::CLOSED_UNTIL`].
    pub closed_until: Option<Vec<u8>>,
}

/// Why a state must not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsettled {
    /// A migration is due, or under way.
    Migrating,
    /// One failed.
    MigrationFailed,
}

impl Signs {
    /// The runtime whose migrations, of those that take one block, were run last.
    pub const LAST_UPGRADE: Item = ("System", "LastRuntimeUpgrade");
    /// Where a migration over many blocks has come to.
    pub const CURSOR: Item = ("Migrations", "Cursor");
    /// When the chain opens again. A migration that failed closes it without an end, which no admin's call does.
    pub const CLOSED_UNTIL: Item = ("SafeMode", "EnteredUntil");

    /// Whether the state can be read by the runtime in it, which has this version.
    pub fn judge(&self, spec_version: u32) -> Result<(), Unsettled> {
        if self.upgraded_to() != Some(spec_version) || self.cursor.is_some() {
            return Err(Unsettled::Migrating);
        }
        match self.is_closed_for_good() {
            true => Err(Unsettled::MigrationFailed),
            false => Ok(()),
        }
    }

    fn upgraded_to(&self) -> Option<u32> {
        let mut stored = self.last_upgrade.as_deref()?;
        Compact::<u32>::decode(&mut stored).ok().map(|Compact(version)| version)
    }

    fn is_closed_for_good(&self) -> bool {
        let until = self.closed_until.as_deref();
        until.and_then(|mut stored| BlockNumber::decode(&mut stored).ok()) == Some(BlockNumber::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;

    const VERSION: u32 = 70_000;

    fn settled() -> Signs {
        let last_upgrade = Some((Compact(VERSION), "quarry").encode());
        Signs { last_upgrade, ..Default::default() }
    }

    #[test]
    fn a_state_whose_migrations_were_run_can_be_read() {
        assert_eq!(settled().judge(VERSION), Ok(()));
    }

    #[test]
    fn a_state_that_is_not_the_runtimes_yet_cannot() {
        assert_eq!(settled().judge(VERSION + 1), Err(Unsettled::Migrating));
        for last_upgrade in [None, Some(Vec::new())] {
            let signs = Signs { last_upgrade, ..settled() };
            assert_eq!(signs.judge(VERSION), Err(Unsettled::Migrating));
        }
    }

    #[test]
    fn a_state_that_is_moved_over_many_blocks_cannot() {
        let signs = Signs { cursor: Some(alloc::vec![0]), ..settled() };
        assert_eq!(signs.judge(VERSION), Err(Unsettled::Migrating));
    }

    #[test]
    fn a_chain_that_is_closed_for_a_time_can_be_read_and_one_that_is_for_good_cannot() {
        let closed_until =
            |block: BlockNumber| Signs { closed_until: Some(block.encode()), ..settled() };
        assert_eq!(closed_until(14_400).judge(VERSION), Ok(()));
        assert_eq!(closed_until(BlockNumber::MAX).judge(VERSION), Err(Unsettled::MigrationFailed));
    }
}
