use std::{io, path::PathBuf, time::Duration};

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use: another worker runs on this folder")]
    InUse(PathBuf),
    /// A gateway's URL.
    #[error("the IPFS gateway {0:?} is no http or https URL")]
    Gateway(String),
    /// The folder of local images.
    #[error("the folder of local images, {path}: {error}")]
    LocalDir {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// A folder or file of the store.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The HTTP client.
    #[error("no HTTPS here: {0}")]
    Http(String),
}

/// Why something was not fetched.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL.
    #[error("{url:?} is no URL of an image: {reason}")]
    Url {
        /// Which.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The scheme is one that this node does not take.
    #[error("{url:?}: {reason}")]
    NotHere {
        /// Which.
        url: String,
        /// What this node lacks.
        reason: &'static str,
    },
    /// The content id.
    #[error("{0:?} is no content id of raw bytes (bafkrei…)")]
    Cid(String),
    /// The server, or what is between.
    #[error("{url}: {reason}")]
    Network {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server sends on to where nobody goes, or round and round.
    #[error("{url}: {reason}")]
    Redirect {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server's answer.
    #[error("{url}: the server answers {status}")]
    Status {
        /// Where.
        url: String,
        /// HTTP's code.
        status: u16,
    },
    /// Nothing came for a while, or next to nothing.
    #[error("{url}: nothing came for {} seconds, or next to nothing", .after.as_secs())]
    Stalled {
        /// Where.
        url: String,
        /// How long.
        after: Duration,
    },
    /// The whole of it is something else than the chain says.
    #[error("{url} has another content than the chain says: SHA-256 {found}")]
    WrongDigest {
        /// Where.
        url: String,
        /// What it has.
        found: String,
        /// Whether it is the URL's content beyond doubt, and not a gateway's or a local file's.
        proven: bool,
    },
    /// The image itself.
    #[error("the image is refused: {0}")]
    Image(#[from] ImageError),
    /// User-data with the right digest.
    #[error("user-data of {0} bytes; 1 MiB at most")]
    UserDataTooLarge(usize),
    /// This node's limit for files, or what the chain says of a raw image.
    #[error(
        "the image has more than {limit} bytes: all that this node takes, or that the chain says"
    )]
    FileTooLarge {
        /// The limit.
        limit: u64,
    },
    /// This node's limit for disks.
    #[error("the image's disk has {bytes} bytes, and this node takes {limit} (max_virtual)")]
    DiskTooLarge {
        /// What it has.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// What is in use leaves no room.
    #[error("the store has no room for {needed} bytes more beside the images in use: its limit is {limit} bytes")]
    NoRoom {
        /// For how much.
        needed: u64,
        /// The store's limit.
        limit: u64,
    },
    /// The file system is full, or nearly so.
    #[error("the disk under {path} has only {free} bytes left")]
    DiskFull {
        /// The store's folder.
        path: PathBuf,
        /// What is free.
        free: u64,
    },
    /// A file of the store.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `qemu-img` did not do its work.
    #[error("qemu-img: {0}")]
    Tool(String),
}

impl FetchError {
    /// Whether every node would fail on it.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Url { .. } | Self::Cid(_) | Self::Image(_) | Self::UserDataTooLarge(_) => true,
            Self::WrongDigest { proven, .. } => *proven,
            _ => false,
        }
    }
}

/// What is wrong with an image, or with a disk of ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It is in another format.
    #[error("it is no {expected} image but looks like {found}")]
    Format {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// It needs a version of qcow2 that there is not.
    #[error("qcow2 version {0}; 2 and 3 are known")]
    Version(u32),
    /// It leans on another file.
    #[error("it names a backing file")]
    BackingFile,
    /// Its data are in another file.
    #[error("it names an external data file")]
    DataFile,
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// It carries what no image to start from needs.
    #[error("it has {0}: flatten it with qemu-img convert")]
    Unwanted(&'static str),
    /// It asks for what this worker does not know.
    #[error("it asks for unknown features (bits {0:#x})")]
    Features(u64),
    /// It was not closed, or is broken.
    #[error("it is marked {0}: repair it with qemu-img check -r all")]
    Marked(&'static str),
    /// A figure in it is impossible.
    #[error("its {0} is out of range")]
    Range(&'static str),
    /// It ends too early.
    #[error("it is cut off: its {0} lies beyond its end")]
    CutOff(&'static str),
    /// Its disk is larger than the chain says.
    #[error("its disk has {bytes} bytes, more than the {gib} GiB that the chain says")]
    LargerThanClaimed {
        /// What it has.
        bytes: u64,
        /// What the chain says.
        gib: u32,
    },
    /// `qemu-img` found it damaged.
    #[error("qemu-img finds it damaged: {0}")]
    Damaged(String),
}

/// Why a VM's disk was not made, read or grown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// There is no disk.
    #[error("there is no disk {0}")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a disk {0} already")]
    Exists(PathBuf),
    /// The base's path.
    #[error("the base's path {0:?} must be absolute, and 1,023 bytes at most")]
    BasePath(PathBuf),
    /// The base, or the disk.
    #[error("{path}: {error}")]
    Image {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: ImageError,
    },
    /// The size asked for.
    #[error("a disk of {asked} bytes, where {least} is the least")]
    TooSmall {
        /// What was asked for.
        asked: u64,
        /// What it must have.
        least: u64,
    },
    /// The size asked for.
    #[error("a disk of {0} bytes is more than the worker makes")]
    TooLarge(u64),
    /// The file system.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// `qemu-img` did not do its work: the disk may be in use.
    #[error("qemu-img: {0}")]
    Tool(String),
}
