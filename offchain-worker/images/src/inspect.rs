//! Whether an image is what it is said to be, and fit to start a VM from.

use crate::{
    qcow2::{self, ReadError},
    ImageError, ImageFormat,
};
use std::{fs::File, os::unix::fs::FileExt};

/// What other formats begin with.
const MAGICS: [(&[u8], &str); 18] = [
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "VMDK"),
    (b"COWD", "VMDK"),
    (b"# Disk DescriptorFile", "VMDK"),
    (b"conectix", "VHD"),
    (b"vhdxfile", "VHDX"),
    (b"<<< ", "VDI"),
    (b"QED\0", "QED"),
    (b"LUKS\xba\xbe", "LUKS"),
    (b"WithoutFreeSpace", "Parallels"),
    (b"WithouFreSpacExt", "Parallels"),
    (b"Bochs Virtual HD Image", "Bochs"),
    (b"#!/bin/sh\n#V2.0 Format", "cloop"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
];

/// The size of the disk in an image that is fit to start from.
pub(crate) fn inspect(file: &File, format: ImageFormat) -> Result<u64, ReadError> {
    let length = file.metadata()?.len();
    let mut head = vec![0; length.min(512) as usize];
    file.read_exact_at(&mut head, 0)?;
    let found = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name);
    match format {
        ImageFormat::Qcow2 => {
            if !head.starts_with(&qcow2::MAGIC) {
                let found = found.unwrap_or("a raw disk");
                return Err(ImageError::Format { expected: "qcow2", found }.into());
            }
            let header = qcow2::read(file)?;
            header.refuse_what_no_image_needs()?;
            Ok(header.virtual_bytes)
        }
        ImageFormat::Raw => {
            if let Some(found) = found {
                return Err(ImageError::Format { expected: "raw", found }.into());
            }
            if length == 0 || !length.is_multiple_of(512) {
                return Err(ImageError::Range("length").into());
            }
            Ok(length)
        }
    }
}

/// Whether a disk is as small as the chain says.
pub(crate) fn within_claim(bytes: u64, gib: u32) -> Result<(), ImageError> {
    if bytes > u64::from(gib) << 30 {
        return Err(ImageError::LargerThanClaimed { bytes, gib });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use crate::overlay::create_overlay;
    use proptest::prelude::*;
    use std::{io::Write, path::Path, sync::OnceLock};

    const CLUSTER: usize = 64 << 10;

    /// An image without a backing file: an overlay's bytes with that taken out.
    fn sound() -> Vec<u8> {
        static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
        SOUND.get_or_init(make_sound).clone()
    }

    fn make_sound() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (base, path) = (folder.path().join("base"), folder.path().join("disk"));
        std::fs::write(&base, [1; 512]).unwrap();
        create_overlay(&path, &base, ImageFormat::Raw, 10 << 30).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8..20].fill(0);
        bytes[112..CLUSTER].fill(0);
        bytes
    }

    fn inspect_bytes(bytes: &[u8], format: ImageFormat) -> Result<u64, ReadError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        inspect(&file, format)
    }

    #[test]
    fn a_sound_image_passes() {
        assert_eq!(inspect_bytes(&sound(), ImageFormat::Qcow2).unwrap(), 10 << 30);
    }

    #[test]
    fn a_disk_is_within_the_claim_up_to_its_last_byte() {
        assert_eq!(within_claim(1 << 30, 1), Ok(()));
        assert!(within_claim((1 << 30) + 1, 1).is_err());
        assert!(within_claim(u64::MAX, u32::MAX).is_err());
    }

    #[test]
    fn no_name_of_a_file_that_is_not_there_panics() {
        let missing = create_overlay(Path::new("/x/y"), Path::new("/x/z"), ImageFormat::Raw, 1);
        assert!(missing.is_err());
    }

    /// A change of a few bytes where they matter: header, tables, or anywhere.
    fn change() -> impl Strategy<Value = (usize, Vec<u8>)> {
        let at = prop_oneof![
            8 => 4..136usize,
            1 => CLUSTER..CLUSTER + 64,
            2 => 3 * CLUSTER..3 * CLUSTER + 200,
            1 => 0..4 * CLUSTER - 16,
        ];
        let byte = prop_oneof![Just(0u8), Just(0xff), Just(0x80), any::<u8>()];
        (at, prop::collection::vec(byte, 1..16))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_change_to_an_image_makes_the_inspector_panic(
            changes in prop::collection::vec(change(), 1..6),
            length in prop_oneof![4 => Just(4 * CLUSTER), 1 => 0..4 * CLUSTER],
        ) {
            let mut bytes = sound();
            for (at, change) in changes {
                bytes[at..at + change.len()].copy_from_slice(&change);
            }
            bytes.truncate(length);
            match inspect_bytes(&bytes, ImageFormat::Qcow2) {
                Ok(_) => {
                    prop_assert_eq!(&bytes[8..20], &[0; 12]);
                    prop_assert_eq!(&bytes[32..36], &[0; 4]);
                    let known = u64::from_be_bytes(bytes[72..80].try_into().unwrap());
                    prop_assert!(bytes[7] == 2 || known & !0x18 == 0);
                }
                Err(ReadError::Image(_)) => {}
                Err(ReadError::Io(error)) => prop_assert!(false, "{}", error),
            }
        }

        #[test]
        fn no_bytes_make_the_inspector_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..2048),
            qcow2 in any::<bool>(),
        ) {
            if qcow2 && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
            }
            for format in [ImageFormat::Qcow2, ImageFormat::Raw] {
                if let Err(ReadError::Io(error)) = inspect_bytes(&bytes, format) {
                    prop_assert!(false, "{}", error);
                }
            }
        }
    }
}
