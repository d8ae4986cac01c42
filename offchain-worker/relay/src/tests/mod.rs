//! The relay and the node's side over real sockets; the chain alone is played.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod carried;
mod damaged;
mod let_in;
mod stage;
mod strangers;
