//! What happened in a block.

use super::Refusal;
use crate::{
    chain::{Block, Chain, Session},
    events::Happened,
    hash::hash_of,
    reads::ReadError,
    Config,
};
use quarry_primitives::{BlockNumber, Hash, Nonce};
use std::sync::Arc;
use subxt::{
    config::transaction_extensions::CheckMortality,
    error::DispatchError,
    events::{Event, Events, Phase},
    ext::scale_value::{Composite, Value},
    metadata::ArcMetadata,
    utils::Era,
};

/// A transaction in a block.
pub(super) struct Found {
    pub(super) hash: Hash,
    pub(super) index: u32,
    bytes: Vec<u8>,
}

impl Found {
    /// Whether that account signed it: it stands right behind the length, the version and the kind of address.
    pub(super) fn is_by(&self, account: &[u8; 32]) -> bool {
        let head = self.bytes.get(..MOST_TO_SIGNER).unwrap_or(&self.bytes);
        head.windows(account.len()).any(|part| part == account)
    }

    /// Its nonce, and the block that whoever signed it took for the last one; none where it does not say.
    pub(super) async fn signed(
        &self,
        session: &Session,
        block: Block,
    ) -> Result<Option<(Nonce, BlockNumber)>, ReadError> {
        let runtime = match session.runtime_at(block.parent).await.map_err(ReadError::from) {
            Ok(runtime) => runtime,
            // Runtimes seldom differ in this.
            Err(error) if error.lasts() => session.runtime(),
            Err(error) => return Err(error),
        };
        let all = runtime.client.extrinsics().from_bytes(vec![self.bytes.clone()]).await;
        let Some(Ok(transaction)) = all.iter().next() else { return Ok(None) };
        let Some(extensions) = transaction.transaction_extensions() else { return Ok(None) };
        let nonce = extensions.nonce().and_then(|nonce| Nonce::try_from(nonce).ok());
        let era = extensions.find::<CheckMortality<Config>>().and_then(Result::ok);
        Ok(nonce.zip(era.and_then(|era| birth(era, block.number))))
    }
}

/// Bytes of a transaction up to the end of its signer's account, at most.
const MOST_TO_SIGNER: usize = 4 + 1 + 1 + 32;

/// The block that a transaction is bound to, which is in block `number`.
fn birth(era: Era, number: BlockNumber) -> Option<BlockNumber> {
    let Era::Mortal { period, phase } = era else { return None };
    let periods = u64::from(number).saturating_sub(phase).checked_div(period)?;
    periods.saturating_mul(period).saturating_add(phase).try_into().ok()
}

/// The block of that height, and its transactions; none where the chain node keeps it no more, or has not fetched it
/// since it was synced by warp.
pub(super) async fn transactions(
    session: &Session,
    number: BlockNumber,
) -> Result<Option<(Block, Vec<Found>)>, ReadError> {
    let hash = session.rpc().chain_get_block_hash(Some(number.into())).await?;
    let Some(hash) = hash else { return Ok(None) };
    let Some(details) = session.rpc().chain_get_block(Some(hash)).await? else { return Ok(None) };
    let block = Block { number, hash, parent: details.block.header.parent_hash };
    let all = (0..).zip(details.block.extrinsics);
    let found = all.map(|(index, bytes)| Found { hash: hash_of(&bytes.0), index, bytes: bytes.0 });
    Ok(Some((block, found.collect())))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Found {
        Found { hash: Hash::zero(), index: 0, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_transaction_is_its_signers_and_not_that_of_whom_it_names() {
        let (alice, bob) = ([1; 32], [2; 32]);
        for length in [&[200_u8][..], &[1, 4], &[2, 0, 4, 0]] {
            let paid = found(&[length, &[0x84, 0], &alice, &[1], &[7; 64], &bob].concat());
            assert!(paid.is_by(&alice));
            assert!(!paid.is_by(&bob));
        }
        assert!(!found(&[4, 5, 0]).is_by(&alice));
    }

    #[test]
    fn a_transaction_tells_which_block_it_is_bound_to() {
        for bound_to in [0, 1, 63, 64, 1_000, 123_456] {
            let era = Era::mortal(64, bound_to);
            let bound_to = BlockNumber::try_from(bound_to).ok();
            for later in [1, 2, 30, 63] {
                let number = bound_to.map(|bound_to| bound_to.saturating_add(later));
                assert_eq!(number.and_then(|number| birth(era, number)), bound_to, "{later}");
            }
        }
        assert_eq!(birth(Era::Immortal, 1_000), None);
    }
}
