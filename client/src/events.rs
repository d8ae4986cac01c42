//! What happened in a block, whoever caused it.

use crate::{
    chain::{Block, Chain},
    reads::ReadError,
    sender::BlockEvents,
};
use quarry_primitives::{Balance, BlockNumber, RequestId};
use subxt::ext::scale_value::{Composite, Primitive, Value, ValueDef};

/// One event, with what it says.
#[derive(Clone, Debug)]
pub struct Happened {
    /// The pallet that told it.
    pub pallet: String,
    /// Its name.
    pub event: String,
    fields: Composite<()>,
}

impl Happened {
    /// The number in a field.
    pub fn number(&self, field: &str) -> Option<u128> {
        match &self.field(field)?.value {
            ValueDef::Primitive(Primitive::U128(number)) => Some(*number),
            _ => None,
        }
    }

    /// The request that it is about, if it is about one.
    pub fn request_id(&self) -> Option<RequestId> {
        self.number("request_id")
    }

    /// An amount of money that it names.
    pub fn amount(&self, field: &str) -> Option<Balance> {
        self.number(field)
    }

    /// The bytes in a field, as those of an account, a name or a reason.
    pub fn bytes(&self, field: &str) -> Option<Vec<u8>> {
        bytes(self.field(field)?)
    }

    /// The name of the variant in a field, as `Launch`.
    pub fn variant(&self, field: &str) -> Option<String> {
        match &self.field(field)?.value {
            ValueDef::Variant(variant) => Some(variant.name.clone()),
            _ => None,
        }
    }

    /// Whether a field says yes.
    pub fn flag(&self, field: &str) -> bool {
        let value = self.field(field).map(|field| &field.value);
        matches!(value, Some(ValueDef::Primitive(Primitive::Bool(true))))
    }

    fn field(&self, name: &str) -> Option<&Value<()>> {
        match &self.fields {
            Composite::Named(fields) => {
                fields.iter().find_map(|(field, value)| (field == name).then_some(value))
            }
            Composite::Unnamed(_) => None,
        }
    }
}

/// A list of small numbers, through whatever it is wrapped in.
fn bytes(value: &Value<()>) -> Option<Vec<u8>> {
    let ValueDef::Composite(composite) = &value.value else { return None };
    let values: Vec<&Value<()>> = composite.values().collect();
    if let [only] = values.as_slice() {
        if let Some(inner) = bytes(only) {
            return Some(inner);
        }
    }
    let byte = |value: &&Value<()>| match value.value {
        ValueDef::Primitive(Primitive::U128(number)) => u8::try_from(number).ok(),
        _ => None,
    };
    values.iter().map(byte).collect()
}

impl Chain {
    /// The block of that height.
    pub async fn block(&self, number: BlockNumber) -> Result<Block, ReadError> {
        let session = self.session()?;
        let missing = || ReadError::Missing(format!("block {number}"));
        let hash = session.rpc().chain_get_block_hash(Some(number.into())).await?;
        let hash = hash.ok_or_else(missing)?;
        let header = session.rpc().chain_get_header(Some(hash)).await?.ok_or_else(missing)?;
        Ok(Block { number, hash, parent: header.parent_hash })
    }

    /// What happened in a block. Chain nodes that prune keep this for some hundred blocks.
    pub async fn happened(&self, block: Block) -> Result<Vec<Happened>, ReadError> {
        Ok(BlockEvents::read_again(self, block).await?.all())
    }

    /// What the chain node says the chain is for: `Development`, `Local` or `Live`, or a name of its own.
    pub async fn kind(&self) -> Result<String, ReadError> {
        Ok(self.session()?.rpc().system_chain_type().await?)
    }

    /// What the chain node says the chain is called.
    pub async fn name(&self) -> Result<String, ReadError> {
        Ok(self.session()?.rpc().system_chain().await?)
    }
}

impl Happened {
    pub(crate) fn new(pallet: &str, event: &str, fields: Composite<()>) -> Self {
        Self { pallet: pallet.to_owned(), event: event.to_owned(), fields }
    }
}
