//! One connection: who it is, what it carries, and when it is over.

use crate::{
    figures::Refusal,
    gate::Pass,
    places::Place,
    server::{lock, Server},
    session::MAX_TRIES,
};
use quarry_primitives::request::RequestId;
use russh::keys::{ssh_key::public::KeyData, HashAlg, PublicKey};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering},
        Arc, Mutex,
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{sleep_until, Instant},
};
use tokio_util::sync::CancellationToken;

/// Channels that one connection may have open.
const MAX_CHANNELS: usize = 32;
/// And that it may open in its life: russh keeps a part of each that is closed from here first.
const MAX_OPENED: usize = 1_024;
/// Refusals within one session that are logged.
const MAX_LINES: usize = 10;
/// What a client says of itself takes no more room than this in a log.
const MAX_WORDS: usize = 40;

/// Who logged in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) vm: RequestId,
    key: KeyData,
    fingerprint: String,
}

impl Login {
    pub(crate) fn new(vm: RequestId, key: &PublicKey) -> Self {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Self { vm, key: key.key_data().clone(), fingerprint }
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Nobody logged in, or there was no room.
    Refused(Refusal),
    /// The tenant went.
    Left,
    /// The connection broke.
    Broken,
    /// The key is no longer the VM's, or the VM no longer here.
    Revoked,
    /// Nothing was carried for too long.
    Idle,
    /// The port closes.
    Stopped,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Refused(why) => why.name(),
            Self::Left => "left",
            Self::Broken => "broken",
            Self::Revoked => "revoked",
            Self::Idle => "idle",
            Self::Stopped => "stopped",
        }
    }
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) server: Arc<Server>,
    /// Ends what its channels do.
    pub(crate) over: CancellationToken,
    source: SocketAddr,
    begun: Instant,
    /// Milliseconds from the begin until something was carried last.
    carried_at: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    channels: AtomicUsize,
    channels_ever: AtomicUsize,
    login: watch::Sender<Option<Login>>,
    story: Mutex<Story>,
}

#[derive(Default)]
struct Story {
    /// As long as nobody logged in.
    pass: Option<Pass>,
    place: Option<Place>,
    user: Option<String>,
    tries: usize,
    opened: BTreeMap<&'static str, u64>,
    refusals: usize,
}

impl Connection {
    pub(crate) fn new(server: Arc<Server>, source: SocketAddr, pass: Pass) -> Self {
        Self {
            server,
            over: CancellationToken::new(),
            source,
            begun: Instant::now(),
            carried_at: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            channels: AtomicUsize::new(0),
            channels_ever: AtomicUsize::new(0),
            login: watch::Sender::new(None),
            story: Mutex::new(Story { pass: Some(pass), ..Story::default() }),
        }
    }

    /// Whether that key lets in to that VM now.
    pub(crate) fn may_enter(&self, user: &str, key: &PublicKey) -> Option<Login> {
        let vm = request_id(user)?;
        let directory = self.server.node.directory();
        let lets_in = directory.borrow().get(&vm).is_some_and(|vm| vm.keys.have(key.key_data()));
        lets_in.then(|| Login::new(vm, key))
    }

    /// A key was offered: whether in vain.
    pub(crate) fn tried(&self, user: &str, lets_in: bool) {
        let mut story = lock(&self.story);
        story.tries += usize::from(!lets_in);
        story.user = Some(presentable(user));
    }

    /// From here on it counts as logged in. False if the VM has too many connections already.
    pub(crate) fn logged_in(&self, login: Login) -> bool {
        let place = self.server.connections.take(login.vm);
        let has_place = place.is_some();
        {
            let mut story = lock(&self.story);
            story.pass = None;
            story.place = place;
        }
        self.carried(0);
        self.server.figures.opened();
        self.login.send_replace(Some(login));
        has_place
    }

    pub(crate) fn login(&self) -> Option<Login> {
        self.login.borrow().clone()
    }

