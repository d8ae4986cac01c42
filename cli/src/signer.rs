//! Which key signs.

use crate::{context::Context, failure::Failure};
use quarry_primitives::{AccountId, SS58_PREFIX};
use sp_core::crypto::{Ss58AddressFormat, Ss58Codec};

/// The key that signs.
pub type Signer = quarry_client::WorkerKey;

/// Who signs on a development chain where nobody is named.
const DEV_SIGNER: &str = "//Alice";

/// The account that is meant: `--uri`, `--key`, the chain's own key, the settings' key, or on a
/// development chain //Alice. Asks for no password.
pub async fn account(context: &Context) -> Result<AccountId, Failure> {
    Ok(choose(context).await?.public())
}

/// The key of that account.
pub async fn choose(context: &Context) -> Result<Signer, Failure> {
    if let Some(uri) = &context.global.uri {
        return development_key(context, uri).await;
    }
    if context.is_development().await? {
        return development_key(context, DEV_SIGNER).await;
    }
    Err(Failure::Usage("there is no key to sign with: make one with `quarry key new`".into()))
}

async fn development_key(context: &Context, uri: &str) -> Result<Signer, Failure> {
    if !context.is_development().await? {
        return Err(Failure::Usage(format!(
            "{uri} is a key that everybody has: it signs on development chains only. Make one of your \
             own with `quarry key new`"
        )));
    }
    Signer::from_uri(uri).map_err(|error| Failure::Usage(format!("--uri: {error}")))
}

/// An account by its address, as people write it.
pub fn address(text: &str) -> Result<AccountId, String> {
    match AccountId::from_ss58check_with_version(text) {
        Ok((account, version)) if version == Ss58AddressFormat::from(u16::from(SS58_PREFIX)) => {
            Ok(account)
        }
        Ok((account, _)) => Err(format!(
            "is written for another network; for this one it is {}",
            address_of(&account)
        )),
        Err(_) => Err("is no address: copy it from a wallet or `quarry key list`".into()),
    }
}

/// An account's address.
pub fn address_of(account: &AccountId) -> String {
    account.to_ss58check_with_version(u16::from(SS58_PREFIX).into())
}
