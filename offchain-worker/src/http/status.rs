//! What the worker knows of itself, for whoever asks: `/v1/status`, `/v1/vms`, `/readyz`, `/livez` and
//! `quarry-worker status`.

use quarry_primitives::{text::decimal, RequestId};
use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

/// How long the main loop may be silent before the process counts as stuck.
pub const BEAT_LIMIT: Duration = Duration::from_secs(30);

/// How long the chain may go without a newly finalized block before it counts as stale.
pub const FINALITY_LIMIT: Duration = Duration::from_secs(60);

/// A point in time, in JSON as `2026-11-05T12:00:00Z`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub SystemTime);

impl Timestamp {
    /// Now.
    pub fn now() -> Self {
        Self(SystemTime::now())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_seconds(self.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        humantime::parse_rfc3339(&String::deserialize(deserializer)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// All of it, but the VMs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The worker's version.
    pub version: String,
    /// When this process started.
    pub started_at: Timestamp,
    /// The node's name on chain.
    pub node_id: String,
    /// The account of the worker's key.
    pub worker: Option<String>,
    /// Whether the chain knows the node by this key.
    pub registered: bool,
    /// The chain.
    pub chain: ChainStatus,
    /// libvirt.
    pub hypervisor: HypervisorStatus,
    /// Whether the node takes new VMs, as far as the worker has a say.
    pub accepting: bool,
    /// Why not.
    pub not_accepting_because: Vec<String>,
    /// How many reports were sent to the chain, or wait to be, and are not finalized yet.
    pub reports_under_way: usize,
    /// Disk images in the store, or on their way.
    pub images: Vec<ImageStatus>,
}

/// What the worker sees of the chain.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ChainStatus {
    /// The endpoint in use, without what may be secret in its URL.
    pub endpoint: Option<String>,
    /// Whether it answers.
    pub connected: bool,
    /// Whether it says that it lags behind its own network.
    pub syncing: bool,
    /// The chain.
    pub genesis: Option<String>,
    /// The last finalized block seen.
    pub finalized: Option<u32>,
    /// When it was seen.
    pub finalized_at: Option<Timestamp>,
}

/// What the worker sees of libvirt.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HypervisorStatus {
    /// Where it is.
    pub uri: String,
    /// Which it is.
    pub description: Option<String>,
    /// Whether it answers.
    pub connected: bool,
}

/// A virtual machine, between what should be and what is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VmStatus {
    /// Its number.
    #[serde(with = "decimal")]
    pub request_id: RequestId,
    /// Its tenant's name for it.
    pub name: String,
    /// What the chain wants: `launch`, `running`, `stopped`, `deleted`.
    pub desired: String,
    /// What libvirt shows: `running`, `off` and the like.
    pub observed: String,
    /// The chain's generation.
    pub generation: u64,
    /// The operation that is queued or under way.
    pub operation: Option<String>,
    /// How far that is, for people.
    pub progress: Option<String>,
    /// Since when that is so.
    pub since: Timestamp,
    /// Its address.
    pub address: Option<String>,
    /// The image it was made from.
    pub image: String,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// An image in the store, or on its way there.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ImageStatus {
    /// Its digest.
    pub digest: String,
    /// What is here of it.
    pub bytes: u64,
    /// What there should be, where that is known.
    pub total_bytes: Option<u64>,
    /// Whether it is complete and checked.
    pub ready: bool,
}

/// What is missing for the worker to do its work.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether nothing is.
    pub ready: bool,
    /// What is.
    pub missing: Vec<String>,
}

/// The status and the VMs' together, as `quarry-worker status` reads them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FullStatus {
    /// The worker's own.
    #[serde(flatten)]
    pub worker: Status,
    /// Its VMs, by number.
    pub vms: Vec<VmStatus>,
}

struct Inner {
    status: Status,
    vms: BTreeMap<RequestId, VmStatus>,
    finalized_at: Option<Instant>,
}

/// Where the worker writes what it knows, and the HTTP server reads it. No lock is held while anything
/// waits, so that an answer never hangs on libvirt or the chain.
pub struct StatusBoard {
    inner: RwLock<Inner>,
    beat: RwLock<Instant>,
}

