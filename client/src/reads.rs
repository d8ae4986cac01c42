//! The state of one block, read into the types of `quarry-primitives`.

use crate::{
    bindings,
    chain::{runtime::RuntimeError, Chain, ConnectError, Session},
};
use codec::{Decode, DecodeAll, Encode};
use quarry_primitives::{
    api::{
        ApiError, FoundNode, NodeFilter, NodeView, OpenRequest, Page, PendingReasons, Quote,
        RequestCursor, VmView, WorkItem, MAX_ROWS,
    },
    node::NodeMetricsData,
    request::{Params, PlanId},
    resources::Resources,
    AccountId, Balance, BlockNumber, Hash, NodeId, Nonce, RequestId,
};
use sp_runtime::Perbill;
use subxt::storage::Address;

/// Beyond so many pages a list is taken for one that never ends.
const MOST_PAGES: usize = 10_000;

/// Why the state was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no connection to the chain now.
    #[error("there is no connection to the chain now: try again later")]
    Disconnected,
    /// The connection failed, or the chain node refused: it may have no state of that block.
    #[error("the chain node did not answer the question: {0}")]
    Rpc(#[from] subxt::rpcs::Error),
    /// The chain node, or its runtime, does not fit.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The state of that block is not where its runtime looks for it yet.
    #[error(
        "the chain's state is being migrated to version {version} of its runtime, and is not read until that is done"
    )]
    Migrating {
        /// The runtime's version.
        version: u32,
    },
    /// It will not be before the chain's operators mended it.
    #[error(
        "a migration of the chain's state to version {version} of its runtime failed, and nothing is read until the \
         chain's operators mended it"
    )]
    MigrationFailed {
        /// The runtime's version.
        version: u32,
    },
    /// The answer is not what it must be by the metadata.
    #[error("the answer of {what} cannot be decoded: {error}")]
    Decode {
        /// What was asked.
        what: &'static str,
        /// Why it is none.
        error: codec::Error,
    },
    /// The metadata does not have it.
    #[error("the chain's metadata lacks {0}")]
    Missing(String),
    /// A list does not end.
    #[error("the list of {0} does not end")]
    Endless(&'static str),
}

impl ReadError {
    /// Whether the chain node would answer the same again: it keeps nothing that is so old, or what it has is not for
    /// this program.
    pub(crate) fn lasts(&self) -> bool {
        use ConnectError::{Answer, Incompatible};
        matches!(
            self,
            Self::Rpc(subxt::rpcs::Error::User(_)) | Self::Connect(Answer(_) | Incompatible(_))
        )
    }
}

impl From<RuntimeError> for ReadError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Rpc(error) => Self::Rpc(error),
            other => Self::Connect(other.into()),
        }
    }
}

/// What `System` has of an account.
#[derive(Clone, Debug, Decode, Eq, PartialEq)]
pub struct AccountInfo {
    /// How many transactions it sent.
    pub nonce: Nonce,
    /// What keeps others from letting it go.
    pub consumers: u32,
    /// What lets it exist, as a registration does for a worker.
    pub providers: u32,
    /// The same, for that by which alone it exists.
    pub sufficients: u32,
    /// What it can spend.
    pub free: Balance,
    /// What is held of it, as bonds and prepaid rent.
    pub reserved: Balance,
    /// What it cannot spend of the free part.
    pub frozen: Balance,
}

/// What a node's bond is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BondTerms {
    /// For any node.
    pub base: Balance,
    /// For a virtual processor beside that.
    pub per_vcpu: Balance,
    /// For a GiB of memory, or a part of one.
    pub per_gib_memory: Balance,
    /// For a GiB of disk.
    pub per_gib_disk: Balance,
}

impl BondTerms {
    /// The bond of a node that gives so much; none where no balance holds it.
    pub fn of(&self, capacity: &Resources) -> Option<Balance> {
        let memory_gib = capacity.memory_mib.div_ceil(1_024);
        let vcpus = self.per_vcpu.checked_mul(capacity.vcpus.into())?;
        let memory = self.per_gib_memory.checked_mul(memory_gib.into())?;
        let disk = self.per_gib_disk.checked_mul(capacity.disk_gib.into())?;
        self.base.checked_add(vcpus)?.checked_add(memory)?.checked_add(disk)
    }
}

/// The state of one block. Copies are cheap.
#[derive(Clone)]
pub struct At {
    chain: Chain,
    hash: Hash,
}

