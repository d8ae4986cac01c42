//! A stream that can be cut from outside.
//!
//! russh runs a connection in a task of its own, which may be waiting for a peer that neither reads nor writes:
//! to cut what it stands on is the one way to end it for sure.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(crate) struct Cuttable<S> {
    inner: S,
    is_cut: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Cuttable<S> {
    pub(crate) fn new(inner: S, cut: CancellationToken) -> Self {
        Self { inner, cut: Box::pin(cut.clone().cancelled_owned()), is_cut: cut }
    }

    /// The peer's answer, or that it was cut. One that has an answer all the time is asked for it too.
    fn unless_cut<T>(
        &mut self,
        context: &mut Context<'_>,
        ask: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Unpin,
    {
        if self.is_cut.is_cancelled() {
            return Poll::Ready(Err(cut_off()));
        }
        match ask(Pin::new(&mut self.inner), context) {
            Poll::Pending => self.cut.as_mut().poll(context).map(|()| Err(cut_off())),
            ready => ready,
        }
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut off")
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_cut(context, |inner, context| inner.poll_read(context, buffer))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_cut(context, |inner, context| inner.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_cut(context, AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_stream_that_waits_for_its_peer_ends_when_it_is_cut() {
        let (near, mut far) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        let mut stream = Cuttable::new(near, cut.clone());
        far.write_all(b"abc").await.unwrap();
        let mut got = [0; 3];
        stream.read_exact(&mut got).await.unwrap();
        let waiting = tokio::spawn(async move {
            let mut more = [0];
            let read = stream.read(&mut more).await;
            (read, stream.write_all(b"never read by anybody").await)
        });
        tokio::task::yield_now().await;
        cut.cancel();
        let (read, written) = waiting.await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(written.is_err());
    }
}
