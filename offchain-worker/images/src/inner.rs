//! What all clones of a store share, and how it is opened.

use crate::{
    guards::{Held, Progress},
    partial::{self, blocking},
    shelf::Shelf,
    user_data, Digest, FetchError, Fetches, OpenError, StoreSettings, Wanted,
};
use data_encoding::HEXLOWER;
use futures::future::{BoxFuture, WeakShared};
use reqwest::{redirect, Client, Url};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{atomic::AtomicU64, Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

const REDIRECTS: usize = 8;
const CONNECT: Duration = Duration::from_secs(30);
/// A download that nobody went on with for so long is not gone on with.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) type Fetched = Result<Held, FetchError>;

/// A fetch that somebody waits for.
pub(crate) struct Flight {
    pub(crate) wanted: Wanted,
    pub(crate) progress: Arc<Progress>,
    pub(crate) outcome: WeakShared<BoxFuture<'static, Fetched>>,
}

pub(crate) struct Inner {
    pub(crate) settings: StoreSettings,
    pub(crate) gateways: Vec<Url>,
    pub(crate) client: Client,
    pub(crate) shelf: Mutex<Shelf>,
    pub(crate) flights: Mutex<HashMap<Digest, Flight>>,
    pub(crate) fetches: Mutex<Fetches>,
    pub(crate) user_data_bytes: AtomicU64,
    local: Option<Arc<File>>,
    _lock: File,
}

/// What a panic left behind is whole: no lock here is held across one.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn open(settings: StoreSettings) -> Result<Self, OpenError> {
        let gateways = settings.gateways.iter().map(|text| gateway(text));
        let gateways = gateways.collect::<Result<_, _>>()?;
        let client = client(&settings).map_err(|error| OpenError::Http(causes(&error)))?;
        let local = settings.local_dir.as_ref().map(|path| {
            let folder = File::open(path).and_then(|folder| match folder.metadata()?.is_dir() {
                true => Ok(Arc::new(folder)),
                false => Err(io::ErrorKind::NotADirectory.into()),
            });
            folder.map_err(|error| OpenError::LocalDir { path: path.clone(), error })
        });
        let local = local.transpose()?;

        let dir = settings.dir.clone();
        make_folder(&dir, 0o755)?;
        let lock = lock(&dir)?;
        // QEMU, which is another user, reads images; nobody else has to do with the rest.
        for (name, mode) in [("images", 0o755), ("partial", 0o700), ("user-data", 0o700)] {
            make_folder(&dir.join(name), mode)?;
        }
        let shelf = Mutex::new(Shelf::new(settings.store_bytes));
        let inner = Self {
            settings,
            gateways,
            client,
            shelf,
            flights: Mutex::default(),
            fetches: Mutex::default(),
            user_data_bytes: AtomicU64::new(0),
            local,
            _lock: lock,
        };
        inner.take_stock()?;
        Ok(inner)
    }

    /// Books what is there, and sweeps what should not be.
    fn take_stock(&self) -> Result<(), OpenError> {
        let mut images = Vec::new();
        for path in files(&self.settings.dir.join("images"))? {
            match (digest_of(path.file_name()), regular(&path)) {
                (Some(digest), Some(data)) if data.len() > 0 => {
                    let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    images.push((used, digest, data.len()));
                }
                _ => sweep(&path)?,
            }
        }
        images.sort();
        let mut shelf = locked(&self.shelf);
        images.into_iter().for_each(|(_, digest, bytes)| shelf.add(digest, bytes));
        for path in files(&self.settings.dir.join("partial"))? {
            match (digest_of(path.file_stem()), regular(&path)) {
                (Some(digest), Some(data)) if self.goes_on(&path, &digest, &data, &shelf) => {
                    if path.extension().is_none() {
                        fs::set_permissions(&path, Permissions::from_mode(0o600))
                            .map_err(at(&path))?;
                        shelf.broke_off(digest, data.len());
                    }
                }
                _ => sweep(&path)?,
            }
        }
        let cache = self.user_data_dir();
        let bytes = user_data::trim(&cache).map_err(at(&cache))?;
        self.user_data_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Whether a download, or the note beside it, is worth keeping.
    fn goes_on(&self, path: &Path, digest: &Digest, data: &fs::Metadata, shelf: &Shelf) -> bool {
        let other = match path.extension() {
            None => path.with_extension("json"),
            Some(extension) if extension == "json" => path.with_extension(""),
            Some(_) => return false,
        };
        let age = data.modified().ok().and_then(|modified| modified.elapsed().ok());
        other.exists() && !shelf.contains(digest) && age.unwrap_or_default() < STALE
    }

    pub(crate) fn image_path(&self, digest: &Digest) -> PathBuf {
        self.settings.dir.join("images").join(HEXLOWER.encode(digest))
    }

    pub(crate) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.settings.dir.join("partial").join(HEXLOWER.encode(digest))
    }

    pub(crate) fn user_data_dir(&self) -> PathBuf {
        self.settings.dir.join("user-data")
    }

    pub(crate) fn user_data_path(&self, digest: &Digest) -> PathBuf {
        self.user_data_dir().join(HEXLOWER.encode(digest))
    }

    /// Opens a file of the local folder; no link leads out of it.
    pub(crate) async fn open_local(&self, path: &Path) -> Result<File, FetchError> {
        let shown = Path::new("file:").join(path);
        let Some(folder) = self.local.clone() else {
            return Err(FetchError::File { path: shown, reason: "no folder".into() });
        };
        let path = path.to_path_buf();
        blocking(&shown, move || {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let file = rustix::fs::openat2(&*folder, &path, flags, Mode::empty(), resolve)?;
            let file = File::from(file);
            match file.metadata()?.is_file() {
                true => Ok(file),
                false => Err(io::Error::other("it is no regular file")),
            }
        })
        .await
    }

    /// Whether a disk is as small as the chain says, and as this node says.
    pub(crate) fn check_disk(&self, bytes: u64, wanted: &Wanted) -> Result<(), FetchError> {
        crate::inspect::within_claim(bytes, wanted.virtual_size_gib)?;
        let limit = self.settings.max_virtual_bytes;
        if bytes > limit {
            return Err(FetchError::DiskTooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Notes when an image was last used, for the next process.
    pub(crate) fn touch(&self, digest: &Digest) {
        let file = File::open(self.image_path(digest));
        if let Err(error) = file.and_then(|file| file.set_modified(SystemTime::now())) {
            tracing::debug!(%error, "the time of an image's last use is not noted");
        }
    }

    /// Forgets an image whose file is gone or damaged.
    pub(crate) fn drop_damaged(&self, digest: &Digest) {
        let path = self.image_path(digest);
        tracing::warn!(path = %path.display(), "an image of the store is gone or damaged");
        let mut shelf = locked(&self.shelf);
        shelf.remove(digest);
        fs::remove_file(path).ok();
    }
}

/// Whether a download or an image is what its error says: an image error may be the disk's fault.
pub(crate) async fn is_damaged(path: &Path, digest: Digest) -> bool {
    let file = path.to_path_buf();
    let found = blocking(path, move || partial::digest_of_file(&file)).await;
    match found {
        Ok(found) => found != digest,
        // What cannot be read may be sound, and VMs may lie on it; what is gone is gone.
        Err(_) => path.try_exists().is_ok_and(|there| !there),
    }
}

fn gateway(text: &str) -> Result<Url, OpenError> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.has_host()
    });
    url.ok_or_else(|| OpenError::Gateway(text.into()))
}

