//! The header of a qcow2 file, and whether the file has what it points at.

use crate::ImageError;
use std::{fs::File, io, os::unix::fs::FileExt};

pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";
pub(crate) const BACKING_FORMAT: u32 = 0xe279_2aca;
const DATA_FILE: u32 = 0x4441_5441;
const ENCRYPTION: u32 = 0x0537_be77;
const BITMAPS: u32 = 0x2385_2875;

const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION | EXTENDED_L2;

/// Where an entry of the L1 table points.
const L1_OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The bits of such an entry that must be 0.
const L1_RESERVED: u64 = 0x7f00_0000_0000_01ff;
/// What QEMU takes of either table.
const MAX_L1_BYTES: u64 = 32 << 20;
const MAX_REFCOUNT_BYTES: u64 = 8 << 20;
const MAX_VIRTUAL_BYTES: u64 = (i64::MAX as u64) & !511;
const MAX_NAME: usize = 1023;
/// Header and extensions of any sane image are in it.
const HEAD: u64 = 64 << 10;

/// Why a file was not understood.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Image(ImageError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ImageError> for ReadError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

/// What a sound header says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) virtual_bytes: u64,
    /// The name of the file beneath, as bytes.
    pub(crate) backing: Option<Vec<u8>>,
    pub(crate) backing_format: Option<Vec<u8>>,
    cluster_bits: u32,
    encrypted: bool,
    snapshots: u32,
    features: u64,
    extensions: Vec<u32>,
    l1: Table,
    refcounts: Table,
}

/// A table of 64-bit entries.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Table {
    offset: u64,
    bytes: u64,
}

/// The header of a file, and its tables checked against its length.
pub(crate) fn read(file: &File) -> Result<Header, ReadError> {
    let length = file.metadata()?.len();
    let mut head = vec![0; length.min(HEAD) as usize];
    file.read_exact_at(&mut head, 0)?;
    let header = parse(&head, length)?;
    header.check_tables(file, length)?;
    Ok(header)
}

/// The header in a file's first bytes. Nothing of the file beyond them is looked at.
pub(crate) fn parse(head: &[u8], length: u64) -> Result<Header, ImageError> {
    let short = ImageError::CutOff("header");
    let word = |at| be32(head, at).ok_or(short.clone());
    let long = |at| be64(head, at).ok_or(short.clone());
    let version = word(4)?;
    if !matches!(version, 2 | 3) {
        return Err(ImageError::Version(version));
    }
    let cluster_bits = word(20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(ImageError::Range("cluster size"));
    }
    let virtual_bytes = long(24)?;
    if virtual_bytes == 0 || virtual_bytes > MAX_VIRTUAL_BYTES {
        return Err(ImageError::Range("disk size"));
    }
    let (features, header_length) = if version == 3 {
        if word(96)? > 6 {
            return Err(ImageError::Range("reference count width"));
        }
        (long(72)?, word(100)?)
    } else {
        (0, 72)
    };
    if features & !KNOWN != 0 {
        return Err(ImageError::Features(features & !KNOWN));
    }
    check_header_length(head, version, header_length, features)?;

    let cluster = 1u64 << cluster_bits;
    let l1 = Table { offset: long(40)?, bytes: u64::from(word(36)?) * 8 };
    let refcounts = Table { offset: long(48)?, bytes: u64::from(word(56)?) << cluster_bits };
    let entry = if features & EXTENDED_L2 == 0 { 8 } else { 16 };
    let reach = cluster * (cluster / entry);
    let least = virtual_bytes.div_ceil(reach).saturating_mul(8);
    l1.check("L1 table", least, MAX_L1_BYTES, cluster, length)?;
    refcounts.check("reference count table", cluster, MAX_REFCOUNT_BYTES, cluster, length)?;

    let backing = backing_name(head, long(8)?, word(16)?, cluster)?;
    let end = if backing.is_some() { long(8)? } else { cluster };
    let extensions = extensions(head, header_length as usize, end)?;
    let backing_format = extensions.iter().find(|(kind, _)| *kind == BACKING_FORMAT);
    Ok(Header {
        virtual_bytes,
        backing_format: backing_format.map(|(_, name)| name.to_vec()),
        backing,
        cluster_bits,
        encrypted: word(32)? != 0,
        snapshots: word(60)?,
        features,
        extensions: extensions.iter().map(|(kind, _)| *kind).collect(),
        l1,
        refcounts,
    })
}

fn check_header_length(
    head: &[u8],
    version: u32,
    header_length: u32,
    features: u64,
) -> Result<(), ImageError> {
    let least = if version == 3 { 104 } else { 72 };
    if header_length < least
        || !header_length.is_multiple_of(8)
        || header_length as usize > head.len()
    {
        return Err(ImageError::Range("header length"));
    }
    // zstd is 1; zlib is 0, and then the feature must not be set.
    let compression = head.get(104).copied().filter(|_| header_length > 104).unwrap_or(0);
    if u64::from(compression) != u64::from(features & COMPRESSION != 0) {
        return Err(ImageError::Range("compression type"));
    }
    Ok(())
}

