//! An image from its URL to its place in the store.

use crate::{
    guards::{Held, Progress, Reservation},
    inner::Inner,
    inspect,
    partial::{blocking, file_error, Partial},
    qcow2::ReadError,
    qemu_img::{self, Opinion},
    source::{self, Place},
    transfer::{open_partial, Arrival, Transfer},
    FetchError, ImageFormat, Wanted,
};
use quarry_primitives::content::raw_cid_digest;
use rand::Rng;
use std::{fs::File, path::Path, sync::Arc, time::Duration};

/// How often a place may fail in a row before it is given up.
const FAILURES: u32 = 5;
/// A place that gave as much as this before it failed is doing its work.
const PROGRESS: u64 = 1 << 20;
/// An end, whatever progress there is.
const ATTEMPTS: u32 = 200;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Fetches an image, has it inspected, and puts it in its place.
pub(crate) async fn fetch(
    store: Arc<Inner>,
    wanted: Wanted,
    progress: Arc<Progress>,
) -> Result<Held, FetchError> {
    contradiction(&wanted)?;
    let places = source::places(&wanted.url, &store.gateways, &store.settings)?;
    let mut reservation = Reservation::new(store.clone(), wanted.digest);
    let partial = open_partial(&store, &wanted).await?;
    progress.set_received(partial.length());
    let mut transfer = Transfer {
        store: &store,
        wanted: &wanted,
        progress: &progress,
        reservation: &mut reservation,
        partial: Some(partial),
        keeps_content: false,
    };
    let arrived = arrive(&mut transfer, places).await;
    let Some(partial) = transfer.partial.take() else {
        return Err(arrived.err().unwrap_or(FetchError::Tool("the writer was lost".into())));
    };
    match arrived {
        Ok(()) => {}
        Err(error) => {
            // An empty one is nothing to go on with, and whatever takes the last of the disk is of no
            // use to anybody.
            let is_useless = error.is_terminal() || matches!(error, FetchError::DiskFull { .. });
            if is_useless || partial.length() == 0 {
                partial.remove();
            }
            return Err(error);
        }
    }
    let bytes = partial.length();
    let virtual_bytes = match examine(&store, partial.path(), &wanted).await {
        Ok(virtual_bytes) => virtual_bytes,
        Err(error) => {
            if error.is_terminal() {
                partial.remove();
            }
            return Err(error);
        }
    };
    let place = store.image_path(&wanted.digest);
    settle(partial, &place).await?;
    tracing::info!(url = wanted.url, bytes, virtual_bytes, "an image is in the store");
    reservation.fulfil(bytes);
    Held::take(&store, &wanted.digest, Some((wanted.format, virtual_bytes)))
        .ok_or_else(|| FetchError::File { path: place, reason: "it was dropped at once".into() })
}

/// A content id of raw bytes is their digest: where the chain has another one, no gateway can help.
fn contradiction(wanted: &Wanted) -> Result<(), FetchError> {
    let cid = wanted.url.strip_prefix("ipfs://").and_then(raw_cid_digest);
    match cid.filter(|digest| *digest != wanted.digest) {
        Some(digest) => {
            let found = data_encoding::HEXLOWER.encode(&digest);
            Err(FetchError::WrongDigest { url: wanted.url.clone(), found, proven: true })
        }
        None => Ok(()),
    }
}

async fn settle(partial: Partial, place: &Path) -> Result<(), FetchError> {
    let target = place.to_path_buf();
    blocking(place, move || partial.move_to(&target)).await
}

