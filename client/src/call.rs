//! A call of the chain that is not signed yet.

use crate::{
    chain::{Chain, Runtime},
    hash::hash_of,
    reads::ReadError,
    Config,
};
use quarry_primitives::{BlockNumber, Hash, Nonce};
use std::{fmt, sync::Arc};
use subxt::{
    client::OfflineClientAtBlock,
    config::DefaultExtrinsicParamsBuilder,
    error::ExtrinsicError,
    tx::{Payload, Signer},
};

/// For how many blocks a transaction is good. A power of two.
pub(crate) const LIFE: BlockNumber = 64;

/// Why a call cannot be made a transaction of this chain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the call {call} cannot be made for the chain's runtime: {reason}")]
pub struct CallError {
    /// The call.
    pub call: String,
    /// Why not.
    pub reason: String,
}

/// What a transaction is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) nonce: Nonce,
    /// The block after which it is good, for [`LIFE`] blocks.
    pub(crate) number: BlockNumber,
    pub(crate) hash: Hash,
    /// The tip, in the smallest unit: it comes before another with the same nonce. What is free stays so.
    pub(crate) tip: u8,
}

/// A transaction's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
    /// The first block that cannot have it.
    pub(crate) expires: BlockNumber,
}

pub(crate) type AnySigner = dyn Signer<Config> + Send + Sync;

type Sign = dyn Fn(&OfflineClientAtBlock<Config>, Binding, &AnySigner) -> Result<Vec<u8>, ExtrinsicError>
    + Send
    + Sync;

/// A call with its arguments, as one of [`bindings::tx`](crate::bindings::tx).
#[derive(Clone)]
pub struct Call {
    name: String,
    sign: Arc<Sign>,
}

impl Call {
    /// Takes a call of the bindings. It is checked against the chain's metadata when it is signed.
    pub fn new(payload: impl Payload + Send + Sync + 'static) -> Self {
        let name = format!("{}.{}", payload.pallet_name(), payload.call_name());
        let sign = move |client: &OfflineClientAtBlock<Config>, binding, signer: &AnySigner| {
            sign_payload(client, &payload, binding, signer)
        };
        Self { name, sign: Arc::new(sign) }
    }

    /// The pallet and the call, with a dot between.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn sign(
        &self,
        runtime: &Runtime,
        binding: Binding,
        signer: &AnySigner,
    ) -> Result<Signed, CallError> {
        let failed = |error: ExtrinsicError| CallError {
            call: self.name.clone(),
            reason: error.to_string(),
        };
        let bytes = (self.sign)(&runtime.client, binding, signer).map_err(failed)?;
        let hash = hash_of(&bytes);
        Ok(Signed { bytes, hash, expires: binding.number.saturating_add(LIFE) })
    }
}

impl Chain {
    /// A call's bytes by the runtime that judges the next block, for those who sign elsewhere.
    pub fn call_data(&self, payload: &impl Payload) -> Result<Vec<u8>, ReadError> {
        let session = self.session()?;
        let runtime = session.runtime();
        let data = runtime.client.tx().call_data(payload);
        data.map_err(|error| ReadError::Missing(error.to_string()))
    }
}

fn sign_payload(
    client: &OfflineClientAtBlock<Config>,
    payload: &impl Payload,
    binding: Binding,
    signer: &AnySigner,
) -> Result<Vec<u8>, ExtrinsicError> {
    let params = DefaultExtrinsicParamsBuilder::new()
        .nonce(binding.nonce.into())
        .tip(binding.tip.into())
        .mortal_from_unchecked(LIFE.into(), binding.number.into(), binding.hash)
        .build();
    let mut signable = client.tx().create_signable_offline(payload, params)?;
    let signature = signer.sign(&signable.signer_payload()?);
    let signed = signable.sign_with_account_and_signature(&signer.account_id(), &signature)?;
    Ok(signed.into_encoded())
}

impl fmt::Debug for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Call").field(&self.name).finish()
    }
}
