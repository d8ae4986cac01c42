//! The relay: who is let in, and who is cut off.

use crate::{
    flow::HALF_CLOSED, forward::Forward, line, line::Queue, login::Login, ports::PortsError, Ports,
    PrivateKey, CHANNEL_BUFFER, SSH_ID, WITHIN,
};
use futures::StreamExt;
use quarry_access::Gate;
use russh::{server, MethodKind, MethodSet};
use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch, Semaphore},
    time::{sleep, timeout_at, Instant},
};
use tokio_util::sync::CancellationToken;

/// Of one connection.
pub(crate) const TRIES: usize = 6;
/// One who is refused waits so long for the answer, whatever the reason.
const REFUSED_AFTER: Duration = Duration::from_secs(1);
/// Where no block comes, all are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
const LOOKS_AT_ONCE: usize = 16;
/// A node that is silent for three of these is gone.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Who is registered cannot be told now.
#[derive(Debug, thiserror::Error)]
#[error("who is registered cannot be told now: {0}")]
pub struct Unknown(pub String);

/// What the chain says of nodes.
pub trait Registry: Send + Sync + 'static {
    /// The access host key of a node at the latest finalized block; none if no node of that name is registered.
    fn host_key(
        &self,
        node: &str,
    ) -> impl Future<Output = Result<Option<[u8; 32]>, Unknown>> + Send;

    /// Changes with each finalized block.
    fn blocks(&self) -> watch::Receiver<u64>;
}

/// How much is carried at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes.
    pub nodes: usize,
    /// Connections of all nodes.
    pub connections: usize,
    /// Connections of one node.
    pub per_node: usize,
    /// Of those, from one address.
    pub per_source: usize,
    /// Connections to the relay itself that have not logged in.
    pub unauthenticated: usize,
    /// Of those, from one address.
    pub unauthenticated_per_source: usize,
    /// How long a connection may carry nothing.
    pub idle: Duration,
    /// The same once one direction is through.
    pub half_closed: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 1_000,
            connections: 4_096,
            per_node: 256,
            per_source: 16,
            unauthenticated: 64,
            unauthenticated_per_source: 4,
            idle: Duration::from_secs(2 * 3_600),
            half_closed: HALF_CLOSED,
        }
    }
}

/// How a relay is set up.
pub struct Settings {
    /// The host key, which nodes know.
    pub host_key: PrivateKey,
    /// Where the nodes' ports listen.
    pub address: IpAddr,
    /// Which ports they have.
    pub ports: Ports,
    /// How much it carries.
    pub limits: Limits,
}

/// A relay.
pub struct Relay<R> {
    pub(crate) registry: R,
    pub(crate) limits: Limits,
    address: IpAddr,
    ssh: Arc<server::Config>,
    gate: Gate,
    pub(crate) carried: Arc<Semaphore>,
    /// Held while a node is let in, so that one comes after the other.
    ports: tokio::sync::Mutex<Ports>,
    links: Mutex<HashMap<String, Arc<Held>>>,
}

/// A node that is there.
pub(crate) struct Held {
    pub node: String,
    pub port: u16,
    key: [u8; 32],
    /// Ends its connection and all that it carries.
    cut: CancellationToken,
    /// Its port is free again.
    closed: CancellationToken,
}

/// A node that logged in is not given a port.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("there are {0} nodes already, and no more are taken")]
    Full(usize),
    #[error(transparent)]
    Ports(#[from] PortsError),
    #[error("port {0}, which is the node's, cannot be opened: {1}")]
    Listen(u16, io::Error),
    #[error("the node logged in before, and that connection does not end")]
    Stuck,
}

impl<R: Registry> Relay<R> {
    /// Nothing happens before [`serve`](Self::serve).
    pub fn new(registry: R, settings: Settings) -> Arc<Self> {
        let Settings { host_key, address, ports, limits } = settings;
        let ssh = server::Config {
            server_id: SSH_ID,
            methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
            auth_rejection_time: REFUSED_AFTER,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![host_key],
            max_auth_attempts: TRIES,
            channel_buffer_size: CHANNEL_BUFFER,
            inactivity_timeout: None,
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: 2,
            preferred: crate::algorithms(),
            ..server::Config::default()
        };
        Arc::new(Self {
            registry,
            limits,
            address,
            ssh: Arc::new(ssh),
            gate: Gate::new(limits.unauthenticated, limits.unauthenticated_per_source),
            carried: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            ports: tokio::sync::Mutex::new(ports),
            links: Mutex::default(),
        })
    }

