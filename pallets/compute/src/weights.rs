//! What the calls cost. Written by `scripts/weights compute` from benchmarks of 10 steps,
//! 5 rounds and 10 repeats: run that again rather than edit this.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{constants::RocksDbWeight, Weight},
};

/// What each call takes.
pub trait WeightInfo {
    /// The weight of `add_plan`.
    fn add_plan() -> Weight;
    /// The weight of `set_plan_enabled`.
    fn set_plan_enabled() -> Weight;
    /// The weight of `add_image`.
    fn add_image() -> Weight;
    /// The weight of `set_image_enabled`.
    fn set_image_enabled() -> Weight;
    /// The weight of `set_params`.
    fn set_params() -> Weight;
    /// The weight of `force_close`.
    fn force_close() -> Weight;
    /// The weight of `create_compute_request`.
    fn create_compute_request() -> Weight;
    /// The weight of `cancel_compute_request`.
    fn cancel_compute_request() -> Weight;
    /// The weight of `submit_compute_request_assignment`.
    fn submit_compute_request_assignment() -> Weight;
    /// The weight of `update_miner_compute_request`.
    fn update_miner_compute_request() -> Weight;
    /// The weight of `mark_compute_request_fulfilled`.
    fn mark_compute_request_fulfilled() -> Weight;
    /// The weight of `handle_miner_compute_request_failure`.
    fn handle_miner_compute_request_failure() -> Weight;
    /// The weight of `request_compute_boot`.
    fn request_compute_boot() -> Weight;
    /// The weight of `request_compute_stop`.
    fn request_compute_stop() -> Weight;
    /// The weight of `request_compute_reboot`.
    fn request_compute_reboot() -> Weight;
    /// The weight of `request_compute_resize`.
    fn request_compute_resize() -> Weight;
    /// The weight of `request_compute_delete`.
    fn request_compute_delete() -> Weight;
    /// The weight of `set_ssh_keys`.
    fn set_ssh_keys() -> Weight;
    /// The weight of `submit_compute_boot_request_fulfillment`.
    fn submit_compute_boot_request_fulfillment() -> Weight;
    /// The weight of `mark_miner_compute_stop_request_fulfilled`.
    fn mark_miner_compute_stop_request_fulfilled() -> Weight;
    /// The weight of `submit_compute_reboot_request_fulfillment`.
    fn submit_compute_reboot_request_fulfillment() -> Weight;
    /// The weight of `submit_compute_resize_request_fulfillment`.
    fn submit_compute_resize_request_fulfillment() -> Weight;
    /// The weight of `submit_compute_deletion_request`.
    fn submit_compute_deletion_request() -> Weight;
    /// The weight of `report_operation_failure`.
    fn report_operation_failure() -> Weight;
    /// The weight of `top_up`.
    fn top_up() -> Weight;
    /// The weight of `evacuate`.
    fn evacuate() -> Weight;
    /// The weight of `end_lease`.
    fn end_lease() -> Weight;
    /// The weight of `settle`.
    fn settle() -> Weight;
    /// The weight of `expire`.
    fn expire() -> Weight;
    /// The weight of `claim_credit`.
    fn claim_credit() -> Weight;
    /// The weight of `add_ips`; `n` is 1 to 256.
    fn add_ips(n: u32) -> Weight;
    /// The weight of `remove_ips`; `n` is 1 to 256.
    fn remove_ips(n: u32) -> Weight;
    /// The weight of `set_ip_pool`.
    fn set_ip_pool() -> Weight;
    /// The weight of `assign_ip_to_vm`.
    fn assign_ip_to_vm() -> Weight;
    /// The weight of `release_ip_from_vm`.
    fn release_ip_from_vm() -> Weight;
    /// The weight of `deadline_cursor`.
    fn deadline_cursor() -> Weight;
    /// The weight of `deadline_launch`.
    fn deadline_launch() -> Weight;
    /// The weight of `deadline_operation`.
    fn deadline_operation() -> Weight;
    /// The weight of `deadline_deletion`.
    fn deadline_deletion() -> Weight;
    /// The weight of `deadline_lease`.
    fn deadline_lease() -> Weight;
    /// The weight of `deadline_retention`.
    fn deadline_retention() -> Weight;
}

