//! The connection to libvirtd: opened, watched and opened again.

use crate::{
    catalogue::Catalogue,
    error::{Error, Result},
    fault::{self, Fault},
    ffi::{Change, Connection, Listener},
};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A server that leaves this many questions of this distance unanswered is dead: 10 seconds.
const KEEPALIVE_SECONDS: i32 = 2;
const KEEPALIVE_QUESTIONS: u32 = 4;
/// How long a call waits for a connection; with the above, under 15 seconds.
const OPENING: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(1);
const WATCH: Duration = Duration::from_millis(500);

/// One connection, and what was learnt by it.
pub(crate) struct Live {
    /// Goes before the connection, which its handles hold on to.
    pub(crate) catalogue: Catalogue,
    pub(crate) connection: Connection,
    /// "QEMU" or "TEST".
    pub(crate) driver: String,
}

impl Live {
    fn open(uri: &str, signal: &Arc<Signal>) -> Result<Self, virt::error::Error> {
        let connection = Connection::open(uri)?;
        if let Err(error) = connection.set_keep_alive(KEEPALIVE_SECONDS, KEEPALIVE_QUESTIONS) {
            tracing::debug!(%error, "this libvirt connection needs no keepalive");
        }
        let catalogue = Catalogue::default();
        connection.listen(&listener(&catalogue, signal))?;
        let driver = connection.driver_type()?;
        Ok(Self { catalogue, connection, driver })
    }

    fn is_alive(&self) -> bool {
        self.connection.is_alive().unwrap_or(false)
    }
}

fn listener(catalogue: &Catalogue, signal: &Arc<Signal>) -> Listener {
    let (news, signal) = (catalogue.news(), Arc::clone(signal));
    Arc::new(move |uuid: Uuid, change: Change| {
        lock(&news).take(uuid, change);
        if change != Change::Metadata {
            signal.raise();
        }
    })
}

/// Says that something may have changed.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    raised: Condvar,
}

#[derive(Default)]
struct SignalState {
    raised: bool,
    over: bool,
}

impl Signal {
    pub(crate) fn raise(&self) {
        lock(&self.state).raised = true;
        self.raised.notify_all();
    }

    fn end(&self) {
        lock(&self.state).over = true;
        self.raised.notify_all();
    }

    /// Waits for the next change; false when there will be none.
    pub(crate) fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        while !state.raised && !state.over {
            state = self.raised.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.raised = false;
        !state.over
    }
}

/// The connection, whenever there is one.
pub(crate) struct Link {
    uri: String,
    state: Mutex<State>,
    /// There is news for the keeper, or of it.
    news: Condvar,
    pub(crate) signal: Arc<Signal>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    attempts: u64,
    wanted: bool,
    over: bool,
    reason: String,
}

impl Link {
    /// Starts to keep a connection; returns at once.
    pub(crate) fn keep(uri: &str) -> Result<Arc<Self>> {
        start_event_loop()?;
        let link = Arc::new(Self {
            uri: uri.to_owned(),
            state: Mutex::default(),
            news: Condvar::new(),
            signal: Arc::default(),
        });
        let keeper = Arc::clone(&link);
        spawn("libvirt-keeper", move || keeper.run())?;
        Ok(link)
    }

    /// Ends the keeper, as soon as libvirt lets it.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.over = true;
        state.live = None;
        drop(state);
        self.news.notify_all();
        self.signal.end();
    }

    /// Does `work` on the connection.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Arc<Live>) -> Result<T, Fault>) -> Result<T> {
        let live = self.live()?;
        work(&live).map_err(|fault| match fault {
            Fault::Ours(error) => error,
            Fault::Virt(error) => {
                let alive = live.is_alive();
                if !alive {
                    self.news.notify_all();
                }
                fault::named(&error, &self.uri, alive)
            }
        })
    }

    fn live(&self) -> Result<Arc<Live>> {
        let deadline = Instant::now() + OPENING;
        let mut state = lock(&self.state);
        let attempts = state.attempts;
        loop {
            if let Some(live) = state.live.as_ref().filter(|live| live.is_alive()) {
                return Ok(Arc::clone(live));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.over || left.is_zero() || state.attempts > attempts {
                let reason = match state.reason.as_str() {
                    "" => "it takes too long to open the connection".to_owned(),
                    reason => reason.to_owned(),
                };
                return Err(Error::Unreachable { uri: self.uri.clone(), reason });
            }
            state.wanted = true;
            self.news.notify_all();
            state = wait(&self.news, state, left);
        }
    }

    fn run(&self) {
        while let Some(alive) = self.watch() {
            if alive {
                continue;
            }
            let opened = Live::open(&self.uri, &self.signal);
            let mut state = lock(&self.state);
            state.attempts += 1;
            match opened {
                Ok(live) if !state.over => {
                    state.reason.clear();
                    state.live = Some(Arc::new(live));
                    tracing::info!(uri = self.uri, "connected to libvirt");
                    self.signal.raise();
                }
                Ok(_) => {}
                Err(error) => {
                    if state.reason != error.message() {
                        tracing::warn!(uri = self.uri, %error, "libvirt does not answer");
                        state.reason = error.message().to_owned();
                    }
                    self.news.notify_all();
                    if !state.wanted {
                        state = wait(&self.news, state, RETRY);
                    }
                }
            }
            state.wanted = false;
            drop(state);
            self.news.notify_all();
        }
    }

    /// Whether there is a connection, after a while; none when nobody wants one any more.
    fn watch(&self) -> Option<bool> {
        let mut state = lock(&self.state);
        if state.over {
            return None;
        }
        match &state.live {
            None => return Some(false),
            Some(live) if live.is_alive() => {
                drop(wait(&self.news, state, WATCH));
                return Some(true);
            }
            Some(_) => {}
        }
        let dead = state.live.take();
        state.reason = "the connection was lost".to_owned();
        drop(state);
        tracing::warn!(uri = self.uri, "lost the connection to libvirt");
        self.signal.raise();
        drop(dead);
        Some(false)
    }
}

fn start_event_loop() -> Result<()> {
    static LOOP: Once = Once::new();
    let mut outcome = Ok(());
    LOOP.call_once(|| {
        virt::error::clear_error_callback();
        if let Err(error) = virt::event::event_register_default_impl() {
            outcome = Err(fault::named(&error, "", true));
            return;
        }
        outcome = spawn("libvirt-events", || loop {
            if let Err(error) = virt::event::event_run_default_impl() {
                tracing::error!(%error, "libvirt's event loop stumbles");
                thread::sleep(RETRY);
            }
        });
    });
    outcome
}

pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(|error| {
        Error::Other {
            code: error.raw_os_error().unwrap_or_default(),
            message: format!("no thread for {name}: {error}"),
        }
    })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
) -> MutexGuard<'a, T> {
    condition.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}
