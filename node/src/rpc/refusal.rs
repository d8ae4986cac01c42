//! Why a question about the market gets no answer. Codes and names are stable: programs rely on them.

use super::settled::OURS;
use jsonrpsee::types::{error::INVALID_PARAMS_CODE, ErrorObjectOwned};
use quarry_primitives::{
    api::{self, MAX_ROWS},
    settled::Unsettled,
};
use serde::Serialize;
use std::fmt::{Display, Formatter};

/// Why there is no answer.
#[derive(Debug)]
pub enum Refusal {
    /// The arguments are not what the method takes.
    Params(String),
    /// There is no such thing, or it is in another state.
    Market(api::ApiError),
    /// A page has one row at least and [`MAX_ROWS`] at most.
    Limit,
    /// The account is neither an SS58 address nor a public key.
    Account,
    /// The node has no such block, or no longer its state.
    UnknownBlock(String),
    /// The runtime gave no answer.
    Runtime(String),
    /// The state is not where the runtime would look for it.
    Unsettled(Unsettled),
    /// The runtime answers in another form than this chain node reads.
    OtherRelease {
        /// The version of its form.
        theirs: u32,
    },
}

/// What stands in the error's `data`.
#[derive(Serialize)]
struct Data {
    name: &'static str,
}

impl Refusal {
    fn code(&self) -> i32 {
        use api::ApiError::*;
        match self {
            Self::Params(_) => INVALID_PARAMS_CODE,
            Self::Market(NodeNotFound) => 7001,
            Self::Market(ComputeRequestNotFound) => 7002,
            Self::Market(PlanNotFound) => 7003,
            Self::Market(NotPending) => 7004,
            Self::Market(PriceOverflow) => 7005,
            Self::Limit => 7010,
            Self::Account => 7011,
            Self::UnknownBlock(_) => 7012,
            Self::Runtime(_) => 7013,
            Self::Unsettled(Unsettled::Migrating) => 7014,
            Self::Unsettled(Unsettled::MigrationFailed) => 7015,
            Self::OtherRelease { .. } => 7016,
        }
    }

    fn name(&self) -> &'static str {
        use api::ApiError::*;
        match self {
            Self::Params(_) => "invalid_params",
            Self::Market(NodeNotFound) => "node_not_found",
            Self::Market(ComputeRequestNotFound) => "request_not_found",
            Self::Market(PlanNotFound) => "plan_not_found",
            Self::Market(NotPending) => "not_pending",
            Self::Market(PriceOverflow) => "price_overflow",
            Self::Limit => "invalid_limit",
            Self::Account => "invalid_account",
            Self::UnknownBlock(_) => "unknown_block",
            Self::Runtime(_) => "runtime_failed",
            Self::Unsettled(Unsettled::Migrating) => "migrating",
            Self::Unsettled(Unsettled::MigrationFailed) => "migration_failed",
            Self::OtherRelease { .. } => "other_release",
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        use api::ApiError::*;
        match self {
            Self::Params(what) => write!(out, "Invalid params: {what}"),
            Self::Market(NodeNotFound) => out.write_str("there is no such node"),
            Self::Market(ComputeRequestNotFound) => out.write_str("there is no such request"),
            Self::Market(PlanNotFound) => out.write_str("there is no such plan"),
            Self::Market(NotPending) => out.write_str("the request does not wait for a node"),
            Self::Market(PriceOverflow) => {
                out.write_str("the price is beyond what a balance holds")
            }
            Self::Limit => write!(out, "limit: a whole number from 1 to {MAX_ROWS}"),
            Self::Account => out.write_str(
                "account: an SS58 address, or a public key as 0x and 64 hexadecimal digits",
            ),
            Self::UnknownBlock(why) => {
                write!(out, "at: the chain node has no such block, or no longer its state: {why}")
            }
            Self::Runtime(why) => write!(out, "the runtime gave no answer: {why}"),
            Self::Unsettled(Unsettled::Migrating) => out.write_str(
                "the chain's state is being migrated to a new runtime: ask again in some blocks, \
                 or name an earlier block in `at`",
            ),
            Self::Unsettled(Unsettled::MigrationFailed) => out.write_str(
                "a migration of the chain's state failed: until its operators mended it, only \
                 earlier blocks are told of, by `at`",
            ),
            Self::OtherRelease { theirs } => write!(
                out,
                "this chain node is too {} for that block's runtime, and would misread what it answers: {}",
                if *theirs > OURS { "old" } else { "new" },
                if *theirs > OURS { "update it" } else { "ask one of before, or name a later block in `at`" },
            ),
        }
    }
}

impl From<api::ApiError> for Refusal {
    fn from(error: api::ApiError) -> Self {
        Self::Market(error)
    }
}

impl From<sp_api::ApiError> for Refusal {
    fn from(error: sp_api::ApiError) -> Self {
        match error {
            sp_api::ApiError::UnknownBlock(why) => Self::UnknownBlock(why),
            other => Self::Runtime(other.to_string()),
        }
    }
}

impl From<Refusal> for ErrorObjectOwned {
    fn from(refusal: Refusal) -> Self {
        let data = Data { name: refusal.name() };
        Self::owned(refusal.code(), refusal.to_string(), Some(data))
    }
}
