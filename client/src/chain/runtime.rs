//! The runtime that the chain has at a block, as far as transactions and events need it.

use super::compatibility::{self, Incompatible};
use crate::Config;
use codec::{Decode, Encode};
use quarry_primitives::Hash;
use std::sync::Arc;
use subxt::{
    client::OfflineClientAtBlock,
    config::{substrate::SpecVersionForRange, RpcConfigFor},
    metadata::{ArcMetadata, Metadata},
    rpcs::LegacyRpcMethods,
    OfflineClient,
};

pub(crate) type Rpc = LegacyRpcMethods<RpcConfigFor<Config>>;

const METADATA_VERSION: u32 = 16;

/// Encodes and signs calls, and decodes events, by one version of the runtime.
pub(crate) struct Runtime {
    pub(crate) spec_version: u32,
    pub(crate) client: OfflineClientAtBlock<Config>,
}

/// Why the runtime of a chain cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    #[error(transparent)]
    Rpc(#[from] subxt::rpcs::Error),
    #[error("the chain node gives no metadata that can be read: {0}")]
    Metadata(String),
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
}

impl Runtime {
    /// The runtime that made the state of the block `at`, and judges what comes after it.
    pub(crate) async fn fetch(
        rpc: &Rpc,
        genesis: Hash,
        at: Hash,
    ) -> Result<Arc<Self>, RuntimeError> {
        let version = rpc.state_get_runtime_version(Some(at)).await?;
        let metadata = fetch_metadata(rpc, at).await?;
        compatibility::check(&metadata, version.spec_version)?;
        let client = offline(genesis, version.spec_version, version.transaction_version, metadata);
        let client = client.map_err(|error| RuntimeError::Metadata(error.to_string()))?;
        Ok(Arc::new(Self { spec_version: version.spec_version, client }))
    }
}

async fn fetch_metadata(rpc: &Rpc, at: Hash) -> Result<ArcMetadata, RuntimeError> {
    let arguments = METADATA_VERSION.encode();
    let answer = rpc.state_call("Metadata_metadata_at_version", Some(&arguments), Some(at)).await?;
    let unreadable = |error: codec::Error| RuntimeError::Metadata(error.to_string());
    let bytes = Option::<Vec<u8>>::decode(&mut &*answer).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| RuntimeError::Metadata("it has no version 16".into()))?;
    Metadata::decode_from(&bytes).map(Metadata::arc).map_err(unreadable)
}

fn offline(
    genesis: Hash,
    spec_version: u32,
    transaction_version: u32,
    metadata: ArcMetadata,
) -> Result<OfflineClientAtBlock<Config>, subxt::error::OfflineClientAtBlockError> {
    let block_range = 0..u64::MAX;
    let versions = SpecVersionForRange { block_range, spec_version, transaction_version };
    let config = Config::builder()
        .set_genesis_hash(genesis)
        .set_metadata_for_spec_versions([(spec_version, metadata)])
        .set_spec_version_for_block_ranges([versions])
        .build();
    OfflineClient::new_with_config(config).at_block(0u32)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The runtime that the bindings were generated from.
    pub(crate) fn committed(genesis: Hash) -> Runtime {
        let metadata = Metadata::decode_from(compatibility::COMMITTED).unwrap().arc();
        let client = offline(genesis, 1, 1, metadata).unwrap();
        Runtime { spec_version: 1, client }
    }
}
