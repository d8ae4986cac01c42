//! `quarry-worker relay`: a port for each node that can only dial out.

use crate::{
    access_key,
    config::{LogFormat, LogSettings},
    lock::{Lock, LockError},
    logs::{self, LogError},
};
use clap::Args;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use quarry_client::{Chain, ChainOptions, EndpointError};
use quarry_guest::HostKeyError;
use quarry_primitives::{Hash, NodeId};
use quarry_relay::{Limits, Ports, PortsError, Registry, Relay, Settings, Unknown};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// Where the relay listens, what for, and how much it carries.
#[derive(Args, Clone, Debug)]
pub struct RelayArgs {
    /// Where nodes log in.
    #[arg(
        long,
        env = "QUARRY_RELAY_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "[::]:2200"
    )]
    listen: SocketAddr,
    /// The address of the nodes' ports; by default that of --listen.
    #[arg(long, env = "QUARRY_RELAY_ADDRESS", value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// The ports that nodes are given, each one for good.
    #[arg(long, env = "QUARRY_RELAY_PORTS", value_name = "FIRST-LAST", default_value = "20000-29999", value_parser = ports)]
    ports: RangeInclusive<u16>,
    /// RPC of chain nodes (ws://, wss://), in order of preference; several with commas between.
    #[arg(
        long,
        env = "QUARRY_RELAY_CHAIN",
        value_name = "URL",
        value_delimiter = ',',
        required = true
    )]
    chain: Vec<String>,
    /// The hash of the chain's block 0. Without it that of the first chain node that answers counts.
    #[arg(long, env = "QUARRY_RELAY_GENESIS", value_name = "0x…", value_parser = genesis)]
    genesis: Option<Hash>,
    /// The relay's host key, and which node has which port.
    #[arg(
        long,
        env = "QUARRY_RELAY_DATA_DIR",
        value_name = "FOLDER",
        default_value = "/var/lib/quarry-relay"
    )]
    data_dir: PathBuf,
    /// How many nodes it takes.
    #[arg(long, env = "QUARRY_RELAY_MAX_NODES", value_name = "NUMBER", default_value_t = 1_000, value_parser = count)]
    max_nodes: usize,
    /// How many connections it carries at once, of all nodes.
    #[arg(long, env = "QUARRY_RELAY_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 4_096, value_parser = count)]
    max_connections: usize,
    /// Of those, of one node.
    #[arg(long, env = "QUARRY_RELAY_PER_NODE", value_name = "NUMBER", default_value_t = 256, value_parser = count)]
    per_node: usize,
    /// Of those, from one address.
    #[arg(long, env = "QUARRY_RELAY_PER_SOURCE", value_name = "NUMBER", default_value_t = 16, value_parser = count)]
    per_source: usize,
    /// How long a connection may carry nothing.
    #[arg(long, env = "QUARRY_RELAY_IDLE", value_name = "TIME", default_value = "2h", value_parser = humantime::parse_duration)]
    idle: Duration,
    /// Logs as JSON.
    #[arg(long, env = "QUARRY_RELAY_LOG_JSON")]
    log_json: bool,
    /// What is logged, as "info,quarry_relay=debug".
    #[arg(long, env = "QUARRY_RELAY_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The logs.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The data folder.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another one.
    #[error("another relay has {0}: stop that one, or give this one a --data-dir of its own")]
    Taken(PathBuf),
    /// The lock.
    #[error(transparent)]
    Lock(LockError),
    /// The host key.
    #[error("the relay's host key: {0}")]
    Key(#[from] HostKeyError),
    /// The host key is no key for SSH.
    #[error("the relay's host key {0} cannot be used: restore it, or remove it and tell all nodes' operators the new one")]
    Unusable(PathBuf),
    /// What is remembered.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// The chain's endpoints.
    #[error(transparent)]
    Endpoints(#[from] EndpointError),
    /// The port.
    #[error("{0} cannot be listened on: {1}; see --listen")]
    Listen(SocketAddr, io::Error),
}

impl RelayError {
    /// The process's exit code, by which systemd knows whether another start makes sense.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Taken(_) => 69,
            Self::Log(_)
            | Self::Key(HostKeyError::Malformed(_) | HostKeyError::WrongKind)
            | Self::Unusable(_)
            | Self::Ports(PortsError::Damaged { .. })
            | Self::Endpoints(_) => 78,
            _ => 1,
        }
    }
}

