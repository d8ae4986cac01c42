//! `quarry-worker`: the daemon beside a hypervisor.

fn main() {}
