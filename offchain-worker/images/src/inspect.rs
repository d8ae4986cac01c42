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
