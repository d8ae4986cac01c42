//! The chain's calls, storage, events and constants as types, generated from `client/metadata.scale`.
//!
//! What stands in `quarry-primitives` keeps its type there, as [`Static`](subxt::utils::Static); a text of
//! any bound is an [`AnyText`].
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#![allow(clippy::expect_used, clippy::panic, rust_2018_idioms)]

use codec::{Decode, Encode};
use quarry_primitives::text::Text;
use subxt::ext::{scale_decode::DecodeAsType, scale_encode::EncodeAsType};

/// A text of the chain, whatever its bound.
#[derive(Clone, Debug, Decode, DecodeAsType, Encode, EncodeAsType, Eq, PartialEq)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
pub struct AnyText(Vec<u8>);

impl<const MAX: u32> From<&Text<MAX>> for AnyText {
    fn from(text: &Text<MAX>) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl<const MAX: u32> From<Text<MAX>> for AnyText {
    fn from(text: Text<MAX>) -> Self {
        Self::from(&text)
    }
}

#[subxt::subxt(
    runtime_metadata_path = "metadata.scale",
    substitute_type(path = "quarry_primitives::text::Text", with = "crate::bindings::AnyText"),
    substitute_type(
        path = "quarry_primitives::node::NodeMetricsData",
        with = "::subxt::utils::Static<::quarry_primitives::node::NodeMetricsData>"
    ),
    substitute_type(
        path = "quarry_primitives::node::Access",
        with = "::subxt::utils::Static<::quarry_primitives::node::Access>"
    ),
    substitute_type(
        path = "quarry_primitives::node::Offer",
        with = "::subxt::utils::Static<::quarry_primitives::node::Offer>"
    ),
    substitute_type(
        path = "quarry_primitives::node::NodeRecord",
        with = "::subxt::utils::Static<::quarry_primitives::node::NodeRecord>"
    ),
    substitute_type(
        path = "quarry_primitives::request::VmAccess",
        with = "::subxt::utils::Static<::quarry_primitives::request::VmAccess>"
    ),
    substitute_type(
        path = "quarry_primitives::request::FailureKind",
        with = "::subxt::utils::Static<::quarry_primitives::request::FailureKind>"
    ),
    substitute_type(
        path = "quarry_primitives::request::Params",
        with = "::subxt::utils::Static<::quarry_primitives::request::Params>"
    ),
    substitute_type(
        path = "quarry_primitives::request::ImageMetadata",
        with = "::subxt::utils::Static<::quarry_primitives::request::ImageMetadata>"
    ),
    substitute_type(
        path = "quarry_primitives::request::Placement",
        with = "::subxt::utils::Static<::quarry_primitives::request::Placement>"
    ),
    substitute_type(
        path = "quarry_primitives::request::IpWish",
        with = "::subxt::utils::Static<::quarry_primitives::request::IpWish>"
    ),
    substitute_type(
        path = "quarry_primitives::resources::Resources",
        with = "::subxt::utils::Static<::quarry_primitives::resources::Resources>"
    ),
    substitute_type(
        path = "quarry_primitives::ip::PoolId",
        with = "::subxt::utils::Static<::quarry_primitives::ip::PoolId>"
    ),
    substitute_type(
        path = "quarry_primitives::ip::IpAddress",
        with = "::subxt::utils::Static<::quarry_primitives::ip::IpAddress>"
    ),
    substitute_type(
        path = "quarry_primitives::ip::IpNetwork",
        with = "::subxt::utils::Static<::quarry_primitives::ip::IpNetwork>"
    ),
    substitute_type(
        path = "sp_runtime::MultiSignature",
        with = "::subxt::utils::Static<::quarry_primitives::Signature>"
    )
)]
mod chain {}

pub use chain::*;
