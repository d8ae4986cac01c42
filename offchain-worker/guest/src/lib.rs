//! What a guest learns at its first start: a NoCloud seed with keys, name and addresses.
//!
//! [`seed`] makes a small FAT image, labelled `CIDATA`, that cloud-init finds by itself. It holds
//!
//! - `meta-data`: the instance's id, its host name, and the tenant's keys as `public-keys`, which
//!   cloud-init gives to the default user;
//! - `network-config`: static addresses, by MAC;
//! - `vendor-data`: ours. It makes `quarry` the default user through the key `user`. cloud-init merges it
//!   below the tenant's user-data, key by key, and a list there replaces a list here. A tenant's
//!   `users:` would so replace a `users:` of ours; `user:` stays, and makes cloud-init add the default
//!   user to whatever list there is. The tenant's keys let in unless the user-data sets `user:` itself
//!   (then they go to that user) or switches vendor-data off (then to the image's own default user);
//! - `user-data`: the tenant's bytes as they are.
//!
//! The image depends on nothing but the set-up: no clock, no randomness. It holds the guest's private
//! host key, so its file is for nobody but the worker and QEMU.

mod config;
mod host_key;
mod image;
mod name;

pub use config::{GuestNetwork, GuestSetup, MAX_USER_DATA};
pub use host_key::{HostKey, HostKeyError};
pub use name::host_name;

/// Why a guest has no seed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The instance's id.
    #[error("the instance id {0:?} must be 1 to 128 visible ASCII characters")]
    InstanceId(String),
    /// The host name.
    #[error("the host name {0:?} is no DNS label: make it by host_name()")]
    HostName(String),
    /// One of the tenant's keys, counted from 0.
    #[error("SSH key {0} is no public key of one line as OpenSSH writes it")]
    SshKey(usize),
    /// The network.
    #[error("the guest's network: {0}")]
    Network(&'static str),
    /// The user-data.
    #[error("user-data of {0} bytes; {MAX_USER_DATA} at most")]
    UserDataTooLarge(usize),
    /// All of it.
    #[error("a seed of {0} bytes: take fewer SSH keys")]
    TooLarge(usize),
    /// The host key.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// A serialiser, or the file system within the image.
    #[error("the seed cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// The seed's bytes.
pub fn seed(setup: &GuestSetup<'_>) -> Result<Vec<u8>, SeedError> {
    image::write(&config::files(setup)?)
}
