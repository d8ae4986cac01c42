//! What the market's methods take: an object with names, or an array in the order of the fields here.

use super::refusal::Refusal;
use jsonrpsee::types::Params;
use quarry_primitives::{
    api::{NodeFilter, RequestCursor, MAX_ROWS},
    node::Country,
    request::{IpWish, PlanId},
    resources::Resources,
    text::Amount,
    AccountId, Hash, NodeId,
};
use serde::{
    de::{DeserializeOwned, Error, Unexpected, Visitor},
    Deserialize, Deserializer,
};
use serde_json::{Map, Number, Value};
use std::fmt::Formatter;

/// More than any sound arguments take; what is longer is refused unread.
pub const MAX_BYTES: usize = 4_096;
/// The rows of a page where the caller names no limit.
pub const DEFAULT_ROWS: u32 = 50;
/// The length of a public key in hexadecimal digits, which no address exceeds.
const MAX_ACCOUNT_LEN: usize = 66;

/// The arguments of a method.
pub trait Arguments: DeserializeOwned {
    /// Their names, in order.
    const NAMES: &'static [&'static str];
}

macro_rules! arguments {
    ($($(#[$doc:meta])* struct $of:ident {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $of {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl Arguments for $of {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    )*};
}

arguments! {
    /// For one node.
    struct OneNode {
        /// The node.
        node_id: NodeId,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }

    /// For one VM.
    struct OneRequest {
        /// The VM.
        request_id: Digits,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }

    /// For nodes that would take a VM.
    struct NodeSearch {
        /// What they should have.
        filter: Filter,
        /// Where to go on.
        cursor: Option<NodeId>,
        /// How many rows to look at.
        limit: Option<Number>,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }

    /// For a tenant's VMs.
    struct OneAccount {
        /// The tenant.
        account: Account,
        /// Where to go on.
        cursor: Option<Digits>,
        /// How many rows to look at.
        limit: Option<Number>,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }

    /// For the price of a plan on a node.
    struct PlanOnNode {
        /// The plan.
        plan_id: PlanId,
        /// The node.
        node_id: NodeId,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }

    /// For the nodes that a request could run on.
    struct NodesForRequest {
        /// The request.
        request_id: Digits,
        /// Where to go on.
        cursor: Option<NodeId>,
        /// How many rows to look at.
        limit: Option<Number>,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }

    /// For the requests that concern a node.
    struct RequestsForNode {
        /// The node.
        node_id: NodeId,
        /// Where to go on.
        cursor: Option<Digits>,
        /// How many rows to look at.
        limit: Option<Number>,
        /// The block to look at; the best where none is named.
        at: Option<Hash>,
    }
}

/// Reads a call's arguments.
pub fn read<A: Arguments>(params: &Params<'_>) -> Result<A, Refusal> {
    if params.len_bytes() > MAX_BYTES {
        return Err(Refusal::Params(format!("more than {MAX_BYTES} bytes")));
    }
    let given = serde_json::from_str(params.as_str().unwrap_or("{}"))
        .map_err(|error| Refusal::Params(error.to_string()))?;
    let named: Map<String, Value> = match given {
        Value::Object(named) => named,
        Value::Array(values) if values.len() <= A::NAMES.len() => {
            A::NAMES.iter().map(|name| name.to_string()).zip(values).collect()
        }
        _ => {
            let names = A::NAMES.join(", ");
            return Err(Refusal::Params(format!("an object or an array of ({names})")));
        }
    };
    serde_path_to_error::deserialize(Value::Object(named)).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner();
        Refusal::Params(if path == "." { what.to_string() } else { format!("{path}: {what}") })
    })
}

/// How many rows a page looks at.
pub fn rows(limit: Option<Number>) -> Result<u32, Refusal> {
    let Some(limit) = limit else { return Ok(DEFAULT_ROWS) };
    limit
        .as_u64()
        .and_then(|rows| u32::try_from(rows).ok())
        .filter(|rows| (1..=MAX_ROWS).contains(rows))
        .ok_or(Refusal::Limit)
}

/// A whole number that may be beyond JSON's own: digits in a string, or a plain number.
#[derive(Clone, Copy)]
pub struct Digits(pub u128);

impl From<Digits> for RequestCursor {
    fn from(Digits(number): Digits) -> Self {
        Self(number)
    }
}

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DigitsVisitor)
    }
}

struct DigitsVisitor;

impl Visitor<'_> for DigitsVisitor {
    type Value = Digits;

    fn expecting(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        out.write_str("a whole number below 2 to the power of 128, best as digits in a string")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Digits, E> {
        Ok(Digits(number.into()))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Digits, E> {
        Ok(Digits(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Digits, E> {
        Some(text)
            .filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Digits)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// An account as people write it.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Account(String);

impl Account {
    /// The account that it names.
    pub fn id(&self) -> Result<AccountId, Refusal> {
        Some(&self.0)
            .filter(|text| text.len() <= MAX_ACCOUNT_LEN)
            .and_then(|text| text.parse().ok())
            .ok_or(Refusal::Account)
    }
}

/// What a tenant looks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Room for this.
    #[serde(with = "Size")]
    resources: Resources,
    /// In this country.
    country: Option<Country>,
    /// At this price per live block or less.
    max_price: Option<Digits>,
    /// With an address; without where this is left out.
    ip: Option<IpWish>,
}

/// [`Resources`], and nothing that they do not have.
#[derive(Deserialize)]
#[serde(remote = "Resources", deny_unknown_fields)]
struct Size {
    vcpus: u16,
    memory_mib: u32,
    disk_gib: u32,
}

impl TryFrom<Filter> for NodeFilter {
    type Error = Refusal;

    fn try_from(filter: Filter) -> Result<Self, Refusal> {
        if !filter.resources.is_sound() {
            return Err(Refusal::Params("filter.resources: at least one of each".into()));
        }
        Ok(Self {
            resources: filter.resources,
            country: filter.country,
            max_price: filter.max_price.map(|Digits(price)| Amount(price)),
            ip: filter.ip.unwrap_or(IpWish::None),
        })
    }
}
