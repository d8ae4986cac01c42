//! The system's ssh and scp, with a config that is there as long as they run.

use super::{config, identity::Identities, route::Hop};
use crate::failure::Failure;
use std::{ffi::OsStr, fs, io, path::PathBuf, process::ExitStatus};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Added to the signal's number, as shells do.
const KILLED: i32 = 128;

/// A config with its known hosts. They go with it.
pub struct Client {
    _folder: TempDir,
    config: PathBuf,
}

/// Who is there while ssh runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attended {
    /// Somebody who may type a passphrase.
    ByPerson,
    /// Nobody.
    ByNobody,
}

impl Attended {
    fn text(self) -> &'static str {
        match self {
            Self::ByPerson => "Host *\n  ConnectTimeout 30\n",
            Self::ByNobody => "Host *\n  ConnectTimeout 10\n  BatchMode yes\n  LogLevel ERROR\n",
        }
    }
}

impl Client {
    /// One that knows these hops, each group with its identities, and nobody else.
    pub fn new(ways: &[(Vec<Hop>, Identities)], attended: Attended) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("quarry-ssh-");
        #[cfg(unix)]
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        #[cfg(unix)]
        builder.permissions(owner_only);
        let folder = builder.tempdir()?;
        let known_hosts = folder.path().join("known_hosts");
        let (mut text, mut known) = (String::new(), String::new());
        for (hops, identities) in ways {
            let files = identities.files(folder.path())?;
            for hop in hops {
                text.push_str(&config::entry(hop, &files, &known_hosts)?);
                known.push_str(&config::known(hop));
            }
        }
        text.push_str(attended.text());
        let config = folder.path().join("config");
        fs::write(&known_hosts, known)?;
        fs::write(&config, text)?;
        Ok(Self { _folder: folder, config })
    }

    /// ssh or scp, by that config alone: with `-F` they read no other.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(&self.config).kill_on_drop(true);
        command
    }

    /// Runs it in this program's place: it has the terminal and gets the signals, and its exit code is ours.
    pub async fn run(self, mut command: Command) -> Result<(), Failure> {
        let signals = Signals::catch()?;
        let mut child = start(&mut command)?;
        let ended = signals.hand_on_until_end(&mut child).await;
        drop(self);
        exit(ended?.status)
    }
}

/// Starts it, and says what to do where it is not installed.
pub fn start(command: &mut Command) -> Result<Child, Failure> {
    let program = command.as_std().get_program().to_owned();
    command.spawn().map_err(|error| not_started(&program, &error))
}

/// Why a program was not started.
pub fn not_started(program: &OsStr, error: &io::Error) -> Failure {
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Other(format!(
            "there is no `{program}` here: install OpenSSH's client (on Debian the package openssh-client)"
        )),
        _ => Failure::Other(format!("`{program}` does not start: {error}")),
    }
}

/// How a child ended.
pub struct Ended {
    /// Its own word.
    pub status: ExitStatus,
    /// Whether a signal asked us to end before.
    pub asked: bool,
}

fn exit(status: ExitStatus) -> Result<(), Failure> {
    match code(status) {
        0 => Ok(()),
        code => Err(Failure::Exit(code)),
    }
}

/// The exit code that a shell would show.
pub fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or(signal.map(|signal| KILLED.saturating_add(signal)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(unix)]
pub use unix::{terminate, Signals};
#[cfg(not(unix))]
pub use windows::{terminate, Signals};

#[cfg(unix)]
mod unix {
    use super::Ended;
    use rustix::process::{kill_process, waitid, Pid, Signal, WaitId, WaitIdOptions};
    use std::io;
    use tokio::{
        process::Child,
        signal::unix::{signal, Signal as Caught, SignalKind},
    };

    /// Those that would end this program before it has tidied up.
    pub struct Signals {
        interrupt: Caught,
        quit: Caught,
        terminate: Caught,
        hang_up: Caught,
        child: Caught,
    }

    impl Signals {
        /// From now on they are caught.
        pub fn catch() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
                child: signal(SignalKind::child())?,
            })
        }

        /// Waits for the child. It has the terminal's modes to put back, so it is it that they are for.
        pub async fn hand_on_until_end(mut self, child: &mut Child) -> io::Result<Ended> {
            let pid = child.id();
            let mut asked = false;
            loop {
                let signal = tokio::select! {
                    ended = child.wait() => return Ok(Ended { status: ended?, asked }),
                    _ = self.child.recv() => {
                        stop_with(pid);
                        continue;
                    }
                    _ = self.interrupt.recv() => Signal::INT,
                    _ = self.quit.recv() => Signal::QUIT,
                    _ = self.terminate.recv() => Signal::TERM,
                    _ = self.hang_up.recv() => Signal::HUP,
                };
                asked = true;
                send(pid, signal);
            }
        }
    }

    fn pid_of(pid: Option<u32>) -> Option<Pid> {
        Pid::from_raw(i32::try_from(pid?).ok()?)
    }

    fn send(pid: Option<u32>, signal: Signal) {
        if let Some(pid) = pid_of(pid) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Where ssh stopped itself, by `~^Z`, so must we: else the shell would never know.
    fn stop_with(pid: Option<u32>) {
        let Some(pid) = pid_of(pid) else { return };
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        if matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))) {
            let _ = kill_process(rustix::process::getpid(), Signal::STOP);
        }
    }

    /// Asks a child to end.
    pub fn terminate(child: &mut Child) {
        send(child.id(), Signal::TERM);
    }
}

#[cfg(not(unix))]
mod windows {
    use super::Ended;
    use std::io;
    use tokio::{process::Child, signal::ctrl_c};

    /// Ctrl-C, which would end this program before it has tidied up.
    pub struct Signals;

    impl Signals {
        /// From now on it is caught.
        pub fn catch() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the child, which gets Ctrl-C as well.
        pub async fn hand_on_until_end(self, child: &mut Child) -> io::Result<Ended> {
            let mut asked = false;
            loop {
                tokio::select! {
                    ended = child.wait() => return Ok(Ended { status: ended?, asked }),
                    _ = ctrl_c() => asked = true,
                }
            }
        }
    }

    /// Asks a child to end.
    pub fn terminate(child: &mut Child) {
        let _ = child.start_kill();
    }
}
