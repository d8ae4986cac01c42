//! Whole lists of the state of one block: what the market's maps hold.

use crate::{bindings, hash::hash_of, reads::decode, At, ReadError};
use codec::Decode;
use quarry_primitives::{
    node::{MetricsSample, StatusChange},
    request::{ImageMetadata, Plan, PlanId},
    AccountId, Balance, NodeId, RequestId,
};
use subxt::{storage::PrefixOf, utils::AccountId32};

/// How many entries are asked for at a time.
const PAGE: u32 = 500;
/// BLAKE2-128 before the key itself.
const HASH_BYTES: usize = 16;

impl At {
    /// The sizes that can be rented, those that are disabled too, by name.
    pub async fn plans(&self) -> Result<Vec<(PlanId, Plan)>, ReadError> {
        let entry = bindings::storage().compute().plans();
        let values = self.values::<Plan, _, _>("Compute.Plans", entry, ()).await?;
        let id = |plan: &Plan| hash_of(plan.name.as_bytes());
        let mut plans: Vec<_> = values.into_iter().map(|plan| (id(&plan), plan)).collect();
        plans.sort_by(|(_, a), (_, b)| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(plans)
    }

    /// The images that VMs start from, those that are disabled too, by name.
    pub async fn images(&self) -> Result<Vec<ImageMetadata>, ReadError> {
        let entry = bindings::storage().compute().images();
        let mut images: Vec<ImageMetadata> = self.values("Compute.Images", entry, ()).await?;
        images.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(images)
    }

    /// A miner's nodes, by name.
    pub async fn nodes_of(&self, miner: &AccountId) -> Result<Vec<NodeId>, ReadError> {
        let entry = bindings::storage().registry().nodes_by_owner();
        let of = (AccountId32(*miner.as_ref()),);
        let (prefix, keys) = self.keys(entry, of).await?;
        let node = |key: Vec<u8>| {
            let bytes = key.get(prefix.len() + HASH_BYTES..).unwrap_or_default();
            decode("Registry.NodesByOwner", bytes)
        };
        let mut nodes = keys.into_iter().map(node).collect::<Result<Vec<NodeId>, _>>()?;
        nodes.sort();
        Ok(nodes)
    }

    /// The node that a worker's key works on.
    pub async fn node_of_worker(&self, worker: &AccountId) -> Result<Option<NodeId>, ReadError> {
        let entry = bindings::storage().registry().node_of_worker();
        let of = (AccountId32(*worker.as_ref()),);
        self.value("Registry.NodeOfWorker", entry, of, false).await
    }

    /// When a node came and went, the latest last.
    pub async fn status_history(&self, node_id: &NodeId) -> Result<Vec<StatusChange>, ReadError> {
        let entry = bindings::storage().registry().status_history();
        let of = (node_id.clone().into(),);
        Ok(self.value("Registry.StatusHistory", entry, of, true).await?.unwrap_or_default())
    }

    /// What is kept of a node's older metrics, the latest last.
    pub async fn metrics_history(&self, node_id: &NodeId) -> Result<Vec<MetricsSample>, ReadError> {
        let entry = bindings::storage().registry().metrics_history();
        let of = (node_id.clone().into(),);
        Ok(self.value("Registry.MetricsHistory", entry, of, true).await?.unwrap_or_default())
    }

    /// What could not be paid out to an account, which anyone may claim for it.
    pub async fn credit(&self, account: &AccountId) -> Result<Balance, ReadError> {
        let entry = bindings::storage().compute().credits();
        let of = (AccountId32(*account.as_ref()),);
        Ok(self.value("Compute.Credits", entry, of, true).await?.unwrap_or_default())
    }

    /// The account that may do what only the chain's admin may.
    pub async fn admin(&self) -> Result<Option<AccountId>, ReadError> {
        let entry = bindings::storage().sudo().key();
        self.value("Sudo.Key", entry, (), false).await
    }

    /// Whose a request is.
    pub async fn owner_of(&self, request_id: RequestId) -> Result<Option<AccountId>, ReadError> {
        let entry = bindings::storage().compute().request_owner();
        self.value("Compute.RequestOwner", entry, (request_id,), false).await
    }

    /// The values of a map, or of the part of it whose keys begin so.
    async fn values<Stored, Entry, Part>(
        &self,
        what: &'static str,
        entry: Entry,
        of: Part,
    ) -> Result<Vec<Stored>, ReadError>
    where
        Stored: Decode,
        Entry: subxt::storage::Address,
        Part: PrefixOf<Entry::KeyParts>,
    {
        let (_, keys) = self.keys(entry, of).await?;
        let session = self.chain().session()?;
        let mut values = Vec::with_capacity(keys.len());
        for page in keys.chunks(PAGE as usize) {
            let page = page.iter().map(Vec::as_slice);
            let sets = session.rpc().state_query_storage_at(page, Some(self.hash())).await?;
            let changes = sets.into_iter().flat_map(|set| set.changes);
            for bytes in changes.filter_map(|(_, bytes)| bytes) {
                values.push(decode(what, &bytes.0)?);
            }
        }
        Ok(values)
    }

    /// The keys of a map that begin so, and what they begin with.
    async fn keys<Entry, Part>(
        &self,
        entry: Entry,
        of: Part,
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), ReadError>
    where
        Entry: subxt::storage::Address,
        Part: PrefixOf<Entry::KeyParts>,
    {
        let session = self.chain().session()?;
        let missing = |error: subxt::error::StorageError| ReadError::Missing(error.to_string());
        let runtime = session.runtime();
        let entry = runtime.client.storage().entry(entry).map_err(missing)?;
        let prefix = entry.iter_key(of).map_err(missing)?;
        let mut keys: Vec<Vec<u8>> = Vec::new();
        loop {
            let (rpc, last) = (session.rpc(), keys.last().map(Vec::as_slice));
            let page = rpc.state_get_keys_paged(&prefix, PAGE, last, Some(self.hash())).await?;
            let was_all = page.len() < PAGE as usize;
            keys.extend(page);
            if was_all {
                return Ok((prefix, keys));
            }
        }
    }
}
