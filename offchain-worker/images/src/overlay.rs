use crate::{ImageFormat, OverlayError};
use std::path::{Path, PathBuf};

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

/// Writes a new, empty qcow2 disk over a base, which only its owner may read; on disk when it returns.
/// It blocks.
pub fn create_overlay(
    _path: &Path,
    _base: &Path,
    _base_format: ImageFormat,
    _virtual_bytes: u64,
) -> Result<(), OverlayError> {
    unimplemented!()
}

/// Reads what a disk is, and whether its tables are whole. It blocks.
pub fn overlay_info(_path: &Path) -> Result<OverlayInfo, OverlayError> {
    unimplemented!()
}

/// Makes a disk larger that nothing has open. Fine where it has that size already.
pub async fn grow_overlay(_path: &Path, _virtual_bytes: u64) -> Result<(), OverlayError> {
    unimplemented!()
}
