use crate::SeedError;
use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};
use std::io::{Cursor, Write};
use zeroize::Zeroizing;

const SECTOR: usize = 512;
/// Four long names of two entries each, and the label.
const ROOT_ENTRIES: u16 = 16;
/// FAT12 ends at 4,084 clusters, which are sectors here.
const MAX_CONTENT: usize = 2000 * 1024;
/// What FAT calls the first of all days.
const EPOCH: Date = Date { year: 1980, month: 1, day: 1 };

/// A file of the seed.
pub(crate) struct SeedFile {
    pub(crate) name: &'static str,
    pub(crate) content: Zeroizing<Vec<u8>>,
}

/// A FAT file system that is just large enough for the files.
pub(crate) fn write(files: &[SeedFile]) -> Result<Vec<u8>, SeedError> {
    let clusters: usize = files.iter().map(|file| file.content.len().div_ceil(SECTOR)).sum();
    if clusters * SECTOR > MAX_CONTENT {
        return Err(SeedError::TooLarge(clusters * SECTOR));
    }
    let mut bytes = vec![0; size_for(clusters)];
    let options = FormatVolumeOptions::new()
        .bytes_per_cluster(SECTOR as u32)
        .max_root_dir_entries(ROOT_ENTRIES)
        .volume_label(*b"CIDATA     ");
    fatfs::format_volume(Cursor::new(&mut bytes[..]), options)?;
    let options = FsOptions::new().time_provider(&Still);
    let system = FileSystem::new(Cursor::new(&mut bytes[..]), options)?;
    for file in files {
        let mut out = system.root_dir().create_file(file.name)?;
        out.write_all(&file.content)?;
        out.flush()?;
    }
    system.unmount()?;
    Ok(bytes)
}

/// Boot sector, two tables of 12 bits a cluster, root folder and clusters, in whole pages.
fn size_for(clusters: usize) -> usize {
    let page = 4096;
    let clusters = clusters + page / SECTOR;
    let table = (clusters * 3).div_ceil(2 * SECTOR) + 1;
    ((2 + 2 * table + clusters) * SECTOR).next_multiple_of(page)
}

/// A clock that stands still, so that a seed depends on nothing but its content.
#[derive(Debug)]
struct Still;

impl TimeProvider for Still {
    fn get_current_date(&self) -> Date {
        EPOCH
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: EPOCH, time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}
