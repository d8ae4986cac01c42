//! `quarry image add`: puts an image on the market.

use crate::{
    context::Context,
    failure::Failure,
    output::{fields, Paint, Show},
};
use clap::{Subcommand, ValueEnum};
use data_encoding::HEXLOWER;
use quarry_client::bindings::{self, runtime_types::quarry_runtime::RuntimeCall};
use quarry_primitives::{
    request::{ImageFormat, ImageMetadata},
    text::Text,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};
use subxt::utils::Static;

const GIB: u64 = 1 << 30;
const CHUNK: usize = 1 << 20;
const QCOW2_MAGIC: &[u8] = b"QFI\xfb";
/// Where a qcow2 header says how large the disk is.
const QCOW2_SIZE: std::ops::Range<usize> = 24..32;
const HEADER: usize = 32;

/// What to do with images.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put an image on the market: prints its digest and the call, and makes it with the admin's key.
    Add(AddArgs),
}

/// Which image.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  quarry image add debian.qcow2 --name debian-12 --from https://images.example/debian-12.qcow2\n  quarry image add debian.qcow2 --name debian-12 --store /srv/images"
)]
struct AddArgs {
    /// The image's file: qcow2 or raw.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is called on the chain (the file's name without its ending).
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the nodes get it: https:// or ipfs://.
    #[arg(long, value_name = "URL", required_unless_present = "store")]
    from: Option<String>,
    /// Copy it to this folder, which the nodes' images.local_dir names; they then need no URL.
    #[arg(long, value_name = "FOLDER", conflicts_with = "from")]
    store: Option<PathBuf>,
    /// How it is arranged (by its first bytes).
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The image that it takes the place of.
    #[arg(long, value_name = "NAME")]
    supersedes: Option<String>,
    /// Only print the call, for the admin's wallet.
    #[arg(long)]
    print: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Qcow2,
    Raw,
}

#[derive(Serialize)]
struct Added {
    name: String,
    url: String,
    sha256: String,
    format: &'static str,
    disk_gib: u32,
    /// The call `compute.addImage`, as a wallet takes it.
    call: String,
    /// Whether it is on the chain now.
    added: bool,
}

impl Show for Added {
    fn text(&self, paint: Paint) -> String {
        let state = match self.added {
            true => paint.good("on the market"),
            false => "not on the market: the admin makes the call, within sudo.sudo".to_owned(),
        };
        fields([
            ("image", self.name.clone()),
            ("from", self.url.clone()),
            ("sha256", self.sha256.clone()),
            ("disk", format!("{} GiB, {}", self.disk_gib, self.format)),
            ("call", self.call.clone()),
            ("state", state),
        ])
    }
}

/// Does it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let Command::Add(args) = args.command;
    add(context, args).await
}

async fn add(context: &Context, args: AddArgs) -> Result<(), Failure> {
    let wrong = |error: io::Error| Failure::Usage(format!("{}: {error}", args.file.display()));
    let looked = look_at(&args.file, args.format).map_err(wrong)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let url = match (&args.from, &args.store) {
        (Some(url), _) => url.clone(),
        (None, Some(_)) => format!("file:///{name}.{}", looked.ending()),
        (None, None) => return Err(Failure::Usage("name --from or --store".into())),
    };
    let supersedes = args.supersedes.as_deref().map(Text::try_from).transpose();
    let metadata = ImageMetadata {
        name: text(&name, "Compute.InvalidImageName")?,
        image_url: text(&url, "Compute.InvalidImageUrl")?,
        digest: looked.digest,
        format: looked.format.into(),
        virtual_size_gib: looked.disk_gib,
        supersedes: supersedes.map_err(|_| Failure::refused("Compute.InvalidImageName"))?,
        enabled: true,
    };
    if !["https://", "ipfs://", "file:///"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Failure::refused("Compute.InvalidImageUrl"));
    }
    let images = context.now().await?.images().await?;
    if images.iter().any(|image| image.name == metadata.name) {
        return Err(Failure::refused("Compute.ImageAlreadyExists"));
    }
    if let Some(store) = &args.store {
        let kept = store.join(format!("{name}.{}", looked.ending()));
        keep(&args.file, &kept, &looked.digest)?;
        context.out.aside(&format!("copied to {}", kept.display()));
    }
    let call = bindings::tx().compute().add_image(Static(metadata.clone()));
    let bytes = context.chain().await?.call_data(&call)?;
    let mut added = Added {
        name,
        url,
        sha256: HEXLOWER.encode(&looked.digest),
        format: looked.ending(),
        disk_gib: looked.disk_gib,
        call: format!("0x{}", HEXLOWER.encode(&bytes)),
        added: false,
    };
    let admin = context.now().await?.admin().await?;
    if !args.print && admin.is_some() && admin == Some(context.account().await?) {
        context.confirm(&format!("Put {} on the market, as the admin?", added.name))?;
        let inner = bindings::compute::Call::add_image { image: Box::new(Static(metadata)) };
        let call = bindings::tx().sudo().sudo(RuntimeCall::Compute(inner));
        let included = context.submit("the image", call).await?;
        if let Some(done) = included.find::<bindings::sudo::events::Sudid>() {
            if let Err(error) = done.sudo_result {
                return Err(Failure::refused(format!("{error:?}")));
            }
        }
        added.added = true;
    }
    Ok(context.out.show(&added)?)
}

