//! User data for cloud-init, which the chain names by its content id.

use crate::{context::Context, failure::Failure};
use quarry_primitives::request::Cid;
use std::path::Path;

/// Adds a file to the IPFS API of the settings.
pub async fn add(_context: &Context, _file: &Path) -> Result<Cid, Failure> {
    Err(Failure::Usage("set ipfs_api in the settings".into()))
}
