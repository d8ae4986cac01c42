//! One attempt to get the rest of a download from one place.

use crate::{
    disk,
    guards::{Progress, Reservation},
    inner::Inner,
    inspect,
    partial::{blocking, file_error, Origin, Partial},
    source::Place,
    stall::StallWatch,
    FetchError, ImageFormat, Wanted,
};
use futures::{Stream, StreamExt};
use reqwest::{
    header::{self, HeaderMap},
    Response, StatusCode, Url, Version,
};
use std::{io, path::Path, time::Instant};
use tokio_util::io::ReaderStream;

/// Room is set aside in steps of this where nobody knows how much will come, and the disk is looked at
/// as often.
const STEP: u64 = 64 << 20;
const LOCAL_CHUNK: usize = 256 << 10;
const LOG_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// A fetch of one image.
pub(crate) struct Transfer<'a> {
    pub(crate) store: &'a Inner,
    pub(crate) wanted: &'a Wanted,
    pub(crate) progress: &'a Progress,
    pub(crate) reservation: &'a mut Reservation,
    pub(crate) partial: Option<Partial>,
    /// Whether it comes from the URL itself, whose content is the same for every node.
    pub(crate) keeps_content: bool,
}

/// What came of an attempt that ended well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// All of it came in this attempt.
    pub(crate) whole: bool,
    /// Its end is known by more than the connection's.
    pub(crate) framed: bool,
}

/// Where an answer goes on, and where it ends.
struct Answer {
    start: u64,
    total: Option<u64>,
    framed: bool,
    validator: Option<String>,
}

