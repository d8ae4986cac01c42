//! The daemon beside a hypervisor: reads its node's work from the chain, makes libvirt match it, reports.

pub mod access;
pub mod access_key;
pub mod commands;
pub mod config;
pub mod crash;
pub mod dial;
pub mod engine;
pub mod folders;
pub mod http;
pub mod identity;
pub mod lock;
pub mod logs;
pub mod metrics;
pub mod network;
pub mod notify;
pub mod reconcile;
pub mod signer;
pub mod state;
