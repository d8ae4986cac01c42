use crate::FetchError;
use std::path::Path;

/// What is never taken of a file system: libvirt, logs and the worker's own state need it.
const KEPT_FREE: u64 = 64 << 20;

/// What is free where the path lies; 0 if nobody knows.
pub(crate) fn free(path: &Path) -> u64 {
    let known = rustix::fs::statvfs(path).or_else(|error| match path.parent() {
        Some(folder) => rustix::fs::statvfs(folder),
        None => Err(error),
    });
    known.map_or(0, |known| known.f_bavail.saturating_mul(known.f_frsize))
}

/// Whether so many bytes more fit there.
pub(crate) fn check(path: &Path, bytes: u64) -> Result<(), FetchError> {
    let free = free(path);
    if free < bytes.saturating_add(KEPT_FREE) {
        return Err(FetchError::DiskFull { path: path.into(), free });
    }
    Ok(())
}
