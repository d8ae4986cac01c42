//! [`Hypervisor`] upon libvirt.

use crate::{
    domain::{Domain, DomainSpec, DomainStats, HostInfo, Tag},
    error::{Error, Result},
    fault::{self, Fault},
    ffi, figures, filter, host,
    link::{lock, spawn, Link, Live},
    sound, tag,
    xml::{self, definition},
    FilterPolicy, Hypervisor,
};
use std::{
    collections::HashSet,
    ffi::c_int,
    path::PathBuf,
    sync::{mpsc, Arc, Mutex},
    time::Duration,
};
use uuid::Uuid;
use virt::{domain::Domain as Handle, error::Error as VirtError};
use virt_sys as sys;

/// An agent that has not answered by then is left to answer on its own.
const AGENT_PATIENCE: Duration = Duration::from_secs(4);

/// libvirt at one URI. Opens its connection when it can and again whenever that is lost.
pub struct Libvirt {
    link: Arc<Link>,
    callbacks: Callbacks,
    /// Guests whose agent is being asked to shut them down.
    asked: Arc<Mutex<HashSet<Uuid>>>,
}

type Callbacks = Arc<Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>>;

impl Libvirt {
    /// Prepares the connection; succeeds though libvirtd is down.
    pub fn connect(uri: &str) -> Result<Arc<Self>> {
        if uri.is_empty() || uri.chars().any(char::is_control) {
            return Err(Error::Unsound("a libvirt URI has no control characters".into()));
        }
        let link = Link::keep(uri)?;
        let callbacks = Callbacks::default();
        let (signal, called) = (Arc::clone(&link.signal), Arc::clone(&callbacks));
        spawn("libvirt-changes", move || {
            while signal.wait() {
                let callbacks = lock(&called).clone();
                callbacks.iter().for_each(|wake| wake());
            }
        })?;
        Ok(Arc::new(Self { link, callbacks, asked: Arc::default() }))
    }

    /// Does `work` on a domain of ours; `missing` if there is none.
    fn on<T>(
        &self,
        uuid: Uuid,
        missing: impl FnOnce() -> Result<T>,
        work: impl FnOnce(&Arc<Live>, Handle) -> Result<T, Fault>,
    ) -> Result<T> {
        self.link.with(|live| match live.catalogue.ours(&live.connection, uuid)? {
            Some(handle) => match work(live, handle) {
                Err(Fault::Virt(error)) if fault::is_missing(&error) => {
                    live.catalogue.forget(uuid);
                    Ok(missing()?)
                }
                outcome => outcome,
            },
            None => Ok(missing()?),
        })
    }
}

impl Libvirt {
    /// What the config of a running guest says; none while it does not run.
    fn in_config<T>(
        &self,
        uuid: Uuid,
        read: impl FnOnce(&str) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.on(
            uuid,
            || Ok(None),
            |_, handle| {
                if !handle.is_active()? {
                    return Ok(None);
                }
                Ok(read(&handle.xml_desc(0)?)?)
            },
        )
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.link.end();
    }
}

impl Hypervisor for Libvirt {
    fn domains(&self) -> Result<Vec<Domain>> {
        self.link.with(|live| live.catalogue.list(&live.connection))
    }

    fn domain(&self, uuid: Uuid) -> Result<Option<Domain>> {
        self.link.with(|live| live.catalogue.read(&live.connection, uuid))
    }

    fn define(&self, spec: &DomainSpec) -> Result<()> {
        let xml = definition(spec)?;
        self.link.with(|live| {
            match live.catalogue.define(&live.connection, spec.uuid, &spec.tag, &xml) {
                Err(Fault::Virt(error)) if fault::is_taken(&error) => {
                    Err(Error::Foreign(spec.uuid).into())
                }
                outcome => outcome,
            }
        })
    }

    fn start(&self, uuid: Uuid) -> Result<()> {
        self.on(
            uuid,
            || Err(Error::NoDomain(uuid)),
            |live, handle| {
                match handle.create_with_flags(0) {
                    Ok(()) => live.catalogue.started(uuid, &handle),
                    // Drivers differ in how they say that it runs already.
                    Err(_) if handle.is_active()? => live.catalogue.doubt(uuid),
                    Err(error) => return Err(error.into()),
                }
                if host::is_qemu(&live.driver) {
                    share_fairly(&handle);
                }
                Ok(())
            },
        )
    }

    fn resume(&self, uuid: Uuid) -> Result<()> {
        self.on(
            uuid,
            || Err(Error::NoDomain(uuid)),
            |_, handle| match handle.resume() {
                Ok(()) => Ok(()),
                Err(error) => match ffi::state(&handle)?.0 as sys::virDomainState {
                    sys::VIR_DOMAIN_RUNNING => Ok(()),
                    sys::VIR_DOMAIN_SHUTOFF => Err(Error::WrongState("it is off".into()).into()),
                    _ => Err(error.into()),
                },
            },
        )
    }

