//! What runs: plans, requests, queues, IP pools, leases and deadlines.
#![cfg_attr(not(feature = "std"), no_std)]
