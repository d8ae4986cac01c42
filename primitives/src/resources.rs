//! How large a VM is, and what it costs.

use crate::{text::decimal, Balance};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// The size of a VM, or of what a node has for VMs.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct Resources {
    /// Virtual processors.
    pub vcpus: u16,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Disk in GiB.
    pub disk_gib: u32,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self { vcpus: 0, memory_mib: 0, disk_gib: 0 };

    /// Whether there is at least one of each.
    pub fn is_sound(&self) -> bool {
        self.vcpus > 0 && self.memory_mib > 0 && self.disk_gib > 0
    }

    /// Whether `room` has as much of each.
    pub fn fits(&self, room: &Self) -> bool {
        self.vcpus <= room.vcpus
            && self.memory_mib <= room.memory_mib
            && self.disk_gib <= room.disk_gib
    }

    /// Both together.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            vcpus: self.vcpus.checked_add(other.vcpus)?,
            memory_mib: self.memory_mib.checked_add(other.memory_mib)?,
            disk_gib: self.disk_gib.checked_add(other.disk_gib)?,
        })
    }

    /// What is left without `other`.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        Some(Self {
            vcpus: self.vcpus.checked_sub(other.vcpus)?,
            memory_mib: self.memory_mib.checked_sub(other.memory_mib)?,
            disk_gib: self.disk_gib.checked_sub(other.disk_gib)?,
        })
    }

    /// The larger of the two in each.
    pub fn larger(&self, other: &Self) -> Self {
        Self {
            vcpus: self.vcpus.max(other.vcpus),
            memory_mib: self.memory_mib.max(other.memory_mib),
            disk_gib: self.disk_gib.max(other.disk_gib),
        }
    }
}

/// What a node asks per live block.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct Rates {
    /// For one virtual processor.
    #[serde(with = "decimal")]
    pub vcpu: Balance,
    /// For one GiB of memory.
    #[serde(with = "decimal")]
    pub memory_gib: Balance,
    /// For one GiB of disk.
    #[serde(with = "decimal")]
    pub disk_gib: Balance,
    /// For an address of the node's own pool.
    #[serde(with = "decimal")]
    pub ip: Balance,
}

const MIB_PER_GIB: Balance = 1024;

impl Rates {
    /// What a VM of this size costs per live block, rounded up; `None` where no balance holds it.
    pub fn price(&self, size: &Resources) -> Option<Balance> {
        let per_mib = self.memory_gib.checked_mul(size.memory_mib.into())?;
        let vcpus = self.vcpu.checked_mul(size.vcpus.into())?;
        let disk = self.disk_gib.checked_mul(size.disk_gib.into())?;
        vcpus.checked_add(disk)?.checked_add(per_mib.div_ceil(MIB_PER_GIB))
    }

    /// Whether any of these is higher than its fellow in `before`.
    pub fn raised_from(&self, before: &Self) -> bool {
        self.vcpu > before.vcpu
            || self.memory_gib > before.memory_gib
            || self.disk_gib > before.disk_gib
            || self.ip > before.ip
    }
}
