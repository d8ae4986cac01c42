//! What the port is told of this node.

use crate::{access_key, engine::Engine, reconcile::Power};
use quarry_access::{Directory, Node, PrivateKey, Stats, Unavailable};
use quarry_guest::HostKey;
use quarry_hypervisor::DomainStats;
use quarry_primitives::request::RequestId;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use uuid::Uuid;

const SSH: u16 = 22;
/// One question to libvirt serves all who ask within this time.
const FRESH: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The engine's VMs, for their tenants.
pub(super) struct Tenants {
    engine: Arc<Engine>,
    key_file: PathBuf,
    key: Mutex<Option<([u8; 32], PrivateKey)>>,
    figures: Mutex<Option<Figures>>,
}

struct Figures {
    read_at: Instant,
    by_vm: HashMap<Uuid, DomainStats>,
}

impl Tenants {
    pub(super) fn new(engine: Arc<Engine>, key_file: PathBuf) -> Self {
        Self { engine, key_file, key: Mutex::default(), figures: Mutex::default() }
    }

    /// The files are read anew where the key in use is not the one that the chain names.
    fn read_key(&self, named: Option<[u8; 32]>) -> Option<([u8; 32], PrivateKey)> {
        let keys = access_key::keys(&self.key_file).unwrap_or_else(|error| {
            tracing::error!(%error, "the host key of the access port cannot be read");
            Vec::new()
        });
        let key: HostKey = access_key::named(keys, named)?;
        Some((key.public(), access_key::for_ssh(&key).ok()??))
    }

    fn figures_of(&self, uuid: Uuid) -> Result<Option<DomainStats>, Unavailable> {
        let mut figures = lock(&self.figures);
        let fresh = figures.take().filter(|figures| figures.read_at.elapsed() < FRESH);
        let fresh = match fresh {
            Some(fresh) => fresh,
            None => {
                let all = self.engine.hypervisor().stats().map_err(|_| Unavailable)?;
                let by_vm = all.into_iter().map(|stats| (stats.uuid, stats)).collect();
                Figures { read_at: Instant::now(), by_vm }
            }
        };
        let found = fresh.by_vm.get(&uuid).cloned();
        *figures = Some(fresh);
        Ok(found)
    }
}

impl Node for Tenants {
    fn host_key(&self) -> Option<PrivateKey> {
        let named = self.engine.named_access_key();
        let mut key = lock(&self.key);
        let is_current = key.as_ref().is_some_and(|(public, _)| Some(*public) == named);
        if !is_current {
            // A file that cannot be read for a moment must not close the port.
            *key = self.read_key(named).or(key.take());
        }
        key.as_ref().map(|(_, private)| private.clone())
    }

    fn directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.engine.directory()
    }

    fn ssh(&self, vm: RequestId) -> Option<SocketAddr> {
        let tenancy = self.engine.tenancy(vm)?;
        let private = || self.engine.folders().get(tenancy.uuid)?.private_address.map(IpAddr::from);
        let address = tenancy.address().or_else(private)?;
        Some(SocketAddr::new(address, SSH))
    }

    fn screen(&self, vm: RequestId) -> Result<Option<PathBuf>, Unavailable> {
        let Some(tenancy) = self.engine.tenancy(vm) else { return Ok(None) };
        self.engine.hypervisor().vnc_socket(tenancy.uuid).map_err(|_| Unavailable)
    }

    fn console(&self, vm: RequestId) -> Result<Option<PathBuf>, Unavailable> {
        let Some(tenancy) = self.engine.tenancy(vm) else { return Ok(None) };
        self.engine.hypervisor().console(tenancy.uuid).map_err(|_| Unavailable)
    }

    fn serial_log(&self, vm: RequestId) -> Option<PathBuf> {
        let tenancy = self.engine.tenancy(vm)?;
        let manifest = self.engine.folders().get(tenancy.uuid)?;
        Some(self.engine.folders().paths(&manifest).serial_log())
    }

    fn stats(&self, vm: RequestId) -> Result<Stats, Unavailable> {
        let tenancy = self.engine.tenancy(vm).ok_or(Unavailable)?;
        let used = self.figures_of(tenancy.uuid)?.unwrap_or_default();
        let resources = &tenancy.item.resources;
        Ok(Stats {
            state: match tenancy.power {
                Some(Power::On) => "running",
                Some(Power::Paused) => "paused",
                Some(Power::Off) | None => "off",
            },
            vcpus: resources.vcpus.into(),
            cpu_seconds: used.cpu_nanoseconds as f64 / 1e9,
            memory_bytes: u64::from(resources.memory_mib) * MIB,
            memory_used_bytes: used.memory_bytes,
            disk_bytes: u64::from(resources.disk_gib) * GIB,
            disk_used_bytes: used.disk_allocated_bytes,
            disk_read_bytes: used.disk_read_bytes,
            disk_written_bytes: used.disk_written_bytes,
            network_received_bytes: used.network_received_bytes,
            network_sent_bytes: used.network_sent_bytes,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