    /// Waits until there is a reason to end it.
    pub(crate) async fn supervise(&self, deadline: Instant, stop: &CancellationToken) -> End {
        let mut login = self.login.subscribe();
        let login = tokio::select! {
            () = stop.cancelled() => return End::Stopped,
            () = sleep_until(deadline) => return End::Refused(Refusal::Time),
            Ok(login) = login.wait_for(Option::is_some) => login.clone(),
        };
        let Some(login) = login else { return End::Broken };
        if lock(&self.story).place.is_none() {
            return End::Refused(Refusal::Connections);
        }
        let mut directory = self.server.node.directory();
        loop {
            let may_stay = {
                let directory = directory.borrow_and_update();
                directory.get(&login.vm).is_some_and(|vm| vm.keys.have(&login.key))
            };
            if !may_stay {
                return End::Revoked;
            }
            let idle = sleep_until(self.idle_at());
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                () = idle => if Instant::now() >= self.idle_at() { return End::Idle },
                changed = directory.changed() => if changed.is_err() { return End::Stopped },
            }
        }
    }

    /// What it means that russh was through by itself.
    pub(crate) fn end_of(&self, error: Option<russh::Error>) -> End {
        let story = lock(&self.story);
        match (self.login.borrow().is_some(), error) {
            (false, _) if story.tries >= MAX_TRIES => End::Refused(Refusal::Tries),
            (false, _) if story.user.is_some() => End::Refused(Refusal::Key),
            (false, _) => End::Refused(Refusal::Left),
            (true, None) => End::Left,
            (true, Some(russh::Error::IO(error)))
                if error.kind() == std::io::ErrorKind::UnexpectedEof =>
            {
                End::Left
            }
            (true, Some(_)) => End::Broken,
        }
    }

    fn idle_at(&self) -> Instant {
        let carried_at = Duration::from_millis(self.carried_at.load(Ordering::Relaxed));
        self.begun + carried_at + self.server.limits.idle_timeout
    }

    fn carried(&self, bytes: u64) -> u64 {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.carried_at.store(now, Ordering::Relaxed);
        bytes
    }

    /// That many bytes came from the tenant.
    pub(crate) fn received(&self, bytes: usize) {
        let bytes = self.carried(bytes as u64);
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.server.figures.received(bytes);
    }

    /// That many bytes went to the tenant.
    pub(crate) fn sent(&self, bytes: usize) {
        let bytes = self.carried(bytes as u64);
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.server.figures.sent(bytes);
    }

    /// Room for one channel more of the VM, until it is dropped; else why there is none.
    pub(crate) fn room(self: &Arc<Self>, vm: RequestId) -> Result<Room, &'static str> {
        let of_vm = self.server.channels.take(vm).ok_or("the VM has too many channels")?;
        let taken = self.channels.fetch_add(1, Ordering::Relaxed);
        let room = Room { connection: self.clone(), _of_vm: of_vm };
        if taken >= MAX_CHANNELS {
            return Err("the connection has too many channels");
        }
        if self.channels_ever.fetch_add(1, Ordering::Relaxed) >= MAX_OPENED {
            return Err("channels used up: make a new connection");
        }
        Ok(room)
    }

    pub(crate) fn opened(&self, what: &'static str) {
        *lock(&self.story).opened.entry(what).or_default() += 1;
    }

    /// Says what is not carried, up to ten times.
    pub(crate) fn refuse(&self, what: &str) {
        self.server.figures.refuse(Refusal::Channel);
        let mut story = lock(&self.story);
        story.refusals += 1;
        if story.refusals <= MAX_LINES {
            let user = self.login().map(|login| login.vm.to_string()).unwrap_or_default();
            let what = presentable(what);
            tracing::info!(user, source = %self.source, what, why = Refusal::Channel.name(), "access refused");
        }
    }

    /// The one line of a connection that is over.
    pub(crate) fn tell(&self, end: End) {
        let mut story = lock(&self.story);
        story.place = None;
        story.pass = None;
        let login = self.login();
        if login.is_some() {
            self.server.figures.closed();
        }
        if let End::Refused(why) = end {
            self.server.figures.refuse(why);
        }
        let (source, why, seconds) = (self.source, end.name(), self.begun.elapsed().as_secs());
        match (login, end) {
            (Some(login), _) => {
                let opened: Vec<_> =
                    story.opened.iter().map(|(what, times)| format!("{what}:{times}")).collect();
                tracing::info!(
                    user = login.vm,
                    %source,
                    key = login.fingerprint,
                    opened = opened.join(","),
                    refused = story.refusals,
                    received = self.received.load(Ordering::Relaxed),
                    sent = self.sent.load(Ordering::Relaxed),
                    seconds,
                    why,
                    "access: a session ended",
                );
            }
            (None, _) => {
                let user = story.user.as_deref().unwrap_or_default();
                tracing::info!(user, %source, tries = story.tries, seconds, why, "access refused");
            }
        }
    }
}

/// Room for one channel.
pub(crate) struct Room {
    connection: Arc<Connection>,
    _of_vm: Place,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.connection.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number that a user name is, in the one way to write it.
fn request_id(user: &str) -> Option<RequestId> {
    let id: RequestId = user.parse().ok()?;
    (id.to_string() == user).then_some(id)
}

/// What a stranger says, fit for a log.
fn presentable(words: &str) -> String {
    words.chars().take(MAX_WORDS).flat_map(char::escape_debug).take(MAX_WORDS).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_in_one_way_only() {
        assert_eq!(request_id("0"), Some(0));
        assert_eq!(request_id(&u128::MAX.to_string()), Some(u128::MAX));
        for user in ["", "00", "01", "+1", "-1", " 1", "1 ", "0x1", "root", "1\n", "٣", "1e3"] {
            assert_eq!(request_id(user), None, "{user:?}");
        }
        assert_eq!(request_id(&format!("{}0", u128::MAX)), None);
    }

    #[test]
    fn what_a_stranger_says_is_short_and_harmless_in_a_log() {
        assert_eq!(presentable("root"), "root");
        assert_eq!(presentable("a\n\u{1b}[2J\""), "a\\n\\u{1b}[2J\\\"");
        assert_eq!(presentable(&"\n".repeat(1000)).len(), MAX_WORDS);
        assert!(presentable(&"é".repeat(1000)).chars().count() <= MAX_WORDS);
    }
}