impl At {
    pub(crate) fn new(chain: Chain, hash: Hash) -> Self {
        Self { chain, hash }
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The block.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// What the node's worker has to do and to keep, all of it.
    pub async fn work_for(&self, node_id: &NodeId) -> Result<Vec<WorkItem>, ReadError> {
        self.all_pages::<_, _, RequestCursor>("ComputeApi_work_for", node_id).await
    }

    /// What the node could claim now, all of it.
    pub async fn open_for(&self, node_id: &NodeId) -> Result<Vec<OpenRequest>, ReadError> {
        self.all_pages::<_, _, RequestCursor>("ComputeApi_open_for", node_id).await
    }

    /// An account's VMs, all of them.
    pub async fn user_vms(&self, account: &AccountId) -> Result<Vec<VmView>, ReadError> {
        self.all_pages::<_, _, RequestCursor>("ComputeApi_get_user_vms", account).await
    }

    /// Nodes that would take such a VM now, all of them.
    pub async fn find_nodes(&self, filter: &NodeFilter) -> Result<Vec<FoundNode>, ReadError> {
        self.all_pages::<_, _, NodeId>("ComputeApi_find_nodes", filter).await
    }

    /// A node.
    pub async fn node(&self, node_id: &NodeId) -> Result<Option<NodeView>, ReadError> {
        self.call("ComputeApi_get_node", node_id).await
    }

    /// What a node's worker said last of its host.
    pub async fn node_metrics(
        &self,
        node_id: &NodeId,
    ) -> Result<Option<NodeMetricsData>, ReadError> {
        self.call("ComputeApi_get_node_metrics", node_id).await
    }

    /// A VM.
    pub async fn vm(&self, request_id: RequestId) -> Result<Option<VmView>, ReadError> {
        self.call("ComputeApi_get_vm", request_id).await
    }

    /// What a plan costs on a node.
    pub async fn quote(
        &self,
        plan_id: PlanId,
        node_id: &NodeId,
    ) -> Result<Result<Quote, ApiError>, ReadError> {
        self.call("ComputeApi_quote", (plan_id, node_id)).await
    }

    /// Why no node takes a request, by the nodes of one page.
    pub async fn why_pending(
        &self,
        request_id: RequestId,
        cursor: Option<NodeId>,
    ) -> Result<Result<PendingReasons, ApiError>, ReadError> {
        self.call("ComputeApi_why_pending", (request_id, cursor, MAX_ROWS)).await
    }

    /// The number that the next request gets: any VM with this or a higher one is not of this chain.
    pub async fn next_request_id(&self) -> Result<RequestId, ReadError> {
        let address = bindings::storage().compute().next_request_id();
        Ok(self.plain("Compute.NextRequestId", address).await?.unwrap_or_default())
    }

    /// The count of live blocks, by which the market waits.
    pub async fn live_blocks(&self) -> Result<BlockNumber, ReadError> {
        let address = bindings::storage().live_blocks().count();
        Ok(self.plain("LiveBlocks.Count", address).await?.unwrap_or_default())
    }

    /// The market's parameters.
    pub async fn params(&self) -> Result<Params, ReadError> {
        let address = bindings::storage().compute().params();
        let params = self.plain("Compute.Params", address).await?;
        params.ok_or_else(|| ReadError::Missing("the value of Compute.Params".into()))
    }

    /// An account; none that nothing lets exist.
    pub async fn account(&self, account: &AccountId) -> Result<Option<AccountInfo>, ReadError> {
        let address = bindings::storage().system().account();
        let key = (subxt::utils::AccountId32(*account.as_ref()),);
        self.value("System.Account", address, key, false).await
    }

    /// How many transactions of an account the chain has by this block.
    pub async fn nonce(&self, account: &AccountId) -> Result<Nonce, ReadError> {
        self.call("AccountNonceApi_account_nonce", account).await
    }

    /// Live blocks from one free heartbeat to the next.
    pub async fn heartbeat_every(&self) -> Result<BlockNumber, ReadError> {
        let address = bindings::constants().registry().heartbeat_every();
        self.constant(address).await
    }

    /// Live blocks that a node may be silent and still be there.
    pub async fn offline_after(&self) -> Result<BlockNumber, ReadError> {
        let address = bindings::constants().registry().offline_after();
        self.constant(address).await
    }

    /// Live blocks from one free move of a node's endpoint to the next.
    pub async fn access_every(&self) -> Result<BlockNumber, ReadError> {
        let address = bindings::constants().registry().access_every();
        self.constant(address).await
    }

    /// Live blocks from one free heartbeat with metrics to the next.
    pub async fn metrics_every(&self) -> Result<BlockNumber, ReadError> {
        let address = bindings::constants().registry().metrics_every();
        self.constant(address).await
    }

    /// What a node's bond is made of.
    pub async fn bond_terms(&self) -> Result<BondTerms, ReadError> {
        let registry = bindings::constants().registry();
        Ok(BondTerms {
            base: self.constant(registry.bond_base()).await?,
            per_vcpu: self.constant(registry.bond_per_vcpu()).await?,
            per_gib_memory: self.constant(registry.bond_per_gib_memory()).await?,
            per_gib_disk: self.constant(registry.bond_per_gib_disk()).await?,
        })
    }

    /// What of a VM's rent is the treasury's.
    pub async fn treasury_share(&self) -> Result<Perbill, ReadError> {
        let share = self.constant(bindings::constants().compute().treasury_share()).await?;
        Ok(Perbill::from_parts(share.0))
    }

    async fn constant<Value>(&self, address: Value) -> Result<Value::Target, ReadError>
    where
        Value: subxt::constants::Address,
    {
        let runtime = self.chain.session()?.runtime_at(self.hash).await?;
        let missing =
            || format!("the constant {}.{}", address.pallet_name(), address.constant_name());
        runtime
            .client
            .constants()
            .entry(&address)
            .map_err(|error| ReadError::Missing(format!("{}: {error}", missing())))
    }

    async fn call<Answer: Decode>(
        &self,
        method: &'static str,
        arguments: impl Encode,
    ) -> Result<Answer, ReadError> {
        let session = self.chain.session()?;
        session.must_be_readable(self.hash).await?;
        let arguments = arguments.encode();
        let answer = session.rpc().state_call(method, Some(&arguments), Some(self.hash)).await?;
        // What is left over shows that the rows before it were misread.
        Answer::decode_all(&mut &*answer).map_err(|error| ReadError::Decode { what: method, error })
    }

    async fn all_pages<Of: Encode, Row: Decode, Cursor: Decode + Encode>(
        &self,
        method: &'static str,
        of: &Of,
    ) -> Result<Vec<Row>, ReadError> {
        let mut rows = Vec::new();
        let mut cursor: Option<Cursor> = None;
        for _ in 0..MOST_PAGES {
            let page: Page<Row, Cursor> = self.call(method, (of, &cursor, MAX_ROWS)).await?;
            rows.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(rows);
            }
        }
        Err(ReadError::Endless(method))
    }

