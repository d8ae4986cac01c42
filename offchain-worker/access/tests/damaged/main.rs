//! What strangers send before they logged in, and what tenants ask for after. `QUARRY_FUZZ_SECONDS` says how long to
//! go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod asks;
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

use asks::{answered, ask};
use quarry_fuzz::{damaged, each_file, Fate};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use support::{private, until, Port};
use tokio::{
    io::{duplex, AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpListener,
    runtime::Runtime,
    time::timeout,
};

const SOMEBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
const VM: u128 = 42;
/// A connection of whoever does not go on by himself is over by then.
const OVER: Duration = Duration::from_secs(60);

struct Bench {
    runtime: Runtime,
    port: Port,
    key: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let (port, key) = runtime.block_on(async {
            let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = echo.local_addr().unwrap();
            tokio::spawn(async move { while echo.accept().await.is_ok() {} });
            let port = Port::open(|node, _| node.ssh = Some(address)).await;
            let (key, line) = port.key("tenant", &["-t", "ed25519"]);
            std::fs::write(&port.node.serial_log, "booted\n".repeat(9)).unwrap();
            port.set(&[(VM, &[&line]), (43, &[])]);
            (port, key)
        });
        Self { runtime, port, key }
    }

    /// A connection, and its end.
    fn connect(&self) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (near, far) = duplex(1 << 16);
        let serving = self.port.server.clone().serve_stream(far, SOMEBODY);
        (near, self.runtime.spawn(serving))
    }

    /// Everything that a stranger can send before there is a key to encrypt by.
    fn greet(&self, input: &[u8]) -> Fate {
        let (near, served) = self.connect();
        let answer = self.runtime.block_on(async {
            let (mut read, mut write) = tokio::io::split(near);
            let _ = write.write_all(input).await;
            let _ = write.shutdown().await;
            let mut answer = Vec::new();
            timeout(OVER, read.read_to_end(&mut answer)).await.expect("an end").ok();
            timeout(OVER, served).await.expect("an end").expect("no panic");
            answer
        });
        assert_eq!(self.port.figures.logins(), 0);
        answered(&answer)
    }

    fn tenant(&self, input: &[u8]) -> Fate {
        let text = String::from_utf8_lossy(input);
        let (near, served) = self.connect();
        let key = private(&self.key);
        let (given, fate) = self.runtime.block_on(async {
            let asked = timeout(OVER, ask(near, SOMEBODY.ip(), key, &text)).await.expect("an end");
            timeout(OVER, served).await.expect("an end").expect("no panic");
            asked
        });
        let user = text.split('\n').next().unwrap_or_default();
        assert_eq!(given.login, user == VM.to_string(), "{user:?}");
        assert!(given.ports.is_empty(), "nothing of the host's is forwarded");
        assert!(given.channels <= 32);
        let ssh = self.port.node.ssh.unwrap().ip().to_string();
        for carried in &given.carried {
            let (host, port) = carried.rsplit_once(' ').unwrap();
            let own = ["vm", "localhost", "::1", "42", &ssh].contains(&host);
            assert!(own && port == "22", "{carried}");
        }
        fate
    }

    /// Whoever came before, a tenant is let in and nothing is left behind.
    fn is_as_before(&self) {
        let fate = self.tenant(b"42\nsession\nexec stats --json");
        assert!(matches!(fate, Fate::Taken(_)), "{fate:?}");
        let figures = self.port.figures.clone();
        self.runtime.block_on(until("all sessions end", || figures.sessions() == 0));
    }
}

fn corpus(name: &str) -> PathBuf {
    Path::new("tests/corpus").join(name)
}

#[test]
fn each_greeting_of_the_corpus_is_judged_as_its_name_says() {
    let bench = Bench::new();
    each_file(&corpus("greeting"), |input| bench.greet(input));
    bench.is_as_before();
}

#[test]
fn damaged_greetings_end_their_own_connection_only() {
    let bench = Bench::new();
    damaged(&corpus("greeting"), |input| bench.greet(input));
    bench.is_as_before();
}

#[test]
fn each_session_of_the_corpus_is_judged_as_its_name_says() {
    let bench = Bench::new();
    each_file(&corpus("session"), |input| bench.tenant(input));
    bench.is_as_before();
}

#[test]
fn damaged_sessions_reach_nothing_but_their_vm() {
    let bench = Bench::new();
    damaged(&corpus("session"), |input| bench.tenant(input));
    bench.is_as_before();
}
