//! What a guest's disk is, so that libvirt need not guess.

use crate::error::{Error, Result};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// An image's format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// qcow2.
    Qcow2,
    /// Bytes as the guest sees them.
    Raw,
}

impl Format {
    /// libvirt's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What a disk lies upon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Backing {
    /// The image.
    pub(crate) path: PathBuf,
    /// Its format, which the overlay names.
    pub(crate) format: Format,
}

/// A disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Disk {
    /// What it lies upon.
    pub(crate) backing: Option<Backing>,
    /// Whether its file system lets the host's page cache be bypassed.
    pub(crate) direct: bool,
}

const MAGIC: &[u8] = b"QFI\xfb";
const HEADER_BYTES: u64 = 64 * 1024;
const SHORT_HEADER: u64 = 72;
const BACKING_FORMAT: u32 = 0xE279_2ACA;
const NAME_BYTES: u32 = 1023;

/// Looks at a qcow2 disk and the image under it.
pub(crate) fn inspect(path: &Path) -> Result<Disk> {
    let backing = backing(path)?;
    if let Some(Backing { path, format: Format::Qcow2 }) = &backing {
        if self::backing(path)?.is_some() {
            return Err(unsound(path, "an image lies upon another one"));
        }
    }
    Ok(Disk { backing, direct: takes_direct_io(path)? })
}

fn takes_direct_io(path: &Path) -> Result<bool> {
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => Ok(true),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(files(path, error)),
    }
}

fn backing(path: &Path) -> Result<Option<Backing>> {
    let mut header = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut header))
        .map_err(|error| files(path, error))?;
    if header.get(..4) != Some(MAGIC) {
        return Err(unsound(path, "it is no qcow2"));
    }
    parse(&header, path).ok_or_else(|| {
        unsound(path, "its header is broken, or leaves the backing file's format open")
    })?
}

/// None: broken.
fn parse(header: &[u8], path: &Path) -> Option<Result<Option<Backing>>> {
    let version = be32(header, 4)?;
    let (offset, length) = (be64(header, 8)?, be32(header, 16)?);
    if offset == 0 {
        return Some(Ok(None));
    }
    let extensions = match version {
        2 => SHORT_HEADER,
        3 => u64::from(be32(header, 100)?),
        _ => return None,
    };
    if length > NAME_BYTES {
        return None;
    }
    let offset = usize::try_from(offset).ok()?;
    let name = header.get(offset..offset.checked_add(length as usize)?)?;
    let format = match backing_format(header, usize::try_from(extensions).ok()?)? {
        b"qcow2" => Format::Qcow2,
        b"raw" => Format::Raw,
        _ => return Some(Err(unsound(path, "its backing file is neither qcow2 nor raw"))),
    };
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let path = path.parent().map_or(name.to_owned(), |folder| folder.join(name));
    Some(Ok(Some(Backing { path, format })))
}

fn backing_format(header: &[u8], mut at: usize) -> Option<&[u8]> {
    loop {
        let (kind, length) = (be32(header, at)?, be32(header, at.checked_add(4)?)? as usize);
        let data = at.checked_add(8)?;
        match kind {
            0 => return None,
            BACKING_FORMAT => return header.get(data..data.checked_add(length)?),
            _ => at = data.checked_add(length.checked_next_multiple_of(8)?)?,
        }
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

fn files(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Files(format!("{}: {error}", path.display()))
}

fn unsound(path: &Path, why: &str) -> Error {
    Error::Unsound(format!("the disk {}: {why}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::process::Command;

    fn qemu_img(arguments: &[&str], folder: &Path) {
        let status = Command::new("qemu-img")
            .args(arguments)
            .current_dir(folder)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "qemu-img {arguments:?}");
    }

    #[test]
    fn an_overlay_tells_what_it_lies_upon_and_in_which_format() {
        let folder = tempfile::tempdir().unwrap();
        qemu_img(&["create", "-f", "raw", "base.raw", "1M"], folder.path());
        qemu_img(&["create", "-f", "qcow2", "base.qcow2", "1M"], folder.path());
        for (name, format) in [("raw", Format::Raw), ("qcow2", Format::Qcow2)] {
            for compat in ["compat=v3", "compat=0.10"] {
                let base = folder.path().join(format!("base.{name}"));
                let arguments = ["create", "-f", "qcow2", "-o", compat, "-F", name, "-b"];
                let mut arguments = arguments.to_vec();
                arguments.extend([base.to_str().unwrap(), "over.qcow2"]);
                qemu_img(&arguments, folder.path());
                let disk = inspect(&folder.path().join("over.qcow2")).unwrap();
                let expected = Backing { path: base, format };
                assert_eq!(disk.backing, Some(expected));
            }
        }
        let alone = inspect(&folder.path().join("base.qcow2")).unwrap();
        assert_eq!(alone.backing, None);
    }

    #[test]
    fn a_disk_that_is_missing_or_no_qcow2_or_lies_upon_two_images_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(matches!(inspect(&path("none")), Err(Error::Files(_))));
        qemu_img(&["create", "-f", "raw", "a.raw", "1M"], folder.path());
        assert!(matches!(inspect(&path("a.raw")), Err(Error::Unsound(_))));
        let overlay = ["create", "-f", "qcow2", "-F", "raw", "-b", "a.raw", "b.qcow2"];
        qemu_img(&overlay, folder.path());
        let overlay = ["create", "-f", "qcow2", "-F", "qcow2", "-b", "b.qcow2", "c.qcow2"];
        qemu_img(&overlay, folder.path());
        assert!(matches!(inspect(&path("c.qcow2")), Err(Error::Unsound(_))));
    }

    #[test]
    fn a_header_cut_short_anywhere_is_refused_without_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        qemu_img(&["create", "-f", "raw", "a.raw", "1M"], folder.path());
        let overlay = ["create", "-f", "qcow2", "-F", "raw", "-b", "a.raw", "b.qcow2"];
        qemu_img(&overlay, folder.path());
        let whole = std::fs::read(folder.path().join("b.qcow2")).unwrap();
        let cut = folder.path().join("cut");
        for length in 0..200 {
            std::fs::write(&cut, &whole[..length]).unwrap();
            assert!(inspect(&cut).is_err(), "{length} bytes");
        }
    }
}