    fn shut_down(&self, uuid: Uuid) -> Result<()> {
        self.on(
            uuid,
            || Ok(()),
            |_, handle| {
                let outcome = if lock(&self.asked).insert(uuid) {
                    ask_agent_or_acpi(uuid, handle.clone(), Arc::clone(&self.asked))
                } else {
                    handle
                        .shutdown_flags(sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
                        .map_err(Fault::from)
                };
                unless_off(&handle, outcome)
            },
        )
    }

    fn destroy(&self, uuid: Uuid) -> Result<()> {
        self.on(
            uuid,
            || Ok(()),
            |live, handle| {
                let outcome = handle.destroy_flags(sys::VIR_DOMAIN_DESTROY_DEFAULT);
                live.catalogue.doubt(uuid);
                unless_off(&handle, outcome.map_err(Fault::from))
            },
        )
    }

    fn undefine(&self, uuid: Uuid) -> Result<()> {
        self.on(
            uuid,
            || Ok(()),
            |live, handle| {
                // libvirt would leave it running without a config.
                if handle.is_active()? {
                    return Err(Error::WrongState("it runs; destroy it first".into()).into());
                }
                undefine(&handle)?;
                live.catalogue.forget(uuid);
                Ok(())
            },
        )
    }

    fn retag(&self, uuid: Uuid, tag: &Tag) -> Result<()> {
        let fragment = tag::fragment(tag)?;
        self.on(
            uuid,
            || Err(Error::NoDomain(uuid)),
            |live, handle| {
                let outcome = handle.set_metadata(
                    sys::VIR_DOMAIN_METADATA_ELEMENT as c_int,
                    Some(&fragment),
                    Some(tag::PREFIX),
                    Some(tag::NAMESPACE),
                    sys::VIR_DOMAIN_AFFECT_CONFIG,
                );
                live.catalogue.doubt(uuid);
                Ok(outcome?)
            },
        )
    }

    fn grow_disk(&self, uuid: Uuid, bytes: u64) -> Result<()> {
        self.on(
            uuid,
            || Err(Error::NoDomain(uuid)),
            |_, handle| {
                let now = ffi::disk_capacity(&handle, xml::DISK)?;
                match bytes.cmp(&now) {
                    std::cmp::Ordering::Less => Err(Error::Unsound(format!(
                        "the disk has {now} bytes, and disks do not shrink to {bytes}"
                    ))
                    .into()),
                    std::cmp::Ordering::Equal => Ok(()),
                    std::cmp::Ordering::Greater => {
                        let flags = sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES;
                        Ok(handle.block_resize(xml::DISK, bytes, flags)?)
                    }
                }
            },
        )
    }

    fn vnc_socket(&self, uuid: Uuid) -> Result<Option<PathBuf>> {
        self.in_config(uuid, host::vnc_socket)
    }

    fn console(&self, uuid: Uuid) -> Result<Option<PathBuf>> {
        self.in_config(uuid, host::console)
    }

    fn change_guest_keys(
        &self,
        uuid: Uuid,
        user: &str,
        add: &[String],
        remove: &[String],
    ) -> Result<()> {
        self.on(
            uuid,
            || Err(Error::NoDomain(uuid)),
            |_, handle| {
                ffi::limit_agent(&handle, AGENT_PATIENCE)?;
                let change =
                    |keys: &[String], how| ffi::change_authorized_keys(&handle, user, keys, how);
                let (mut add, mut remove) = (add.to_vec(), remove.to_vec());
                // There is no such list before somebody was let in.
                if let Ok(there) = ffi::authorized_keys(&handle, user) {
                    add.retain(|key| !there.contains(key));
                    remove.retain(|key| there.contains(key));
                }
                // The agent writes the whole file, over what is written to it at the same time.
                if add.is_empty() && remove.is_empty() {
                    return Ok(());
                }
                change(&add, ffi::Keys::Add)?;
                // It leaves the last line without an end, to which the tenant's next key would be joined: an
                // empty line at the end is one.
                let end = String::new();
                remove.push(end.clone());
                change(&remove, ffi::Keys::Remove)?;
                Ok(change(&[end], ffi::Keys::Add)?)
            },
        )
    }

    fn stats(&self) -> Result<Vec<DomainStats>> {
        self.link.with(|live| {
            let mut all = Vec::new();
            for record in figures::running(&live.connection)? {
                let uuid = record.domain.uuid()?;
                match live.catalogue.ours(&live.connection, uuid) {
                    Ok(Some(_)) => all.push(figures::of(uuid, &record)),
                    Ok(None) | Err(Fault::Ours(Error::Foreign(_))) => {}
                    Err(fault) => return Err(fault),
                }
            }
            Ok(all)
        })
    }

    fn host(&self) -> Result<HostInfo> {
        self.link.with(|live| host::info(&live.connection, &live.driver))
    }

    fn supports_filters(&self) -> Result<bool> {
        self.link.with(|live| Ok(filter::are_supported(&live.connection)?))
    }

    fn ensure_filter(&self, policy: &FilterPolicy) -> Result<()> {
        self.link.with(|live| filter::ensure(&live.connection, policy))
    }

    fn remove_filter(&self, name: &str) -> Result<()> {
        sound::name("the filter's name", name)?;
        self.link.with(|live| filter::remove(&live.connection, name))
    }

    fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) -> Result<()> {
        lock(&self.callbacks).push(Arc::from(wake));
        Ok(())
    }
}

