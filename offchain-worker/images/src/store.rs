use crate::{Digest, FetchError, ImageFormat, OpenError};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

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
    /// IPFS gateways, asked in turn.
    pub gateways: Vec<String>,
    /// Whether images may come by plain http.
    pub allow_http: bool,
    /// How long a fetch may stand still.
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

/// Images on disk. Clones are the same store.
#[derive(Clone)]
pub struct Store(#[allow(dead_code)] Arc<()>);

/// An image that stays in the store at least for as long as this is held.
#[derive(Debug)]
pub struct Held(());

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

impl Store {
    /// Opens the store, and sweeps what an earlier process left unfinished. It blocks.
    pub fn open(_settings: StoreSettings) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// The image, from the store or from its URL. Callers that want one image at the same time fetch it
    /// once; a caller may give up without harm to the others.
    pub async fn get(&self, _wanted: &Wanted) -> Result<Held, FetchError> {
        unimplemented!()
    }

    /// A tenant's user-data, by its content id.
    pub async fn user_data(&self, _cid: &str) -> Result<Vec<u8>, FetchError> {
        unimplemented!()
    }

    /// Says which images VMs have, once for each VM; takes the place of whatever was said before.
    pub fn set_in_use(&self, _digests: impl IntoIterator<Item = Digest>) {
        unimplemented!()
    }

    /// A VM has it, until [`Store::release_image`].
    pub fn use_image(&self, _digest: Digest) {
        unimplemented!()
    }

    /// A VM that had it is gone.
    pub fn release_image(&self, _digest: Digest) {
        unimplemented!()
    }

    /// Whether it is there.
    pub fn contains(&self, _digest: &Digest) -> bool {
        unimplemented!()
    }

    /// Where it is, or would be.
    pub fn path_of(&self, _digest: &Digest) -> PathBuf {
        unimplemented!()
    }

    /// All there are.
    pub fn list(&self) -> Vec<StoredImage> {
        unimplemented!()
    }

    /// What they take, with downloads that are not complete.
    pub fn bytes(&self) -> u64 {
        unimplemented!()
    }

    /// Fetches under way.
    pub fn fetching(&self) -> Vec<Fetching> {
        unimplemented!()
    }
}

impl Held {
    /// Its file.
    pub fn path(&self) -> &Path {
        unimplemented!()
    }

    /// Which it is.
    pub fn digest(&self) -> Digest {
        unimplemented!()
    }

    /// How it is arranged.
    pub fn format(&self) -> ImageFormat {
        unimplemented!()
    }

    /// Its disk's size.
    pub fn virtual_bytes(&self) -> u64 {
        unimplemented!()
    }
}
