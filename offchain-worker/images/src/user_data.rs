//! Tenants' user-data: small, by content id, through the gateways.

use crate::{
    inner::Inner, partial::blocking, source::at_gateway, stall::StallWatch, Digest, FetchError,
};
use quarry_primitives::content::raw_cid_digest;
use reqwest::{header, Url};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::SystemTime,
};

/// What a guest takes.
const MAX_BYTES: usize = 1 << 20;
/// What a gateway may send, so that user-data that is too large can be told from a gateway that lies.
const MAX_BLOCK: usize = 4 << 20;
/// What the cache keeps.
const CACHE: u64 = 256 << 20;
/// Rounds through all gateways.
const ROUNDS: usize = 3;

/// The bytes that a content id names.
pub(crate) async fn get(store: &Inner, cid: &str) -> Result<Vec<u8>, FetchError> {
    let digest = raw_cid_digest(cid).ok_or_else(|| {
        FetchError::Cid(cid.chars().filter(|c| !c.is_control()).take(100).collect())
    })?;
    let path = store.user_data_path(&digest);
    let cached = path.clone();
    if let Ok(bytes) = blocking(&path, move || fs::read(cached)).await {
        if is(&bytes, &digest) {
            return Ok(bytes);
        }
    }
    let bytes = fetch(store, cid, &digest).await?;
    if bytes.len() > MAX_BYTES {
        return Err(FetchError::UserDataTooLarge(bytes.len()));
    }
    let (kept, place) = (bytes.clone(), path.clone());
    blocking(&path, move || keep(&kept, &place)).await?;
    let added = bytes.len() as u64;
    let total = store.user_data_bytes.fetch_add(added, Ordering::Relaxed) + added;
    if total > CACHE {
        let (folder, shown) = (store.user_data_dir(), store.user_data_dir());
        let left = blocking(&shown, move || trim(&folder)).await?;
        store.user_data_bytes.store(left, Ordering::Relaxed);
    }
    Ok(bytes)
}

fn is(bytes: &[u8], digest: &Digest) -> bool {
    Sha256::digest(bytes).as_slice() == digest
}

async fn fetch(store: &Inner, cid: &str, digest: &Digest) -> Result<Vec<u8>, FetchError> {
    let mut last_error = FetchError::NotHere {
        url: format!("ipfs://{cid}"),
        reason: "this node has no IPFS gateway",
    };
    for round in 0..ROUNDS {
        for gateway in &store.gateways {
            let Some(mut url) = at_gateway(gateway, &[cid]) else { continue };
            let shown = url.to_string();
            url.set_query(Some("format=raw"));
            match ask(store, url, &shown, digest).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => {
                    tracing::warn!(gateway = shown, round, "{error}");
                    last_error = error;
                }
            }
        }
        if store.gateways.is_empty() || round + 1 == ROUNDS {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300 << round)).await;
    }
    Err(last_error)
}

async fn ask(store: &Inner, url: Url, shown: &str, digest: &Digest) -> Result<Vec<u8>, FetchError> {
    let mut watch = StallWatch::new(shown, store.settings.stall);
    let broken = |error: reqwest::Error| FetchError::Network {
        url: shown.into(),
        reason: error.without_url().to_string(),
    };
    let request = store.client.get(url).header(header::ACCEPT, "application/vnd.ipld.raw");
    let mut response = watch.wait(request.send()).await?.map_err(broken)?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        return Err(FetchError::Status { url: shown.into(), status });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = watch.wait(response.chunk()).await?.map_err(broken)? {
        watch.received(chunk.len())?;
        if bytes.len() + chunk.len() > MAX_BLOCK {
            let reason = "it sends more than a block of IPFS may have".into();
            return Err(FetchError::Network { url: shown.into(), reason });
        }
        bytes.extend_from_slice(&chunk);
    }
    if !is(&bytes, digest) {
        let found = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        return Err(FetchError::WrongDigest { url: shown.into(), found, proven: false });
    }
    Ok(bytes)
}

/// Writes it whole or not at all; readable by the worker only. No fsync: what a crash damages is told by
/// its digest, and fetched again.
fn keep(bytes: &[u8], place: &Path) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(place).map_err(|error| error.error)?;
    Ok(())
}

/// Drops the oldest half of the cache where it has too much; what is left.
pub(crate) fn trim(folder: &Path) -> io::Result<u64> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        files.push((data.modified()?, data.len(), entry.path()));
    }
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    if total <= CACHE {
        return Ok(total);
    }
    files.sort();
    for (_, bytes, path) in files {
        if total <= CACHE / 2 {
            break;
        }
        fs::remove_file(path)?;
        total -= bytes;
    }
    Ok(total)
}
