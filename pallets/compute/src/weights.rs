//! The weights of the calls. Counted by hand until the benchmarks have run.

use frame_support::weights::{constants::RocksDbWeight, Weight};

macro_rules! weights {
    ($($name:ident $(($arg:ident))?: $reads:literal $writes:literal;)*) => {
        /// What each call, and each deadline, costs.
        pub trait WeightInfo {
            $(#[doc = concat!("`", stringify!($name), "`.")]
            fn $name($($arg: u32)?) -> Weight;)*
        }
        impl WeightInfo for () {
            $(fn $name($($arg: u32)?) -> Weight {
                $(let _ = $arg;)?
                Weight::from_parts(100_000_000, 0)
                    .saturating_add(RocksDbWeight::get().reads_writes($reads, $writes))
            })*
        }
    };
}

weights! {
    add_plan: 1 1;
    set_plan_enabled: 1 1;
    add_image: 2 1;
    set_image_enabled: 1 1;
    set_params: 0 1;
    force_close: 12 16;
    create_compute_request: 12 16;
    cancel_compute_request: 4 5;
    submit_compute_request_assignment: 12 12;
    update_miner_compute_request: 5 6;
    mark_compute_request_fulfilled: 6 7;
    handle_miner_compute_request_failure: 12 14;
    request_compute_boot: 6 5;
    request_compute_stop: 6 5;
    request_compute_reboot: 6 5;
    request_compute_resize: 8 6;
    request_compute_delete: 8 10;
    set_ssh_keys: 4 4;
    submit_compute_boot_request_fulfillment: 4 4;
    mark_miner_compute_stop_request_fulfilled: 4 4;
    submit_compute_reboot_request_fulfillment: 4 4;
    submit_compute_resize_request_fulfillment: 8 9;
    submit_compute_deletion_request: 12 14;
    report_operation_failure: 6 6;
    top_up: 6 6;
    evacuate: 12 14;
    end_lease: 4 3;
    settle: 6 6;
    expire: 12 14;
    claim_credit: 3 3;
    add_ips(n): 4 10;
    remove_ips(n): 4 10;
    set_ip_pool: 1 1;
    assign_ip_to_vm: 8 8;
    release_ip_from_vm: 8 8;
    deadline_cursor: 2 1;
    deadline_launch: 12 14;
    deadline_operation: 8 8;
    deadline_deletion: 12 14;
    deadline_lease: 12 12;
    deadline_retention: 4 6;
}
