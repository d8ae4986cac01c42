//! Damaged images, and damaged disks of VMs. `QUARRY_FUZZ_SECONDS` says how long to go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use crate::{
    inspect::{inspect, within_claim},
    overlay_info,
    qcow2::ReadError,
    ImageFormat,
};
use quarry_fuzz::{damaged, each_file, Fate};
use rustix::fs::{memfd_create, MemfdFlags};
use std::{
    fs::File,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::Path,
};

fn corpus() -> &'static Path {
    Path::new("tests/corpus/qcow2")
}

/// Looks at a file as the worker does, and holds what is taken against the bytes themselves.
fn judge(file: &File, input: &[u8]) -> Fate {
    file.set_len(0).unwrap();
    file.write_all_at(input, 0).unwrap();
    // Whatever it is, it may be asked for as either.
    if let Err(ReadError::Io(error)) = inspect(file, ImageFormat::Raw) {
        panic!("a file that is whole cannot be read: {error}");
    }
    if let Ok(info) = overlay_info(Path::new(&format!("/dev/fd/{}", file.as_raw_fd()))) {
        assert!(info.virtual_bytes > 0);
    }
    match inspect(file, ImageFormat::Qcow2) {
        Ok(bytes) => {
            has_what_an_image_may_have(input, bytes);
            Fate::Taken(format!("version {}", input[7]))
        }
        // Features that nobody knows are told as a number.
        Err(ReadError::Image(error)) => {
            Fate::Refused(error.to_string().split("0x").next().unwrap_or_default().into())
        }
        Err(ReadError::Io(error)) => panic!("a file that is whole cannot be read: {error}"),
    }
}

fn has_what_an_image_may_have(input: &[u8], bytes: u64) {
    let long = |at: usize| u64::from_be_bytes(input[at..at + 8].try_into().unwrap());
    assert_eq!(&input[..4], b"QFI\xfb");
    assert_eq!(long(24), bytes);
    assert_eq!(&input[8..20], &[0; 12], "a backing file");
    assert_eq!(&input[32..36], &[0; 4], "encryption");
    assert_eq!(&input[60..64], &[0; 4], "snapshots");
    assert!(long(40) + 8 <= input.len() as u64, "an L1 table outside of the file");
    assert!(long(48) < input.len() as u64, "a reference count table outside of the file");
    // Compression and extended L2 entries are all that is understood beside the least.
    assert!(input[7] == 2 || long(72) & !0x18 == 0, "{:#x}", long(72));
    assert!(within_claim(bytes, u32::MAX).is_ok() || bytes > 1 << 62);
}

/// In memory: a disk would take most of the time.
fn file() -> File {
    memfd_create("damaged", MemfdFlags::CLOEXEC).unwrap().into()
}

#[test]
fn each_image_of_the_corpus_is_judged_as_its_name_says() {
    let file = file();
    each_file(corpus(), |input| judge(&file, input));
}

#[test]
fn damaged_images_neither_panic_nor_get_by_with_what_no_image_may_have() {
    let file = file();
    damaged(corpus(), |input| judge(&file, input));
}