/// Runs until a signal.
pub async fn relay(args: RelayArgs) -> Result<(), RelayError> {
    let format = if args.log_json { LogFormat::Json } else { LogFormat::Text };
    logs::start(&LogSettings { format, filter: args.log.clone() })?;
    let _lock = lock(&args)?;
    let key_file = args.data_dir.join("relay.key");
    let key = access_key::read_or_make(&key_file)?;
    let host_key = access_key::for_ssh(&key)?.ok_or(RelayError::Unusable(key_file))?;
    // For the nodes' settings, so without anything else on the line.
    println!("relay_key = \"{}\"", key.public_line()?.trim());
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let options = ChainOptions { genesis: args.genesis, ..ChainOptions::new(&args.chain) };
    let chain = Chain::start(options)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| RelayError::Listen(args.listen, error))?;
    tracing::info!("waiting for the chain");
    let genesis = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        (genesis, _) = chain.ready() => genesis,
    };
    let genesis = format!("0x{}", HEXLOWER.encode(genesis.as_bytes()));
    let relay = Relay::new(
        OnChain::new(chain),
        Settings {
            host_key,
            address: args.address.unwrap_or(args.listen.ip()),
            ports: Ports::open(&args.data_dir.join("ports.json"), &genesis, args.ports.clone())?,
            limits: args.limits(),
        },
    );
    tracing::info!(listen = %args.listen, ports = ?args.ports, genesis, "ready");
    relay.serve(listener, stop).await;
    tracing::info!("stopped");
    Ok(())
}

impl RelayArgs {
    fn limits(&self) -> Limits {
        Limits {
            nodes: self.max_nodes,
            connections: self.max_connections,
            per_node: self.per_node,
            per_source: self.per_source,
            idle: self.idle,
            ..Limits::default()
        }
    }
}

fn lock(args: &RelayArgs) -> Result<Lock, RelayError> {
    let folder = &args.data_dir;
    std::fs::create_dir_all(folder).map_err(|error| RelayError::Io(folder.clone(), error))?;
    Lock::take(&folder.join("relay.lock"), "this data folder").map_err(|error| match error {
        LockError::Taken { .. } => RelayError::Taken(folder.clone()),
        error => RelayError::Lock(error),
    })
}

fn stop_on_signals(stop: &CancellationToken) -> Result<(), RelayError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).map_err(|error| RelayError::Io("signals".into(), error))?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}

/// The registry, at the latest finalized block.
struct OnChain {
    chain: Chain,
    blocks: watch::Receiver<u64>,
}

impl OnChain {
    fn new(chain: Chain) -> Self {
        let (sender, blocks) = watch::channel(0);
        let mut finalized = chain.finalized();
        tokio::spawn(async move {
            while finalized.changed().await.is_ok() {
                finalized.borrow_and_update();
                sender.send_modify(|count: &mut u64| *count = count.wrapping_add(1));
            }
        });
        Self { chain, blocks }
    }
}

impl Registry for OnChain {
    async fn host_key(&self, node: &str) -> Result<Option<[u8; 32]>, Unknown> {
        let Ok(node_id) = NodeId::try_from(node) else { return Ok(None) };
        let finalized = *self.chain.finalized().borrow();
        let latest = finalized.filter(|latest| latest.may_act());
        let latest = latest.ok_or_else(|| Unknown("the chain node is behind, or away".into()))?;
        let view = self.chain.at(latest.block.hash).node(&node_id).await;
        let node = view.map_err(|error| Unknown(error.to_string()))?.map(|view| view.node);
        // One that is leaving has no VMs.
        Ok(node.filter(|node| node.leaves_at.is_none()).map(|node| node.access.host_key))
    }

    fn blocks(&self) -> watch::Receiver<u64> {
        self.blocks.clone()
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        Some(first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?)
    });
    range
        .filter(|range| *range.start() > 0 && !range.is_empty())
        .ok_or_else(|| "must be the first and the last port, as 20000-29999".into())
}

fn genesis(text: &str) -> Result<Hash, String> {
    let digits = text.strip_prefix("0x");
    let bytes = digits.and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok());
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Hash::from)
        .ok_or_else(|| "must be the hash of block 0: 0x and 64 hexadecimal digits".into())
}

fn count(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "must be a whole number from 1 to 1000000".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RelayArgs,
    }

    fn read(args: &[&str]) -> Result<RelayArgs, clap::Error> {
        let line = [&["relay"], args].concat();
        Line::try_parse_from(line).map(|line| line.args)
    }

    #[test]
    fn a_chain_is_all_that_must_be_told() {
        let args = read(&["--chain", "ws://a,ws://b"]).unwrap();
        assert_eq!(args.chain, ["ws://a", "ws://b"]);
        assert_eq!(args.ports, 20_000..=29_999);
        assert_eq!((args.limits().nodes, args.limits().per_source), (1_000, 16));
        assert!(read(&[]).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            ["--ports", "20000"],
            ["--ports", "9-8"],
            ["--ports", "0-9"],
            ["--ports", "1-65536"],
            ["--genesis", "0x12"],
            ["--max-nodes", "0"],
            ["--idle", "soon"],
            ["--listen", "2200"],
            ["--address", "relay.example"],
        ] {
            let args = [&["--chain", "ws://a"], wrong.as_slice()].concat();
            assert!(read(&args).is_err(), "{wrong:?}");
        }
    }
}
