//! Which domains are ours, remembered for as long as a connection lasts.

use crate::{
    domain::{Domain, DomainState, Tag},
    error::Error,
    fault::{self, Fault},
    ffi::{self, Change, Connection},
    link::lock,
    tag,
};
use std::{
    collections::{HashMap, HashSet},
    ffi::c_int,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
    time::{Duration, Instant},
};
use uuid::Uuid;
use virt::{domain::Domain as Handle, error::Error as VirtError};
use virt_sys as sys;

/// Tags are read again after this long, in case a change went untold…
const REFRESH: Duration = Duration::from_secs(600);
/// … so many at each look.
const REFRESHED_AT_ONCE: usize = 4;

/// What changed since it was read.
#[derive(Default)]
pub(crate) struct News {
    /// Domains whose entry may be wrong: written by us, or changed by somebody.
    doubts: HashSet<Uuid>,
    /// Definitions of ours that libvirt has yet to tell of.
    own: HashMap<Uuid, u32>,
}

impl News {
    /// Takes what libvirt tells. A run that began or ended shows in the domain's id.
    pub(crate) fn take(&mut self, uuid: Uuid, change: Change) {
        let is_own = change == Change::Defined && self.forget_own(uuid);
        if !is_own && change != Change::Run {
            self.doubts.insert(uuid);
        }
    }

    fn expect_own(&mut self, uuid: Uuid) {
        *self.own.entry(uuid).or_default() += 1;
    }

    /// Whether there was one.
    fn forget_own(&mut self, uuid: Uuid) -> bool {
        let Some(count) = self.own.get_mut(&uuid) else { return false };
        *count -= 1;
        if *count == 0 {
            self.own.remove(&uuid);
        }
        true
    }
}

/// What is known of each domain.
#[derive(Default)]
pub(crate) struct Catalogue {
    entries: Mutex<HashMap<Uuid, Entry>>,
    news: Arc<Mutex<News>>,
    /// Whether there is an entry for every domain that no news were of.
    is_whole: AtomicBool,
}

#[derive(Clone)]
struct Entry {
    handle: Handle,
    id: Option<u32>,
    tags: Tags,
    read_at: Instant,
}

/// A domain's tags; one with neither is foreign.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Tags {
    stored: Option<Tag>,
    live: Option<Tag>,
}

impl Tags {
    fn are_ours(&self) -> bool {
        self.stored.is_some() || self.live.is_some()
    }
}

impl Catalogue {
    /// The news, for those who learn of a change first.
    pub(crate) fn news(&self) -> Arc<Mutex<News>> {
        Arc::clone(&self.news)
    }

    /// Has a domain read again when it is asked for next.
    pub(crate) fn doubt(&self, uuid: Uuid) {
        lock(&self.news).doubts.insert(uuid);
    }

    fn is_doubtful(&self, uuid: Uuid) -> bool {
        lock(&self.news).doubts.contains(&uuid)
    }