fn backing_name(
    head: &[u8],
    offset: u64,
    bytes: u32,
    cluster: u64,
) -> Result<Option<Vec<u8>>, ImageError> {
    if offset == 0 && bytes == 0 {
        return Ok(None);
    }
    let wrong = ImageError::Range("backing file's name");
    if bytes == 0 || bytes as usize > MAX_NAME || offset > cluster {
        return Err(wrong);
    }
    let start = offset as usize;
    let name = head.get(start..start + bytes as usize).ok_or(wrong)?;
    Ok(Some(name.to_vec()))
}

/// The header's extensions: kind and content each.
fn extensions(head: &[u8], start: usize, end: u64) -> Result<Vec<(u32, &[u8])>, ImageError> {
    let end = end.min(head.len() as u64) as usize;
    let head = head.get(..end).unwrap_or(head);
    let mut found = Vec::new();
    let mut at = start;
    while let (Some(kind), Some(bytes)) = (be32(head, at), be32(head, at + 4)) {
        if kind == 0 {
            break;
        }
        let bytes = bytes as usize;
        let content = at + 8;
        let content = head.get(content..content.saturating_add(bytes));
        found.push((kind, content.ok_or(ImageError::Range("header extension"))?));
        at += 8 + bytes.next_multiple_of(8);
    }
    Ok(found)
}

impl Table {
    fn check(
        &self,
        name: &'static str,
        least: u64,
        most: u64,
        cluster: u64,
        length: u64,
    ) -> Result<(), ImageError> {
        if self.bytes < least
            || self.bytes > most
            || !self.offset.is_multiple_of(cluster)
            || self.offset == 0
        {
            return Err(ImageError::Range(name));
        }
        match self.offset.checked_add(self.bytes) {
            Some(end) if end <= length => Ok(()),
            Some(_) => Err(ImageError::CutOff(name)),
            None => Err(ImageError::Range(name)),
        }
    }

    fn entries(
        &self,
        file: &File,
        mut each: impl FnMut(u64) -> Result<(), ImageError>,
    ) -> Result<(), ReadError> {
        let mut buffer = vec![0; self.bytes.min(64 << 10) as usize];
        let mut done = 0;
        while done < self.bytes {
            let part = (self.bytes - done).min(buffer.len() as u64) as usize;
            let part = buffer.get_mut(..part).unwrap_or_default();
            file.read_exact_at(part, self.offset + done)?;
            for entry in part.chunks_exact(8) {
                each(be64(entry, 0).unwrap_or_default())?;
            }
            done += part.len() as u64;
        }
        Ok(())
    }
}

impl Header {
    /// What an image to start from must not have.
    pub(crate) fn refuse_what_no_image_needs(&self) -> Result<(), ImageError> {
        let has = |kind| self.extensions.contains(&kind);
        if self.backing.is_some() || has(BACKING_FORMAT) {
            return Err(ImageError::BackingFile);
        }
        self.refuse_what_no_disk_needs()?;
        if self.snapshots != 0 {
            return Err(ImageError::Unwanted("internal snapshots"));
        }
        if has(BITMAPS) {
            return Err(ImageError::Unwanted("persistent bitmaps"));
        }
        if self.features & DIRTY != 0 {
            return Err(ImageError::Marked("as not closed"));
        }
        Ok(())
    }

    /// What not even a VM's disk may have.
    pub(crate) fn refuse_what_no_disk_needs(&self) -> Result<(), ImageError> {
        let has = |kind| self.extensions.contains(&kind);
        if self.features & EXTERNAL_DATA != 0 || has(DATA_FILE) {
            return Err(ImageError::DataFile);
        }
        if self.encrypted || has(ENCRYPTION) {
            return Err(ImageError::Encrypted);
        }
        if self.features & CORRUPT != 0 {
            return Err(ImageError::Marked("as corrupt"));
        }
        Ok(())
    }

    fn check_tables(&self, file: &File, length: u64) -> Result<(), ReadError> {
        let cluster = 1u64 << self.cluster_bits;
        // QEMU lets a file end within its last cluster.
        let check = |offset: u64, name, range| match offset {
            0 => Ok(()),
            offset if !offset.is_multiple_of(cluster) => Err(ImageError::Range(range)),
            offset if offset >= length => Err(ImageError::CutOff(name)),
            _ => Ok(()),
        };
        self.l1.entries(file, |entry| {
            if entry & L1_RESERVED != 0 {
                return Err(ImageError::Range("L1 table's content"));
            }
            check(entry & L1_OFFSET, "L2 table", "L1 table's content")
        })?;
        self.refcounts.entries(file, |entry| {
            check(entry, "reference count block", "reference count table's content")
        })
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
