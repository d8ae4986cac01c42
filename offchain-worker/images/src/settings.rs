use crate::{Digest, ImageFormat};
use std::{path::PathBuf, time::Duration};

/// Where images come from, and how many are kept.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The store's folder; made if need be.
    pub dir: PathBuf,
    /// What it may take on disk.
    pub store_bytes: u64,
    /// The largest file.
    pub max_file_bytes: u64,
    /// The largest disk that an image may ask for.
    pub max_virtual_bytes: u64,
    /// Folder of images that `file:` URLs name; none are taken if none.
    pub local_dir: Option<PathBuf>,
    /// IPFS gateways, asked in turn. The operator's choice: plain http is taken here.
    pub gateways: Vec<String>,
    /// Whether images may come by plain http.
    pub allow_http: bool,
    /// How long a fetch may stand still. Less than 16 KiB a second over twice as long is standing still, too.
    pub stall: Duration,
}

/// An image as the chain has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Where it is.
    pub url: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// How it is arranged.
    pub format: ImageFormat,
    /// The largest disk it may have.
    pub virtual_size_gib: u32,
}

/// An image of the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredImage {
    /// Which.
    pub digest: Digest,
    /// Its file's size.
    pub bytes: u64,
    /// Whether a VM has it, or somebody holds it.
    pub in_use: bool,
}

/// The fetches that ended since the store was opened, each counted once however many waited for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fetches {
    /// How many brought their image.
    pub done: u64,
    /// How many failed.
    pub failed: u64,
    /// What the images that came take.
    pub bytes: u64,
}

/// A fetch under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetching {
    /// Of which image.
    pub digest: Digest,
    /// From where.
    pub url: String,
    /// What is there.
    pub received: u64,
    /// What there will be, as far as the server says.
    pub total: Option<u64>,
}
