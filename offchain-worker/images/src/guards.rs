//! What is given back when it is dropped.

use crate::{
    inner::{locked, Inner},
    shelf::Victim,
    source::Place,
    Digest, FetchError, Fetching, ImageFormat,
};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
};

/// An image that stays in the store at least for as long as this, or a clone of it, is held.
#[derive(Clone)]
pub struct Held(Arc<Hold>);

struct Hold {
    store: Arc<Inner>,
    digest: Digest,
    path: PathBuf,
    format: ImageFormat,
    virtual_bytes: u64,
}

impl Held {
    /// Holds an image that is there and was inspected, now or before in this process.
    pub(crate) fn take(
        store: &Arc<Inner>,
        digest: &Digest,
        inspected: Option<(ImageFormat, u64)>,
    ) -> Option<Self> {
        let mut shelf = locked(&store.shelf);
        if let Some(inspected) = inspected {
            shelf.set_inspected(digest, inspected);
        }
        let (format, virtual_bytes) = shelf.inspected(digest)?;
        shelf.hold(digest).then(|| {
            let (store, path) = (store.clone(), store.image_path(digest));
            Self(Arc::new(Hold { store, digest: *digest, path, format, virtual_bytes }))
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Which it is.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// How it is arranged.
    pub fn format(&self) -> ImageFormat {
        self.0.format
    }

    /// Its disk's size.
    pub fn virtual_bytes(&self) -> u64 {
        self.0.virtual_bytes
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Held").field(&self.0.path).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        locked(&self.store.shelf).let_go(&self.digest);
    }
}

/// Room set aside for a download.
pub(crate) struct Reservation {
    store: Arc<Inner>,
    digest: Digest,
    fulfilled: bool,
}

impl Reservation {
    pub(crate) fn new(store: Arc<Inner>, digest: Digest) -> Self {
        locked(&store.shelf).go_on(digest);
        Self { store, digest, fulfilled: false }
    }

    /// Sets aside so much in all, and drops for it what nobody uses.
    pub(crate) fn set_aside(&self, bytes: u64) -> Result<(), FetchError> {
        let mut shelf = locked(&self.store.shelf);
        // Under the lock, so that nobody puts a file there that is about to be removed.
        for victim in shelf.set_aside(self.digest, bytes)? {
            match victim {
                Victim::Image(digest) => {
                    let path = self.store.image_path(&digest);
                    tracing::info!(path = %path.display(), "an image makes room for another");
                    fs::remove_file(path).ok();
                }
                Victim::BrokenOff(digest) => {
                    crate::partial::remove(&self.store.partial_path(&digest));
                }
            }
        }
        Ok(())
    }

    /// The download is an image now.
    pub(crate) fn fulfil(mut self, bytes: u64) {
        locked(&self.store.shelf).add(self.digest, bytes);
        self.fulfilled = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.fulfilled {
            let left = fs::metadata(self.store.partial_path(&self.digest));
            let left = left.map_or(0, |data| data.len());
            locked(&self.store.shelf).broke_off(self.digest, left);
        }
    }
}

/// How far a fetch is, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    url: Mutex<String>,
    received: AtomicU64,
    /// 0 as long as nobody knows.
    total: AtomicU64,
}

impl Progress {
    pub(crate) fn set_place(&self, place: &Place) {
        *locked(&self.url) = place.shown();
    }

    pub(crate) fn set_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_total(&self, bytes: Option<u64>) {
        self.total.store(bytes.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn fetching(&self, digest: Digest) -> Fetching {
        let total = self.total.load(Ordering::Relaxed);
        Fetching {
            digest,
            url: locked(&self.url).clone(),
            received: self.received.load(Ordering::Relaxed),
            total: (total > 0).then_some(total),
        }
    }
}
