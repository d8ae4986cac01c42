//! What the VM wrote to its serial console.

use crate::{
    connection::Connection,
    session::{ask, say, Out, ToTenant},
};
use quarry_primitives::request::RequestId;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::{sleep_until, Instant};

/// How far back it goes.
const PAST: u64 = 1024 * 1024;
/// What is sent at once, and how much in a second.
const CHUNK: u64 = 32 * 1024;
const PER_SECOND: u64 = 256 * 1024;
/// How often it is looked at for more.
const EVERY: Duration = Duration::from_millis(300);
/// virtlogd keeps fewer.
const MOST_ROTATED: u32 = 20;

/// Sends the log's end, and what comes after: the exit status.
pub(crate) async fn show(
    connection: &Arc<Connection>,
    vm: RequestId,
    to_tenant: &ToTenant,
    follow: bool,
    lines: Option<usize>,
) -> Result<u32, russh::Error> {
    let path = ask(connection, move |node| node.serial_log(vm)).await.flatten();
    let Some(path) = path else {
        say(connection, to_tenant, Out::Error, "There is no log yet.\n").await?;
        return Ok(1);
    };
    let opened = on_disk(move || {
        let (mut follower, past) = Follower::open(&path)?;
        let past = last_lines(past, lines);
        follower.rest_of(past);
        Ok(follower)
    });
    let mut follower = match opened.await {
        Ok(follower) => follower,
        Err(error) => {
            tracing::warn!(user = vm, %error, "access: a serial log cannot be read");
            say(connection, to_tenant, Out::Error, "The log cannot be read.\n").await?;
            return Ok(1);
        }
    };
    loop {
        let begun = Instant::now();
        let read = on_disk(move || {
            let bytes = follower.next()?;
            Ok((follower, bytes))
        });
        let Ok((same, bytes)) = read.await else { return Ok(1) };
        follower = same;
        if bytes.is_empty() && !follow {
            return Ok(0);
        }
        let wait = match bytes.len() {
            0 => EVERY,
            length => Duration::from_secs_f64(length as f64 / PER_SECOND as f64),
        };
        if !bytes.is_empty() {
            let length = bytes.len();
            to_tenant.data_bytes(bytes).await?;
            connection.sent(length);
        }
        sleep_until(begun + wait).await;
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Reads a log on, over its rotations.
struct Follower {
    path: PathBuf,
    file: Option<File>,
    /// Of the past, what was not read yet.
    past: io::Cursor<Vec<u8>>,
}

impl Follower {
    /// At the log's end, with what is before it.
    fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let mut parts = Vec::new();
        let mut room = PAST;
        let mut file = open_if_there(path)?;
        if let Some(file) = &mut file {
            parts.push(tail(file, room)?);
        }
        for number in 0..MOST_ROTATED {
            room = PAST.saturating_sub(parts.iter().map(|part| part.len() as u64).sum());
            if room == 0 {
                break;
            }
            let mut older = path.as_os_str().to_owned();
            older.push(format!(".{number}"));
            match open_if_there(Path::new(&older))? {
                Some(mut older) => parts.push(tail(&mut older, room)?),
                None => break,
            }
        }
        parts.reverse();
        let follower = Self { path: path.to_owned(), file, past: io::Cursor::default() };
        Ok((follower, parts.concat()))
    }

    fn rest_of(&mut self, past: Vec<u8>) {
        self.past = io::Cursor::new(past);
    }

    /// What comes next; nothing if nothing has come.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.past.by_ref().take(CHUNK).read_to_end(&mut bytes)?;
        if !bytes.is_empty() {
            return Ok(bytes);
        }
        self.past = io::Cursor::default();
        if let Some(file) = &mut self.file {
            file.take(CHUNK).read_to_end(&mut bytes)?;
        }
        if bytes.is_empty() && self.was_replaced()? {
            self.file = open_if_there(&self.path)?;
            if let Some(file) = &mut self.file {
                file.take(CHUNK).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }

    /// Whether another file has the name now, or this one begins anew.
    fn was_replaced(&mut self) -> io::Result<bool> {
        let named = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            named => named?,
        };
        let Some(file) = &mut self.file else { return Ok(true) };
        let open = file.metadata()?;
        let is_same = (open.dev(), open.ino()) == (named.dev(), named.ino());
        Ok(!is_same || file.stream_position()? > named.len())
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tail(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(length.min(most)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last lines of it; the last of all need not be through.
fn last_lines(mut bytes: Vec<u8>, lines: Option<usize>) -> Vec<u8> {
    let Some(lines) = lines else { return bytes };
    let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let ends = whole.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let begin = match lines {
        0 => bytes.len(),
        lines => ends.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0),
    };
    bytes.split_off(begin)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    fn all(follower: &mut Follower) -> String {
        let mut text = Vec::new();
        loop {
            let bytes = follower.next().unwrap();
            if bytes.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            text.extend(bytes);
        }
    }

    #[test]
    fn a_log_is_followed_over_its_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serial.log");
        fs::write(folder.path().join("serial.log.1"), "one\n").unwrap();
        fs::write(folder.path().join("serial.log.0"), "two\n").unwrap();
        let mut log = File::create(&path).unwrap();
        log.write_all(b"three\n").unwrap();
        let (mut follower, past) = Follower::open(&path).unwrap();
        assert_eq!(past, b"one\ntwo\nthree\n");
        assert_eq!(all(&mut follower), "");
        log.write_all(b"four\n").unwrap();
        fs::rename(&path, folder.path().join("serial.log.0")).unwrap();
        fs::write(&path, "five\n").unwrap();
        assert_eq!(all(&mut follower), "four\nfive\n");
        fs::write(&path, "6\n").unwrap();
        assert_eq!(all(&mut follower), "6\n", "it was cut and begins anew");
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serial.log");
        let (mut follower, past) = Follower::open(&path).unwrap();
        assert!(past.is_empty() && all(&mut follower).is_empty());
        fs::write(&path, "first\n").unwrap();
        assert_eq!(all(&mut follower), "first\n");
    }

    #[test]
    fn no_more_than_a_mebibyte_of_the_past_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serial.log");
        fs::write(folder.path().join("serial.log.0"), vec![b'o'; PAST as usize]).unwrap();
        fs::write(&path, vec![b'n'; 1000]).unwrap();
        let (_, past) = Follower::open(&path).unwrap();
        assert_eq!(past.len() as u64, PAST);
        assert!(past.ends_with(&[b'n'; 1000]) && past.starts_with(b"oo"));
    }

    #[test]
    fn the_last_lines_are_cut_where_they_begin() {
        let last = |text: &str, lines| {
            String::from_utf8(last_lines(text.as_bytes().to_vec(), Some(lines))).unwrap()
        };
        assert_eq!(last("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last("a\nb\nc", 2), "b\nc");
        assert_eq!(last("a\nb\n", 9), "a\nb\n");
        assert_eq!(last("a\nb\n", 0), "");
        assert_eq!(last("", 3), "");
    }
}
