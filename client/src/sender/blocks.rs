//! What happened in a block.

use super::Refusal;
use crate::{
    chain::{Block, Chain, Session},
    events::Happened,
    hash::hash_of,
    reads::ReadError,
    Config,
};
use quarry_primitives::{BlockNumber, Hash};
use std::sync::Arc;
use subxt::{
    error::DispatchError,
    events::{Event, Events, Phase},
    ext::scale_value::{Composite, Value},
    metadata::ArcMetadata,
};

/// A transaction in a block.
pub(super) struct Found {
    pub(super) hash: Hash,
    pub(super) index: u32,
}

/// The block of that height, and its transactions.
pub(super) async fn transactions(
    session: &Session,
    number: BlockNumber,
) -> Result<(Block, Vec<Found>), ReadError> {
    let missing = || ReadError::Missing(format!("block {number}"));
    let hash = session.rpc().chain_get_block_hash(Some(number.into())).await?;
    let hash = hash.ok_or_else(missing)?;
    let details = session.rpc().chain_get_block(Some(hash)).await?.ok_or_else(missing)?;
    let block = Block { number, hash, parent: details.block.header.parent_hash };
    let hashes = details.block.extrinsics.iter().map(|bytes| hash_of(&bytes.0));
    Ok((block, (0..).zip(hashes).map(|(index, hash)| Found { hash, index }).collect()))
}

/// The events of a block. Copies are cheap.
#[derive(Clone)]
pub(crate) struct BlockEvents {
    events: Arc<Events<Config>>,
    metadata: ArcMetadata,
}

impl BlockEvents {
    /// The events of a block, as its parent's runtime wrote them.
    pub(super) async fn read(session: &Session, block: Block) -> Result<Self, ReadError> {
        let runtime = session.runtime_at(block.parent).await?;
        let missing = |error: subxt::error::StorageError| ReadError::Missing(error.to_string());
        // Not that of the bindings, which fits one version of the events only.
        let events = subxt::storage::dynamic::<Vec<Value>, Value>("System", "Events");
        let entry = runtime.client.storage().entry(events).map_err(missing)?;
        let key = entry.fetch_key(Vec::new()).map_err(missing)?;
        let bytes = session.rpc().state_get_storage(&key, Some(block.hash)).await?;
        let events = Arc::new(runtime.client.events().from_bytes(bytes.unwrap_or_default()));
        Ok(Self { events, metadata: runtime.client.metadata() })
    }

    pub(crate) async fn read_again(chain: &Chain, block: Block) -> Result<Self, ReadError> {
        Self::read(chain.session()?.as_ref(), block).await
    }

    /// What the transaction in that place caused.
    pub(crate) fn of(&self, index: u32) -> impl Iterator<Item = Event<'_, Config>> {
        let events = self.events.iter().map_while(Result::ok);
        events.filter(move |event| event.phase() == Phase::ApplyExtrinsic(index))
    }

    /// All of them that this runtime's metadata can read.
    pub(crate) fn all(&self) -> Vec<Happened> {
        let told = self.events.iter().map_while(Result::ok).filter_map(|event| {
            let fields = event.decode_fields_unchecked_as::<Composite<()>>().ok()?;
            Some(Happened::new(event.pallet_name(), event.event_name(), fields))
        });
        told.collect()
    }

    /// Whether the transaction in that place did what it was to do.
    pub(super) fn outcome(&self, index: u32) -> Result<(), Refusal> {
        for event in self.of(index) {
            match (event.pallet_name(), event.event_name()) {
                ("System", "ExtrinsicSuccess") => return Ok(()),
                ("System", "ExtrinsicFailed") => {
                    let error =
                        DispatchError::decode_from(event.field_bytes(), self.metadata.clone());
                    return Err(error.map_or(Refusal::Unknown, |error| named(&error)));
                }
                _ => {}
            }
        }
        Err(Refusal::Unknown)
    }
}

fn named(error: &DispatchError) -> Refusal {
    let (pallet, error) = match error {
        DispatchError::Module(module) => match module.details() {
            Ok(details) => (details.pallet.name().to_owned(), details.variant.name.clone()),
            Err(_) => ("Module".into(), module.details_string()),
        },
        DispatchError::Token(error) => ("Token".into(), format!("{error:?}")),
        DispatchError::Arithmetic(error) => ("Arithmetic".into(), format!("{error:?}")),
        DispatchError::Transactional(error) => ("Transactional".into(), format!("{error:?}")),
        other => ("Dispatch".into(), format!("{other:?}")),
    };
    Refusal::Dispatch { pallet, error }
}