/// A refusal to turn off what is off is none.
fn unless_off(handle: &Handle, outcome: Result<(), Fault>) -> Result<(), Fault> {
    match outcome {
        Err(Fault::Virt(_)) if !handle.is_active()? => Ok(()),
        outcome => outcome,
    }
}

/// An agent answers nothing to a shutdown until the guest is down, so nobody waits for that.
fn ask_agent_or_acpi(
    uuid: Uuid,
    handle: Handle,
    asked: Arc<Mutex<HashSet<Uuid>>>,
) -> Result<(), Fault> {
    let (tell, told) = mpsc::channel();
    let done = Arc::clone(&asked);
    let spawned = spawn("libvirt-shutdown", move || {
        let outcome = handle.shutdown_flags(sys::VIR_DOMAIN_SHUTDOWN_DEFAULT);
        lock(&done).remove(&uuid);
        if let Err(mpsc::SendError(Err(error))) = tell.send(outcome) {
            tracing::debug!(%uuid, %error, "the guest was not shut down");
        }
    });
    if let Err(error) = spawned {
        lock(&asked).remove(&uuid);
        return Err(error.into());
    }
    match told.recv_timeout(AGENT_PATIENCE) {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Ok(()),
    }
}

fn undefine(handle: &Handle) -> Result<(), VirtError> {
    const SAVED: sys::virDomainUndefineFlagsValues =
        sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
    const CHECKPOINTS: sys::virDomainUndefineFlagsValues =
        sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    // Drivers refuse flags that they do not know.
    let attempts =
        [SAVED | CHECKPOINTS | sys::VIR_DOMAIN_UNDEFINE_NVRAM, SAVED | CHECKPOINTS, SAVED];
    for flags in attempts {
        match handle.undefine_flags(flags) {
            Err(error) if fault::is_refused_flag(&error) => {}
            outcome => return outcome,
        }
    }
    handle.undefine()
}

const SHARES_PER_VCPU: u64 = 100;
/// The limit of cgroups v2.
const MOST_SHARES: u64 = 10_000;
/// The limit of libvirt.
const MOST_WEIGHT: u32 = 1000;

/// Gives the guest shares by its vCPUs, where the host has the cgroups for it. In the domain's XML they
/// would keep it from starting where the host has none.
fn share_fairly(handle: &Handle) {
    let outcome = handle.info().and_then(|info| {
        let shares = u64::from(info.nr_virt_cpu).saturating_mul(SHARES_PER_VCPU).min(MOST_SHARES);
        let cpu = ffi::set_cpu_shares(handle, shares);
        let weight = u32::try_from(shares).unwrap_or(MOST_WEIGHT).min(MOST_WEIGHT);
        ffi::set_io_weight(handle, weight).and(cpu)
    });
    if let Err(error) = outcome {
        tracing::debug!(%error, "this host's cgroups do not share fairly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::state_of;

    #[test]
    fn a_uri_that_libvirt_could_not_read_is_refused() {
        for uri in ["", "qemu:///system\0", "qemu:///\nsystem"] {
            assert!(matches!(Libvirt::connect(uri), Err(Error::Unsound(_))));
        }
    }

    #[test]
    fn a_guest_that_crashed_is_told_from_one_that_was_shut_down() {
        use crate::DomainState::{Crashed, Off, Paused, Running, ShuttingDown};
        let seen = [(5, 3), (5, 8), (5, 1), (5, 6), (6, 0), (3, 5), (4, 1)];
        let off: Vec<_> = seen.map(|(state, reason)| state_of(state, reason, false)).into();
        assert_eq!(off, [Crashed, Crashed, Off, Off, Crashed, Paused, ShuttingDown]);
        let seen = [(1, 1), (2, 0), (0, 0), (6, 0), (7, 0)];
        let on: Vec<_> = seen.map(|(state, reason)| state_of(state, reason, true)).into();
        assert_eq!(on, [Running, Running, Running, Paused, Paused]);
    }
}
