//! The node's side: it dials the relay, and what comes to its port there it takes as if it came to a port here.

use crate::{
    algorithms, ed25519,
    flow::{self, HALF_CLOSED},
    line,
    line::Queue,
    PrivateKey, CHANNEL_BUFFER, SSH_ID, WITHIN,
};
use russh::{
    client::{self, AuthResult, ChannelOpenHandle, Handler, Msg, Session},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate},
    Channel, ChannelOpenFailure,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::DuplexStream,
    net::TcpStream,
    sync::{mpsc, Semaphore},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A relay that is silent for three of these is gone.
const KEEPALIVE: Duration = Duration::from_secs(8);
/// Whatever the relay says, this many at once are carried.
const CONNECTIONS: usize = 1_024;
const BUFFER: usize = 64 * 1024;
/// Connections that came and were not taken yet.
const WAITING: usize = 64;

/// A relay, and who dials it.
#[derive(Clone)]
pub struct Dial {
    /// Its `host:port`.
    pub relay: String,
    /// Its Ed25519 host key.
    pub relay_key: [u8; 32],
    /// The node.
    pub node: String,
    /// The node's access key.
    pub key: PrivateKey,
    /// How long a connection may carry nothing.
    pub idle: Duration,
}

/// The relay was not reached, or does not take the node.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// There is no way to it.
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    /// It does not answer.
    #[error("it does not answer within {} seconds", WITHIN.as_secs())]
    Silent,
    /// It is another one, so that it was told nothing.
    #[error("its host key is not the one of access.relay_key: ask the relay's operator for the right one")]
    WrongHostKey,
    /// It does not let the node in.
    #[error("it does not let the node in: the node must be registered on the relay's chain with this access key, in a finalized block")]
    Refused,
    /// It gives the node no port.
    #[error("it gives the node no port: it has no room, its log says why")]
    NoPort,
    /// SSH.
    #[error("{0}")]
    Ssh(#[from] russh::Error),
}

/// A connection to the relay. It ends when this is dropped, and all that it carries.
pub struct Link {
    /// The node's port at the relay.
    pub port: u16,
    incoming: mpsc::Receiver<Forwarded>,
    handle: client::Handle<Node>,
    _end: DropGuard,
}

/// A connection that came to the node's port.
pub struct Forwarded {
    /// Where it came from, as the relay says.
    pub source: SocketAddr,
    /// What it carries.
    pub stream: DuplexStream,
}

impl Dial {
    /// Logs in and asks for the port.
    pub async fn connect(&self) -> Result<Link, DialError> {
        let cut = CancellationToken::new();
        let end = cut.clone().drop_guard();
        let socket = timeout(WITHIN, TcpStream::connect(&self.relay)).await;
        let socket = socket.map_err(|_| DialError::Silent)?.map_err(DialError::Unreachable)?;
        socket.set_nodelay(true).ok();
        let (line, queue) = line::line(socket, cut.clone());
        let (sender, incoming) = mpsc::channel(WAITING);
        let node = Node {
            relay_key: self.relay_key,
            sender,
            queue,
            idle: self.idle,
            cut,
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        };
        let all = async {
            let mut handle = client::connect_stream(Arc::new(config()), line, node).await?;
            let key = PrivateKeyWithHashAlg::new(Arc::new(self.key.clone()), None);
            match handle.authenticate_publickey(&self.node, key).await? {
                AuthResult::Success => (),
                AuthResult::Failure { .. } => return Err(DialError::Refused),
            }
            let port = match handle.tcpip_forward("", 0).await {
                Ok(port) => u16::try_from(port).ok().filter(|port| *port > 0),
                Err(russh::Error::RequestDenied) => None,
                Err(error) => return Err(error.into()),
            };
            Ok((port.ok_or(DialError::NoPort)?, handle))
        };
        let connected = timeout(WITHIN, all).await.map_err(|_| DialError::Silent)?;
        let (port, handle) = connected.map_err(|error| match error {
            DialError::Ssh(russh::Error::UnknownKey) => DialError::WrongHostKey,
            error => error,
        })?;
        Ok(Link { port, incoming, handle, _end: end })
    }
}

impl Link {
    /// The next connection; none when the link ended.
    pub async fn next(&mut self) -> Option<Forwarded> {
        self.incoming.recv().await
    }

    /// Tells the relay that the node leaves.
    pub async fn leave(self) {
        let left = self.handle.disconnect(russh::Disconnect::ByApplication, "", "");
        timeout(Duration::from_secs(1), left).await.ok();
    }
}

fn config() -> client::Config {
    client::Config {
        client_id: SSH_ID,
        preferred: algorithms(),
        channel_buffer_size: CHANNEL_BUFFER,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 2,
        ..client::Config::default()
    }
}

struct Node {
    relay_key: [u8; 32],
    sender: mpsc::Sender<Forwarded>,
    queue: Arc<Queue>,
    idle: Duration,
    cut: CancellationToken,
    room: Arc<Semaphore>,
}

impl Handler for Node {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => ed25519(key) == Some(self.relay_key),
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let source = source(originator_address, originator_port);
        let place = self.room.clone().try_acquire_owned();
        let (Some(source), Ok(place)) = (source, place) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let (stream, ours) = tokio::io::duplex(BUFFER);
        // The session is never held up: who takes connections too slowly gets none.
        if self.sender.try_send(Forwarded { source, stream }).is_err() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        reply.accept().await;
        let (queue, cut, idle) = (self.queue.clone(), self.cut.clone(), self.idle);
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => (),
                ended = flow::carry(channel, &queue, ours, idle, HALF_CLOSED) => {
                    tracing::debug!(%source, ?ended, "a connection by the relay ended");
                }
            }
            drop(place);
        });
        Ok(())
    }

    // A relay opens nothing else.

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }
}

async fn refuse(reply: ChannelOpenHandle) -> Result<(), russh::Error> {
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    Ok(())
}

fn source(address: &str, port: u32) -> Option<SocketAddr> {
    let address: IpAddr = address.parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}
