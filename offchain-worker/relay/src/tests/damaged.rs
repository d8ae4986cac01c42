//! What strangers and nodes send. `QUARRY_FUZZ_SECONDS` says how long to go on.

use super::stage::{echo, key, there_and_back, Stage};
use crate::PrivateKey;
use asks::{answered, ask};
use quarry_fuzz::{damaged, each_file, Fate};
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    time::timeout,
};

#[path = "../../../access/tests/damaged/asks.rs"]
mod asks;

/// A connection that its end does not go on with is over by then.
const OVER: Duration = Duration::from_secs(60);
const PORTS: std::ops::RangeInclusive<u32> = 20_000..=20_009;

struct Bench {
    runtime: Runtime,
    stage: Stage,
    key: PrivateKey,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let stage = runtime.block_on(Stage::new());
        let key = key();
        stage.chain.register("alpha", &key);
        Self { runtime, stage, key }
    }

    async fn connect(&self) -> TcpStream {
        let stream = self.stage.tenant(self.stage.endpoint.port()).await;
        // Thousands of connections a minute would leave no port to come from.
        stream.set_zero_linger().unwrap();
        stream
    }

    fn greet(&self, input: &[u8]) -> Fate {
        self.runtime.block_on(async {
            let mut stream = self.connect().await;
            stream.write_all(input).await.ok();
            stream.shutdown().await.ok();
            let mut answer = Vec::new();
            timeout(OVER, stream.read_to_end(&mut answer)).await.expect("an end").ok();
            answered(&answer)
        })
    }

    fn node(&self, input: &[u8]) -> Fate {
        let text = String::from_utf8_lossy(input);
        let (given, fate) = self.runtime.block_on(async {
            let stream = self.connect().await;
            let asked = ask(stream, self.stage.address, self.key.clone(), &text);
            timeout(OVER, asked).await.expect("an end")
        });
        let user = text.split('\n').next().unwrap_or_default();
        assert_eq!(given.login, user == "alpha", "{user:?}");
        assert_eq!(given.channels, 0, "a node reaches nothing by the relay");
        assert!(given.ports.len() <= 1, "{:?}", given.ports);
        assert!(given.ports.iter().all(|port| *port == 0 || PORTS.contains(port)));
        fate
    }

    /// Whoever came before, a node is let in and its tenants are carried.
    fn is_as_before(&self) {
        self.runtime.block_on(async {
            let (link, _) = self.stage.node("beta").await;
            let port = link.port;
            echo(link);
            there_and_back(self.stage.tenant(port).await, 100_000).await;
        });
    }
}

/// Any server of SSH is greeted alike.
fn greetings() -> &'static Path {
    Path::new("../access/tests/corpus/greeting")
}

fn corpus() -> &'static Path {
    Path::new("tests/corpus/node")
}

#[test]
fn each_greeting_of_the_corpus_is_judged_as_its_name_says() {
    let bench = Bench::new();
    // Where a stranger hangs up at once, the answer may not have been sent.
    let patiently = |input: &[u8]| {
        let is_taken = |fate: &Fate| matches!(fate, Fate::Taken(_));
        (0..40).map(|_| bench.greet(input)).find(is_taken).unwrap_or_else(|| bench.greet(input))
    };
    each_file(greetings(), patiently);
    bench.is_as_before();
}

#[test]
fn damaged_greetings_end_their_own_connection_only() {
    let bench = Bench::new();
    damaged(greetings(), |input| bench.greet(input));
    bench.is_as_before();
}

#[test]
fn each_node_of_the_corpus_is_judged_as_its_name_says() {
    let bench = Bench::new();
    each_file(corpus(), |input| bench.node(input));
    bench.is_as_before();
}

#[test]
fn damaged_nodes_get_a_port_of_their_own_and_no_more() {
    let bench = Bench::new();
    damaged(corpus(), |input| bench.node(input));
    bench.is_as_before();
}
