//! Taking connections, and seeing each to its end.

use crate::{
    connection::{Connection, End},
    console::Consoles,
    directory::Node,
    figures::{Figures, Refusal},
    gate::Gate,
    places::Places,
    session::{Session, MAX_TRIES},
    stream::Cuttable,
};
use russh::{
    cipher, compression, kex, server::Config, Disconnect, MethodKind, MethodSet, Preferred, SshId,
};
use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{sleep, timeout, timeout_at, Instant},
};
use tokio_util::sync::CancellationToken;

/// How long a client may take to log in.
const LOGIN: Duration = Duration::from_secs(10);
/// A refusal takes so long, whatever it is for.
const REFUSAL: Duration = Duration::from_millis(100);
/// Between two questions to a silent client, of which so many may go unanswered.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVES: usize = 3;
/// How long a client has to take the message that it is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// Messages that a channel may have for a VM that does not take them; after that the connection waits.
const CHANNEL_BUFFER: usize = 4;
/// When the process has no room for another connection, or for another line in the log.
const PAUSE: Duration = Duration::from_secs(1);
/// Nothing that lets a client choose how much work it makes before it logged in.
const KEX: [kex::Name; 5] = [
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];
const CIPHERS: [cipher::Name; 3] =
    [cipher::CHACHA20_POLY1305, cipher::AES_256_GCM, cipher::AES_256_CTR];

/// How much is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections that have not logged in yet.
    pub unauthenticated: usize,
    /// Of those, from one source.
    pub per_source: usize,
    /// Connections of one VM.
    pub per_vm: usize,
    /// Channels of one VM, over all its connections.
    pub channels_per_vm: usize,
    /// How long a connection may carry nothing.
    pub idle_timeout: Duration,
}

/// The port.
pub struct Server {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) limits: Limits,
    pub(crate) figures: Arc<Figures>,
    pub(crate) consoles: Consoles,
    pub(crate) connections: Arc<Places>,
    pub(crate) channels: Arc<Places>,
    gate: Gate,
    stop: CancellationToken,
    told_busy: Mutex<Option<Instant>>,
}

impl Server {
    /// A port that nobody is connected to; `stop` ends every connection and every listener.
    pub fn new(node: Arc<dyn Node>, limits: Limits, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            node,
            limits,
            figures: Arc::default(),
            consoles: Consoles::default(),
            connections: Places::new(limits.per_vm),
            channels: Places::new(limits.channels_per_vm),
            gate: Gate::new(limits.unauthenticated, limits.per_source),
            stop,
            told_busy: Mutex::default(),
        })
    }

    /// What happened here.
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// Takes connections until the end.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, source)) => {
                    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%source, %error, "a connection that is slower than it might be");
                    }
                    tokio::spawn(self.clone().serve_stream(stream, source));
                }
                // Of one that went again, or of too many open files.
                Err(error) => {
                    tracing::warn!(%error, "access: a connection could not be taken");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end.
    pub async fn serve_stream<S>(self: Arc<Self>, stream: S, source: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(pass) = self.gate.press_in(source.ip()) else {
            self.refuse_busy(source);
            return;
        };
        let (pushed_out, voice) = (pass.pushed_out(), pass.voice());
        let Some(key) = self.node.host_key() else {
            tracing::error!(%source, "access: a connection without a host key to answer it with; see access.key in the settings");
            return;
        };
        let cut = CancellationToken::new();
        let _cut_at_the_end = cut.clone().drop_guard();
        let connection = Arc::new(Connection::new(self.clone(), source, pass));
        let session = Session::new(connection.clone());
        let deadline = Instant::now() + LOGIN;
        let begin = russh::server::run_stream(config(key), Cuttable::new(stream, cut), session);
        let begun = tokio::select! {
            begun = timeout_at(deadline, begin) => match begun {
                Err(_) => Err(Refusal::Time),
                Ok(begun) => begun.map_err(|_| Refusal::Left),
            },
            () = pushed_out.cancelled() => Err(Refusal::Busy),
        };
        let end = match begun {
            Err(refusal) => End::Refused(refusal),
            Ok(mut running) => {
                voice.is_heard();
                let handle = running.handle();
                let end = tokio::select! {
                    ended = &mut running => connection.end_of(ended.err()),
                    end = connection.supervise(deadline, &self.stop) => end,
                    () = pushed_out.cancelled() => End::Refused(Refusal::Busy),
                };
                connection.over.cancel();
                if let Some((code, words)) = end.farewell() {
                    let told = handle.disconnect(code, words.to_owned(), String::new());
                    if timeout(FAREWELL, told).await.is_ok() {
                        timeout(FAREWELL, running).await.ok();
                    }
                }
                end
            }
        };
        connection.over.cancel();
        match end {
            End::Refused(Refusal::Busy) if connection.login().is_none() => self.refuse_busy(source),
            _ => connection.tell(end),
        }
    }

    /// Whoever knocks too often must not fill the log.
    fn refuse_busy(&self, source: SocketAddr) {
        self.figures.refuse(Refusal::Busy);
        let mut told = lock(&self.told_busy);
        if told.is_none_or(|at| at.elapsed() > PAUSE) {
            *told = Some(Instant::now());
            let refused = self.figures.refused(Refusal::Busy);
            tracing::info!(%source, why = Refusal::Busy.name(), refused, "access refused");
        }
    }
}

fn config(key: russh::keys::PrivateKey) -> Arc<Config> {
    Arc::new(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Quarry")),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        auth_rejection_time: REFUSAL,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        max_auth_attempts: MAX_TRIES + 1,
        preferred: Preferred {
            kex: Cow::Borrowed(&KEX),
            cipher: Cow::Borrowed(&CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::default()
        },
        // What is idle is judged by what is carried, not by keepalives.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        channel_buffer_size: CHANNEL_BUFFER,
        event_buffer_size: 32,
        ..Config::default()
    })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl End {
    fn farewell(&self) -> Option<(Disconnect, &'static str)> {
        match self {
            Self::Stopped => Some((Disconnect::ByApplication, "the node's access is stopping")),
            Self::Revoked => {
                Some((Disconnect::ByApplication, "this key no longer lets in to this VM"))
            }
            Self::Idle => Some((Disconnect::ByApplication, "nothing was carried for too long")),
            Self::Refused(Refusal::Time) => {
                Some((Disconnect::ByApplication, "logging in took too long"))
            }
            Self::Refused(Refusal::Connections) => {
                Some((Disconnect::TooManyConnections, "the VM has too many connections"))
            }
            Self::Refused(_) | Self::Left | Self::Broken => None,
        }
    }
}
