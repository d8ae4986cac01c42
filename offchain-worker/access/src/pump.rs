//! Carrying bytes between a channel and a socket.

use crate::{connection::Connection, session::ToTenant};
use russh::{
    server::ChannelOpenHandle, server::Msg, Channel, ChannelMsg, ChannelOpenFailure,
    ChannelReadHalf,
};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::{tcp, unix, TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// A VM that is up answers sooner.
const CONNECTING: Duration = Duration::from_secs(10);
/// What is read at once: as much as an SSH packet carries.
const CHUNK: usize = 32 * 1024;

/// Opens the VM's port 22.
pub(crate) async fn connect_ssh(
    connection: &Arc<Connection>,
    address: Option<SocketAddr>,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
) -> io::Result<()> {
    let address = address.ok_or(io::ErrorKind::AddrNotAvailable);
    let opening = async { TcpStream::connect(address?).await };
    let socket = opened(opening, reply).await?;
    socket.set_nodelay(true)?;
    connection.opened("ssh");
    let (reader, writer) = socket.into_split();
    carry(connection, channel, reader, writer).await
}

/// Opens the VM's screen.
pub(crate) async fn connect_screen(
    connection: &Arc<Connection>,
    socket: Option<PathBuf>,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
) -> io::Result<()> {
    let path = socket.ok_or(io::ErrorKind::NotFound);
    let opening = async { UnixStream::connect(path?).await };
    let socket = opened(opening, reply).await?;
    connection.opened("vnc");
    let (reader, writer) = socket.into_split();
    carry(connection, channel, reader, writer).await
}

/// The socket, or the reason why there is none, which the tenant is told too.
async fn opened<S>(
    opening: impl std::future::Future<Output = io::Result<S>>,
    reply: ChannelOpenHandle,
) -> io::Result<S> {
    let outcome = timeout(CONNECTING, opening).await;
    match outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(socket) => {
            reply.accept().await;
            Ok(socket)
        }
        Err(error) => {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            Err(error)
        }
    }
}

/// Both ways, until both are through, or one broke. An end is passed on to the other side.
async fn carry<R: Readable, W: AsyncWrite + Unpin>(
    connection: &Arc<Connection>,
    channel: Channel<Msg>,
    reader: R,
    writer: W,
) -> io::Result<()> {
    let (mut from_tenant, to_tenant) = channel.split();
    let tenant_is_through = CancellationToken::new();
    let outcome = tokio::select! {
        outcome = to_socket(connection, &mut from_tenant, writer, &tenant_is_through) => outcome,
        outcome = from_socket(connection, &to_tenant, reader, &tenant_is_through) => outcome,
    };
    let _ = to_tenant.close().await;
    outcome
}

async fn to_socket<W: AsyncWrite + Unpin>(
    connection: &Connection,
    from_tenant: &mut ChannelReadHalf,
    mut writer: W,
    is_through: &CancellationToken,
) -> io::Result<()> {
    while let Some(message) = from_tenant.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                writer.write_all(&data).await?;
                connection.received(data.len());
            }
            ChannelMsg::Eof => {
                writer.shutdown().await?;
                is_through.cancel();
            }
            ChannelMsg::Close => return Ok(()),
            _ => (),
        }
    }
    Ok(())
}

async fn from_socket<R: Readable>(
    connection: &Connection,
    to_tenant: &ToTenant,
    reader: R,
    tenant_is_through: &CancellationToken,
) -> io::Result<()> {
    while let Some(bytes) = reader.next().await? {
        let length = bytes.len();
        to_tenant.data_bytes(bytes).await.map_err(io::Error::other)?;
        connection.sent(length);
    }
    to_tenant.eof().await.map_err(io::Error::other)?;
    tenant_is_through.cancelled().await;
    Ok(())
}

/// A socket's side to read from, which takes no memory while there is nothing.
trait Readable {
    /// What came; none when no more will.
    async fn next(&self) -> io::Result<Option<Vec<u8>>>;
}

/// Both kinds of sockets have the same methods, and no trait in common.
macro_rules! readable {
    ($half:ty) => {
        impl Readable for $half {
            async fn next(&self) -> io::Result<Option<Vec<u8>>> {
                loop {
                    self.readable().await?;
                    let mut bytes = Vec::with_capacity(CHUNK);
                    match self.try_read_buf(&mut bytes) {
                        Ok(0) => return Ok(None),
                        Ok(_) => return Ok(Some(bytes)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    };
}

readable!(tcp::OwnedReadHalf);
readable!(unix::OwnedReadHalf);