    /// Takes nodes until it is told to stop; then all are cut off.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let stop = stop.child_token();
        let _end = stop.clone().drop_guard();
        let looks = tokio::spawn(self.clone().look(stop.clone()));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, source)) => {
                    tokio::spawn(self.clone().session(socket, source, stop.child_token()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        looks.await.ok();
    }

    async fn session(
        self: Arc<Self>,
        socket: TcpStream,
        source: SocketAddr,
        cut: CancellationToken,
    ) {
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let Some(pass) = self.gate.press_in(source.ip()) else {
            tracing::debug!(%source, "refused: too many have not logged in");
            return;
        };
        let (pushed_out, voice) = (pass.pushed_out(), pass.voice());
        // Else each key that is pressed would wait for the answer to the one before.
        socket.set_nodelay(true).ok();
        let due = Instant::now() + WITHIN;
        let (line, queue) = line::line(socket, cut.clone());
        let (admitted, in_time) = oneshot::channel();
        let login = Login::new(self.clone(), source, queue, cut.clone(), (pass, admitted));
        let begin = server::run_stream(self.ssh.clone(), line, login);
        let running = tokio::select! {
            begun = timeout_at(due, begin) => begun.ok().and_then(Result::ok),
            () = pushed_out.cancelled() => None,
        };
        let Some(running) = running else {
            cut.cancel();
            return;
        };
        voice.is_heard();
        let too_late = async {
            let is_late = tokio::select! {
                admitted = timeout_at(due, in_time) => admitted.is_err(),
                () = pushed_out.cancelled() => true,
            };
            if is_late {
                cut.cancel();
            }
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = running => ended,
            () = too_late => return,
        };
        if let Err(error) = ended {
            tracing::debug!(%source, %error, "the connection of a node ended");
        }
        cut.cancel();
    }

    /// Gives a node its port. What it has had from an earlier login ends.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        (node, key): (&str, [u8; 32]),
        handle: server::Handle,
        queue: Arc<Queue>,
        cut: CancellationToken,
    ) -> Result<Arc<Held>, NotAdmitted> {
        let mut ports = self.ports.lock().await;
        let earlier = self.links().get(node).cloned();
        match earlier {
            Some(earlier) => {
                tracing::info!(node, "logged in again: what it had before ends");
                earlier.cut.cancel();
                let closed = earlier.closed.cancelled();
                tokio::time::timeout(WITHIN, closed).await.map_err(|_| NotAdmitted::Stuck)?;
            }
            None if self.links().len() >= self.limits.nodes => {
                return Err(NotAdmitted::Full(self.limits.nodes));
            }
            None => (),
        }
        let (port, listener) = self.open_port(&mut ports, node).await?;
        let closed = CancellationToken::new();
        let held = Held { node: node.to_owned(), port, key, cut, closed: closed.clone() };
        let held = Arc::new(held);
        self.links().insert(node.to_owned(), held.clone());
        let address = SocketAddr::new(self.address, port);
        let forward = Forward::new(self, &held.node, address, handle, queue);
        tokio::spawn(forward.run(listener, held.cut.clone(), closed));
        Ok(held)
    }

    async fn open_port(
        &self,
        ports: &mut Ports,
        node: &str,
    ) -> Result<(u16, TcpListener), NotAdmitted> {
        if let Some(port) = ports.of(node) {
            let listener = TcpListener::bind((self.address, port)).await;
            return Ok((port, listener.map_err(|error| NotAdmitted::Listen(port, error))?));
        }
        for port in ports.free().collect::<Vec<_>>() {
            match TcpListener::bind((self.address, port)).await {
                Ok(listener) => {
                    ports.remember(node, port)?;
                    return Ok((port, listener));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => (),
                Err(error) => return Err(NotAdmitted::Listen(port, error)),
            }
        }
        Err(ports.none_left().into())
    }

    /// A node's connection ended.
    pub(crate) fn leave(&self, held: &Arc<Held>) {
        let mut links = self.links();
        if links.get(&held.node).is_some_and(|link| Arc::ptr_eq(link, held)) {
            links.remove(&held.node);
        }
        drop(links);
        held.cut.cancel();
    }

    /// Cuts off whoever is not registered with the key any more.
    async fn look(self: Arc<Self>, stop: CancellationToken) {
        let mut blocks = self.registry.blocks();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = blocks.changed() => if changed.is_err() {
                    sleep(LOOK_AGAIN).await;
                },
                () = sleep(LOOK_AGAIN) => (),
            }
            let links: Vec<_> = self.links().values().cloned().collect();
            let looks = futures::stream::iter(links);
            looks.for_each_concurrent(LOOKS_AT_ONCE, |held| self.look_at(held)).await;
        }
    }

    async fn look_at(&self, held: Arc<Held>) {
        let why = match self.registry.host_key(&held.node).await {
            Ok(Some(key)) if key == held.key => return,
            Ok(Some(_)) => "the chain names another access key",
            Ok(None) => "it is not registered any more",
            Err(error) => {
                tracing::debug!(node = held.node, %error, "nothing is concluded from that");
                return;
            }
        };
        tracing::info!(node = held.node, "cut off: {why}");
        held.cut.cancel();
    }

    fn links(&self) -> MutexGuard<'_, HashMap<String, Arc<Held>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
