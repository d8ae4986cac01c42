//! A relay on a loopback address of its own, and what is played to it.

use crate::{
    Dial, DialError, Forwarded, Limits, Link, Ports, PrivateKey, Registry, Relay, Settings, Unknown,
};
use russh::keys::ssh_key::private::Ed25519Keypair;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{
        atomic::{AtomicU8, AtomicUsize, Ordering},
        Arc, Mutex,
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// What the chain says; copies say the same.
#[derive(Clone)]
pub struct Chain(Arc<ChainState>);

struct ChainState {
    nodes: Mutex<Option<HashMap<String, [u8; 32]>>>,
    block: watch::Sender<u64>,
    pub questions: AtomicUsize,
}

impl Chain {
    pub fn register(&self, node: &str, key: &PrivateKey) {
        self.change(|nodes| nodes.insert(node.into(), public(key)));
    }

    pub fn deregister(&self, node: &str) {
        self.change(|nodes| nodes.remove(node));
    }

    /// From here on it cannot be asked.
    pub fn falls_silent(&self) {
        *self.0.nodes.lock().unwrap() = None;
        self.0.block.send_modify(|block| *block += 1);
    }

    pub fn questions(&self) -> usize {
        self.0.questions.load(Ordering::Relaxed)
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<String, [u8; 32]>) -> T) {
        change(self.0.nodes.lock().unwrap().as_mut().unwrap());
        self.0.block.send_modify(|block| *block += 1);
    }
}

impl Registry for Chain {
    async fn host_key(&self, node: &str) -> Result<Option<[u8; 32]>, Unknown> {
        self.0.questions.fetch_add(1, Ordering::Relaxed);
        let nodes = self.0.nodes.lock().unwrap();
        let nodes = nodes.as_ref().ok_or(Unknown("silence".into()))?;
        Ok(nodes.get(node).copied())
    }

    fn blocks(&self) -> watch::Receiver<u64> {
        self.0.block.subscribe()
    }
}

pub struct Stage {
    pub chain: Chain,
    pub host_key: PrivateKey,
    pub address: IpAddr,
    pub endpoint: SocketAddr,
    pub folder: tempfile::TempDir,
    pub limits: Limits,
    range: RangeInclusive<u16>,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(Limits { unauthenticated_per_source: 64, ..Limits::default() }, 20_000..=20_009)
            .await
    }

    pub async fn with(limits: Limits, range: RangeInclusive<u16>) -> Self {
        let chain = Chain(Arc::new(ChainState {
            nodes: Mutex::new(Some(HashMap::new())),
            block: watch::Sender::new(0),
            questions: AtomicUsize::new(0),
        }));
        let address = own_address();
        let mut stage = Self {
            chain,
            host_key: key(),
            address,
            endpoint: SocketAddr::new(address, 0),
            folder: tempfile::tempdir().unwrap(),
            limits,
            range,
            serving: None,
        };
        stage.start().await;
        stage
    }

    /// Starts the relay, each time at the same endpoint.
    pub async fn start(&mut self) {
        let listener = TcpListener::bind(self.endpoint).await.unwrap();
        self.endpoint = listener.local_addr().unwrap();
        let file = self.folder.path().join("ports.json");
        let relay = Relay::new(
            self.chain.clone(),
            Settings {
                host_key: self.host_key.clone(),
                address: self.address,
                ports: Ports::open(&file, "0x01", self.range.clone()).unwrap(),
                limits: self.limits,
            },
        );
        let stop = CancellationToken::new();
        self.serving = Some((stop.clone(), tokio::spawn(relay.serve(listener, stop))));
    }

    pub async fn stop(&mut self) {
        let (stop, serving) = self.serving.take().unwrap();
        stop.cancel();
        serving.await.unwrap();
    }

    pub fn dial(&self, node: &str, key: &PrivateKey) -> Dial {
        Dial {
            relay: self.endpoint.to_string(),
            relay_key: public(&self.host_key),
            node: node.into(),
            key: key.clone(),
            idle: Duration::from_secs(600),
        }
    }

    /// A registered node that is there, and its key.
    pub async fn node(&self, node: &str) -> (Link, PrivateKey) {
        let key = key();
        self.chain.register(node, &key);
        (self.dial(node, &key).connect().await.unwrap(), key)
    }

    pub async fn refusal(&self, node: &str, key: &PrivateKey) -> DialError {
        self.dial(node, key).connect().await.err().expect("it was let in")
    }

    pub async fn tenant(&self, port: u16) -> TcpStream {
        TcpStream::connect((self.address, port)).await.unwrap()
    }
}

/// Another one each time.
pub fn key() -> PrivateKey {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let seed = [NEXT.fetch_add(1, Ordering::Relaxed); 32];
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

pub fn public(key: &PrivateKey) -> [u8; 32] {
    crate::ed25519(key.public_key()).unwrap()
}

/// Nobody else listens there.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let pid = std::process::id();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 100 + (pid >> 8) as u8 % 100, pid as u8, last).into()
}

/// What a node does that sends back what comes, until the link ends.
pub fn echo(mut link: Link) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(Forwarded { stream, .. }) = link.next().await {
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(stream);
                tokio::io::copy(&mut read, &mut write).await.ok();
                write.shutdown().await.ok();
            });
        }
    })
}

/// Sends that much, ends, and reads what comes back to its end.
pub async fn there_and_back<S>(stream: S, bytes: usize)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut read, mut write) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect();
    let expected = sent.clone();
    let sending = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    sending.await.unwrap();
    assert!(got == expected, "{} bytes of {bytes} came back", got.len());
}

/// It ends from the other side, whatever comes before.
pub async fn ends(mut stream: TcpStream) -> usize {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.ok();
    bytes.len()
}