fn client(settings: &StoreSettings) -> reqwest::Result<Client> {
    let allow_http = settings.allow_http;
    let redirects = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        // A gateway may be plain http, and may stay so; nothing goes from https to http.
        let was_http = attempt.previous().last().is_some_and(|url| url.scheme() == "http");
        match attempt.url().scheme() {
            "https" => attempt.follow(),
            "http" if allow_http || was_http => attempt.follow(),
            _ => attempt.error("a redirect to something else than https"),
        }
    });
    Client::builder()
        .user_agent(concat!("quarry-worker/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .connect_timeout(CONNECT.min(settings.stall))
        .http2_adaptive_window(true)
        .build()
}

fn causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", causes(cause)),
        None => error.to_string(),
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), OpenError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(at(path))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at(path))
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.into())),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(at(folder))).collect()
}

fn digest_of(name: Option<&OsStr>) -> Option<Digest> {
    HEXLOWER.decode(name?.to_str()?.as_bytes()).ok()?.try_into().ok()
}

fn regular(path: &Path) -> Option<fs::Metadata> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)
}

fn sweep(path: &Path) -> Result<(), OpenError> {
    tracing::warn!(path = %path.display(), "removed from the image store: it is nothing of use there");
    let folder = fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
    let removed = if folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> OpenError + '_ {
    move |error| OpenError::File { path: path.into(), error }
}
