//! A web server that misbehaves as it is told, and a store in a folder of its own.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{header, HeaderMap, Response, StatusCode},
    Router,
};
use futures::{stream, StreamExt};
use quarry_images::{Digest, ImageFormat, Store, StoreSettings, Wanted};
use sha2::{Digest as _, Sha256};
use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

pub const GIB: u64 = 1 << 30;
pub const MIB: usize = 1 << 20;
const CHUNK: usize = 64 << 10;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// As it should.
    Serve,
    /// Cuts the connection after so many bytes.
    Break(usize),
    /// Sends so many bytes, and then nothing for ever.
    Stall(usize),
    /// Sends a few bytes now and then.
    Trickle,
    /// Sends the whole of it whatever it is asked for.
    IgnoreRange,
    /// Sends other bytes, as many as it should.
    Lie,
    /// Sends the whole of it without saying how much that is.
    Unsized,
    /// Sends a part that it was not asked for.
    WrongRange,
    /// Says that it has another file now.
    Changed(&'static str),
    /// Sends somebody elsewhere.
    Redirect(String),
    /// Only a status.
    Status(u16),
}

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub accept: Option<String>,
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    content: Arc<Vec<u8>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    always: Arc<Mutex<Act>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// One that serves the content under any path, after it has done the acts.
    pub async fn start(content: Vec<u8>, acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            content: Arc::new(content),
            acts: Arc::new(Mutex::new(acts.into_iter().collect())),
            always: Arc::new(Mutex::new(Act::Serve)),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn always(self, act: Act) -> Self {
        *self.always.lock().unwrap() = act;
        self
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn image(&self) -> String {
        format!("{}/disk.img", self.url)
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response<Body> {
    let asked = Asked {
        path: request.uri().to_string(),
        range: text(request.headers(), header::RANGE),
        if_range: text(request.headers(), header::IF_RANGE),
        accept: text(request.headers(), header::ACCEPT),
    };
    server.asked.lock().unwrap().push(asked.clone());
    let next = server.acts.lock().unwrap().pop_front();
    let act = next.unwrap_or_else(|| server.always.lock().unwrap().clone());
    let whole = Bytes::from(server.content.as_ref().clone());
    let etag = if let Act::Changed(etag) = &act { etag } else { "\"one\"" };
    let start = asked
        .range
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let fits = asked.if_range.is_none_or(|if_range| if_range == etag);
    let start = start.filter(|_| fits && !matches!(act, Act::IgnoreRange | Act::Unsized));
    let start = if matches!(act, Act::WrongRange) { Some(512) } else { start };
    let mut response = Response::builder().header(header::ETAG, etag);
    match &act {
        Act::Status(code) => return response.status(*code).body(Body::empty()).unwrap(),
        Act::Redirect(to) => {
            let moved = response.status(StatusCode::FOUND).header(header::LOCATION, to);
            return moved.body(Body::empty()).unwrap();
        }
        _ => {}
    }
    if let Some(start) = start {
        if start >= whole.len() {
            let range = format!("bytes */{}", whole.len());
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let refused = response.status(status).header(header::CONTENT_RANGE, range);
            return refused.body(Body::empty()).unwrap();
        }
        let range = format!("bytes {start}-{}/{}", whole.len() - 1, whole.len());
        response =
            response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
    }
    let rest = whole.slice(start.unwrap_or(0)..);
    if !matches!(act, Act::Unsized) {
        response = response.header(header::CONTENT_LENGTH, rest.len());
    }
    response.body(body(rest, &act)).unwrap()
}

fn body(rest: Bytes, act: &Act) -> Body {
    let rest = match act {
        Act::Lie => rest.iter().map(|byte| !byte).collect(),
        Act::Break(length) | Act::Stall(length) => rest.slice(..rest.len().min(*length)),
        _ => rest,
    };
    let size = if matches!(act, Act::Trickle) { 64 } else { CHUNK };
    let chunks: Vec<io::Result<Bytes>> =
        rest.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let chunks = stream::iter(chunks);
    match act {
        // Hyper drops what is in its buffers with the connection: give it time to send.
        Act::Break(_) => Body::from_stream(chunks.chain(stream::once(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Err(io::Error::other("broken on purpose"))
        }))),
        Act::Stall(_) => Body::from_stream(chunks.chain(stream::pending())),
        Act::Trickle => Body::from_stream(chunks.then(|chunk| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            chunk
        })),
        _ => Body::from_stream(chunks),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.into())
}

/// Bytes that look like no format, the same for the same seed.
pub fn bytes(seed: u8, length: usize) -> Vec<u8> {
    let mut block = Sha256::digest([seed]);
    let mut bytes = Vec::with_capacity(length + 32);
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(length);
    bytes
}

pub fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

pub fn settings(dir: &Path) -> StoreSettings {
    StoreSettings {
        dir: dir.into(),
        store_bytes: GIB,
        max_file_bytes: GIB,
        max_virtual_bytes: 64 * GIB,
        local_dir: None,
        gateways: Vec::new(),
        allow_http: true,
        stall: Duration::from_secs(10),
    }
}

pub fn raw(url: impl Into<String>, digest: Digest) -> Wanted {
    Wanted { url: url.into(), digest, format: ImageFormat::Raw, virtual_size_gib: 1 }
}

/// A store, and the folder that it goes with.
pub fn store_with(change: impl FnOnce(&mut StoreSettings)) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir.path().join("store"));
    change(&mut settings);
    (dir, Store::open(settings).unwrap())
}

/// How many files lie in a folder of the store.
pub fn count(store: &Path, folder: &str) -> usize {
    std::fs::read_dir(store.join(folder)).unwrap().count()
}
