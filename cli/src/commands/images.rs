//! `quarry images`: what a VM can start from.

use super::plans::missing;
use crate::{
    context::Context,
    failure::Failure,
    output::{or_dash, table, Paint, Show},
};
use data_encoding::HEXLOWER;
use quarry_primitives::request::{ImageFormat, ImageMetadata};
use serde::Serialize;

/// How to list them.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: quarry images")]
pub struct Args {
    /// Those as well that new VMs cannot have.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Images {
    images: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    url: String,
    sha256: String,
    format: &'static str,
    disk_gib: u32,
    supersedes: Option<String>,
    enabled: bool,
}

impl Show for Images {
    fn text(&self, paint: Paint) -> String {
        if self.images.is_empty() {
            return "there are no images: the chain's admin adds them (`quarry image add`)".into();
        }
        let rows = self.images.iter().map(|image| {
            let name = if image.enabled { image.name.clone() } else { paint.faint(&image.name) };
            [
                name,
                format!("{} GiB", image.disk_gib),
                image.format.to_owned(),
                or_dash(image.supersedes.as_ref()),
                image.url.clone(),
            ]
        });
        table(["IMAGE", "NEEDS DISK", "FORMAT", "IN PLACE OF", "FROM"], rows)
    }
}

/// Lists the images.
pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let images = context.now().await?.images().await?;
    let shown = images.iter().filter(|image| image.enabled || args.all).map(|image| Row {
        name: image.name.to_string(),
        url: image.image_url.to_string(),
        sha256: HEXLOWER.encode(&image.digest),
        format: match image.format {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        },
        disk_gib: image.virtual_size_gib,
        supersedes: image.supersedes.as_ref().map(ToString::to_string),
        enabled: image.enabled,
    });
    Ok(context.out.show(&Images { images: shown.collect() })?)
}

/// The image of that name that new VMs can have.
pub fn named<'a>(images: &'a [ImageMetadata], name: &str) -> Result<&'a ImageMetadata, Failure> {
    match images.iter().find(|image| image.name.as_str() == Some(name)) {
        Some(image) if !image.enabled => Err(Failure::refused("Compute.ImageDisabled")),
        Some(image) => Ok(image),
        None => {
            let names = images.iter().filter_map(|image| image.name.as_str());
            Err(Failure::NotFound(missing("image", name, names, "quarry images")))
        }
    }
}
