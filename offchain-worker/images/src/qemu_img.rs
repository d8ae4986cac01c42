//! `qemu-img` as a second opinion, under limits.

use crate::ImageError;
use serde::Deserialize;
use std::{ffi::OsStr, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::timeout,
};

const LIMITS: [&str; 4] = ["--as=1073741824", "--cpu=120", "--nofile=64", "--core=0"];
const PATIENCE: Duration = Duration::from_secs(300);
const MAX_OUTPUT: u64 = 64 << 10;

/// What became of it.
struct Outcome {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Why it says nothing good of an image.
pub(crate) enum Opinion {
    /// It did not get to one.
    None(String),
    /// The image is bad.
    Bad(ImageError),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    format: String,
    backing_filename: Option<String>,
}

/// Has a qcow2 image looked through, whose disk has as many bytes as said.
pub(crate) async fn second_opinion(image: &Path, virtual_bytes: u64) -> Result<(), Opinion> {
    let read_only = Some("--fsize=0");
    let format = ["-f", "qcow2", "--output=json"];
    let outcome = run(read_only, "info", &format, image, &[]).await.map_err(Opinion::None)?;
    let info: Info = match outcome.code {
        Some(0) => serde_json::from_slice(&outcome.stdout)
            .map_err(|error| Opinion::None(format!("info says what is no JSON: {error}")))?,
        _ => return Err(Opinion::None(outcome.what_it_says())),
    };
    let rounded = virtual_bytes.next_multiple_of(512);
    if info.virtual_size.next_multiple_of(512) != rounded || info.format != "qcow2" {
        return Err(Opinion::Bad(ImageError::Damaged("it sees another disk".into())));
    }
    if info.backing_filename.is_some() {
        return Err(Opinion::Bad(ImageError::BackingFile));
    }
    let outcome = run(read_only, "check", &format, image, &[]).await.map_err(Opinion::None)?;
    match outcome.code {
        // 3: clusters that nothing uses, which harm nobody.
        Some(0 | 3) => Ok(()),
        Some(2) => Err(Opinion::Bad(ImageError::Damaged("see qemu-img check".into()))),
        _ => Err(Opinion::None(outcome.what_it_says())),
    }
}

/// Makes a qcow2 disk larger.
pub(crate) async fn resize(disk: &Path, virtual_bytes: u64) -> Result<(), String> {
    let size = virtual_bytes.to_string();
    let outcome = run(None, "resize", &["-f", "qcow2"], disk, &[&size]).await?;
    match outcome.code {
        Some(0) => Ok(()),
        _ => Err(outcome.what_it_says()),
    }
}

async fn run(
    limit: Option<&str>,
    verb: &str,
    options: &[&str],
    image: &Path,
    arguments: &[&str],
) -> Result<Outcome, String> {
    let mut command = Command::new("prlimit");
    command
        .args(LIMITS)
        .args(limit)
        .args(["--", "qemu-img", verb])
        .args(options)
        .arg("--")
        .arg(image)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").as_deref().unwrap_or(OsStr::new("/usr/bin:/bin")))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|error| format!("prlimit (util-linux) does not start: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async { tokio::join!(read_some(stdout), read_some(stderr), child.wait()) };
    let (stdout, stderr, status) = timeout(PATIENCE, work)
        .await
        .map_err(|_| format!("{verb} takes more than {} seconds", PATIENCE.as_secs()))?;
    let status = status.map_err(|error| error.to_string())?;
    Ok(Outcome { code: status.code(), stdout, stderr })
}

/// The first of what it says; the rest is read and forgotten, so that it does not wait for a reader.
async fn read_some(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        let read = (&mut pipe).take(MAX_OUTPUT).read_to_end(&mut kept).await;
        if read.is_ok() {
            tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await.ok();
        }
    }
    kept
}

impl Outcome {
    fn what_it_says(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let line = text.lines().next_back().unwrap_or_default();
        let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
        match self.code {
            Some(code) => format!("{line} (exit code {code})"),
            None => format!("{line} (ended by a signal: it may have met a limit)"),
        }
    }
}
