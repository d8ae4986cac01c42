use crate::{
    fetch,
    guards::{Held, Progress},
    inner::{is_damaged, locked, Fetched, Flight, Inner},
    user_data, Digest, FetchError, Fetches, Fetching, OpenError, StoreSettings, StoredImage,
    Wanted,
};
use futures::{
    future::{BoxFuture, Shared},
    FutureExt,
};
use std::{fmt, path::PathBuf, sync::Arc};

/// Images on disk. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

impl Store {
    /// Opens the store, and sweeps what an earlier process left unfinished. It blocks.
    pub fn open(settings: StoreSettings) -> Result<Self, OpenError> {
        Ok(Self(Arc::new(Inner::open(settings)?)))
    }

    /// The image, from the store or from its URL. Callers that want one image at the same time fetch it
    /// once; a caller may give up without harm to the others. What was fetched stays for the next
    /// attempt when all give up.
    pub async fn get(&self, wanted: &Wanted) -> Result<Held, FetchError> {
        loop {
            if let Some(held) = self.stored(wanted).await? {
                return Ok(held);
            }
            let (flown, flight) = self.join(wanted);
            match flight.await {
                Ok(held) => {
                    // Another may have wanted the same bytes for something else.
                    if held.format() == wanted.format {
                        self.0.check_disk(held.virtual_bytes(), wanted)?;
                        return Ok(held);
                    }
                }
                Err(error) if flown == *wanted => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// A tenant's user-data, by its content id: version 1, raw, SHA-256, up to 1 MiB.
    pub async fn user_data(&self, cid: &str) -> Result<Vec<u8>, FetchError> {
        user_data::get(&self.0, cid).await
    }

    /// Says which images VMs have, once for each VM; takes the place of whatever was said before.
    pub fn set_in_use(&self, digests: impl IntoIterator<Item = Digest>) {
        locked(&self.0.shelf).set_vms(digests);
    }

    /// A VM has it, until [`Store::release_image`].
    pub fn use_image(&self, digest: Digest) {
        locked(&self.0.shelf).add_vm(digest);
    }

    /// A VM that had it is gone.
    pub fn release_image(&self, digest: Digest) {
        locked(&self.0.shelf).remove_vm(&digest);
    }

    /// Whether it is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        locked(&self.0.shelf).contains(digest)
    }

    /// Where it is, or would be.
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        self.0.image_path(digest)
    }

    /// All there are.
    pub fn list(&self) -> Vec<StoredImage> {
        locked(&self.0.shelf).list()
    }

    /// What they take, with downloads that are not complete.
    pub fn bytes(&self) -> u64 {
        locked(&self.0.shelf).bytes()
    }

    /// Fetches under way.
    pub fn fetching(&self) -> Vec<Fetching> {
        let flights = locked(&self.0.flights);
        let alive = flights.iter().filter(|(_, flight)| flight.outcome.upgrade().is_some());
        alive.map(|(digest, flight)| flight.progress.fetching(*digest)).collect()
    }

    /// Fetches that ended.
    pub fn fetches(&self) -> Fetches {
        *locked(&self.0.fetches)
    }

    /// The image, if it is there and is what is wanted.
    async fn stored(&self, wanted: &Wanted) -> Result<Option<Held>, FetchError> {
        let digest = &wanted.digest;
        let path = self.0.image_path(digest);
        let known = locked(&self.0.shelf).inspected(digest);
        let inspected = match known {
            Some((format, virtual_bytes)) if format == wanted.format && path.exists() => {
                Ok(virtual_bytes)
            }
            _ if !self.contains(digest) => return Ok(None),
            _ => fetch::inspect_file(&path, wanted.format).await,
        };
        let virtual_bytes = match inspected {
            Ok(virtual_bytes) => virtual_bytes,
            Err(_) if is_damaged(&path, *digest).await => {
                self.0.drop_damaged(digest);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.0.check_disk(virtual_bytes, wanted)?;
        let held = Held::take(&self.0, digest, Some((wanted.format, virtual_bytes)));
        if held.is_some() {
            self.0.touch(digest);
        }
        Ok(held)
    }

    /// The fetch of an image that is under way, or a new one; and what it was begun for.
    fn join(&self, wanted: &Wanted) -> (Wanted, Shared<BoxFuture<'static, Fetched>>) {
        let mut flights = locked(&self.0.flights);
        let flight = flights.get(&wanted.digest);
        if let Some((flown, outcome)) =
            flight.and_then(|flight| Some((flight.wanted.clone(), flight.outcome.upgrade()?)))
        {
            return (flown, outcome);
        }
        let progress = Arc::new(Progress::default());
        let outcome = fly(self.0.clone(), wanted.clone(), progress.clone()).boxed().shared();
        if let Some(weak) = outcome.downgrade() {
            let flight = Flight { wanted: wanted.clone(), progress, outcome: weak };
            flights.insert(wanted.digest, flight);
        }
        (wanted.clone(), outcome)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Store").field(&self.0.settings.dir).finish()
    }
}

async fn fly(store: Arc<Inner>, wanted: Wanted, progress: Arc<Progress>) -> Fetched {
    let digest = wanted.digest;
    let outcome = fetch::fetch(store.clone(), wanted, progress).await;
    // Whoever comes from now on looks into the store first.
    locked(&store.flights).remove(&digest);
    count(&mut locked(&store.fetches), &outcome);
    outcome
}

fn count(fetches: &mut Fetches, outcome: &Fetched) {
    match outcome {
        Ok(held) => {
            let size = std::fs::metadata(held.path()).map_or(0, |file| file.len());
            fetches.done = fetches.done.saturating_add(1);
            fetches.bytes = fetches.bytes.saturating_add(size);
        }
        Err(_) => fetches.failed = fetches.failed.saturating_add(1),
    }
}
