use super::{status::FullStatus, HttpError, ADDRESS_FILE};
use axum::body::{to_bytes, Body};
use hyper::{client::conn::http1::handshake, header, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::{fs, net::SocketAddr, path::Path, time::Duration};
use tokio::{net::TcpStream, time::timeout};

const TIME: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 64 << 20;

/// Where the worker with this data folder listens.
pub fn address_of_running_worker(data_dir: &Path) -> Result<SocketAddr, HttpError> {
    let none = |reason| HttpError::NoWorker { data_dir: data_dir.to_owned(), reason };
    let text = fs::read_to_string(data_dir.join(ADDRESS_FILE))
        .map_err(|error| none(format!("{ADDRESS_FILE}: {error}")))?;
    text.trim().parse().map_err(|_| none(format!("{ADDRESS_FILE} holds no address")))
}

/// What the worker with this data folder says of itself.
pub async fn fetch_status(data_dir: &Path) -> Result<FullStatus, HttpError> {
    let address = address_of_running_worker(data_dir)?;
    let stream = TcpStream::connect(address).await.map_err(|error| HttpError::NoWorker {
        data_dir: data_dir.to_owned(),
        reason: format!("nothing listens on {address}: {error}"),
    })?;
    let failed = |reason: String| HttpError::Answer { address, reason };
    let body = timeout(TIME, get(stream, address, "/v1/status"))
        .await
        .map_err(|_| failed(format!("none within {} seconds", TIME.as_secs())))?
        .map_err(failed)?;
    serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
}

async fn get(stream: TcpStream, host: SocketAddr, path: &str) -> Result<Vec<u8>, String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(text)?;
    tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, host.to_string());
    let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(text)?;
    if answer.status() != StatusCode::OK {
        return Err(format!("{path}: {}", answer.status()));
    }
    let body = to_bytes(Body::new(answer.into_body()), MAX_BYTES).await;
    body.map(Vec::from).map_err(|error| error.to_string())
}
