//! The daemon beside a hypervisor: reads its node's work from the chain, makes libvirt match it, reports.

pub mod config;
pub mod logs;