/// Weights by the runtime's database. Of the storage that a call touches, each key counts once.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Storage: `Compute::Plans` (r:1 w:1)
    fn add_plan() -> Weight {
        Weight::from_parts(16_900_000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Compute::Plans` (r:1 w:1)
    fn set_plan_enabled() -> Weight {
        Weight::from_parts(23_100_000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Compute::Images` (r:2 w:1)
    fn add_image() -> Weight {
        Weight::from_parts(28_700_000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Compute::Images` (r:1 w:1)
    fn set_image_enabled() -> Weight {
        Weight::from_parts(24_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Compute::Params` (r:0 w:1)
    fn set_params() -> Weight {
        Weight::from_parts(6_820_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn force_close() -> Weight {
        Weight::from_parts(331_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(19))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:0 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::FreeIps` (r:0 w:2)
    /// Storage: `Compute::Images` (r:1 w:0)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:2 w:1)
    /// Storage: `Compute::Ips` (r:3 w:2)
    /// Storage: `Compute::Leases` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::NextRequestId` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:3 w:2)
    /// Storage: `Compute::RequestOwner` (r:0 w:1)
    /// Storage: `Compute::RequestTickets` (r:0 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::ParentHash` (r:1 w:0)
    fn create_compute_request() -> Weight {
        Weight::from_parts(341_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(17))
            .saturating_add(T::DbWeight::get().writes(19))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    fn cancel_compute_request() -> Weight {
        Weight::from_parts(104_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Compute::Claims` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::FreeIps` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:2 w:1)
    /// Storage: `Compute::Ips` (r:3 w:2)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::QuarantinedIps` (r:3 w:2)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn submit_compute_request_assignment() -> Weight {
        Weight::from_parts(214_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(15))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn update_miner_compute_request() -> Weight {
        Weight::from_parts(109_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(6))
    }

    /// Storage: `Compute::Claims` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn mark_compute_request_fulfilled() -> Weight {
        Weight::from_parts(127_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(9))
            .saturating_add(T::DbWeight::get().writes(8))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:3)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn handle_miner_compute_request_failure() -> Weight {
        Weight::from_parts(325_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(18))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:0)
    /// Storage: `Compute::MinerComputeBootRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:0)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn request_compute_boot() -> Weight {
        Weight::from_parts(67_900_000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(4))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:0)
    /// Storage: `Compute::MinerComputeStopRequests` (r:0 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn request_compute_stop() -> Weight {
        Weight::from_parts(72_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:0)
    /// Storage: `Compute::MinerComputeRebootRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:0)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn request_compute_reboot() -> Weight {
        Weight::from_parts(68_200_000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(4))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:0)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:0)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:0 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn request_compute_resize() -> Weight {
        Weight::from_parts(88_500_000, 0)
            .saturating_add(T::DbWeight::get().reads(7))
            .saturating_add(T::DbWeight::get().writes(4))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:0 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:2 w:2)
    fn request_compute_delete() -> Weight {
        Weight::from_parts(328_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(13))
            .saturating_add(T::DbWeight::get().writes(18))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:0)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn set_ssh_keys() -> Weight {
        Weight::from_parts(140_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(4))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::MinerComputeBootRequests` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn submit_compute_boot_request_fulfillment() -> Weight {
        Weight::from_parts(87_600_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::MinerComputeStopRequests` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn mark_miner_compute_stop_request_fulfilled() -> Weight {
        Weight::from_parts(90_300_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRebootRequests` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn submit_compute_reboot_request_fulfillment() -> Weight {
        Weight::from_parts(88_300_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:3)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn submit_compute_resize_request_fulfillment() -> Weight {
        Weight::from_parts(253_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(14))
            .saturating_add(T::DbWeight::get().writes(13))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::MinerComputeDeletionRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    /// Storage: `System::Account` (r:1 w:1)
    fn submit_compute_deletion_request() -> Weight {
        Weight::from_parts(182_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(11))
            .saturating_add(T::DbWeight::get().writes(16))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `Registry::StatusHistory` (r:1 w:1)
    fn report_operation_failure() -> Weight {
        Weight::from_parts(115_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(8))
            .saturating_add(T::DbWeight::get().writes(6))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:3)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeBootRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:0)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:2 w:2)
    fn top_up() -> Weight {
        Weight::from_parts(247_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(9))
            .saturating_add(T::DbWeight::get().writes(10))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:2 w:2)
    fn evacuate() -> Weight {
        Weight::from_parts(238_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(12))
            .saturating_add(T::DbWeight::get().writes(15))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:0)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:0)
    /// Storage: `System::Account` (r:2 w:2)
    fn end_lease() -> Weight {
        Weight::from_parts(180_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(9))
            .saturating_add(T::DbWeight::get().writes(6))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn settle() -> Weight {
        Weight::from_parts(304_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(19))
    }

    /// Storage: `Balances::Holds` (r:2 w:2)
    /// Storage: `Compute::Claims` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn expire() -> Weight {
        Weight::from_parts(273_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(17))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::Credits` (r:1 w:1)
    /// Storage: `System::Account` (r:2 w:2)
    fn claim_credit() -> Weight {
        Weight::from_parts(80_400_000, 0)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(4))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::FreeIps` (r:0 w:256)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::IpTickets` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:256 w:256)
    /// Storage: `Registry::Nodes` (r:1 w:0)
    fn add_ips(n: u32) -> Weight {
        Weight::from_parts(96_400_000, 0)
            .saturating_add(Weight::from_parts(9_320_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(3))
            .saturating_add(T::DbWeight::get().writes(2_u64.saturating_mul(n.into())))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::FreeIps` (r:0 w:512)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::IpTickets` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:512 w:512)
    /// Storage: `Compute::QuarantinedIps` (r:256 w:256)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:0)
    fn remove_ips(n: u32) -> Weight {
        Weight::from_parts(23_200_000, 0)
            .saturating_add(Weight::from_parts(36_900_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().reads(3_u64.saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(3))
            .saturating_add(T::DbWeight::get().writes(5_u64.saturating_mul(n.into())))
    }

    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Registry::Nodes` (r:1 w:0)
    fn set_ip_pool() -> Weight {
        Weight::from_parts(30_300_000, 0)
            .saturating_add(T::DbWeight::get().reads(2))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:0)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::FreeIps` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:3 w:2)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:2 w:2)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn assign_ip_to_vm() -> Weight {
        Weight::from_parts(281_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(18))
            .saturating_add(T::DbWeight::get().writes(17))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:0)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn release_ip_from_vm() -> Weight {
        Weight::from_parts(222_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(13))
            .saturating_add(T::DbWeight::get().writes(13))
    }

    /// Storage: `Compute::DeadlineCursor` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    fn deadline_cursor() -> Weight {
        Weight::from_parts(18_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(3))
            .saturating_add(T::DbWeight::get().writes(1))
    }

    /// Storage: `Balances::Holds` (r:2 w:2)
    /// Storage: `Compute::Claims` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn deadline_launch() -> Weight {
        Weight::from_parts(266_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(17))
    }

    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:1 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::RequestOwner` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    fn deadline_operation() -> Weight {
        Weight::from_parts(89_300_000, 0)
            .saturating_add(T::DbWeight::get().reads(6))
            .saturating_add(T::DbWeight::get().writes(5))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::MinerComputeDeletionRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:1 w:1)
    fn deadline_deletion() -> Weight {
        Weight::from_parts(159_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(10))
            .saturating_add(T::DbWeight::get().writes(15))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:2)
    /// Storage: `Compute::IpOf` (r:1 w:1)
    /// Storage: `Compute::IpPools` (r:1 w:1)
    /// Storage: `Compute::Ips` (r:0 w:1)
    /// Storage: `Compute::Leases` (r:1 w:1)
    /// Storage: `Compute::MinerComputeRequests` (r:0 w:1)
    /// Storage: `Compute::MinerComputeResizeRequests` (r:1 w:1)
    /// Storage: `Compute::Params` (r:1 w:0)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::Plans` (r:1 w:0)
    /// Storage: `Compute::QuarantinedIps` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `LiveBlocks::Count` (r:1 w:0)
    /// Storage: `Registry::Nodes` (r:1 w:1)
    /// Storage: `System::Account` (r:3 w:3)
    fn deadline_lease() -> Weight {
        Weight::from_parts(308_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(15))
            .saturating_add(T::DbWeight::get().writes(19))
    }

    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Storage: `Compute::ComputeRequests` (r:1 w:1)
    /// Storage: `Compute::Deadlines` (r:0 w:1)
    /// Storage: `Compute::PendingRequests` (r:0 w:1)
    /// Storage: `Compute::RequestOwner` (r:1 w:1)
    /// Storage: `Compute::RequestTickets` (r:1 w:1)
    /// Storage: `Compute::SshKeys` (r:0 w:1)
    /// Storage: `System::Account` (r:1 w:1)
    fn deadline_retention() -> Weight {
        Weight::from_parts(106_000_000, 0)
            .saturating_add(T::DbWeight::get().reads(5))
            .saturating_add(T::DbWeight::get().writes(8))
    }
}

/// The same by RocksDB's figures, for tests.
impl WeightInfo for () {
    fn add_plan() -> Weight {
        Weight::from_parts(16_900_000, 0)
            .saturating_add(RocksDbWeight::get().reads(1))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn set_plan_enabled() -> Weight {
        Weight::from_parts(23_100_000, 0)
            .saturating_add(RocksDbWeight::get().reads(1))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn add_image() -> Weight {
        Weight::from_parts(28_700_000, 0)
            .saturating_add(RocksDbWeight::get().reads(2))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn set_image_enabled() -> Weight {
        Weight::from_parts(24_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(1))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn set_params() -> Weight {
        Weight::from_parts(6_820_000, 0).saturating_add(RocksDbWeight::get().writes(1))
    }

    fn force_close() -> Weight {
        Weight::from_parts(331_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(19))
    }

    fn create_compute_request() -> Weight {
        Weight::from_parts(341_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(17))
            .saturating_add(RocksDbWeight::get().writes(19))
    }

    fn cancel_compute_request() -> Weight {
        Weight::from_parts(104_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn submit_compute_request_assignment() -> Weight {
        Weight::from_parts(214_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(15))
    }

    fn update_miner_compute_request() -> Weight {
        Weight::from_parts(109_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(7))
            .saturating_add(RocksDbWeight::get().writes(6))
    }

    fn mark_compute_request_fulfilled() -> Weight {
        Weight::from_parts(127_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(9))
            .saturating_add(RocksDbWeight::get().writes(8))
    }

    fn handle_miner_compute_request_failure() -> Weight {
        Weight::from_parts(325_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(18))
    }

    fn request_compute_boot() -> Weight {
        Weight::from_parts(67_900_000, 0)
            .saturating_add(RocksDbWeight::get().reads(6))
            .saturating_add(RocksDbWeight::get().writes(4))
    }

    fn request_compute_stop() -> Weight {
        Weight::from_parts(72_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(6))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn request_compute_reboot() -> Weight {
        Weight::from_parts(68_200_000, 0)
            .saturating_add(RocksDbWeight::get().reads(6))
            .saturating_add(RocksDbWeight::get().writes(4))
    }

    fn request_compute_resize() -> Weight {
        Weight::from_parts(88_500_000, 0)
            .saturating_add(RocksDbWeight::get().reads(7))
            .saturating_add(RocksDbWeight::get().writes(4))
    }

    fn request_compute_delete() -> Weight {
        Weight::from_parts(328_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(13))
            .saturating_add(RocksDbWeight::get().writes(18))
    }

    fn set_ssh_keys() -> Weight {
        Weight::from_parts(140_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(4))
            .saturating_add(RocksDbWeight::get().writes(4))
    }

    fn submit_compute_boot_request_fulfillment() -> Weight {
        Weight::from_parts(87_600_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn mark_miner_compute_stop_request_fulfilled() -> Weight {
        Weight::from_parts(90_300_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn submit_compute_reboot_request_fulfillment() -> Weight {
        Weight::from_parts(88_300_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn submit_compute_resize_request_fulfillment() -> Weight {
        Weight::from_parts(253_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(14))
            .saturating_add(RocksDbWeight::get().writes(13))
    }

    fn submit_compute_deletion_request() -> Weight {
        Weight::from_parts(182_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(11))
            .saturating_add(RocksDbWeight::get().writes(16))
    }

    fn report_operation_failure() -> Weight {
        Weight::from_parts(115_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(8))
            .saturating_add(RocksDbWeight::get().writes(6))
    }

    fn top_up() -> Weight {
        Weight::from_parts(247_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(9))
            .saturating_add(RocksDbWeight::get().writes(10))
    }

    fn evacuate() -> Weight {
        Weight::from_parts(238_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(12))
            .saturating_add(RocksDbWeight::get().writes(15))
    }

    fn end_lease() -> Weight {
        Weight::from_parts(180_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(9))
            .saturating_add(RocksDbWeight::get().writes(6))
    }

    fn settle() -> Weight {
        Weight::from_parts(304_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(19))
    }

    fn expire() -> Weight {
        Weight::from_parts(273_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(17))
    }

    fn claim_credit() -> Weight {
        Weight::from_parts(80_400_000, 0)
            .saturating_add(RocksDbWeight::get().reads(4))
            .saturating_add(RocksDbWeight::get().writes(4))
    }

    fn add_ips(n: u32) -> Weight {
        Weight::from_parts(96_400_000, 0)
            .saturating_add(Weight::from_parts(9_320_000, 0).saturating_mul(n.into()))
            .saturating_add(RocksDbWeight::get().reads(4))
            .saturating_add(RocksDbWeight::get().reads(1_u64.saturating_mul(n.into())))
            .saturating_add(RocksDbWeight::get().writes(3))
            .saturating_add(RocksDbWeight::get().writes(2_u64.saturating_mul(n.into())))
    }

    fn remove_ips(n: u32) -> Weight {
        Weight::from_parts(23_200_000, 0)
            .saturating_add(Weight::from_parts(36_900_000, 0).saturating_mul(n.into()))
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().reads(3_u64.saturating_mul(n.into())))
            .saturating_add(RocksDbWeight::get().writes(3))
            .saturating_add(RocksDbWeight::get().writes(5_u64.saturating_mul(n.into())))
    }

    fn set_ip_pool() -> Weight {
        Weight::from_parts(30_300_000, 0)
            .saturating_add(RocksDbWeight::get().reads(2))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn assign_ip_to_vm() -> Weight {
        Weight::from_parts(281_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(18))
            .saturating_add(RocksDbWeight::get().writes(17))
    }

    fn release_ip_from_vm() -> Weight {
        Weight::from_parts(222_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(13))
            .saturating_add(RocksDbWeight::get().writes(13))
    }

    fn deadline_cursor() -> Weight {
        Weight::from_parts(18_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(3))
            .saturating_add(RocksDbWeight::get().writes(1))
    }

    fn deadline_launch() -> Weight {
        Weight::from_parts(266_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(17))
    }

    fn deadline_operation() -> Weight {
        Weight::from_parts(89_300_000, 0)
            .saturating_add(RocksDbWeight::get().reads(6))
            .saturating_add(RocksDbWeight::get().writes(5))
    }

    fn deadline_deletion() -> Weight {
        Weight::from_parts(159_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(10))
            .saturating_add(RocksDbWeight::get().writes(15))
    }

    fn deadline_lease() -> Weight {
        Weight::from_parts(308_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(15))
            .saturating_add(RocksDbWeight::get().writes(19))
    }

    fn deadline_retention() -> Weight {
        Weight::from_parts(106_000_000, 0)
            .saturating_add(RocksDbWeight::get().reads(5))
            .saturating_add(RocksDbWeight::get().writes(8))
    }
}
