//! User data for cloud-init, which the chain names by its content id.

use crate::{context::Context, failure::Failure};
use data_encoding::BASE32_NOPAD;
use quarry_primitives::{request::Cid, text::Text};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{fs, path::Path, time::Duration};

/// More than that no node takes.
const MOST_BYTES: u64 = 1024 * 1024;
/// CID version 1, raw bytes, SHA-256 of 32 bytes.
const RAW_CID: [u8; 4] = [0x01, 0x55, 0x12, 0x20];
const PATIENCE: Duration = Duration::from_secs(60);

/// Adds a file to the IPFS API of the settings, and gives its content id.
pub async fn add(context: &Context, file: &Path) -> Result<Cid, Failure> {
    let bytes = read(file)?;
    let api = context.settings.ipfs_api.as_deref().ok_or_else(|| {
        Failure::Usage(format!(
            "the nodes fetch user data from IPFS: set ipfs_api = \"http://127.0.0.1:5001\" in {}, or \
             add the file yourself and name it with --cloud-init-cid {}",
            context.places.config.display(),
            cid(&bytes)
        ))
    })?;
    let expected = cid(&bytes);
    let put = put(api, bytes);
    let put = context.out.waiting(&format!("the IPFS API at {api}"), put).await?;
    if put != expected {
        return Err(Failure::Other(format!(
            "the IPFS API at {api} calls the file {put}, and it is {expected}: it is not an API of IPFS"
        )));
    }
    as_text(&expected)
}

/// A content id as the chain takes it.
pub fn as_text(cid: &str) -> Result<Cid, Failure> {
    match quarry_primitives::content::raw_cid_digest(cid) {
        Some(_) => Text::try_from(cid).map_err(|_| Failure::refused("Compute.InvalidCloudInitCid")),
        None => Err(Failure::refused("Compute.InvalidCloudInitCid")),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("{}: {why}", file.display()));
    let length = fs::metadata(file).map_err(|error| wrong(&error.to_string()))?.len();
    if length > MOST_BYTES {
        return Err(wrong("user data has 1 MiB at most"));
    }
    let bytes = fs::read(file).map_err(|error| wrong(&error.to_string()))?;
    match bytes.is_empty() {
        true => Err(wrong("it is empty")),
        false => Ok(bytes),
    }
}

/// Of bytes as they are, in lower-case base32.
fn cid(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    format!(
        "b{}",
        BASE32_NOPAD.encode(&[RAW_CID.as_slice(), &digest].concat()).to_ascii_lowercase()
    )
}

#[derive(Deserialize)]
struct Put {
    #[serde(rename = "Key")]
    key: String,
}

async fn put(api: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    let url = format!("{}/api/v0/block/put", api.trim_end_matches('/'));
    let unreachable = |error: reqwest::Error| {
        Failure::Unreachable(format!("the IPFS API at {api} does not answer: {error}"))
    };
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(unreachable)?;
    let part = reqwest::multipart::Part::bytes(bytes).file_name("user-data");
    let query = [("cid-codec", "raw"), ("mhtype", "sha2-256"), ("pin", "true")];
    let form = reqwest::multipart::Form::new().part("file", part);
    let answer = client.post(url).query(&query).multipart(form).send().await;
    let answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    let put: Option<Put> = serde_json::from_str(&text).ok();
    match put {
        Some(Put { key }) if status.is_success() => Ok(key),
        _ => Err(Failure::Other(format!(
            "the IPFS API at {api} says {status}: {}",
            text.chars().take(200).collect::<String>()
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_content_id_is_the_one_that_the_chain_takes() {
        let id = cid(b"#cloud-config\n");
        let digest: [u8; 32] = Sha256::digest(b"#cloud-config\n").into();
        assert_eq!(quarry_primitives::content::raw_cid_digest(&id), Some(digest));
        assert!(id.starts_with("bafkrei"), "{id}");
        assert_eq!(as_text(&id).unwrap().to_string(), id);
    }

    #[test]
    fn another_kind_of_content_id_is_refused() {
        for cid in ["", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "bafybeigdyrzt"] {
            assert_eq!(as_text(cid).unwrap_err().exit_code(), 4, "{cid}");
        }
    }

    #[test]
    fn user_data_that_is_empty_too_large_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let large = file("large", &vec![0; MOST_BYTES as usize + 1]);
        for path in [file("empty", b""), large, folder.path().join("none")] {
            let failure = read(&path).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.to_string().contains(path.to_str().unwrap()));
        }
        assert_eq!(read(&file("good", b"x")).unwrap(), b"x");
    }
}
