//! `quarry-worker run`: the daemon.

use crate::{
    access::{self, AccessError},
    config::Settings,
    dial,
    engine::{Engine, Parts, HANDOVER},
    folders::{FolderError, Folders},
    http::{HttpError, Server, StatusBoard},
    lock::{self, Lock, LockError},
    metrics::{Metrics, MetricsError},
    notify,
    signer::{self, Signer, Signing},
    state::{State, StateError},
};
use quarry_client::{Chain, ChainOptions, EndpointError, KeyFileError, SenderStatus};
use quarry_hypervisor::{Accelerator, Hypervisor, Libvirt};
use quarry_images::{OpenError, Store, StoreSettings};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{signal, SignalKind},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Another worker.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The data folder.
    #[error(transparent)]
    Folders(#[from] FolderError),
    /// What is remembered.
    #[error(transparent)]
    State(#[from] StateError),
    /// The image store.
    #[error(transparent)]
    Images(#[from] OpenError),
    /// The endpoints.
    #[error(transparent)]
    Endpoints(#[from] EndpointError),
    /// libvirt.
    #[error(transparent)]
    Hypervisor(#[from] quarry_hypervisor::Error),
    /// The HTTP server.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The access port.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Signals, the data folder itself.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// Guests could not be kept from what they must not reach.
    #[error("libvirt at {0} has no network filters, and guests are not plugged in without: use qemu:///system, or, for development only, set network.filter to false")]
    NoFilters(String),
    /// Somebody else uses the key.
    #[error("another worker signs with this worker's key on this chain: this one, the older, stops; each host needs a key of its own")]
    KeyInUse,
}

impl RunError {
    /// The process's exit code, by which systemd knows whether another start makes sense.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::KeyInUse | Self::Lock(LockError::Taken { .. }) => 69,
            Self::Key(_) | Self::Endpoints(_) | Self::State(_) | Self::NoFilters(_) => 78,
            _ => 1,
        }
    }
}

/// Runs until a signal, or until another worker takes over.
pub async fn run(settings: Settings, accept_loss: bool) -> Result<(), RunError> {
    let settings = Arc::new(settings);
    let data_dir = &settings.data_dir;
    std::fs::create_dir_all(data_dir).map_err(|error| RunError::Io(data_dir.clone(), error))?;
    let _data_lock = Lock::take(&data_dir.join("worker.lock"), "this data_dir")?;
    let uri = &settings.hypervisor.uri;
    let _libvirt_lock = Lock::take(&lock::of_libvirt(uri), uri)?;
    // Before anything is waited for: another start would not mend it.
    signer::keys(&settings.key.file)?;
    let access_port = access::open(&settings.access).await?;
    let board = StatusBoard::new(settings.node_id.as_str().unwrap_or_default(), uri);
    let metrics = Metrics::new()?;
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    if let Some(listen) = settings.http.listen {
        let server = Server::bind(listen, data_dir).await?;
        tokio::spawn(server.serve(board.clone(), metrics.clone(), stop.clone()));
    }
    notify::start(&board, &stop);
    let (known, seen) = State::known_chain(data_dir).unzip();
    let genesis = settings.chain.genesis.or(known);
    let chain = Chain::start(ChainOptions {
        genesis: genesis.map(Into::into),
        ..ChainOptions::new(&settings.chain.endpoints)
    })?;
    tokio::spawn(publish_connection(chain.clone(), board.clone(), metrics.clone()));
    let node_id = settings.node_id.clone();
    let signer = Signer::start(chain.clone(), node_id, &settings.key.file, seen.unwrap_or(0))?;
    let signer = Arc::new(signer);
    tracing::info!(worker = signer.now().address, "waiting for the chain and for libvirt");
    let Some(genesis) = until(&stop, ready(&chain, &board)).await else { return Ok(()) };
    let hypervisor = Libvirt::connect(uri)?;
    let Some(accelerator) = until(&stop, accelerator(&settings, &hypervisor, &board)).await else {
        return Ok(());
    };
    let filters = hypervisor.supports_filters()?;
    if settings.network.filter && !filters && accelerator != Accelerator::Test {
        return Err(RunError::NoFilters(uri.clone()));
    }
    let node_name = settings.node_id.as_str().unwrap_or_default();
    let engine = Engine::new(Parts {
        filters,
        folders: Folders::open(&data_dir.join("vms"))?,
        images: Store::open(store_settings(&settings))?,
        state: State::open(data_dir, &genesis, node_name)?,
        chain: chain.clone(),
        genesis,
        hypervisor,
        accelerator,
        accept_loss,
        board: board.clone(),
        metrics: metrics.clone(),
        settings: settings.clone(),
        signer: signer.clone(),
    });
    access::follow_keys(&engine, &stop);
    if let Some(port) = access_port {
        let server = access::serve(port, &settings.access, &engine, &metrics, &stop);
        dial::start(&chain, &signer, &settings, &server, &stop);
    }
    let engine = tokio::spawn(engine.run(stop.clone()));
    let taken_over = watch_keys(signer.changes(), &board, &metrics, &stop).await;
    stop.cancel();
    if let Err(error) = engine.await {
        tracing::error!(%error, "the core broke off");
    }
    if taken_over {
        return Err(RunError::KeyInUse);
    }
    Ok(())
}

async fn until<T>(
    stop: &CancellationToken,
    work: impl std::future::Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

async fn ready(chain: &Chain, board: &StatusBoard) -> [u8; 32] {
    let (genesis, _) = board.alive_while(chain.ready()).await;
    board.update(|status| {
        status.chain.genesis = Some(format!("0x{}", data_encoding::HEXLOWER.encode(&genesis.0)));
    });
    genesis.0
}

/// How guests run, once libvirt answers.
async fn accelerator(
    settings: &Settings,
    hypervisor: &Arc<Libvirt>,
    board: &StatusBoard,
) -> Accelerator {
    let mut told = false;
    loop {
        let asked = hypervisor.clone();
        let answer = tokio::task::spawn_blocking(move || asked.host());
        match board.alive_while(answer).await {
            Ok(Ok(host)) => {
                tracing::info!(hypervisor = host.hypervisor, "libvirt answers");
                board.update(|status| {
                    status.hypervisor.description = Some(host.hypervisor);
                    status.hypervisor.connected = true;
                });
                return settings.hypervisor.accelerator.unwrap_or(host.accelerator);
            }
            Ok(Err(error)) if !told => {
                told = true;
                tracing::warn!(%error, "waiting for libvirt");
            }
            Ok(Err(_)) => (),
            Err(error) => tracing::error!(%error, "asking libvirt broke off"),
        }
        board.alive_while(tokio::time::sleep(Duration::from_secs(2))).await;
    }
}

async fn publish_connection(chain: Chain, board: Arc<StatusBoard>, metrics: Arc<Metrics>) {
    let mut connection = chain.connection();
    loop {
        let endpoint = connection.borrow_and_update().endpoint.clone();
        board.chain(endpoint.as_deref());
        metrics.set_chain(endpoint.as_deref());
        if connection.changed().await.is_err() {
            return;
        }
    }
}

/// Waits for the end: whether it is that another worker signs with this one's key.
async fn watch_keys(
    mut signing: watch::Receiver<Signing>,
    board: &StatusBoard,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> bool {
    loop {
        let now = signing.borrow_and_update().clone();
        board.update(|status| status.worker = Some(now.address));
        tokio::select! {
            taken_over = watch_key(now.reports.status(), board, metrics, stop) => return taken_over,
            Ok(()) = signing.changed() => (),
        }
    }
}

async fn watch_key(
    mut sender: watch::Receiver<SenderStatus>,
    board: &StatusBoard,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> bool {
    let begun = tokio::time::Instant::now();
    let mut known = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return false,
            changed = sender.changed() => if changed.is_err() { return false },
        }
        let status = sender.borrow_and_update().clone();
        let under_way = status.queued + status.under_way;
        metrics.set_reports_under_way(under_way);
        board.update(|board| board.reports_under_way = under_way);
        if status.foreign_nonce_seen > known {
            known = status.foreign_nonce_seen;
            if begun.elapsed() > HANDOVER {
                tracing::error!("another worker signs with this worker's key");
                return true;
            }
            tracing::warn!("somebody else signs with this worker's key; if that is the worker before this one, it stops by itself");
        }
    }
}

fn store_settings(settings: &Settings) -> StoreSettings {
    let images = &settings.images;
    StoreSettings {
        dir: settings.data_dir.join("images"),
        store_bytes: images.store_bytes,
        max_file_bytes: images.max_file_bytes,
        max_virtual_bytes: images.max_virtual_bytes,
        local_dir: images.local_dir.clone(),
        gateways: images.gateways.clone(),
        allow_http: images.allow_http,
        stall: images.stall,
    }
}

fn stop_on_signals(stop: &CancellationToken) -> Result<(), RunError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let failed = |error| RunError::Io("signals".into(), error);
        let mut signals = signal(kind).map_err(failed)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
    Ok(())
}
