//! What running guests use.

use crate::{
    domain::DomainStats,
    fault,
    ffi::{self, Connection, Record},
    xml,
};
use std::os::unix::fs::MetadataExt;
use uuid::Uuid;
use virt::error::Error as VirtError;
use virt_sys as sys;

const KIB: u64 = 1024;
const SECTOR: u64 = 512;

/// The figures of all running domains.
pub(crate) fn running(connection: &Connection) -> Result<Vec<Record>, VirtError> {
    let kinds = sys::VIR_DOMAIN_STATS_CPU_TOTAL
        | sys::VIR_DOMAIN_STATS_BALLOON
        | sys::VIR_DOMAIN_STATS_INTERFACE
        | sys::VIR_DOMAIN_STATS_BLOCK;
    let active = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE;
    // One domain that is busy must not hold up the others' figures.
    let hurried = active | sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    match ffi::all_stats(connection, kinds, hurried) {
        Err(error) if fault::is_refused_flag(&error) => ffi::all_stats(connection, kinds, active),
        outcome => outcome,
    }
}

/// The figures of one.
pub(crate) fn of(uuid: Uuid, record: &Record) -> DomainStats {
    let number = |name: &str| record.number(name).unwrap_or_default();
    let mut stats = DomainStats {
        uuid,
        cpu_nanoseconds: number("cpu.time"),
        memory_bytes: number("balloon.rss").saturating_mul(KIB),
        ..DomainStats::default()
    };
    for card in 0..number("net.count") {
        stats.network_received_bytes += number(&format!("net.{card}.rx.bytes"));
        stats.network_sent_bytes += number(&format!("net.{card}.tx.bytes"));
    }
    let is_disk = |index: &u64| record.text(&format!("block.{index}.name")) == Some(xml::DISK);
    if let Some(index) = (0..number("block.count")).find(is_disk) {
        stats.disk_read_bytes = number(&format!("block.{index}.rd.bytes"));
        stats.disk_written_bytes = number(&format!("block.{index}.wr.bytes"));
        stats.disk_allocated_bytes = record
            .text(&format!("block.{index}.path"))
            .and_then(|path| std::fs::metadata(path).ok())
            .map_or(number(&format!("block.{index}.allocation")), |file| {
                file.blocks().saturating_mul(SECTOR)
            });
    }
    stats
}
