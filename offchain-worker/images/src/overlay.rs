use crate::{
    inspect,
    qcow2::{self, ReadError},
    qemu_img, ImageError, ImageFormat, OverlayError,
};
use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

const CLUSTER: u64 = 64 << 10;
/// What one entry of the L1 table covers.
const L1_REACH: u64 = CLUSTER * (CLUSTER / 8);
/// One block of reference counts covers 2 GiB of tables: more than an L1 table can have.
const MAX_VIRTUAL_BYTES: u64 = 1 << 50;
const MAX_NAME: usize = 1023;
const V3_HEADER: u32 = 112;

/// What a VM's disk is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OverlayInfo {
    /// What the guest sees.
    pub virtual_bytes: u64,
    /// The image beneath.
    pub backing: Option<PathBuf>,
    /// How that is arranged.
    pub backing_format: Option<ImageFormat>,
}

/// Writes a new, empty qcow2 disk over a base, which only its owner may read. What is in it is safe from
/// a loss of power when this returns, its name only once its folder was synced. It blocks. The base's path
/// must be absolute, and the disk at least as large as the base's.
pub fn create_overlay(
    path: &Path,
    base: &Path,
    base_format: ImageFormat,
    virtual_bytes: u64,
) -> Result<(), OverlayError> {
    let name = base.as_os_str().as_bytes();
    if !base.is_absolute() || name.len() > MAX_NAME {
        return Err(OverlayError::BasePath(base.into()));
    }
    let least = File::open(base)
        .map_err(ReadError::Io)
        .and_then(|file| inspect::inspect(&file, base_format))
        .map_err(|error| wrong(base, error))?;
    if virtual_bytes < least {
        return Err(OverlayError::TooSmall { asked: virtual_bytes, least });
    }
    if virtual_bytes > MAX_VIRTUAL_BYTES {
        return Err(OverlayError::TooLarge(virtual_bytes));
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => OverlayError::Exists(path.into()),
        _ => OverlayError::File { path: path.into(), error },
    })?;
    write(&file, name, base_format, virtual_bytes.next_multiple_of(512)).map_err(|error| {
        // Half a disk would be taken for one.
        std::fs::remove_file(path).ok();
        OverlayError::File { path: path.into(), error }
    })
}

/// Reads what a disk is, and whether its tables are whole. It blocks.
pub fn overlay_info(path: &Path) -> Result<OverlayInfo, OverlayError> {
    let file = File::open(path).map_err(|error| wrong(path, error.into()))?;
    let found = |found| ImageError::Format { expected: "qcow2", found };
    let mut magic = [0; 4];
    let header = match file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == qcow2::MAGIC => qcow2::read(&file),
        Ok(()) => Err(found("something else").into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(found("an empty file").into())
        }
        Err(error) => Err(error.into()),
    };
    let header = header
        .and_then(|header| Ok(header.refuse_what_no_disk_needs().map(|()| header)?))
        .map_err(|error| wrong(path, error))?;
    let backing_format = match header.backing_format.as_deref() {
        Some(b"qcow2") => Some(ImageFormat::Qcow2),
        Some(b"raw") => Some(ImageFormat::Raw),
        _ => None,
    };
    Ok(OverlayInfo {
        virtual_bytes: header.virtual_bytes,
        backing: header.backing.map(|name| OsString::from_vec(name).into()),
        backing_format,
    })
}

/// Makes a disk larger that nothing has open. Fine where it has that size already.
pub async fn grow_overlay(path: &Path, virtual_bytes: u64) -> Result<(), OverlayError> {
    let asked = virtual_bytes.checked_next_multiple_of(512).unwrap_or(u64::MAX);
    if asked > MAX_VIRTUAL_BYTES {
        return Err(OverlayError::TooLarge(virtual_bytes));
    }
    let disk = path.to_path_buf();
    let info = tokio::task::spawn_blocking(move || overlay_info(&disk)).await;
    let least = info.map_err(|error| OverlayError::Tool(error.to_string()))??.virtual_bytes;
    match asked.cmp(&least) {
        std::cmp::Ordering::Less => Err(OverlayError::TooSmall { asked: virtual_bytes, least }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            qemu_img::resize(path, asked).await.map_err(OverlayError::Tool)
        }
    }
}

fn wrong(path: &Path, error: ReadError) -> OverlayError {
    let path = path.to_path_buf();
    match error {
        ReadError::Image(error) => OverlayError::Image { path, error },
        ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            OverlayError::Missing(path)
        }
        ReadError::Io(error) => OverlayError::File { path, error },
    }
}

/// One cluster each for header, reference count table and block, then the L1 table.
fn write(file: &File, base: &[u8], format: ImageFormat, virtual_bytes: u64) -> io::Result<()> {
    let l1_entries = virtual_bytes.div_ceil(L1_REACH);
    let clusters = 3 + (l1_entries * 8).div_ceil(CLUSTER);
    file.set_len(clusters * CLUSTER)?;
    file.write_all_at(&header(base, format, virtual_bytes, l1_entries as u32), 0)?;
    file.write_all_at(&(2 * CLUSTER).to_be_bytes(), CLUSTER)?;
    let counts: Vec<u8> = (0..clusters).flat_map(|_| 1u16.to_be_bytes()).collect();
    file.write_all_at(&counts, 2 * CLUSTER)?;
    file.sync_all()
}

fn header(base: &[u8], format: ImageFormat, virtual_bytes: u64, l1_entries: u32) -> Vec<u8> {
    let format: &[u8] = match format {
        ImageFormat::Qcow2 => b"qcow2",
        ImageFormat::Raw => b"raw",
    };
    let mut extensions = Vec::new();
    extensions.extend(qcow2::BACKING_FORMAT.to_be_bytes());
    extensions.extend((format.len() as u32).to_be_bytes());
    extensions.extend(format);
    extensions.resize(extensions.len().next_multiple_of(8), 0);
    extensions.extend([0; 8]);
    let name_at = u64::from(V3_HEADER) + extensions.len() as u64;

    let mut out = Vec::with_capacity(2048);
    let word = |out: &mut Vec<u8>, value: u32| out.extend(value.to_be_bytes());
    let long = |out: &mut Vec<u8>, value: u64| out.extend(value.to_be_bytes());
    out.extend(qcow2::MAGIC);
    word(&mut out, 3);
    long(&mut out, name_at);
    word(&mut out, base.len() as u32);
    word(&mut out, CLUSTER.trailing_zeros());
    long(&mut out, virtual_bytes);
    word(&mut out, 0); // not encrypted
    word(&mut out, l1_entries);
    long(&mut out, 3 * CLUSTER);
    long(&mut out, CLUSTER);
    word(&mut out, 1); // cluster of the reference count table
    word(&mut out, 0); // no snapshots
    long(&mut out, 0);
    out.extend([0; 24]); // no features of any kind
    word(&mut out, 4); // reference counts of 16 bits
    word(&mut out, V3_HEADER);
    long(&mut out, 0); // zlib, and padding
    out.extend(extensions);
    out.extend(base);
    out
}
