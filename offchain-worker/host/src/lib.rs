//! The figures of a hypervisor host, and whether it has room for more.
