//! Disk images: fetched once, checked, inspected, kept within a limit.
//!
//! A [`Store`] is a folder that one process owns:
//!
//! ```text
//! lock                    held for as long as the store is open
//! images/<SHA-256>        images, whole and inspected, read-only
//! partial/<SHA-256>       downloads that broke off, to be gone on with
//! partial/<SHA-256>.json  where such a download came from
//! user-data/<SHA-256>     tenants' user-data
//! ```
//!
//! Whatever stands under a digest has that digest: it is hashed on the way in, and moved to its place only
//! when it is on disk. Images come by `https://`, by `ipfs://` through the configured gateways, and by
//! `file:` from one folder of the operator's. No address is out of bounds for a fetch: operators run
//! mirrors on private networks, so a worker must not stand where it can reach what others should not.
//!
//! [`create_overlay`] writes the disks of VMs, which name an image of the store as their base.

#[cfg(test)]
mod damaged;
mod disk;
mod error;
mod fetch;
mod guards;
mod inner;
mod inspect;
mod overlay;
mod partial;
mod qcow2;
mod qemu_img;
mod settings;
mod shelf;
mod source;
mod stall;
mod store;
mod transfer;
mod user_data;

pub use error::{FetchError, ImageError, OpenError, OverlayError};
pub use guards::Held;
pub use overlay::{create_overlay, grow_overlay, overlay_info, OverlayInfo};
pub use quarry_primitives::request::ImageFormat;
pub use settings::{Fetches, Fetching, StoreSettings, StoredImage, Wanted};
pub use store::Store;

/// A SHA-256.
pub type Digest = [u8; 32];
