//! The worker's local HTTP server: is it alive, is it ready, what does it do, how does it fare.
//!
//! On loopback, GET only. Whoever may log in on the host may read it; nothing in it is secret.

mod client;
mod server;
pub mod status;
#[cfg(test)]
mod tests;

pub use client::{address_of_running_worker, fetch_status};
pub use server::Server;
pub use status::{public_part, StatusBoard};

use std::{io, net::SocketAddr, path::PathBuf};

/// The file in the data folder that names the address of the running worker's server.
pub const ADDRESS_FILE: &str = "http-address";

/// The server could not be started, or not be asked.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Only this host may see it.
    #[error("{0} is not on loopback: set http.listen to 127.0.0.1 and a port")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not there.
    #[error("cannot listen on {address}: {source}; is another worker running? Else set http.listen to a free port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No worker wrote where it listens.
    #[error("no worker runs on {data_dir}: {reason}; look at `systemctl status quarry-worker`")]
    NoWorker {
        /// Its data folder.
        data_dir: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// The answer was none.
    #[error("the worker at {address} gave no answer that this version reads: {reason}")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
}
