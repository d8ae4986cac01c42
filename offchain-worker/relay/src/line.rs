//! A TCP connection under an SSH session that goes on reading while it cannot write.
//!
//! A session of russh waits until all is written before it reads again. Two of them that both have much to say
//! would wait for each other for ever. So writes end in a queue; those who have much to say wait until it is short.

use bytes::{Bytes, BytesMut};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{
        tcp::{OwnedReadHalf, OwnedWriteHalf},
        TcpStream,
    },
    sync::Notify,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Above this, data waits to be queued.
const SHORT: usize = 256 * 1024;
/// A peer who lets so much pile up takes nothing at all.
const LONGEST: usize = 16 << 20;
const PIECE: usize = 64 * 1024;

/// The connection. It ends at once when its token is cancelled, and cancels it when it breaks.
pub(crate) struct Line {
    read: OwnedReadHalf,
    queue: Arc<Queue>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What is to be written.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct State {
    waiting: BytesMut,
    /// Of what was taken to be written, what is not written yet.
    taken: usize,
    ended: bool,
    broken: bool,
}

impl State {
    fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.taken)
    }
}

/// Makes one, within an async runtime.
pub(crate) fn line(socket: TcpStream, cut: CancellationToken) -> (Line, Arc<Queue>) {
    let (read, write) = socket.into_split();
    let queue = Arc::new(Queue::default());
    tokio::spawn(queue.clone().write_to(write, cut.clone()));
    (Line { read, queue: queue.clone(), cut: Box::pin(cut.cancelled_owned()) }, queue)
}

impl Queue {
    /// Waits until the queue is short.
    pub(crate) async fn is_short(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            {
                let state = self.state();
                if state.len() < SHORT || state.broken || state.ended {
                    return;
                }
            }
            drained.await;
        }
    }

    async fn write_to(self: Arc<Self>, mut write: OwnedWriteHalf, cut: CancellationToken) {
        let all = async {
            while let Some(chunk) = self.next().await {
                for piece in chunk.chunks(PIECE) {
                    write.write_all(piece).await?;
                    let mut state = self.state();
                    state.taken = state.taken.saturating_sub(piece.len());
                    drop(state);
                    self.drained.notify_waiters();
                }
            }
            write.shutdown().await
        };
        let written = tokio::select! {
            () = cut.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            written = all => written,
        };
        if written.is_err() {
            self.state().broken = true;
            cut.cancel();
        }
        self.drained.notify_waiters();
    }

    async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state();
                if !state.waiting.is_empty() {
                    let chunk = state.waiting.split().freeze();
                    state.taken = chunk.len();
                    return Some(chunk);
                }
                if state.ended {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.broken || state.ended || state.len() > LONGEST {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.waiting.extend_from_slice(bytes);
        drop(state);
        self.filled.notify_one();
        Ok(bytes.len())
    }

    fn end(&self) {
        self.state().ended = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.queue.put(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queue.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.queue.end();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use tokio::{io::AsyncReadExt, net::TcpListener};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(dialled, listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_written_arrives_and_then_the_end() {
        let (near, mut far) = pair().await;
        let (mut line, _) = line(near, CancellationToken::new());
        let sent = vec![7; 3 << 20];
        line.write_all(&sent).await.unwrap();
        line.shutdown().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(got == sent);
    }

    #[tokio::test]
    async fn it_reads_while_its_peer_takes_nothing() {
        let (near, mut far) = pair().await;
        let (mut line, queue) = line(near, CancellationToken::new());
        line.write_all(&vec![7; LONGEST]).await.unwrap();
        far.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        line.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
        let mut rest = vec![0; LONGEST];
        tokio::join!(queue.is_short(), async { far.read_exact(&mut rest).await.unwrap() });
    }

    #[tokio::test]
    async fn a_peer_who_takes_nothing_at_all_is_given_up() {
        let (near, _far) = pair().await;
        let (mut line, _) = line(near, CancellationToken::new());
        let mut refused = None;
        for _ in 0..64 {
            refused = refused.or(line.write_all(&vec![7; 1 << 20]).await.err());
        }
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn it_is_cut_from_outside() {
        let (near, mut far) = pair().await;
        let cut = CancellationToken::new();
        let (mut line, queue) = line(near, cut.clone());
        let reading = tokio::spawn(async move { line.read_u8().await });
        cut.cancel();
        assert!(reading.await.unwrap().is_err());
        queue.is_short().await;
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
