//! The chain's hash.

use quarry_primitives::Hash;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

/// The hash of a header or a transaction.
pub(crate) fn hash_of(bytes: &[u8]) -> Hash {
    BlakeTwo256::hash(bytes)
}