impl Transfer<'_> {
    /// What is there. It is lent to a thread only during an attempt.
    pub(crate) fn partial(&mut self) -> Result<&mut Partial, FetchError> {
        self.partial.as_mut().ok_or_else(|| FetchError::File {
            path: self.store.partial_path(&self.wanted.digest),
            reason: "the thread that writes it was lost".into(),
        })
    }

    pub(crate) async fn attempt(&mut self, place: &Place) -> Result<Arrival, FetchError> {
        self.progress.set_place(place);
        self.keeps_content = matches!(place, Place::Server(_));
        match place {
            Place::Local(path) => self.copy(path).await,
            Place::Server(url) | Place::Gateway(url) => self.download(url, place).await,
        }
    }

    async fn copy(&mut self, path: &Path) -> Result<Arrival, FetchError> {
        let file = self.store.open_local(path).await?;
        let total = file.metadata().map_err(|error| file_error(path, &error))?.len();
        self.start_anew()?;
        self.expect(Some(total))?;
        let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), LOCAL_CHUNK);
        self.receive(stream, &format!("file:{}", path.display()), Some(total)).await?;
        Ok(Arrival { whole: true, framed: true })
    }

    async fn download(&mut self, url: &Url, place: &Place) -> Result<Arrival, FetchError> {
        let shown = place.shown();
        let have = self.partial()?.length();
        let mut request =
            self.store.client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            // What a gateway has under a content id never changes.
            let origin = self.partial()?.origin.as_ref().filter(|origin| origin.url == shown);
            let validator = origin.and_then(|origin| origin.validator.clone());
            if let Some(validator) = validator.filter(|_| self.keeps_content) {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let sent = self.stall_watch(&shown).wait(request.send()).await?;
        let response = sent.map_err(|error| match network(&shown, &error) {
            FetchError::Network { url, reason } if error.is_redirect() => {
                FetchError::Redirect { url, reason }
            }
            other => other,
        })?;
        let Some(answer) = self.answer(&response, &shown, have)? else {
            return Ok(Arrival { whole: false, framed: true });
        };
        if answer.start == 0 {
            self.start_anew()?;
        }
        self.expect(answer.total)?;
        let origin = Origin { url: shown.clone(), validator: answer.validator };
        let path = self.store.partial_path(&self.wanted.digest);
        self.partial()?.set_origin(origin).map_err(|error| file_error(&path, &error))?;
        self.receive(response.bytes_stream(), &shown, answer.total).await?;
        Ok(Arrival { whole: answer.start == 0, framed: answer.framed })
    }

    /// What the server says; none if there is nothing more to come.
    fn answer(
        &mut self,
        response: &Response,
        shown: &str,
        have: u64,
    ) -> Result<Option<Answer>, FetchError> {
        let headers = response.headers();
        let broken =
            |reason: &str| FetchError::Network { url: shown.into(), reason: reason.into() };
        let length =
            header_text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let validator = validator(headers);
        let chunked = header_text(headers, header::TRANSFER_ENCODING).is_some();
        let framed = length.is_some() || chunked || response.version() >= Version::HTTP_2;
        match response.status() {
            StatusCode::OK => Ok(Some(Answer { start: 0, total: length, framed, validator })),
            StatusCode::PARTIAL_CONTENT if have > 0 => {
                let range = header_text(headers, header::CONTENT_RANGE).and_then(content_range);
                let (start, total) = range.ok_or(broken("its Content-Range cannot be read"))?;
                if start != have {
                    return Err(broken("it sends another range than it was asked for"));
                }
                let total = total.or(length.and_then(|length: u64| length.checked_add(have)));
                Ok(Some(Answer { start, total, framed, validator }))
            }
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                let end = header_text(headers, header::CONTENT_RANGE)
                    .and_then(|text| text.strip_prefix("bytes */")?.parse().ok());
                if end == Some(have) {
                    return Ok(None);
                }
                self.start_anew()?;
                Err(broken("it has less than was fetched already"))
            }
            status => Err(FetchError::Status { url: shown.into(), status: status.as_u16() }),
        }
    }

    pub(crate) fn start_anew(&mut self) -> Result<(), FetchError> {
        let path = self.store.partial_path(&self.wanted.digest);
        self.partial()?.start_anew().map_err(|error| file_error(&path, &error))
    }

    /// Whether so much may come, as far as that is known beforehand.
    fn expect(&mut self, total: Option<u64>) -> Result<(), FetchError> {
        let have = self.partial()?.length();
        let total_or_step = total.unwrap_or(have.saturating_add(STEP));
        self.check_size(total.unwrap_or(have))?;
        self.progress.set_total(total);
        self.reservation.set_aside(total_or_step)?;
        disk::check(&self.store.settings.dir, total_or_step.saturating_sub(have))
    }

    fn check_size(&self, bytes: u64) -> Result<(), FetchError> {
        let claim = match self.wanted.format {
            ImageFormat::Raw => u64::from(self.wanted.virtual_size_gib) << 30,
            ImageFormat::Qcow2 => u64::MAX,
        };
        let limit = self.store.settings.max_file_bytes.min(claim);
        if bytes <= limit {
            return Ok(());
        }
        if bytes > claim && self.keeps_content {
            // Whether it has the digest or not, the URL has no such image.
            inspect::within_claim(bytes, self.wanted.virtual_size_gib)?;
        }
        Err(FetchError::FileTooLarge { limit })
    }

    fn stall_watch<'a>(&self, shown: &'a str) -> StallWatch<'a> {
        StallWatch::new(shown, self.store.settings.stall)
    }

    /// Writes all that comes.
    async fn receive<B, E>(
        &mut self,
        stream: impl Stream<Item = Result<B, E>>,
        shown: &str,
        total: Option<u64>,
    ) -> Result<(), FetchError>
    where
        B: AsRef<[u8]> + Send + 'static,
        E: std::error::Error,
    {
        self.partial()?;
        let Some(partial) = self.partial.take() else { return Ok(()) };
        let start = partial.length();
        let (chunks, writer) = partial.take_chunks();
        let received = self.pass_on(stream, chunks, start, shown, total).await;
        let path = self.store.partial_path(&self.wanted.digest);
        let (partial, written) =
            writer.await.map_err(|error| file_error(&path, &io::Error::other(error)))?;
        self.partial = Some(partial);
        written.map_err(|error| file_error(&path, &error))?;
        if matches!(received, Err(FetchError::FileTooLarge { .. })) {
            // It has more than it may have, so nothing will ever make it whole.
            self.start_anew()?;
        }
        received
    }

    async fn pass_on<B, E>(
        &mut self,
        stream: impl Stream<Item = Result<B, E>>,
        chunks: tokio::sync::mpsc::Sender<B>,
        start: u64,
        shown: &str,
        total: Option<u64>,
    ) -> Result<(), FetchError>
    where
        B: AsRef<[u8]> + Send + 'static,
        E: std::error::Error,
    {
        let mut stream = std::pin::pin!(stream);
        let mut have = start;
        let mut checked = start;
        let mut logged = Instant::now();
        let mut watch = self.stall_watch(shown);
        while let Some(chunk) = watch.wait(stream.next()).await? {
            let chunk = chunk.map_err(|error| network(shown, &error))?;
            let length = chunk.as_ref().len();
            have += length as u64;
            self.check_size(have)?;
            if have - checked >= STEP {
                checked = have;
                if total.is_none() {
                    self.reservation.set_aside(have.saturating_add(STEP))?;
                }
                disk::check(&self.store.settings.dir, 0)?;
            }
            self.progress.set_received(have);
            if logged.elapsed() >= LOG_EVERY {
                logged = Instant::now();
                tracing::info!(url = shown, received = have, total, "an image is on its way");
            }
            if chunks.send(chunk).await.is_err() {
                // The writer met an error, and says so itself.
                return Ok(());
            }
            watch.received(length)?;
        }
        Ok(())
    }

    /// Whether what is there is all of the image.
    pub(crate) fn is_right(&mut self) -> Result<bool, FetchError> {
        let wanted = self.wanted.digest;
        Ok(self.partial()?.digest() == wanted)
    }
}

/// Opens a download, hashing what is there of it.
pub(crate) async fn open_partial(store: &Inner, wanted: &Wanted) -> Result<Partial, FetchError> {
    let path = store.partial_path(&wanted.digest);
    let opened = path.clone();
    blocking(&path, move || Partial::open(opened)).await
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What `If-Range` takes: a weak ETag will not do.
fn validator(headers: &HeaderMap) -> Option<String> {
    let etag = header_text(headers, header::ETAG).filter(|etag| etag.starts_with('"'));
    etag.or_else(|| header_text(headers, header::LAST_MODIFIED)).map(Into::into)
}

/// Start and total of `bytes START-END/TOTAL`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, total.parse().ok()))
}

/// An error with its causes, and without the URL, which may have a password.
fn network(shown: &str, error: &dyn std::error::Error) -> FetchError {
    let mut reason = match error.source() {
        Some(_) => String::new(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    FetchError::Network { url: shown.into(), reason }
}
