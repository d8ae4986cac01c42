//! Whether the state of a block is [settled](quarry_primitives::settled), as its chain node tells.

use super::runtime::{Rpc, Runtime};
use crate::reads::ReadError;
use quarry_primitives::{
    settled::{Item, Signs, Unsettled},
    Hash,
};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};
use subxt::ext::scale_value::Value;

/// So many blocks are remembered, of those that are read most.
const KNOWN: usize = 16;

/// Blocks whose state can be read.
#[derive(Default)]
pub(super) struct Settled(Mutex<VecDeque<Hash>>);

impl Settled {
    pub(super) fn has(&self, hash: &Hash) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    pub(super) fn note(&self, hash: Hash) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.truncate(KNOWN - 1);
        known.push_front(hash);
    }
}

/// Fails where a migration of the state is due, under way, or failed.
pub(super) async fn check(rpc: &Rpc, runtime: &Runtime, hash: Hash) -> Result<(), ReadError> {
    let stored = |item| stored(rpc, runtime, item, hash);
    let (last_upgrade, cursor, closed_until) = futures::future::try_join3(
        stored(Signs::LAST_UPGRADE),
        stored(Signs::CURSOR),
        stored(Signs::CLOSED_UNTIL),
    )
    .await?;
    let version = runtime.spec_version;
    let signs = Signs { last_upgrade, cursor, closed_until };
    signs.judge(version).map_err(|unsettled| match unsettled {
        Unsettled::Migrating => ReadError::Migrating { version },
        Unsettled::MigrationFailed => ReadError::MigrationFailed { version },
    })
}

async fn stored(
    rpc: &Rpc,
    runtime: &Runtime,
    (pallet, name): Item,
    hash: Hash,
) -> Result<Option<Vec<u8>>, ReadError> {
    let missing = |error: subxt::error::StorageError| ReadError::Missing(error.to_string());
    // Not those of the bindings: whatever the version is like, these must be understood.
    let address = subxt::storage::dynamic::<Vec<Value>, Value>(pallet, name);
    let entry = runtime.client.storage().entry(address).map_err(missing)?;
    let key = entry.fetch_key(Vec::new()).map_err(missing)?;
    Ok(rpc.state_get_storage(&key, Some(hash)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_that_were_asked_for_last_are_known() {
        let settled = Settled::default();
        for number in 0..40u8 {
            settled.note(Hash::repeat_byte(number));
        }
        assert!(settled.has(&Hash::repeat_byte(39)) && settled.has(&Hash::repeat_byte(24)));
        assert!(!settled.has(&Hash::repeat_byte(23)));
    }
}