    async fn plain<Stored: Decode>(
        &self,
        what: &'static str,
        address: impl Address<KeyParts = ()>,
    ) -> Result<Option<Stored>, ReadError> {
        self.value(what, address, (), true).await
    }

    pub(crate) async fn value<Stored: Decode, Entry: Address>(
        &self,
        what: &'static str,
        address: Entry,
        key: Entry::KeyParts,
        or_default: bool,
    ) -> Result<Option<Stored>, ReadError> {
        let session = self.chain.session()?;
        session.must_be_readable(self.hash).await?;
        let (key, default) = self.storage_key(&session, address, key)?;
        let stored = session.rpc().state_get_storage(&key, Some(self.hash)).await?;
        let bytes = stored.or(default.filter(|_| or_default));
        bytes.map(|bytes| decode(what, &bytes)).transpose()
    }

    fn storage_key<Entry: Address>(
        &self,
        session: &Session,
        address: Entry,
        key: Entry::KeyParts,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), ReadError> {
        let runtime = session.runtime();
        let missing = |error: subxt::error::StorageError| ReadError::Missing(error.to_string());
        let (pallet, item) = (address.pallet_name().to_owned(), address.entry_name().to_owned());
        let storage = runtime.client.storage();
        let entry = storage.entry(address).map_err(missing)?;
        let key = entry.fetch_key(key).map_err(missing)?;
        let default = runtime.client.metadata_ref().pallet_by_name(&pallet).and_then(|pallet| {
            let entry = pallet.storage()?.entry_by_name(&item)?;
            entry.default_value().map(<[u8]>::to_vec)
        });
        Ok((key, default))
    }
}

pub(crate) fn decode<Answer: Decode>(
    what: &'static str,
    bytes: &[u8],
) -> Result<Answer, ReadError> {
    Answer::decode(&mut &*bytes).map_err(|error| ReadError::Decode { what, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_follows_the_capacity_and_a_part_of_a_gib_counts_as_one() {
        let terms = BondTerms { base: 10, per_vcpu: 5, per_gib_memory: 2, per_gib_disk: 1 };
        let capacity = Resources { vcpus: 2, memory_mib: 1_025, disk_gib: 7 };
        assert_eq!(terms.of(&capacity), Some(10 + 10 + 4 + 7));
        assert_eq!(BondTerms { base: Balance::MAX, ..terms }.of(&capacity), None);
    }
}
