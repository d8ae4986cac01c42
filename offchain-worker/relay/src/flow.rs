//! Carries one connection over a channel of the SSH session that all connections of a node share.
//!
//! Each side may have [`WINDOW`] bytes under way that the other has not passed on yet. What was passed on is told as
//! extended data of a type of our own. So what comes is always taken off the session at once, and a slow
//! reader holds up nobody but who sends to it.

use crate::line::Queue;
use bytes::{Buf, Bytes, BytesMut};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::{
    fmt, io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{split, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Notify, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// A part of the protocol: both sides begin with so much.
pub(crate) const WINDOW: usize = 1 << 20;
/// What was passed on is told in parts of this size.
const TOLD: usize = WINDOW / 8;
/// The type of extended data that tells so, as a number of four bytes.
pub(crate) const PASSED_ON: u32 = 0x5152_0001;
const PIECE: usize = 32 * 1024;
/// Once one direction is through, a connection may carry nothing for so long.
pub(crate) const HALF_CLOSED: Duration = Duration::from_secs(20);

/// How a connection ended, and what it carried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Why.
    pub why: Why,
    /// Bytes that were passed on to the local end.
    pub to_local: u64,
    /// Bytes that came from it.
    pub from_local: u64,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// Both ends were through.
    Done,
    /// It carried nothing for too long.
    Idle,
    /// The local end broke.
    Broken,
    /// The other side broke the rules.
    Unruly,
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Done => "done",
            Self::Idle => "idle",
            Self::Broken => "broken",
            Self::Unruly => "unruly",
        })
    }
}

impl From<io::Error> for Why {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Carries until both ends are through, or something ends it; then the channel is closed.
pub(crate) async fn carry<M, S>(
    channel: Channel<M>,
    queue: &Queue,
    local: S,
    idle: Duration,
    half_closed: Duration,
) -> Ended
where
    M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    S: AsyncRead + AsyncWrite,
{
    let (reader, writer) = channel.split();
    let (local_read, local_write) = split(local);
    let flow = Flow::new();
    let both = async {
        tokio::try_join!(flow.deliver(local_write, &writer), flow.send(local_read, &writer, queue))
    };
    let why = tokio::select! {
        done = both => done.err().unwrap_or(Why::Done),
        why = flow.receive(reader) => why,
        () = flow.is_idle(idle, half_closed) => Why::Idle,
    };
    writer.close().await.ok();
    let count = flow.count();
    Ended { why, to_local: count.to_local, from_local: count.from_local }
}

struct Flow {
    arrived: Mutex<Arrived>,
    more: Notify,
    credit: Semaphore,
    closed: CancellationToken,
    half_closed: CancellationToken,
    count: Mutex<Count>,
}

#[derive(Default)]
struct Arrived {
    bytes: BytesMut,
    /// Of what was taken, what is not passed on and told yet.
    taken: usize,
    ended: bool,
}

struct Count {
    to_local: u64,
    from_local: u64,
    last: Instant,
}

impl Count {
    fn carried(&mut self, to_local: usize, from_local: usize) {
        self.to_local += to_local as u64;
        self.from_local += from_local as u64;
        self.last = Instant::now();
    }
}

impl Flow {
    fn new() -> Self {
        Self {
            arrived: Mutex::default(),
            more: Notify::new(),
            credit: Semaphore::new(WINDOW),
            closed: CancellationToken::new(),
            half_closed: CancellationToken::new(),
            count: Mutex::new(Count { to_local: 0, from_local: 0, last: Instant::now() }),
        }
    }

    /// Takes what comes at once, for ever, or until it breaks the rules.
    async fn receive(&self, mut reader: ChannelReadHalf) -> Why {
        loop {
            let is_allowed = match reader.wait().await {
                Some(ChannelMsg::Data { data }) => self.put(&data),
                Some(ChannelMsg::ExtendedData { data, ext: PASSED_ON }) => self.passed_on(data),
                Some(ChannelMsg::Eof) => {
                    self.end();
                    true
                }
                Some(ChannelMsg::Close) | None => {
                    self.end();
                    self.closed.cancel();
                    // What came before is passed on yet.
                    return std::future::pending().await;
                }
                Some(_) => true,
            };
            if !is_allowed {
                return Why::Unruly;
            }
        }
    }