impl StatusBoard {
    /// A board of a worker that just started.
    pub fn new(node_id: impl Into<String>, hypervisor_uri: impl Into<String>) -> Arc<Self> {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: Timestamp::now(),
            node_id: node_id.into(),
            worker: None,
            registered: false,
            chain: ChainStatus::default(),
            hypervisor: HypervisorStatus { uri: hypervisor_uri.into(), ..Default::default() },
            accepting: false,
            not_accepting_because: vec!["the worker has just started".into()],
            reports_under_way: 0,
            images: Vec::new(),
        };
        let inner = Inner { status, vms: BTreeMap::new(), finalized_at: None };
        Arc::new(Self { inner: RwLock::new(inner), beat: RwLock::new(Instant::now()) })
    }

    /// Says that the main loop is alive.
    pub fn beat(&self) {
        *self.beat.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Says that the main loop is alive for as long as it waits for this.
    pub async fn alive_while<T>(&self, work: impl Future<Output = T>) -> T {
        let mut beat = tokio::time::interval(Duration::from_secs(5));
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = beat.tick() => self.beat(),
            }
        }
    }

    /// Changes what is known.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner).status);
    }

    /// Says which endpoint answers; none if none does.
    pub fn chain(&self, endpoint: Option<&str>) {
        self.update(|status| {
            status.chain.connected = endpoint.is_some();
            if let Some(endpoint) = endpoint {
                status.chain.endpoint = Some(public_part(endpoint));
            }
        });
    }

    /// Says that a block was finalized, and whether the chain node lags behind its network.
    pub fn finalized(&self, number: u32, syncing: bool) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.status.chain.syncing = syncing;
        if inner.status.chain.finalized != Some(number) {
            inner.status.chain.finalized = Some(number);
            inner.status.chain.finalized_at = Some(Timestamp::now());
            inner.finalized_at = Some(Instant::now());
        }
    }

    /// Writes one VM's line.
    pub fn set_vm(&self, vm: VmStatus) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.vms.insert(vm.request_id, vm);
    }

    /// Changes one VM's line, if it is there.
    pub fn update_vm(&self, request_id: RequestId, change: impl FnOnce(&mut VmStatus)) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(vm) = inner.vms.get_mut(&request_id) {
            change(vm);
        }
    }

    /// Drops the lines of all VMs that `keep` does not want.
    pub fn retain_vms(&self, keep: impl Fn(RequestId) -> bool) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.vms.retain(|request_id, _| keep(*request_id));
    }

    /// What is known of the worker.
    pub fn status(&self) -> Status {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).status.clone()
    }

    /// Its VMs, by number.
    pub fn vms(&self) -> Vec<VmStatus> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).vms.values().cloned().collect()
    }

    /// Both, of the same moment.
    pub fn full(&self) -> FullStatus {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        FullStatus { worker: inner.status.clone(), vms: inner.vms.values().cloned().collect() }
    }

    /// How long ago the main loop was last alive.
    pub fn since_beat(&self) -> Duration {
        self.beat.read().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    #[cfg(test)]
    pub(crate) fn pretend_last_beat_was(&self, ago: Duration) {
        *self.beat.write().unwrap() = Instant::now().checked_sub(ago).unwrap();
    }

    #[cfg(test)]
    pub(super) fn pretend_last_block_was(&self, ago: Duration) {
        self.inner.write().unwrap().finalized_at = Instant::now().checked_sub(ago);
    }

    /// What is missing for the worker to do its work.
    pub fn readiness(&self) -> Readiness {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        readiness(&inner.status, inner.finalized_at.map(|at| at.elapsed()))
    }
}

fn readiness(status: &Status, since_finalized: Option<Duration>) -> Readiness {
    let mut missing = Vec::new();
    if !status.chain.connected {
        missing.push("no chain endpoint answers".into());
    }
    match since_finalized {
        None => missing.push("no finalized block was seen yet".into()),
        Some(age) if age > FINALITY_LIMIT => missing.push(format!(
            "no block was finalized for {} seconds, or none reached us",
            age.as_secs()
        )),
        Some(_) => {}
    }
    if status.chain.syncing {
        missing.push("the chain node is syncing, or nothing new was finalized yet".into());
    }
    if !status.hypervisor.connected {
        missing.push(format!("libvirt at {} does not answer", status.hypervisor.uri));
    }
    if !status.registered {
        missing.push(format!("the chain has no node {} with this worker's key", status.node_id));
    }
    Readiness { ready: missing.is_empty(), missing }
}

/// A URL's scheme, host and port: paths, queries and passwords may be keys to a paid endpoint.
pub fn public_part(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| "(not a URL)".into(),
        |url| {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{host}{port}", url.scheme())
        },
    )
}
