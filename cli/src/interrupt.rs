//! Ctrl-C where it must not just end the program: something was sent, or is shown until then.

use std::io;
#[cfg(unix)]
use tokio::signal::unix::{signal, Signal as Caught, SignalKind};
#[cfg(not(unix))]
use tokio::signal::windows::{ctrl_c, CtrlC as Caught};
use tokio::sync::Mutex;

/// Ctrl-C. Before it is caught it ends the program; from then on it is kept until somebody waits for it,
/// so that none is lost between two waits.
#[derive(Default)]
pub struct Interrupts(Mutex<Option<Caught>>);

impl Interrupts {
    /// From now on it is caught.
    pub async fn catch(&self) -> io::Result<()> {
        let mut caught = self.0.lock().await;
        if caught.is_none() {
            *caught = Some(listen()?);
        }
        Ok(())
    }

    /// Waits for the next one, which may have come already.
    pub async fn next(&self) -> io::Result<()> {
        self.catch().await?;
        if let Some(caught) = self.0.lock().await.as_mut() {
            caught.recv().await;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn listen() -> io::Result<Caught> {
    signal(SignalKind::interrupt())
}

#[cfg(not(unix))]
fn listen() -> io::Result<Caught> {
    ctrl_c()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::process::{getpid, kill_process, Signal};
    use std::time::Duration;
    use tokio::time::timeout;

    // One that came while nobody waited is told to whoever waits next, and to nobody else.
    #[tokio::test]
    async fn one_that_nobody_waited_for_is_kept() {
        let interrupts = Interrupts::default();
        interrupts.catch().await.unwrap();
        kill_process(getpid(), Signal::INT).unwrap();
        timeout(Duration::from_secs(60), interrupts.next()).await.unwrap().unwrap();
        assert!(timeout(Duration::from_millis(50), interrupts.next()).await.is_err());
        kill_process(getpid(), Signal::INT).unwrap();
        timeout(Duration::from_secs(60), interrupts.next()).await.unwrap().unwrap();
    }
}
