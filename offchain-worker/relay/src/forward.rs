//! The port of one node.

use crate::{
    flow,
    line::Queue,
    server::{Registry, Relay},
    WITHIN,
};
use quarry_access::{Gate, Pass};
use russh::server;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What its connections share.
pub(crate) struct Forward {
    node: String,
    address: SocketAddr,
    handle: server::Handle,
    queue: Arc<Queue>,
    gate: Gate,
    carried: Arc<Semaphore>,
    idle: Duration,
    half_closed: Duration,
}

/// A place among those that are carried at once.
type Place = (Pass, OwnedSemaphorePermit);

impl Forward {
    pub fn new<R: Registry>(
        relay: &Relay<R>,
        node: &str,
        address: SocketAddr,
        handle: server::Handle,
        queue: Arc<Queue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            node: node.to_owned(),
            address,
            handle,
            queue,
            gate: Gate::new(relay.limits.per_node, relay.limits.per_source),
            carried: relay.carried.clone(),
            idle: relay.limits.idle,
            half_closed: relay.limits.half_closed,
        })
    }

    /// Carries what comes until it is cut; then what is under way ends too. Tells when the port is free.
    pub async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        cut: CancellationToken,
        closed: CancellationToken,
    ) {
        let under_way = TaskTracker::new();
        let mut told = false;
        loop {
            let accepted = tokio::select! {
                () = cut.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, source)) = accepted else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let source = SocketAddr::new(source.ip().to_canonical(), source.port());
            match self.place(source) {
                Some(place) => {
                    told = false;
                    let (forward, cut) = (self.clone(), cut.clone());
                    under_way.spawn(async move {
                        tokio::select! {
                            () = cut.cancelled() => (),
                            () = forward.carry(socket, source, place) => (),
                        }
                    });
                }
                None if !told => {
                    told = true;
                    tracing::warn!(node = self.node, %source, "refused: too many connections at once");
                }
                None => (),
            }
        }
        drop(listener);
        closed.cancel();
        under_way.close();
        under_way.wait().await;
    }

    fn place(&self, source: SocketAddr) -> Option<Place> {
        let pass = self.gate.enter(source.ip())?;
        Some((pass, self.carried.clone().try_acquire_owned().ok()?))
    }

    async fn carry(&self, socket: TcpStream, source: SocketAddr, _place: Place) {
        let begun = Instant::now();
        socket.set_nodelay(true).ok();
        let (to, from) = (self.address, source);
        let opened = self.handle.channel_open_forwarded_tcpip(
            to.ip().to_string(),
            u32::from(to.port()),
            from.ip().to_string(),
            u32::from(from.port()),
        );
        let channel = match timeout(WITHIN, opened).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                tracing::info!(node = self.node, %source, %error, "the node does not take a connection");
                return;
            }
            Err(_) => {
                tracing::info!(node = self.node, %source, "the node does not answer to a connection");
                return;
            }
        };
        let ended = flow::carry(channel, &self.queue, socket, self.idle, self.half_closed).await;
        tracing::info!(
            node = self.node,
            %source,
            to_node = ended.from_local,
            from_node = ended.to_local,
            seconds = begun.elapsed().as_secs(),
            why = %ended.why,
            "connection ended",
        );
    }
}
