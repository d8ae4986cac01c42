use super::{
    status::{StatusBoard, BEAT_LIMIT},
    HttpError, ADDRESS_FILE,
};
use crate::metrics::Metrics;
use axum::{
    extract::{Request, State},
    http::{header, uri::Authority, StatusCode},
    middleware::{from_fn, Next},
    response::{IntoResponse, Response},
    routing::get,
    Json, Router,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const CONNECTIONS: usize = 32;
const HEADER_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(30);
const REST_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(200);

/// A server that has its port, and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    address_file: PathBuf,
}

impl Server {
    /// Takes the port, and writes into the data folder which one it is: 0 takes any. It serves also where that cannot
    /// be written.
    pub async fn bind(listen: SocketAddr, data_dir: &Path) -> Result<Self, HttpError> {
        if !listen.ip().is_loopback() {
            return Err(HttpError::NotLoopback(listen));
        }
        let failed = |source| HttpError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let address_file = data_dir.join(ADDRESS_FILE);
        if let Err(error) = write_whole(&address_file, &format!("{address}\n")) {
            let path = address_file.display();
            tracing::warn!(%error, %path, "`quarry-worker status` does not find this worker");
        }
        tracing::info!(%address, "status and metrics over HTTP");
        Ok(Self { listener, address, address_file })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is told to stop.
    pub async fn serve(
        self,
        board: Arc<StatusBoard>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) {
        let service = TowerToHyperService::new(router(board, metrics));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let stream = tokio::select! {
                () = shutdown.cancelled() => break,
                stream = next_connection(&self.listener, &room) => stream,
            };
            let Some((stream, place)) = stream else { continue };
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .serve_connection(TokioIo::new(stream), service.clone());
            tokio::spawn(async move {
                if let Ok(Err(error)) = timeout(CONNECTION_TIME, connection).await {
                    tracing::debug!(%error, "an HTTP client went away");
                }
                drop(place);
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.address_file) {
            tracing::debug!(%error, file = %self.address_file.display(), "not removed");
        }
    }
}

async fn next_connection(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot take an HTTP connection");
            sleep(REST_AFTER_ACCEPT_ERROR).await;
            None
        }
    }
}

fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, text)?;
    fs::rename(&draft, path)
}

#[derive(Clone)]
struct Shared {
    board: Arc<StatusBoard>,
    metrics: Arc<Metrics>,
}

fn router(board: Arc<StatusBoard>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .route(
            "/v1/status",
            get(|State(shared): State<Shared>| async move { Json(shared.board.full()) }),
        )
        .route(
            "/v1/vms",
            get(|State(shared): State<Shared>| async move { Json(shared.board.vms()) }),
        )
        .layer(from_fn(local_names_only))
        .with_state(Shared { board, metrics })
}

async fn livez(State(shared): State<Shared>) -> (StatusCode, String) {
    let silence = shared.board.since_beat();
    if silence <= BEAT_LIMIT {
        (StatusCode::OK, "alive\n".into())
    } else {
        let seconds = silence.as_secs();
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the main loop has been stuck for {seconds} seconds\n"),
        )
    }
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let readiness = shared.board.readiness();
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

async fn prometheus(State(shared): State<Shared>) -> Response {
    match shared.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// A web page in an operator's browser may point a name of its own at 127.0.0.1; it cannot make the
/// browser say `localhost`.
async fn local_names_only(request: Request, next: Next) -> Response {
    let header = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or(""));
    let target = request.uri().authority().map(Authority::as_str);
    if header.is_some_and(is_local) && target.is_none_or(is_local) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "only under the names localhost, 127.0.0.1 and [::1]\n")
            .into_response()
    }
}

fn is_local(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