    /// All domains with a tag of ours.
    pub(crate) fn list(&self, connection: &Connection) -> Result<Vec<Domain>, Fault> {
        let records = ffi::all_stats(connection, sys::VIR_DOMAIN_STATS_STATE, 0)?;
        let mut present = HashSet::with_capacity(records.len());
        let mut stale = self.stalest();
        let mut domains = Vec::new();
        for record in records {
            let uuid = record.domain.uuid()?;
            let number = |name| record.number(name).and_then(|n| c_int::try_from(n).ok());
            let state = state_of(
                number("state.state").unwrap_or_default(),
                number("state.reason").unwrap_or_default(),
                record.domain.id().is_some(),
            );
            present.insert(uuid);
            let fresh = stale.remove(&uuid);
            match self.tags(uuid, record.domain, fresh) {
                Ok(tags) if tags.are_ours() => {
                    domains.push(Domain { uuid, state, stored: tags.stored, live: tags.live })
                }
                Ok(_) => {}
                Err(error) if fault::is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        lock(&self.entries).retain(|uuid, _| present.contains(uuid));
        self.is_whole.store(true, Ordering::Relaxed);
        Ok(domains)
    }

    /// One domain with a tag of ours, read afresh.
    pub(crate) fn read(
        &self,
        connection: &Connection,
        uuid: Uuid,
    ) -> Result<Option<Domain>, Fault> {
        self.doubt(uuid);
        let read = || {
            let Some(handle) = self.find(connection, uuid)? else {
                return Ok(None);
            };
            let (state, reason) = ffi::state(&handle)?;
            let state = state_of(state, reason, handle.is_active()?);
            Ok::<_, VirtError>(Some((state, self.tags(uuid, handle, false)?)))
        };
        match read() {
            Ok(Some((state, tags))) if tags.are_ours() => {
                Ok(Some(Domain { uuid, state, stored: tags.stored, live: tags.live }))
            }
            Ok(_) => Ok(None),
            Err(error) if fault::is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A domain of ours to work on; an error if it is foreign, none if there is none.
    pub(crate) fn ours(
        &self,
        connection: &Connection,
        uuid: Uuid,
    ) -> Result<Option<Handle>, Fault> {
        let doubtful = self.is_doubtful(uuid);
        let known = lock(&self.entries).get(&uuid).cloned();
        let handle = match known {
            Some(entry) if !doubtful && entry.tags.are_ours() => return Ok(Some(entry.handle)),
            Some(_) if !doubtful => return Err(Error::Foreign(uuid).into()),
            // Handles are good for as long as their connection: libvirtd goes by the uuid.
            Some(entry) => entry.handle,
            None => match self.find(connection, uuid)? {
                Some(handle) => handle,
                None => return Ok(None),
            },
        };
        match self.tags(uuid, handle.clone(), true) {
            Ok(tags) if tags.are_ours() => Ok(Some(handle)),
            Ok(_) => Err(Error::Foreign(uuid).into()),
            Err(error) if fault::is_missing(&error) => {
                self.forget(uuid);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Defines a domain of ours, and remembers it. Refused where there is a foreign one of its id.
    pub(crate) fn define(
        &self,
        connection: &Connection,
        uuid: Uuid,
        tag: &Tag,
        xml: &str,
    ) -> Result<(), Fault> {
        if !self.is_free(uuid) {
            self.ours(connection, uuid)?;
        }
        lock(&self.news).expect_own(uuid);
        let handle = connection.define_domain_xml(xml).inspect_err(|_| {
            lock(&self.news).forget_own(uuid);
        })?;
        if handle.id().is_some() {
            self.doubt(uuid);
        } else {
            self.remember(uuid, handle, Tags { stored: Some(tag.clone()), live: None });
        }
        Ok(())
    }

    /// Whether no domain has that id, as far as libvirt told.
    fn is_free(&self, uuid: Uuid) -> bool {
        self.is_whole.load(Ordering::Relaxed)
            && !self.is_doubtful(uuid)
            && !lock(&self.entries).contains_key(&uuid)
    }

    /// Remembers that we have just started a domain: it runs with what was stored.
    pub(crate) fn started(&self, uuid: Uuid, handle: &Handle) {
        let id = handle.id();
        let known = lock(&self.entries).get(&uuid).map(|entry| entry.tags.stored.clone());
        match known {
            Some(stored) if id.is_some() && !self.is_doubtful(uuid) => {
                self.remember(uuid, handle.clone(), Tags { live: stored.clone(), stored });
            }
            _ => self.doubt(uuid),
        }
    }

    /// Forgets one that is gone.
    pub(crate) fn forget(&self, uuid: Uuid) {
        lock(&self.entries).remove(&uuid);
    }

    fn find(&self, connection: &Connection, uuid: Uuid) -> Result<Option<Handle>, VirtError> {
        match connection.lookup_domain_by_uuid(uuid) {
            Ok(handle) => Ok(Some(handle)),
            Err(error) if fault::is_missing(&error) => {
                self.forget(uuid);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// From memory, unless it is in doubt, another run of the domain, or to be `fresh`.
    fn tags(&self, uuid: Uuid, handle: Handle, fresh: bool) -> Result<Tags, VirtError> {
        // In this order: a change that comes while we read is in doubt again.
        let doubtful = lock(&self.news).doubts.remove(&uuid);
        let known = lock(&self.entries).get(&uuid).cloned();
        if let Some(known) = &known {
            if !doubtful && !fresh && known.id == handle.id() {
                return Ok(known.tags.clone());
            }
        }
        let tags = read(&handle, known.is_none()).inspect_err(|_| self.doubt(uuid))?;
        self.remember(uuid, handle, tags.clone());
        Ok(tags)
    }

    fn remember(&self, uuid: Uuid, handle: Handle, tags: Tags) {
        let entry = Entry { id: handle.id(), handle, tags, read_at: Instant::now() };
        lock(&self.entries).insert(uuid, entry);
    }

    fn stalest(&self) -> HashSet<Uuid> {
        let entries = lock(&self.entries);
        let old = entries.iter().filter(|(_, entry)| entry.read_at.elapsed() > REFRESH);
        old.map(|(uuid, _)| *uuid).take(REFRESHED_AT_ONCE).collect()
    }
}

fn read(handle: &Handle, is_new: bool) -> Result<Tags, VirtError> {
    let mut parsed = Vec::with_capacity(2);
    let live = handle.id().is_some().then_some(sys::VIR_DOMAIN_AFFECT_LIVE);
    for place in [Some(sys::VIR_DOMAIN_AFFECT_CONFIG), live] {
        let metadata = match place {
            Some(place) => metadata(handle, place)?,
            None => None,
        };
        match metadata.as_deref().map(tag::parse).transpose() {
            Ok(tag) => parsed.push(tag),
            Err(error) => {
                if is_new {
                    let domain = handle.uuid_string().unwrap_or_default();
                    tracing::warn!(domain, %error, "left alone: a foreign domain");
                }
                return Ok(Tags::default());
            }
        }
    }
    let live = parsed.pop().flatten();
    let stored = parsed.pop().flatten();
    Ok(Tags { stored, live })
}

fn metadata(
    handle: &Handle,
    place: sys::virDomainModificationImpact,
) -> Result<Option<String>, VirtError> {
    let kind = sys::VIR_DOMAIN_METADATA_ELEMENT as c_int;
    match handle.metadata(kind, Some(tag::NAMESPACE), place) {
        Ok(xml) => Ok(Some(xml)),
        // No tag there, or no such config: the domain is transient, or off by now.
        Err(error)
            if fault::code(&error) == sys::VIR_ERR_NO_DOMAIN_METADATA
                || fault::is_wrong_state(&error) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The state that libvirt's numbers mean.
pub(crate) fn state_of(state: c_int, reason: c_int, is_active: bool) -> DomainState {
    // Or libvirtd found it dead when it came back.
    let crashes = [sys::VIR_DOMAIN_SHUTOFF_CRASHED, sys::VIR_DOMAIN_SHUTOFF_DAEMON];
    let shutoff_by_crash = crashes.contains(&(reason as sys::virDomainShutoffReason));
    match state as sys::virDomainState {
        sys::VIR_DOMAIN_SHUTOFF if shutoff_by_crash => DomainState::Crashed,
        sys::VIR_DOMAIN_SHUTOFF => DomainState::Off,
        sys::VIR_DOMAIN_CRASHED if !is_active => DomainState::Crashed,
        sys::VIR_DOMAIN_SHUTDOWN => DomainState::ShuttingDown,
        // Kept for a look at the corpse, or asleep: in memory, and standing still.
        sys::VIR_DOMAIN_PAUSED | sys::VIR_DOMAIN_CRASHED | sys::VIR_DOMAIN_PMSUSPENDED => {
            DomainState::Paused
        }
        _ if is_active => DomainState::Running,
        _ => DomainState::Off,
    }
}