fn text<const MAX: u32>(value: &str, error: &str) -> Result<Text<MAX>, Failure> {
    Text::try_from(value).map_err(|_| Failure::refused(error))
}

struct Looked {
    digest: [u8; 32],
    format: Format,
    disk_gib: u32,
}

impl Looked {
    fn ending(&self) -> &'static str {
        match self.format {
            Format::Qcow2 => "qcow2",
            Format::Raw => "raw",
        }
    }
}

impl From<Format> for ImageFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Qcow2 => Self::Qcow2,
            Format::Raw => Self::Raw,
        }
    }
}

/// Reads a whole file: its digest, and how large a disk it is of.
fn look_at(file: &Path, format: Option<Format>) -> io::Result<Looked> {
    let mut source = File::open(file)?;
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    let mut header = Vec::with_capacity(HEADER);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(read);
        length += read.len() as u64;
        let missing = HEADER.saturating_sub(header.len());
        header.extend(read.iter().take(missing));
    }
    let is_qcow2 = header.starts_with(QCOW2_MAGIC);
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let format = match (format, is_qcow2) {
        (Some(Format::Qcow2), false) => return Err(wrong("it is no qcow2 file")),
        (Some(format), _) => format,
        (None, true) => Format::Qcow2,
        (None, false) => Format::Raw,
    };
    let size = match format {
        Format::Raw => length,
        Format::Qcow2 => {
            let size = header.get(QCOW2_SIZE).and_then(|bytes| bytes.try_into().ok());
            u64::from_be_bytes(size.ok_or_else(|| wrong("its header is cut off"))?)
        }
    };
    let disk_gib = u32::try_from(size.div_ceil(GIB)).ok().filter(|gib| *gib > 0);
    let disk_gib =
        disk_gib.ok_or_else(|| wrong("it says that its disk has no size, or a senseless one"))?;
    Ok(Looked { digest: hash.finalize().into(), format, disk_gib })
}

/// Copies it, as a whole or not at all, and leaves what is there already if it is the same.
fn keep(from: &Path, to: &Path, digest: &[u8; 32]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Other(format!("{}: {error}", to.display()));
    if to.exists() {
        let there = look_at(to, None).map_err(failed)?;
        return match there.digest == *digest {
            true => Ok(()),
            false => Err(Failure::Other(format!(
                "{} exists and is another image: choose another --name",
                to.display()
            ))),
        };
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let half = to.with_extension("new");
    fs::copy(from, &half).and_then(|_| fs::rename(&half, to)).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        fs::write(&file, bytes).unwrap();
        (folder, file)
    }

    fn qcow2(size: u64) -> Vec<u8> {
        let mut bytes = vec![0; 104];
        bytes[..4].copy_from_slice(QCOW2_MAGIC);
        bytes[QCOW2_SIZE].copy_from_slice(&size.to_be_bytes());
        bytes
    }

    #[test]
    fn an_image_is_told_by_its_first_bytes() {
        let (_folder, file) = written(&qcow2(2 * GIB + 1));
        let looked = look_at(&file, None).unwrap();
        assert_eq!((looked.format, looked.disk_gib), (Format::Qcow2, 3));
        let expected: [u8; 32] = Sha256::digest(qcow2(2 * GIB + 1)).into();
        assert_eq!(looked.digest, expected);
        let (_folder, file) = written(b"disk");
        let looked = look_at(&file, None).unwrap();
        assert_eq!((looked.format, looked.disk_gib), (Format::Raw, 1));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for (bytes, format) in [
            (b"".to_vec(), None),
            (b"QFI\xfb".to_vec(), None),
            (qcow2(0), None),
            (qcow2(u64::MAX), None),
            (b"disk".to_vec(), Some(Format::Qcow2)),
        ] {
            let (_folder, file) = written(&bytes);
            assert!(look_at(&file, format).is_err(), "{bytes:?}");
        }
        assert!(look_at(Path::new("/nowhere"), None).is_err());
    }

    #[test]
    fn a_copy_is_made_once_and_another_image_is_never_overwritten() {
        let (folder, file) = written(b"disk");
        let to = folder.path().join("store/debian.raw");
        let digest = look_at(&file, None).unwrap().digest;
        keep(&file, &to, &digest).unwrap();
        keep(&file, &to, &digest).unwrap();
        fs::write(&file, b"another").unwrap();
        let digest = look_at(&file, None).unwrap().digest;
        assert!(keep(&file, &to, &digest).is_err());
        assert_eq!(fs::read(&to).unwrap(), b"disk");
    }
}
