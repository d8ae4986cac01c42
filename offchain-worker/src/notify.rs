//! What systemd is told of the worker, over the socket that it names in the environment: that it is ready, what it
//! does, that it lives, that it stops. Without systemd nothing is told.

use crate::http::{
    status::{FullStatus, BEAT_LIMIT},
    StatusBoard,
};
use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the status line is looked at; the watchdog may ask for more.
const ROUND: Duration = Duration::from_secs(5);
/// How many signs of life there are within the time that systemd waits for one.
const SIGNS: u32 = 4;

/// Why systemd cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// No address of a socket.
    #[error("NOTIFY_SOCKET={}: not an absolute path, nor an abstract name that begins with @", .0.display())]
    Address(PathBuf),
    /// No number.
    #[error("WATCHDOG_USEC={}: not a number of microseconds above 0", .0.display())]
    Watchdog(PathBuf),
    /// The socket.
    #[error("NOTIFY_SOCKET={name}: {source}", name = .name.display())]
    Socket {
        /// Its address.
        name: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The way to systemd.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    to: SocketAddr,
    name: PathBuf,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment has it; none where nobody wants to know.
    pub fn from_env() -> Result<Option<Self>, NotifyError> {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, NotifyError> {
        let Some(name) = variable("NOTIFY_SOCKET") else { return Ok(None) };
        // A parent that is watched itself may have left its own variables here.
        let is_meant = variable("WATCHDOG_PID").is_none_or(|pid| *pid == *own_pid());
        let watchdog = match variable("WATCHDOG_USEC").filter(|_| is_meant) {
            Some(period) => Some(microseconds(&period)?),
            None => None,
        };
        let failed = |source| NotifyError::Socket { name: PathBuf::from(&name), source };
        let to = address(&name)?;
        let socket = UnixDatagram::unbound().map_err(failed)?;
        // A systemd that is stuck must not hold the worker up.
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Some(Self { socket, to, name: name.into(), watchdog }))
    }

    fn tell(&self, lines: &str) -> Result<(), NotifyError> {
        let message = format!("{lines}\n");
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.to);
        sent.map(drop).map_err(|source| NotifyError::Socket { name: self.name.clone(), source })
    }

    fn round(&self) -> Duration {
        self.watchdog.map_or(ROUND, |period| (period / SIGNS).min(ROUND))
    }
}

fn own_pid() -> OsString {
    std::process::id().to_string().into()
}

fn microseconds(text: &OsStr) -> Result<Duration, NotifyError> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.map(Duration::from_micros).ok_or_else(|| NotifyError::Watchdog(text.into()))
}

fn address(name: &OsStr) -> Result<SocketAddr, NotifyError> {
    let made = match name.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => return Err(NotifyError::Address(name.into())),
    };
    made.map_err(|source| NotifyError::Socket { name: name.into(), source })
}

/// Tells systemd that the worker is ready, and from then on how it does, until the process ends. What is fed to the
/// watchdog is the main loop's own beat, which waits neither for libvirt nor for the chain.
pub fn start(board: &Arc<StatusBoard>, stop: &CancellationToken) {
    match Notifier::from_env() {
        Ok(Some(notifier)) => {
            tokio::spawn(keep_telling(notifier, board.clone(), stop.clone()));
        }
        Ok(None) => (),
        Err(error) => tracing::warn!(%error, "systemd is not told how the worker does"),
    }
}

async fn keep_telling(notifier: Notifier, board: Arc<StatusBoard>, stop: CancellationToken) {
    let mut failed = false;
    let mut tell = |lines: &str| {
        let outcome = notifier.tell(lines);
        if let (Err(error), false) = (&outcome, failed) {
            tracing::warn!(%error, "systemd cannot be told how the worker does");
        }
        failed = outcome.is_err();
    };
    let mut was_alive = true;
    let mut told = line_of(&board.full());
    tell(&format!("READY=1\nSTATUS={told}"));
    let mut rounds = tokio::time::interval(notifier.round());
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = rounds.tick() => (),
        }
        let is_alive = board.since_beat() <= BEAT_LIMIT;
        if is_alive && notifier.watchdog.is_some() {
            tell("WATCHDOG=1");
        } else if was_alive && !is_alive {
            tracing::error!("the main loop is stuck");
        }
        was_alive = is_alive;
        let line = line_of(&board.full());
        if line != told {
            tell(&format!("STATUS={line}"));
            told = line;
        }
    }
    tell("STOPPING=1\nSTATUS=waiting for the steps under way; VMs run on");
}

