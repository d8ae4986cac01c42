//! Who offers: nodes, their offers, bonds, heartbeats and metrics.
#![cfg_attr(not(feature = "std"), no_std)]