    fn put(&self, data: &[u8]) -> bool {
        let mut arrived = self.arrived();
        let under_way = arrived.bytes.len().saturating_add(arrived.taken);
        if arrived.ended || under_way.saturating_add(data.len()) > WINDOW {
            return false;
        }
        arrived.bytes.extend_from_slice(data);
        drop(arrived);
        self.more.notify_one();
        true
    }

    fn passed_on(&self, mut data: Bytes) -> bool {
        if data.len() != size_of::<u32>() {
            return false;
        }
        let Ok(told) = usize::try_from(data.get_u32()) else { return false };
        let room = WINDOW.saturating_sub(self.credit.available_permits());
        if told <= room {
            self.credit.add_permits(told);
        }
        told <= room
    }

    fn end(&self) {
        self.arrived().ended = true;
        self.more.notify_one();
    }

    async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut arrived = self.arrived();
                if !arrived.bytes.is_empty() {
                    let bytes = arrived.bytes.split().freeze();
                    arrived.taken = arrived.taken.saturating_add(bytes.len());
                    return Some(bytes);
                }
                if arrived.ended {
                    return None;
                }
            }
            self.more.notified().await;
        }
    }

    async fn deliver<M>(
        &self,
        mut local: impl AsyncWrite + Unpin,
        writer: &ChannelWriteHalf<M>,
    ) -> Result<(), Why>
    where
        M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        let mut untold = 0;
        while let Some(bytes) = self.next().await {
            for piece in bytes.chunks(PIECE) {
                local.write_all(piece).await?;
                untold += piece.len();
                self.count().carried(piece.len(), 0);
                if untold >= TOLD {
                    self.tell(std::mem::take(&mut untold), writer).await;
                }
            }
            local.flush().await?;
        }
        // One that is gone already has nothing more to say either.
        local.shutdown().await.ok();
        self.one_is_through();
        Ok(())
    }

    async fn tell<M>(&self, passed_on: usize, writer: &ChannelWriteHalf<M>)
    where
        M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        {
            let mut arrived = self.arrived();
            arrived.taken = arrived.taken.saturating_sub(passed_on);
        }
        let told = u32::try_from(passed_on).unwrap_or(u32::MAX).to_be_bytes();
        writer.extended_data_bytes(PASSED_ON, told.to_vec()).await.ok();
    }

    async fn send<M>(
        &self,
        mut local: impl AsyncRead + Unpin,
        writer: &ChannelWriteHalf<M>,
        queue: &Queue,
    ) -> Result<(), Why>
    where
        M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        let all = async {
            loop {
                let mut buffer = BytesMut::with_capacity(PIECE);
                let read = local.read_buf(&mut buffer).await?;
                if read == 0 {
                    writer.eof().await.ok();
                    return Ok(());
                }
                let Ok(permits) = self.credit.acquire_many(read as u32).await else { continue };
                permits.forget();
                queue.is_short().await;
                if writer.data_bytes(buffer.freeze()).await.is_err() {
                    return Ok(());
                }
                self.count().carried(0, read);
            }
        };
        let sent = tokio::select! {
            () = self.closed.cancelled() => Ok(()),
            sent = all => sent,
        };
        self.one_is_through();
        sent
    }

    /// From here on less patience is had with the other direction.
    fn one_is_through(&self) {
        self.count().carried(0, 0);
        self.half_closed.cancel();
    }

    async fn is_idle(&self, idle: Duration, half_closed: Duration) {
        let half_closed = async {
            self.half_closed.cancelled().await;
            self.is_silent(half_closed).await;
        };
        tokio::select! {
            () = self.is_silent(idle) => (),
            () = half_closed => (),
        }
    }

    async fn is_silent(&self, after: Duration) {
        loop {
            let left = after.saturating_sub(self.count().last.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