/// For `systemctl status`, on one line.
fn line_of(full: &FullStatus) -> String {
    let status = &full.worker;
    let chain = match &status.chain.endpoint {
        Some(endpoint) if status.chain.connected => endpoint.clone(),
        _ => "no chain".to_owned(),
    };
    let libvirt = if status.hypervisor.connected { "libvirt" } else { "no libvirt" };
    let running = full.vms.iter().filter(|vm| vm.observed == "running").count();
    let taking = if status.accepting { "takes new VMs" } else { "takes no new VMs" };
    let line = format!(
        "node {}: {chain}, {libvirt}, {running} of {} VMs run, {taking}",
        status.node_id,
        full.vms.len()
    );
    line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use tokio::net::UnixDatagram as Listener;

    fn variables<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    /// A systemd that listens in a folder, and the way to it.
    fn systemd(folder: &tempfile::TempDir, watchdog: &str) -> (Listener, Notifier) {
        let path = folder.path().join("notify");
        let listener = Listener::bind(&path).unwrap();
        let pairs = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", watchdog)];
        (listener, Notifier::from_variables(variables(&pairs)).unwrap().unwrap())
    }

    async fn next(listener: &Listener) -> String {
        let mut bytes = [0; 1024];
        let length = listener.recv(&mut bytes).await.unwrap();
        std::str::from_utf8(&bytes[..length]).unwrap().strip_suffix('\n').unwrap().to_owned()
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        Notifier::from_variables(variables(pairs)).unwrap_err().to_string()
    }

    #[test]
    fn without_systemd_there_is_nobody_to_tell() {
        assert!(Notifier::from_variables(variables(&[("WATCHDOG_USEC", "60")])).unwrap().is_none());
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        assert!(refusal(&[("NOTIFY_SOCKET", "run/notify")])
            .starts_with("NOTIFY_SOCKET=run/notify: not"));
        assert!(refusal(&[("NOTIFY_SOCKET", "@")]).starts_with("NOTIFY_SOCKET=@: not"));
        assert!(
            refusal(&[("NOTIFY_SOCKET", "vsock:2:1")]).starts_with("NOTIFY_SOCKET=vsock:2:1: not")
        );
        let long = format!("/{}", "x".repeat(200));
        assert!(refusal(&[("NOTIFY_SOCKET", &long)]).contains(&long));
    }

    #[test]
    fn a_watchdog_without_a_time_is_named() {
        for wrong in ["soon", "0", "-5"] {
            let told = refusal(&[("NOTIFY_SOCKET", "/run/x"), ("WATCHDOG_USEC", wrong)]);
            assert!(told.starts_with(&format!("WATCHDOG_USEC={wrong}: not")), "{told}");
        }
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let of = |pid: &str| {
            let pairs =
                [("NOTIFY_SOCKET", "/run/x"), ("WATCHDOG_USEC", "8000000"), ("WATCHDOG_PID", pid)];
            Notifier::from_variables(variables(&pairs)).unwrap().unwrap()
        };
        assert_eq!(of("1").watchdog, None);
        let ours = of(own_pid().to_str().unwrap());
        assert_eq!(ours.watchdog, Some(Duration::from_secs(8)));
        assert_eq!(ours.round(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_socket_that_is_gone_is_an_error_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, notifier) = systemd(&folder, "1000000");
        drop(listener);
        assert!(matches!(notifier.tell("READY=1"), Err(NotifyError::Socket { .. })));
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("quarry-notify-{}", std::process::id());
        let there = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&there).unwrap();
        let name = format!("@{name}");
        let notifier =
            Notifier::from_variables(variables(&[("NOTIFY_SOCKET", &name)])).unwrap().unwrap();
        notifier.tell("READY=1").unwrap();
        let mut bytes = [0; 64];
        let length = listener.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1\n");
    }

    #[tokio::test]
    async fn it_is_ready_then_lives_then_stops() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, notifier) = systemd(&folder, "40000");
        let board = StatusBoard::new("a\nREADY=0", "test:///default");
        let stop = CancellationToken::new();
        let telling = tokio::spawn(keep_telling(notifier, board.clone(), stop.clone()));
        assert_eq!(
            next(&listener).await,
            "READY=1\nSTATUS=node a?READY=0: no chain, no libvirt, 0 of 0 VMs run, takes no new VMs",
        );
        assert_eq!(next(&listener).await, "WATCHDOG=1");
        board.chain(Some("wss://user:secret@chain.example/key"));
        let status = loop {
            let told = next(&listener).await;
            if told != "WATCHDOG=1" {
                break told;
            }
        };
        assert!(status.starts_with("STATUS=node a?READY=0: wss://chain.example, "), "{status}");
        stop.cancel();
        telling.await.unwrap();
        let mut last = next(&listener).await;
        while last == "WATCHDOG=1" {
            last = next(&listener).await;
        }
        assert!(last.starts_with("STOPPING=1\n"), "{last}");
    }

    #[tokio::test]
    async fn a_main_loop_that_is_stuck_lets_the_watchdog_starve() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, notifier) = systemd(&folder, "4000");
        let board = StatusBoard::new("a", "test:///default");
        board.pretend_last_beat_was(BEAT_LIMIT + Duration::from_secs(1));
        let stop = CancellationToken::new();
        let telling = tokio::spawn(keep_telling(notifier, board.clone(), stop.clone()));
        assert!(next(&listener).await.starts_with("READY=1\n"));
        // Each round feeds the watchdog before it tells what changed.
        board.chain(Some("ws://127.0.0.1:9944"));
        assert!(next(&listener).await.starts_with("STATUS="));
        board.beat();
        assert_eq!(next(&listener).await, "WATCHDOG=1");
        stop.cancel();
        telling.await.unwrap();
    }
}
