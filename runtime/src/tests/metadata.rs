use crate::Runtime;
use std::{env, fs, path::Path};

/// The newest that the crates which read it know.
const VERSION: u32 = 16;

/// `scripts/metadata` runs this with `QUARRY_WRITE_METADATA` set.
#[test]
fn the_committed_metadata_is_the_runtimes() {
    let path = Path::new("../client/metadata.scale");
    let runtimes = Runtime::metadata_at_version(VERSION).unwrap();
    let runtimes: &[u8] = &runtimes;
    if env::var_os("QUARRY_WRITE_METADATA").is_some() {
        fs::write(path, runtimes).unwrap();
    }
    assert!(
        fs::read(path).unwrap() == runtimes,
        "client/metadata.scale is not that of this runtime any more: run scripts/metadata and commit it"
    );
}
