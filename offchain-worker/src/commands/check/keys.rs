//! The keys at hand.

use super::Finding;
use crate::{access_key, config::Settings, signer};
use quarry_client::{KeyFileError, WorkerKey};
use quarry_guest::{HostKey, HostKeyError};

/// Those in use, and during a rotation those beside them.
pub(super) struct Keys {
    pub(super) worker: Result<Vec<WorkerKey>, KeyFileError>,
    pub(super) access: Result<Vec<HostKey>, HostKeyError>,
}

impl Keys {
    pub(super) fn read(settings: &Settings) -> Self {
        Self {
            worker: signer::keys(&settings.key.file),
            access: access_key::keys(&settings.access.key),
        }
    }

    /// The account of the worker's first key.
    pub(super) fn address(&self) -> Option<String> {
        self.worker.as_ref().ok()?.first().map(WorkerKey::address)
    }

    pub(super) fn worker_finding(&self, settings: &Settings) -> Finding {
        let name = "key";
        let file = &settings.key.file;
        match &self.worker {
            Ok(keys) => {
                let mut shown = keys.iter().map(WorkerKey::address);
                let first = shown.next().unwrap_or_default();
                let next = shown.next().map(|next| format!(", and {next} beside it"));
                let found = format!("{first} in {}{}", file.display(), next.unwrap_or_default());
                Finding::ok(name, found)
            }
            Err(error @ KeyFileError::NotFound(_)) => {
                Finding::fail(name, error.to_string(), "quarry-worker key generate")
            }
            Err(error) => {
                let remedy =
                    "make the file right, or make another key; the miner names that by registry.setWorker";
                Finding::fail(name, error.to_string(), remedy)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::{super::tests::settings_in, *};
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    #[test]
    fn a_key_that_is_missing_can_be_made_and_then_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "");
        let look = || Keys::read(&settings).worker_finding(&settings);
        assert_eq!(look().remedy.as_deref(), Some("quarry-worker key generate"));
        fs::create_dir(&settings.data_dir).unwrap();
        let made = WorkerKey::create(&settings.key.file).unwrap();
        assert!(look().is_ok() && look().found.contains(&made.address()), "{:?}", look());
        fs::set_permissions(&settings.key.file, Permissions::from_mode(0o644)).unwrap();
        assert!(look().fails() && look().found.contains("mode"), "{:?}", look());
    }

    #[test]
    fn the_next_key_is_looked_at_too() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path(), "");
        fs::create_dir(&settings.data_dir).unwrap();
        WorkerKey::create(&settings.key.file).unwrap();
        let next = signer::next_to(&settings.key.file);
        let made = WorkerKey::create(&next).unwrap();
        let look = || Keys::read(&settings).worker_finding(&settings);
        assert!(look().is_ok() && look().found.contains(&made.address()), "{:?}", look());
        fs::write(&next, "damaged").unwrap();
        assert!(look().fails() && look().found.contains(".next"), "{:?}", look());
    }
}
