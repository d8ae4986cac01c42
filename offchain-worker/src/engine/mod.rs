//! The worker's core: level-triggered, from finalized state and from what is on the host.
//!
//! Whenever a block is finalized, libvirt says that something happened, a lane ended, or a time came,
//! the question "what next?" is asked for every VM; whatever has an answer gets a lane. Nothing depends
//! on having seen an event.

mod beat;
mod claim;
mod fetch;
mod host;
mod lane;
mod look;
mod perform;
mod publish;
mod report;
mod table;
mod tenants;
mod work;

pub use host::SPEED_KEEPS;

use crate::{
    config::Settings,
    folders::Folders,
    http::StatusBoard,
    metrics::Metrics,
    network,
    reconcile::{Context, Next, Time},
    signer::Signer,
    state::State,
};
use quarry_client::{Chain, Finalized, ReadError};
use quarry_host::{DiskSpeed, Sample};
use quarry_hypervisor::{Accelerator, FilterPolicy, Hypervisor};
use quarry_images::Store;
use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};
use table::Table;
pub(crate) use tenants::Tenancy;
use tokio::{
    sync::{watch, Notify, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// After the start, uses of the key by others are those of the worker before, whose last reports land.
pub const HANDOVER: Duration = Duration::from_secs(60);

/// While libvirt or the chain is silent, it is asked again this often.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Events of libvirt come in bursts.
const BURST: Duration = Duration::from_millis(20);
/// The loop says that it is alive at least this often.
const BEAT: Duration = Duration::from_secs(5);
/// Between two looks at libvirt, and while lanes are at work, which cause events of their own.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const BETWEEN_LOOKS_AT_WORK: Duration = Duration::from_secs(1);
/// Between two writings of the status board.
const BETWEEN_PAGES: Duration = Duration::from_millis(500);

/// What the core is made of.
pub struct Parts {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The chain.
    pub chain: Chain,
    /// The chain's genesis.
    pub genesis: [u8; 32],
    /// Where reports go.
    pub signer: Arc<Signer>,
    /// libvirt.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// How guests run.
    pub accelerator: Accelerator,
    /// Whether libvirt has network filters.
    pub filters: bool,
    /// The VMs' folders.
    pub folders: Folders,
    /// Disk images.
    pub images: Store,
    /// What is remembered over restarts.
    pub state: State,
    /// Whether VMs of which there is nothing left may be reported lost although the data folder is new.
    pub accept_loss: bool,
    /// The status.
    pub board: Arc<StatusBoard>,
    /// The figures.
    pub metrics: Arc<Metrics>,
}

/// The worker's core.
pub struct Engine {
    settings: Arc<Settings>,
    chain: Chain,
    genesis: [u8; 32],
    signer: Arc<Signer>,
    hypervisor: Arc<dyn Hypervisor>,
    accelerator: Accelerator,
    filters: bool,
    filter_name: String,
    folders: Folders,
    images: Store,
    board: Arc<StatusBoard>,
    metrics: Arc<Metrics>,
    begun: Instant,
    runtime: tokio::runtime::Handle,
    permits: Arc<Semaphore>,
    table: Mutex<Table>,
    directory: watch::Sender<Arc<quarry_access::Directory>>,
    state: Mutex<State>,
    policy: Mutex<Policy>,
    accepting: AtomicBool,
    sample: Mutex<Option<Sample>>,
    disk_speed: Mutex<Option<DiskSpeed>>,
    wake: Notify,
    look_wanted: AtomicBool,
    /// Not while the data folder is new although the chain has VMs that ran here.
    may_lose: AtomicBool,
    accept_loss: bool,
}

impl Engine {
    /// Puts the parts together, within an async runtime; nothing happens before [`run`](Self::run).
    pub fn new(parts: Parts) -> Arc<Self> {
        let node_name = parts.settings.node_id.as_str().unwrap_or_default();
        let filter_name = network::filter_name(&parts.genesis, node_name);
        let is_new = parts.state.is_new || parts.folders.is_new;
        let seen_block = parts.state.seen();
        Arc::new(Self {
            filter_name,
            permits: Arc::new(Semaphore::new(parts.settings.operations.parallel)),
            settings: parts.settings,
            chain: parts.chain,
            genesis: parts.genesis,
            signer: parts.signer,
            hypervisor: parts.hypervisor,
            accelerator: parts.accelerator,
            filters: parts.filters,
            folders: parts.folders,
            images: parts.images,
            board: parts.board,
            metrics: parts.metrics,
            begun: Instant::now(),
            runtime: tokio::runtime::Handle::current(),
            table: Mutex::new(Table { seen_block, ..Table::default() }),
            directory: watch::Sender::default(),
            state: Mutex::new(parts.state),
            policy: Mutex::default(),
            accepting: AtomicBool::new(false),
            sample: Mutex::default(),
            disk_speed: Mutex::default(),
            wake: Notify::new(),
            look_wanted: AtomicBool::new(true),
            may_lose: AtomicBool::new(!is_new),
            accept_loss: parts.accept_loss,
        })
    }

    /// Runs until it is told to stop, and then until the actions under way are through.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if self.accept_loss {
            self.may_lose();
        }
        self.watch_hypervisor();
        tokio::spawn(self.clone().measure_disk());
        tokio::spawn(self.clone().watch_host(stop.clone()));
        tokio::spawn(self.clone().beat(stop.clone()));
        tokio::spawn(self.clone().claim(stop.clone()));
        let used = self.folders.list().into_iter().map(|(_, manifest)| manifest.image);
        self.images.set_in_use(used);
        let mut finalized = self.chain.finalized();
        let period = self.settings.operations.resync;
        let mut resync = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        resync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut read: Option<Finalized> = None;
        let mut unread = String::new();
        let mut looks = Pace::default();
        let mut pages = Pace::default();
        while !stop.is_cancelled() {
            self.board.beat();
            let latest = *finalized.borrow_and_update();
            let mut failed = false;
            if let Some(latest) = latest.filter(|latest| read != Some(*latest)) {
                match self.board.alive_while(self.read_work(latest)).await {
                    Ok(()) => {
                        read = Some(latest);
                        unread.clear();
                    }
                    Err(error) => {
                        failed = true;
                        log_unread(&error, &mut unread);
                    }
                }
            }
            let mut pause = BEAT;
            if self.look_wanted.load(Ordering::Relaxed) {
                let at_work = self.table().vms.values().any(|vm| vm.busy);
                match looks.wait(if at_work { BETWEEN_LOOKS_AT_WORK } else { BETWEEN_LOOKS }) {
                    Some(wait) => pause = wait,
                    None => {
                        self.look_wanted.store(false, Ordering::Relaxed);
                        self.look().await;
                        failed |= !self.table().has_seen;
                    }
                }
            }
            pause = pause.min(self.dispatch());
            match pages.wait(BETWEEN_PAGES) {
                Some(wait) => pause = pause.min(wait),
                None => self.publish(),
            }
            if failed {
                self.look_wanted.store(true, Ordering::Relaxed);
                pause = ASK_AGAIN;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = finalized.changed(), if !failed => (),
                () = self.wake.notified() => sleep(BURST).await,
                () = sleep(pause) => (),
                _ = resync.tick() => {
                    self.forget_work_version();
                    read = None;
                    self.look_soon();
                }
            }
        }
        self.finish().await;
    }

    /// Waits for the actions under way; none begins meanwhile.
    async fn finish(&self) {
        tracing::info!("stopping; VMs run on");
        self.permits.close();
        while self.permits.available_permits() < self.settings.operations.parallel {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives every VM that has something to do a lane: how long until the next one has.
    fn dispatch(self: &Arc<Self>) -> Duration {
        let mut lanes: Vec<Uuid> = Vec::new();
        let mut table = self.table();
        let context = self.context(&table);
        let mut next_due = Time::MAX;
        if table.has_work && table.has_seen {
            let answers: Vec<(Uuid, Next)> = table
                .vms
                .iter()
                .filter(|(_, vm)| !vm.busy)
                .map(|(uuid, vm)| (*uuid, table.next(vm, &context)))
                .collect();
            for (uuid, next) in answers {
                match next {
                    Next::Do(_) => lanes.push(uuid),
                    Next::Wait(due) => next_due = next_due.min(due),
                    Next::Rest => (),
                }
            }
            for uuid in &lanes {
                if let Some(vm) = table.vms.get_mut(uuid) {
                    vm.busy = true;
                }
            }
            if lanes.is_empty() && !table.vms.values().any(|vm| vm.busy || vm.memory.fetching) {
                // It led to no call; whatever comes next has another cause.
                table.work_known_at = None;
            }
            table.prune();
        }
        drop(table);
        for uuid in lanes {
            self.spawn_lane(uuid);
        }
        next_due.saturating_sub(context.now)
    }

    fn watch_hypervisor(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        let told = self.hypervisor.on_change(Box::new(move || {
            if let Some(engine) = engine.upgrade() {
                engine.look_soon();
            }
        }));
        if let Err(error) = told {
            tracing::warn!(%error, "libvirt tells of no events yet; it is looked at now and then");
        }
    }

    fn look_soon(&self) {
        self.look_wanted.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    fn context(&self, table: &Table) -> Context {
        let now = self.now();
        Context {
            now,
            authority: table.authority() && self.may_lose.load(Ordering::Relaxed),
            synced: table.is_of_now(now),
            shutdown_grace: self.settings.operations.shutdown_grace,
            orphan_disk_delay: self.settings.operations.orphan_disk_delay,
        }
    }

    fn now(&self) -> Time {
        self.begun.elapsed()
    }

    fn node_name(&self) -> &str {
        self.settings.node_id.as_str().unwrap_or_default()
    }

    fn connected(&self, connected: bool) {
        self.metrics.set_hypervisor_connected(connected);
        self.board.update(|status| status.hypervisor.connected = connected);
    }

    /// Tells how long it took from a finalized block to the first call that it led to.
    fn first_call(&self) {
        let known = self.table().work_known_at.take();
        if let Some(after) = known.map(|known| known.elapsed()) {
            self.metrics.first_call(after);
            tracing::debug!(?after, "the first call to libvirt for newly finalized work");
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

/// Says so once for as long as it is for the same reason.
fn log_unread(error: &ReadError, told: &mut String) {
    const WHAT: &str = "the node's work cannot be read; nothing is concluded from that";
    match error {
        // Whoever follows the chain says so.
        ReadError::Disconnected => tracing::debug!(%error, "{WHAT}"),
        _ if *told == error.to_string() => tracing::debug!(%error, "{WHAT}"),
        _ => {
            tracing::warn!(%error, "{WHAT}");
            *told = error.to_string();
        }
    }
}

/// The filter that guests are plugged in behind.
#[derive(Default)]
struct Policy {
    wanted: Option<FilterPolicy>,
    in_force: Option<FilterPolicy>,
}

impl Policy {
    fn forget(&mut self) {
        (self.wanted, self.in_force) = (None, None);
    }
}

/// Keeps what costs something from being done too often.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// How long it has to wait; none if it may be done, which then counts as done.
    fn wait(&mut self, between: Duration) -> Option<Duration> {
        let wait = self.0.map_or(Duration::ZERO, |last| between.saturating_sub(last.elapsed()));
        if wait.is_zero() {
            self.0 = Some(Instant::now());
            return None;
        }
        Some(wait)
    }
}

/// What a panicking thread left behind is whole: each change is of one field.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
