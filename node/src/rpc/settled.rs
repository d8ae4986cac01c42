//! Whether a question about a block can be answered: not where a migration has yet to move its state, and not where the
//! runtime would answer in another form than this chain node reads.

use super::refusal::Refusal;
use crate::service::{Block, Client};
use quarry_primitives::{
    api::ComputeApi,
    settled::{Item, Signs},
    Hash,
};
use sc_client_api::{StorageData, StorageKey, StorageProvider};
use sp_api::{ApiError, CallApiAt, CallContext, RuntimeApiInfo};
use sp_io::hashing::twox_128;

/// Shows the state of a block as it is stored.
pub trait StateReader {
    /// The version of the runtime in it.
    fn spec_version(&self, at: Hash) -> Result<u32, ApiError>;

    /// The version of the form in which that runtime answers; none where it has no market.
    fn api_version(&self, at: Hash) -> Result<Option<u32>, ApiError>;

    /// What stands there.
    fn stored(&self, at: Hash, item: Item) -> Result<Option<Vec<u8>>, ApiError>;
}

impl StateReader for Client {
    fn spec_version(&self, at: Hash) -> Result<u32, ApiError> {
        let version = CallApiAt::<Block>::runtime_version_at(self, at, CallContext::Offchain)?;
        Ok(version.spec_version)
    }

    fn api_version(&self, at: Hash) -> Result<Option<u32>, ApiError> {
        let version = CallApiAt::<Block>::runtime_version_at(self, at, CallContext::Offchain)?;
        Ok(version.api_version(&<dyn ComputeApi<Block> as RuntimeApiInfo>::ID))
    }

    fn stored(&self, at: Hash, item: Item) -> Result<Option<Vec<u8>>, ApiError> {
        let found = StorageProvider::<Block, _>::storage(self, at, &key(item))?;
        Ok(found.map(|StorageData(bytes)| bytes))
    }
}

fn key((pallet, name): Item) -> StorageKey {
    StorageKey([twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat())
}

/// The version of the form that this chain node reads.
pub const OURS: u32 = <dyn ComputeApi<Block> as RuntimeApiInfo>::VERSION;

/// Fails where a migration of that block's state is due, under way, or failed, and where this chain node is of another
/// release than the runtime: it would misread the answers.
pub fn check(states: &impl StateReader, at: Hash) -> Result<(), Refusal> {
    let signs = Signs {
        last_upgrade: states.stored(at, Signs::LAST_UPGRADE)?,
        cursor: states.stored(at, Signs::CURSOR)?,
        closed_until: states.stored(at, Signs::CLOSED_UNTIL)?,
    };
    signs.judge(states.spec_version(at)?).map_err(Refusal::Unsettled)?;
    match states.api_version(at)? {
        Some(theirs) if theirs != OURS => Err(Refusal::OtherRelease { theirs }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::hexdisplay::HexDisplay;

    /// As in `client/tests/migrations.rs`, where a chain answers to them.
    #[test]
    fn the_signs_are_looked_for_where_the_runtime_has_them() {
        let hex = |item| HexDisplay::from(&key(item).0).to_string();
        assert_eq!(
            hex(Signs::LAST_UPGRADE),
            "26aa394eea5630e07c48ae0c9558cef7f9cce9c888469bb1a0dceaa129672ef8"
        );
        assert_eq!(
            hex(Signs::CURSOR),
            "053629776a18418a03a77199a00f76e487b188618944a73221aaabb35521b0a1"
        );
        assert_eq!(
            hex(Signs::CLOSED_UNTIL),
            "f35b44951b86069d9273a961f1e3fbeb1fd1ae5c7c15443bedf0311e151a2a4a"
        );
    }
}
