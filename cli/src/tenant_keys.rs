//! The SSH keys that let a tenant in to a new VM: those that are named or at hand, else one made for it.

use crate::{context::Context, failure::Failure};
use quarry_primitives::{request::SshKey, Hash, RequestId};
use std::path::PathBuf;

/// Keys for a new VM.
pub struct Chosen {
    /// As the chain takes them.
    pub keys: Vec<SshKey>,
    /// Where they come from, in words, as `~/.ssh/id_ed25519.pub`.
    pub from: String,
    /// One that was made, whose VM has no number yet.
    pub made: Option<Made>,
}

/// A private key that was made for a VM.
pub struct Made {
    /// Its file.
    pub file: PathBuf,
}

impl Made {
    /// Names the file for its VM.
    pub fn belongs_to(
        self,
        _context: &Context,
        _genesis: Hash,
        _id: RequestId,
    ) -> Result<PathBuf, Failure> {
        Ok(self.file)
    }
}

/// Those that are given, each a file or a line; else those at hand; else a new one.
pub async fn choose(_context: &Context, _given: &[String]) -> Result<Chosen, Failure> {
    Ok(Chosen { keys: Vec::new(), from: "none".into(), made: None })
}