/// Goes on until the whole of it is there with the right digest.
async fn arrive(transfer: &mut Transfer<'_>, mut places: Vec<Place>) -> Result<(), FetchError> {
    if transfer.partial()?.length() > 0 && transfer.is_right()? {
        return Ok(());
    }
    let mut failures = 0;
    let mut furthest = transfer.partial()?.length();
    let mut last_error = None;
    for attempt in 0..ATTEMPTS {
        let Some(place) = places.get(attempt as usize % places.len().max(1)).cloned() else {
            break;
        };
        let arrived = transfer.attempt(&place).await;
        let error = match arrived {
            Ok(arrival) if transfer.is_right()? => {
                tracing::debug!(place = place.shown(), ?arrival, "the digest is right");
                return Ok(());
            }
            Ok(arrival) => wrong_digest(transfer, &place, arrival)?,
            Err(error) => error,
        };
        tracing::warn!(place = place.shown(), attempt, "{error}");
        // What was thrown away is no progress, and what is fetched again in its place is none either.
        let have = transfer.partial()?.length();
        if have >= furthest + PROGRESS {
            (failures, furthest) = (0, have);
        }
        match verdict(&place, &error) {
            Verdict::Final => return Err(error),
            Verdict::NotThere => places.retain(|other| *other != place),
            Verdict::Again => failures += 1,
        }
        last_error = Some(error);
        if failures >= FAILURES.saturating_mul(places.len() as u32) {
            break;
        }
        tokio::time::sleep(wait_after(failures)).await;
    }
    Err(last_error.unwrap_or(FetchError::Tool("no place to fetch from".into())))
}

/// What is to be done after an error at one of the places.
enum Verdict {
    Final,
    NotThere,
    Again,
}

fn verdict(place: &Place, error: &FetchError) -> Verdict {
    use FetchError::*;
    let gateway = matches!(place, Place::Gateway(_));
    match error {
        Network { .. } | Stalled { .. } => Verdict::Again,
        Status { status: 408 | 425 | 429 | 500..=599, .. } => Verdict::Again,
        // The part that was there before was another file's: it is gone now.
        WrongDigest { proven: false, .. } if matches!(place, Place::Server(_)) => Verdict::Again,
        WrongDigest { .. } | Status { .. } | Redirect { .. } | FileTooLarge { .. } if gateway => {
            Verdict::NotThere
        }
        _ => Verdict::Final,
    }
}

/// The whole of it is there, and is something else.
fn wrong_digest(
    transfer: &mut Transfer<'_>,
    place: &Place,
    arrival: Arrival,
) -> Result<FetchError, FetchError> {
    let found = data_encoding::HEXLOWER.encode(&transfer.partial()?.digest());
    transfer.start_anew()?;
    let url = place.shown();
    if !arrival.whole {
        let reason = "it went on with another file than before".into();
        return Ok(FetchError::Network { url, reason });
    }
    let proven = arrival.framed && matches!(place, Place::Server(_));
    Ok(FetchError::WrongDigest { url, found, proven })
}

fn wait_after(failures: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(LONGEST_WAIT);
    longest.mul_f64(rand::thread_rng().gen_range(0.5..1.0))
}

/// Has a fetched image inspected by us and by `qemu-img`; its disk's size.
async fn examine(store: &Inner, image: &Path, wanted: &Wanted) -> Result<u64, FetchError> {
    let virtual_bytes = inspect_file(image, wanted.format).await?;
    store.check_disk(virtual_bytes, wanted)?;
    if wanted.format == ImageFormat::Qcow2 {
        match qemu_img::second_opinion(image, virtual_bytes).await {
            Ok(()) => {}
            Err(Opinion::Bad(error)) => return Err(error.into()),
            Err(Opinion::None(reason)) => return Err(FetchError::Tool(reason)),
        }
    }
    Ok(virtual_bytes)
}

/// Our own inspection; the disk's size.
pub(crate) async fn inspect_file(image: &Path, format: ImageFormat) -> Result<u64, FetchError> {
    let path = image.to_path_buf();
    let inspected = blocking(image, move || {
        Ok(match File::open(&path).map_err(ReadError::Io) {
            Ok(file) => inspect::inspect(&file, format),
            Err(error) => Err(error),
        })
    });
    inspected.await?.map_err(|error| match error {
        ReadError::Image(error) => error.into(),
        ReadError::Io(error) => file_error(image, &error),
    })
}
